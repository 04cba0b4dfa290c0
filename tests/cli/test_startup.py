"""Start-up: the table of commands is true, and a plain command loads little (benchmarks/startup.py has the times)."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from ovlctl.cli.commands import ROWS, Row
from ovlctl.cli.lazy import load
from tests.capabilities import needs_mounting

PLAIN = (("--version",), ("--help",), ("mount", "--help"), ("explain", "--help"), ("ls",), ("ls", "--json"))
HEAVY = {"rich", "psutil", "pyroute2", "pydantic", "textual", "asyncio", "http", "numpy"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_true(row: Row) -> None:
    """Each row names a function that exists, and its help is the first line of the function's docstring."""
    function = getattr(import_module(row.module), row.function)
    first_line = (inspect.getdoc(function) or "").splitlines()[0]
    assert row.help == first_line.removesuffix(".")
    assert load(row).name == row.name


def run(*args: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run ``ovlctl ARGS`` in a new interpreter; also the top-level names of the modules it loaded."""
    code = (
        "import sys\n"
        "from ovlctl.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
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
