"""Start-up: the table of commands is true, and a plain command loads little (benchmarks/startup.py has the times)."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib import import_module

import pytest

from ovlctl.cli.commands import ROWS, Row
from ovlctl.cli.lazy import load
from tests.capabilities import needs_mounting
from tests.engines.docker_root import DockerRoot, cache_id

PLAIN = (("--version",), ("--help",), ("mount", "--help"), ("explain", "--help"), ("ls",), ("ls", "--json"))
HEAVY = {"rich", "psutil", "pyroute2", "pydantic", "textual", "asyncio", "http", "numpy"}
LIBRARIES = {"docker", "requests", "urllib3", "sqlite3"}
ORDINARY = (
    ("ls",),
    ("ls", "--json"),
    ("explain", "-l", "one", "-l", "two", "etc"),
    ("tree", "-l", "one", "-l", "two"),
    ("diff", "-l", "one", "--upper", "two"),
    ("du", "-l", "one", "--no-remember"),
    ("find", "-l", "one", "etc"),
    ("cat", "-l", "one", "etc/conf"),
    ("doctor",),
    ("why", "OVL-E020"),
)
OF_STORES = (
    ("owner", f"docker/overlay2/{cache_id('base')}"),
    ("orphans",),
    *(("du", "docker", "--by", by) for by in ("layer", "image", "container", "pod")),
    ("driver", "image", "web"),
    ("explain", "docker:web", ""),
    ("tree", "docker:web"),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_true(row: Row) -> None:
    """Each row names a function that exists, and its help is the first line of the function's docstring."""
    function = getattr(import_module(row.module), row.function)
    first_line = (inspect.getdoc(function) or "").splitlines()[0]
    assert row.help == first_line.removesuffix(".")
    assert load(row).name == row.name


def run(*args: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run ``ovlctl ARGS`` in a new interpreter; also the top-level names of the modules it loaded."""
    done, modules = run_whole(*args)
    return done, {name.partition(".")[0] for name in modules}


def run_whole(*args: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run ``ovlctl ARGS`` in a new interpreter; also the modules it loaded."""
    code = (
        "import sys\n"
        "from ovlctl.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    return done, set(done.stderr.splitlines()[-1].split())


@needs_mounting
@pytest.mark.parametrize("args", PLAIN, ids=" ".join)
def test_a_plain_command_is_light(args: tuple[str, ...]) -> None:
    """No plain command loads what it does not use."""
    done, loaded = run(*args)
    assert done.returncode == 0, done.stderr
    assert loaded & HEAVY == set()


def test_the_version_needs_no_typer() -> None:
    """``--version`` answers before Typer is imported."""
    done, loaded = run("--version")
    assert done.stdout.startswith("ovlctl ")
    assert "typer" not in loaded


@needs_mounting
@pytest.mark.parametrize("args", ORDINARY, ids=" ".join)
def test_no_engine_is_loaded_for_what_is_no_engines(
    args: tuple[str, ...], scratch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack that is nobody's is told without the modules that know engines, let alone their libraries."""
    for name in ("one/etc", "two"):
        os.makedirs(f"{scratch}/{name}")
    with open(f"{scratch}/one/etc/conf", "xb"):
        pass
    monkeypatch.chdir(scratch)
    done, loaded = run_whole(*args)
    assert done.returncode == 0, done.stderr
    engines = {name for name in loaded if name.startswith(("ovlctl.engines.", "ovlctl.ops.engines"))}
    assert engines <= {"ovlctl.engines.keepers"}
    assert loaded & LIBRARIES == set()


@pytest.mark.parametrize("args", OF_STORES, ids=" ".join)
def test_stores_are_read_without_libraries(
    args: tuple[str, ...], scratch: str, state_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's store is read from disk: no SDK, no SQLite."""
    DockerRoot(f"{scratch}/docker").image("web", "base", "top")
    monkeypatch.chdir(scratch)
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", f"{scratch}/docker")
    monkeypatch.setenv("OVLCTL_STATE_DIR", state_dir)
    done, loaded = run_whole(*args)
    # 6: not every mount table can be read by everybody.
    assert done.returncode in {0, 6}, done.stderr
    assert loaded & LIBRARIES == set()


def test_a_daemon_of_containerd_is_asked_without_the_sdk(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``ctr`` asks it."""
    os.mkdir(f"{scratch}/io.containerd.metadata.v1.bolt")
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", scratch)
    done, loaded = run_whole("driver", "containerd", "--json")
    assert done.returncode in {0, 6}, done.stderr
    assert '"containerd"' in done.stdout
    assert "ovlctl.engines.containerd.daemon" in loaded
    assert loaded & LIBRARIES == set()
