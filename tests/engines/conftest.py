"""Fixtures for stores that no engine is working on."""

from __future__ import annotations

import pytest

from ovlctl.engines import gathering
from tests.capabilities import needs_root
from tests.needs import needed_by_fixtures


def pytest_itemcollected(item: pytest.Item) -> None:
    """A containerd of a test's own is run by root."""
    needed_by_fixtures(item, containerd=[needs_root])


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged entries are not waited for: nobody is making them whole. Where an engine works, they are."""
    if ".live." not in request.module.__name__:
        monkeypatch.setattr(gathering, "PATIENCE_S", 0.0)
