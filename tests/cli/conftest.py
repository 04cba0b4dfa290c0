"""Commands are tested on a state directory of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_state(state_dir: str) -> None:
    pass
