"""File systems that live for a module."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.mount import MNT, umount2
from tests import capabilities, sandbox
from tests.needs import needed_by_fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOM = "tmpfs" if capabilities.user_xattrs_in_memory() else "xfs"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Trusted attributes take root, in memory, too."""
    root = capabilities.needs_root
    needed_by_fixtures(
        item, memory=[root], room=[root, capabilities.needs_fs(_ROOM)], ext4=[root, capabilities.needs_fs("ext4")]
    )


def _made(kind: str, size: int | None = None) -> Iterator[str]:
    base = tempfile.mkdtemp(prefix="fs-", dir=capabilities.session().directory)
    point = capabilities.make_file_system(kind, base, size)
    yield point
    umount2(point, MNT.DETACH)
    sandbox.remove(base)


@pytest.fixture(scope="module", params=capabilities.each_fs(*capabilities.FILE_SYSTEMS))
def disk(request: pytest.FixtureRequest) -> Iterator[str]:
    """A file system of each kind, for all layers."""
    yield from _made(request.param, 400 << 20)


@pytest.fixture(scope="module")
def ext4() -> Iterator[str]:
    """An ext4."""
    yield from _made("ext4", 200 << 20)


@pytest.fixture(scope="module")
def memory() -> Iterator[str]:
    """A tmpfs, apart from every other file system."""
    yield from _made("tmpfs", 200 << 20)


@pytest.fixture(scope="module")
def room() -> Iterator[str]:
    """A directory with trusted and user attributes: in memory, where those can be."""
    yield from _made(_ROOM, 400 << 20)
