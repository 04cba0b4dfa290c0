"""Pages to drive, each made once."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from ovlctl.ops import publishing, reading, reporting
from ovlctl.show.report.assets import page
from tests import capabilities, sandbox
from tests.browser.tools import browser
from tests.show.report import made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reporting import Report


@pytest.fixture(autouse=True)
def _browser() -> None:
    able = browser()
    if not able:
        pytest.skip(f"needs a browser: {able.reason}")


@pytest.fixture(scope="session")
def directory() -> Iterator[str]:
    """Where the pages are."""
    made_here = tempfile.mkdtemp(prefix="t-", dir=capabilities.session().directory)
    os.chmod(made_here, 0o755)
    yield made_here
    sandbox.remove(made_here)


@pytest.fixture(scope="session")
def report(directory: str) -> Report:
    """Of a stack with hostile names, with a real run where one can be had."""
    stack = made.stack(f"{directory}/stack")
    with reading.opened(reading.of_directories(stack)) as view:
        return reporting.report(view, tuple(made.given(stack)), run=bool(capabilities.overlay()))


@pytest.fixture(scope="session")
def written(directory: str, report: Report) -> str:
    """The page of *report*."""
    path = f"{directory}/page.html"
    publishing.write(publishing.place(path, None, replace=False), page(report))
    return path


@pytest.fixture(scope="session")
def result(directory: str) -> str:
    """A small real result of bench-copyup."""
    from ovlctl.bench.plan import KIB, Plan
    from ovlctl.bench.runner import run
    from ovlctl.show.bench import result_json
    from ovlctl.show.envelope import envelope

    path = f"{directory}/bench.json"
    os.mkdir(f"{directory}/bench")
    measured = run(Plan(directory=f"{directory}/bench", sizes=(4 * KIB, 64 * KIB), samples=4, identity=False))
    with open(path, "w", encoding="ascii") as file:
        json.dump(envelope("bench-copyup", result_json(measured)), file)
    return path
