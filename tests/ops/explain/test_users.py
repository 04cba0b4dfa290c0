"""Who would not see a change: found by real processes that then really do not see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.object_users import UseKind
from ovlctl.ops.explain import explain
from ovlctl.ops.explain.terms import Staleness, Through
from ovlctl.overlay.options import Options
from ovlctl.show.explain import explanation_text
from tests import capabilities, trees
from tests.kernel.children import child
from tests.ops.explain.mounts import fresh, viewing, viewing_directories
from tests.overlay.made import mounted, new_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.explain.values import User

pytestmark = capabilities.needs_root

# A mapping of Python's keeps a descriptor of its own.
_MAPS = (
    "import mmap, sys\n"
    "file = open(sys.argv[1], 'rb')\n"
    "mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
    "mapped[:3]\n"
)
_OPENS = "import sys\nfile = open(sys.argv[1], 'rb')"


@contextmanager
def reader(path: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has *path* mapped and, for each line it is sent, says what the mapping shows."""
    code = _MAPS + "print('ready', flush=True)\nfor line in sys.stdin: print(mapped[:3].decode(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def shown(process: subprocess.Popen[str]) -> str:
    """What the mapping of a :func:`reader` shows now."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def _users(point: str, path: str) -> dict[tuple[int, UseKind], User]:
    with viewing(point) as view:
        found = explain(view, path).users
    assert found is not None
    return {(user.use.pid, user.use.kind): user for user in found.found}


def test_mapped_before_the_copy_up(disk: str) -> None:
    """A mapping is found before the change, keeps the old data afterwards, and is then known to; a new one sees all."""
    with new_directory(disk) as base:
        lower = trees.make(f"{base}/lower", {"f": "old data"})
        with mounted(fresh(base, "a", [lower], Options()), f"{base}/merged") as point:
            with reader(f"{point}/f") as early:
                (user,) = _users(point, "f").values()
                assert (user.use.pid, user.use.kind) == (early.pid, UseKind.MAP)
                assert (user.through, user.staleness) == (Through.MERGED, Staleness.WILL_MISS)
                assert user.use.path == f"{point}/f"
                with open(f"{point}/f", "r+b") as file:
                    file.write(b"NEW")
                assert shown(early) == "old"
                with reader(f"{point}/f") as late:
                    assert shown(late) == "NEW"
                    (user,) = _users(point, "f").values()
                    assert (user.use.pid, user.staleness) == (early.pid, Staleness.MISSES)
            assert _users(point, "f") == {}


def test_the_layers_own_file(disk: str) -> None:
    """Who has the lower's file itself open or mapped is found, and never sees the upper."""
    with new_directory(disk) as base:
        lower = trees.make(f"{base}/lower", {"f": "old data"})
        with (
            mounted(fresh(base, "a", [lower], Options()), f"{base}/merged") as point,
            child(_OPENS, f"{lower}/f") as opened,
            child(_MAPS, f"{lower}/f") as mapped,
        ):
            for _ in range(2):
                found = _users(point, "f")
                assert set(found) == {(opened, UseKind.FD), (mapped, UseKind.MAP), (mapped, UseKind.FD)}
                assert {user.staleness for user in found.values()} == {Staleness.NEVER}
                assert {user.through for user in found.values()} == {Through.LAYER}
                with open(f"{point}/f", "a", encoding="ascii") as file:
                    file.write("and new")


def test_descriptors_of_the_merged_file_are_no_trouble(memory: str) -> None:
    """An old descriptor reads what is written after the copy-up, so that nobody is warned of it."""
    with new_directory(memory) as base:
        lower = trees.make(f"{base}/lower", {"f": "old data"})
        with mounted(fresh(base, "a", [lower], Options()), f"{base}/merged") as point, child(_OPENS, f"{point}/f"):
            assert _users(point, "f") == {}


def test_a_running_program(ext4: str) -> None:
    """A program that runs from the merged view keeps everybody from opening it for writing: ETXTBSY."""
    with new_directory(ext4) as base:
        lower = trees.make(f"{base}/lower", {})
        shutil.copy("/bin/sleep", f"{lower}/sleep")
        os.chmod(f"{lower}/sleep", 0o755)
        with (
            mounted(fresh(base, "a", [lower], Options()), f"{base}/merged") as point,
            subprocess.Popen([f"{point}/sleep", "600"]) as running,
        ):
            try:
                while os.readlink(f"/proc/{running.pid}/exe") != f"{point}/sleep":
                    time.sleep(0.005)
                user = _users(point, "sleep")[running.pid, UseKind.EXE]
                assert user.staleness is Staleness.BLOCKS
                with pytest.raises(OSError, match="Text file busy"):
                    os.open(f"{point}/sleep", os.O_WRONLY)
            finally:
                running.kill()


def test_of_a_stack_that_is_not_mounted(memory: str) -> None:
    """The layer's own file is looked for all the same."""
    with new_directory(memory) as base:
        lower = trees.make(f"{base}/lower", {"f": "old data"})
        with child(_OPENS, f"{lower}/f") as opened, viewing_directories(fresh(base, "a", [lower], Options())) as view:
            explanation = explain(view, "f")
            assert explanation.users is not None
            assert [user.use.pid for user in explanation.users.found] == [opened]
            assert f"pid {opened} python" in explanation_text(explanation)
            assert explain(view, "").users is None
