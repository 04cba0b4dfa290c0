"""Stores that are damaged or lead elsewhere, daemons that fail: one line for what is wrong, and all else is told."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.keepers import Engine
from tests import capabilities, sandbox
from tests.capabilities import needs_overlay, needs_root
from tests.engines.little_server import answering, dripping, listening, silent
from tests.ops.engines import cases, copies
from tests.ops.engines.copies import Copy, copied, name_of, outside
from tests.ops.engines.faults import FAULTS
from tests.schemas import valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.conftest import Cli, Finished
    from tests.ops.engines.cases import Case

pytestmark = [needs_root, needs_overlay]
_FINE, _NOT_FOUND, _PARTIAL = 0, 3, 6
# Of a store with troubles, and of a containerd whose Docker is not in sight; and where tests come and go beside this.
_BESIDE = ("not everything could be told", "not every mount table", "nobody listens at", "there is no socket")


@pytest.fixture(scope="session")
def originals() -> Iterator[dict[str, str]]:
    """Copies of data roots that stay whole, by the names of cases; more are added."""
    directory = tempfile.mkdtemp(prefix="copies-", dir=capabilities.session().directory)
    yield {"": directory}
    sandbox.remove(directory)


@pytest.fixture
def copy(case: Case, originals: dict[str, str], scratch: str, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A copy of the store of a case, the only one in sight, and no daemon."""
    name = name_of(case)
    if name not in originals:
        originals[name] = copied(case, originals[""])
    root = f"{scratch}/store"
    copies.again(originals[name], root)
    for variable, value in {
        "DOCKER_HOST": f"unix://{scratch}/none.sock",
        "CONTAINER_HOST": f"unix://{scratch}/none.sock",
        "CONTAINERD_ADDRESS": f"{scratch}/none.sock",
        "OVLCTL_ENGINE_ROOT": root,
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("CONTAINERS_STORAGE_CONF", raising=False)
    return Copy(name=name, case=case, root=root)


def _lines(done: Finished) -> list[str]:
    """What was said beside the result, each line of a form; nothing unexpected happened."""
    lines = done.stderr.splitlines()
    assert all(line.startswith(("ovlctl: ", "hint: ", "note: ")) for line in lines), done.stderr
    assert done.status != 70, done.stderr
    for text in (done.stdout, done.stderr):
        assert "MARK" not in text
        assert "\x1b" not in text
    return lines


def _warnings(done: Finished) -> list[str]:
    return [line for line in _lines(done) if not any(words in line for words in _BESIDE)]


@pytest.mark.parametrize(
    ("case", "name"),
    [(store, name) for store in cases.NAMES for name, fault in FAULTS.items() if store in fault.stores],
    indirect=["case"],
)
def test_a_damaged_store(copy: Copy, cli: Cli, scratch: str, name: str) -> None:
    """Each command names what is wrong once and tells the rest; nothing that a link leads to is opened or counted."""
    fault = FAULTS[name]
    engine, (container, identity) = str(copy.case.engine), copy.case.stopped
    whole = cli("driver", "container", container, "--json").data
    lowest = os.path.dirname(whole["layers"][-1]["dir"])
    with outside(scratch) as out:
        wrong = fault.do(copy, lowest, out)
        expected = dict.fromkeys(wrong, 1)
        start = time.monotonic()
        words: tuple[str, ...]
        for words in (("driver", engine), ("orphans", engine), ("du", engine, "--by", "layer")):
            done = cli(*words)
            said = _warnings(done)
            assert {path: sum(f"{path} " in line for line in said) for path in wrong} == expected, said
            assert len(said) == len(wrong), said
            assert done.stdout, words
            assert done.status == (_PARTIAL if done.stderr else _FINE)
        held = valid("du", cli("du", engine, "--by", "container", "--json").json)["data"]
        assert sum(store["total"] for store in held["stores"]) <= _gnu_du(copy.root)
        for left in cli("driver", engine, "--json").data["engines"][0]["left_behind"]:
            assert left["driver"] != "vfs"
        for words in (("driver", "container", container), ("owner", identity)):
            done = cli(*words)
            assert done.status == (_PARTIAL if wrong else _FINE) or fault.stack == done.status == _NOT_FOUND
            assert all(any(path in line for line in _lines(done)) for path in wrong), (words, done.stderr)
        for words in (("explain", copy.container, "bin/busybox"), ("tree", copy.container)):
            done = cli(*words)
            assert done.status == fault.stack, done.stderr
            if fault.stack:
                assert all(any(path in line for line in _lines(done)) for path in wrong), (words, done.stderr)
        _lines(cli("owner", f"{lowest}/{copy.diff}"))
        assert time.monotonic() - start < 30


def _gnu_du(directory: str) -> int:
    done = subprocess.run(["du", "-sB1", directory], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


@pytest.mark.parametrize("name", ["a layer is a link", "the directory of a layer is a link"])
def test_part_of_a_stack(copy: Copy, cli: Cli, scratch: str, name: str) -> None:
    """Layers that are told without those below say so, for scripts, too."""
    container = copy.case.stopped[0]
    whole = cli("driver", "container", container, "--json").data
    with outside(scratch) as out:
        (wrong,) = FAULTS[name].do(copy, os.path.dirname(whole["layers"][-1]["dir"]), out)
        done = cli("driver", "container", container, "--graphdriver")
        assert done.status == _PARTIAL
        assert len(done.json) == 1
        assert any(wrong in line for line in _lines(done))
        done = cli("driver", "container", container, "--json")
        assert [layer["dir"] for layer in done.data["layers"]] == [layer["dir"] for layer in whole["layers"][:-1]]
        assert any("the metadata do not know" in line for line in done.json["warnings"])


@pytest.mark.parametrize(
    "kind",
    [
        (lambda _: None, 3, "is not there"),
        (lambda path: os.close(os.open(path, os.O_CREAT)), 2, "is no directory"),
        (os.mkfifo, 2, "is no directory"),
        (lambda path: os.symlink(path, path), 2, "is no directory"),
        (os.mkdir, 3, "no store of "),
    ],
    ids=["nothing", "file", "fifo", "circle", "empty"],
)
def test_a_root_that_is_none(
    cli: Cli, scratch: str, kind: tuple[Callable[[str], None], int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no data root is told as that, with the hint what would be one."""
    make, status, words = kind
    root = f"{scratch}/root"
    make(root)
    asked = [("driver",), ("driver", "container", "x"), ("orphans",), ("du", "--by", "pod")]
    for command in asked:
        done = cli(*command, "--root", root)
        error, hint = _lines(done)
        assert done.status == status
        assert words in error
        assert root in error
        assert "data root" in hint
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", root)
    for command in (("explain", "docker:x", "a"), ("tree", "podman:x"), ("cat", "containerd:x", "a")):
        assert words in cli(*command).stderr
    assert cli("owner", "abcdef012345").status in {2, 3}


_CUT = answering(b"HTTP/1.1 200 OK\nContent-Length: 1000", b'{"Driver": "over')
_GARBAGE = answering(b"HTTP/1.1 200 OK\nContent-Length: 5", b"\x1b[31m")
_REFUSED = answering(b"HTTP/1.1 500 Oh\nContent-Length: 24", b'{"message": "\\u001b[31m"}')
_DAEMONS = {"cut": _CUT, "garbage": _GARBAGE, "refused": _REFUSED, "silent": silent, "dripping": dripping}


@pytest.mark.parametrize("how", [*_DAEMONS, "nobody"])
def test_a_daemon_that_fails(case: Case, cli: Cli, scratch: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a daemon does not say is one line; whatever it does, the store is told as without it, in time."""
    socket = f"{scratch}/sock"
    serving: AbstractContextManager[object] = listening(socket, _DAEMONS[how]) if how in _DAEMONS else nullcontext()
    name, identity = case.running
    for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(variable, f"unix://{socket}")
    monkeypatch.setenv("CONTAINERD_ADDRESS", socket)
    with serving:
        start = time.monotonic()
        done = cli("driver", str(case.engine))
        assert time.monotonic() - start < 8
        (line,) = _lines(done)
        assert socket in line
        assert done.status == _PARTIAL
        assert f"{case.driver} (" in done.stdout
        for words in (
            ("driver", "container", name),
            ("owner", identity),
            ("du", str(case.engine), "--by", "container"),
            ("explain", f"{case.engine}:{name}", "bin/busybox"),
        ):
            start = time.monotonic()
            done = cli(*words)
            assert (done.status, _lines(done)) == (_FINE, []), words
            assert time.monotonic() - start < 3


def test_without_what_asks_daemons(case: Case, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the Docker SDK, and without ctr, the daemon is not asked, which is told with the remedy."""
    if not case.answers:
        pytest.skip("its daemon is not run")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "docker", None)
        without.setenv("PATH", os.path.dirname(sys.executable))
        done = cli("driver", str(case.engine))
        rest = cli("driver", "container", case.running[0])
    (line,) = _lines(done)
    assert done.status == _PARTIAL
    assert ("ctr" if case.engine is Engine.CONTAINERD else "ovlctl[engines]") in line
    assert f"{case.driver} (" in done.stdout
    assert (rest.status, rest.stderr) == (_FINE, "")
