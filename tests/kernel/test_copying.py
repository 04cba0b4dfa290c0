"""Content copied with its holes, and renaming without replacing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.copying import SourceError, copy_content
from ovlctl.kernel.fiemap import shared_bytes
from ovlctl.kernel.renames import rename_by_steps, rename_noreplace
from tests import trees
from tests.capabilities import each_fs, needs_fs

if TYPE_CHECKING:
    from tests.conftest import MakeFs

_MIB = 1 << 20


def _copy(source: str, target: str) -> bool:
    with open(source, "rb") as old, open(target, "xb") as new:
        return copy_content(old.fileno(), new.fileno())


@pytest.mark.parametrize("kind", each_fs("ext4", "xfs", "btrfs", "tmpfs"))
def test_holes_stay_holes(make_fs: MakeFs, kind: str) -> None:
    """A hole at the begin, in the middle and at the end; to the same file system and to another one."""
    here, there = make_fs(kind), make_fs("tmpfs")
    with open(f"{here}/sparse", "wb") as sparse:
        for at in (2 * _MIB, 5 * _MIB):
            sparse.seek(at)
            sparse.write(os.urandom(70_000))
        sparse.truncate(9 * _MIB)
    for target in (f"{here}/copy", f"{there}/copy"):
        shared = _copy(f"{here}/sparse", target)
        with open(f"{here}/sparse", "rb") as old, open(target, "rb") as new:
            assert new.read() == old.read()
            assert os.fstat(new.fileno()).st_blocks * 512 < _MIB
            assert shared is bool(shared_bytes(new.fileno()))
        assert shared is (kind in {"xfs", "btrfs"} and target.startswith(here))


@needs_fs("xfs")
def test_a_file_as_large_as_can_be(make_fs: MakeFs) -> None:
    """Its end is found, though nothing can be read beyond it."""
    with open(f"{make_fs('xfs')}/old", "w+b") as old, open(f"{make_fs('tmpfs')}/new", "xb") as new:
        old.truncate((1 << 63) - 4096)
        size = os.fstat(old.fileno()).st_size
        copy_content(old.fileno(), new.fileno())
        assert os.fstat(new.fileno()).st_size == size


def test_files_whose_size_says_nothing(scratch: str) -> None:
    """Empty files, and those of /proc, which have content all the same."""
    trees.make(scratch, {"empty": ""})
    assert not _copy(f"{scratch}/empty", f"{scratch}/copy")
    _copy("/proc/self/status", f"{scratch}/status")
    with open(f"{scratch}/status", encoding="ascii") as copied:
        assert copied.readline().startswith("Name:")


def test_who_is_to_blame(scratch: str) -> None:
    """What cannot be read is another error than what cannot be written."""
    with open("/proc/self/mem", "rb") as old, open(f"{scratch}/new", "xb") as new, pytest.raises(SourceError) as caught:
        copy_content(old.fileno(), new.fileno())
    assert caught.value.errno == errno.EIO
    trees.make(scratch, {"f": "x"})
    with open(f"{scratch}/f", "rb") as old, open("/dev/full", "wb") as full, pytest.raises(OSError) as failed:  # noqa: PT011 -- the type says it all
        copy_content(old.fileno(), full.fileno())
    assert not isinstance(failed.value, SourceError)


@pytest.mark.parametrize("rename", [rename_noreplace, rename_by_steps])
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_nothing_is_replaced(scratch: str, rename: Callable[[int, str, int, str], None], kind: str) -> None:
    """A name that is free is taken, one that is not is EEXIST, with and without the system call."""
    trees.make(scratch, {"old/": None, "new/": None, "old/file": "x", "old/directory/f": "x"})
    os.symlink("nowhere", f"{scratch}/old/link")
    old, new = os.open(f"{scratch}/old", os.O_PATH), os.open(f"{scratch}/new", os.O_PATH)
    try:
        before = trees.everything(f"{scratch}/old")
        for name, make in (
            ("taken", lambda path: trees.make(path, {"f": "mine"})),
            ("dangling", lambda path: os.symlink("no", path)),
        ):
            make(f"{scratch}/new/{name}")
            with pytest.raises(FileExistsError):
                rename(old, kind, new, name)
        assert trees.everything(f"{scratch}/old") == before
        rename(old, kind, new, "free")
        assert kind not in os.listdir(f"{scratch}/old")
        assert os.path.lexists(f"{scratch}/new/free")
    finally:
        os.close(old)
        os.close(new)
