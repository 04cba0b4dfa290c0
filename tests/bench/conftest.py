"""Results to test with: one small real run a session."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from ovlctl.bench.plan import KIB, Plan
from ovlctl.bench.runner import run
from tests import capabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.bench.values import Result


@pytest.fixture(scope="session")
def result() -> Iterator[Result]:
    """A real run of two sizes with ten samples each, and all identity cases."""
    directory = tempfile.mkdtemp(prefix="t-", dir=capabilities.session().directory)
    yield run(Plan(directory=directory, sizes=(4 * KIB, 64 * KIB), samples=10))
    assert os.listdir(directory) == []
    shutil.rmtree(directory)
