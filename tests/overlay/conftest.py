"""A place for layers that are written and thrown away by the hundred."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.mount import MNT, umount2
from tests import capabilities
from tests.needs import needed_by_fixtures
from tests.overlay.made import new_directory

if TYPE_CHECKING:
    from collections.abc import Iterator


# Where an attribute of a user may be kept, and one of 64 KiB too: ext4 has no place for that.
_ROOM = "tmpfs" if capabilities.user_xattrs_in_memory() else "xfs"


def pytest_itemcollected(item: pytest.Item) -> None:
    """What ``room`` needs besides root."""
    needed_by_fixtures(item, room=[capabilities.needs_fs(_ROOM)])


@pytest.fixture(scope="session")
def room() -> Iterator[str]:
    """A directory with trusted and user attributes: in memory, where those can be."""
    with tempfile.TemporaryDirectory(dir=capabilities.session().directory) as base:
        os.chmod(base, 0o755)  # ordinary users must get through
        point = capabilities.make_file_system(_ROOM, base)
        yield point
        umount2(point, MNT(0))


@pytest.fixture(scope="module", params=capabilities.each_fs(*capabilities.FILE_SYSTEMS))
def disk(request: pytest.FixtureRequest) -> Iterator[str]:
    """A file system of each kind, for the layers of a whole module."""
    with new_directory(capabilities.session().directory) as base:
        point = capabilities.make_file_system(request.param, base)
        yield point
        umount2(point, MNT(0))
