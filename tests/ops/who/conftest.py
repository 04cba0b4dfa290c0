"""Fixtures of the tests of ``who``."""

from __future__ import annotations

import pytest

from tests.capabilities import root
from tests.kernel import overlays


@pytest.fixture
def merged(scratch: str, state_dir: str) -> str:
    """Mount point of an overlay that nobody holds, of lower, upper and work beside it."""
    return overlays.simple(scratch, userxattr=not root())
