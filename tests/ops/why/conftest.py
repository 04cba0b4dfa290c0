"""The situations of tests.ops.test_error_rows, for tests that describe them in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.mount import umount2
from tests.ops.test_error_rows import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeFs


@pytest.fixture
def scene(scratch: str, make_fs: MakeFs) -> Iterator[Scene]:
    """A place for one situation; what it mounted is unmounted, last first."""
    made = Scene(scratch, make_fs)
    yield made
    for target in reversed(made.mounted):
        umount2(target)
