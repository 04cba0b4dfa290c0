"""The page cache and the extents of a file, each against a second source."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import fiemap, pagecache
from ovlctl.kernel.copying import FICLONE
from tests.capabilities import each_fs, needs_fs

if TYPE_CHECKING:
    from tests.conftest import MakeFs

SIZE = 1 << 20


def _file(directory: str, size: int = SIZE) -> int:
    fd = os.open(os.path.join(directory, "file"), os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, os.urandom(size))
    os.fsync(fd)
    return fd


@pytest.mark.parametrize("kind", each_fs("ext4", "xfs", "btrfs"))
def test_dropping_empties_the_cache_and_reading_fills_it(make_fs: MakeFs, kind: str) -> None:
    """Both ways of asking agree: all pages after writing, none after dropping, some after reading a part."""
    fd = _file(make_fs(kind))
    try:
        assert pagecache.cached_share(fd) == pagecache.share_by_mincore(fd) == 1.0
        pagecache.drop(fd)
        assert pagecache.cached_share(fd) == pagecache.share_by_mincore(fd) == 0.0
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(fd, 4096, 0)
        share = pagecache.cached_share(fd)
        assert share is not None
        assert 0.0 < share < 1.0
        assert share == pagecache.share_by_mincore(fd)
    finally:
        os.close(fd)


def test_an_empty_file_has_no_share(scratch: str) -> None:
    """No page, no share."""
    fd = _file(scratch, 0)
    assert pagecache.cached_share(fd) is None
    os.close(fd)


@needs_fs("ext4")
def test_syncfs_leaves_nothing_delayed(make_fs: MakeFs) -> None:
    """After syncfs(2) every extent has its place."""
    directory = make_fs("ext4")
    fd = os.open(os.path.join(directory, "file"), os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, os.urandom(SIZE))
    pagecache.syncfs(fd)
    found = fiemap.extents(fd)
    assert found
    assert not any(extent.flags & fiemap.FIEMAP_EXTENT.DELALLOC for extent in found)
    os.close(fd)


@pytest.mark.parametrize("kind", each_fs("ext4", "xfs", "btrfs"))
def test_extents_cover_the_data_and_skip_holes(make_fs: MakeFs, kind: str) -> None:
    """Their lengths add up to the data; a hole is in none; SEEK_DATA agrees on where data begins."""
    fd = _file(make_fs(kind))
    os.pwrite(fd, os.urandom(SIZE), 4 * SIZE)
    found = fiemap.extents(fd)
    assert found is not None
    assert sum(extent.length for extent in found) == 2 * SIZE
    assert [extent.logical for extent in found] == sorted(extent.logical for extent in found)
    second = next(extent for extent in found if extent.logical >= SIZE)
    assert os.lseek(fd, SIZE, os.SEEK_DATA) == second.logical == 4 * SIZE
    os.close(fd)


@pytest.mark.parametrize("kind", each_fs("xfs", "btrfs"))
def test_a_clone_is_shared_until_it_is_written(make_fs: MakeFs, kind: str) -> None:
    """All blocks of a clone are shared; those written to are not any more."""
    directory = make_fs(kind)
    fd = _file(directory)
    clone = os.open(os.path.join(directory, "clone"), os.O_RDWR | os.O_CREAT, 0o600)
    assert fiemap.shared_bytes(fd) == 0
    fcntl.ioctl(clone, FICLONE, fd)
    assert fiemap.shared_bytes(fd) == fiemap.shared_bytes(clone) == SIZE
    os.pwrite(clone, b"x" * 4096, 0)
    os.fsync(clone)
    assert fiemap.shared_bytes(clone) == SIZE - 4096
    os.close(fd)
    os.close(clone)


@needs_fs("ext4")
def test_many_extents_come_in_batches(make_fs: MakeFs) -> None:
    """More extents than one call returns are all there, in order."""
    fd = os.open(os.path.join(make_fs("ext4", 64 << 20), "file"), os.O_RDWR | os.O_CREAT, 0o600)
    for index in range(600):
        os.pwrite(fd, b"x" * 4096, index * 8192)
    found = fiemap.extents(fd)
    assert found is not None
    assert [extent.logical for extent in found] == [index * 8192 for index in range(600)]
    os.close(fd)


@needs_fs("tmpfs")
def test_tmpfs_cannot_tell(make_fs: MakeFs) -> None:
    """None, not an empty list."""
    fd = _file(make_fs("tmpfs"))
    assert fiemap.extents(fd) is None
    assert fiemap.shared_bytes(fd) is None
    os.close(fd)
