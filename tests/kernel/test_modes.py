"""Permission bits of an object itself."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.modes import chmod_by_descriptor, chmod_nofollow

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("change", [chmod_nofollow, chmod_by_descriptor])
def test_links_are_not_followed(scratch: str, change: Callable[[int, str, int], None]) -> None:
    """Files and directories change; a link is EOPNOTSUPP, and what it names stays as it was."""
    os.mkdir(f"{scratch}/d", 0o755)
    os.mkfifo(f"{scratch}/fifo", 0o600)
    os.symlink("d", f"{scratch}/link")
    here = os.open(scratch, os.O_PATH)
    try:
        change(here, "d", 0o700)
        change(here, "fifo", 0o640)
        change(here, ".", 0o711)
        with pytest.raises(OSError, match="not supported") as caught:
            change(here, "link", 0o777)
    finally:
        os.close(here)
    assert caught.value.errno == errno.EOPNOTSUPP
    assert [os.lstat(path).st_mode & 0o7777 for path in (f"{scratch}/d", f"{scratch}/fifo", scratch)] == [
        0o700,
        0o640,
        0o711,
    ]
