"""Engines with content, for tests that are the same for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.capabilities import needs_overlay, needs_root
from tests.ops.engines import cases

if TYPE_CHECKING:
    from tests.ops.engines.cases import Case


@pytest.fixture(params=[pytest.param(name, marks=[needs_root, needs_overlay]) for name in cases.NAMES])
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Each engine and store in turn; the environment leads to it, and to nothing else."""
    name: str = request.param
    fixture = {"docker": "docker_engine", "podman": "podman_engine"}.get(name, "containerd_engine")
    found: Case = getattr(cases, name)(request.getfixturevalue(fixture))
    for variable in (
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "CONTAINER_HOST",
        "CONTAINERD_ADDRESS",
        "CONTAINERS_STORAGE_CONF",
    ):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {**found.variables, "OVLCTL_ENGINE_ROOT": found.root}.items():
        monkeypatch.setenv(variable, value)
    return found
