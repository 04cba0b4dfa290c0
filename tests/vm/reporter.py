"""In the guest: a plugin of pytest that runs what the host asks for and writes down what happens, a JSON object a line.

``event`` says what the others mean:

=========  =============================================================================================
begun      ``pytest`` (its version), ``kernel`` and ``python``: a session
collected  a file was read; with ``broken`` (its node) and ``text`` when that failed
missing    ``ids``: tests that are not here
start      ``id``: a test begins
report     ``report``: what pytest says of one phase of a test; after the one of its teardown it is done
end        ``status`` of pytest, ``said`` (its last lines): nothing follows. :mod:`tests.vm.serving` writes it
=========  =============================================================================================
"""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.side_by_side import PART

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Names the file with what to run: node ids as JSON.
WANTED: Final = "OVLCTL_VM_WANTED"
#: Names the file that events go to.
EVENTS: Final = "OVLCTL_VM_EVENTS"


def pytest_configure(config: pytest.Config) -> None:
    """Begin to report."""
    config.pluginmanager.register(Reporter(config, os.environ[WANTED], os.environ[EVENTS]))


class Reporter:
    """Narrows a session down to what is wanted, and reports it.

    Several processes may write to the same file: an event is one write, at its end.
    """

    def __init__(self, config: pytest.Config, wanted: str, events: str) -> None:
        self._config = config
        with open(wanted, encoding="ascii") as file:
            self._wanted: list[str] = json.load(file)
        self._events = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _tell(self, event: str, **more: object) -> None:
        # Whatever a test put into its report: what JSON lacks becomes its repr.
        line = json.dumps({"event": event, **more}, default=repr)
        os.write(self._events, f"{line}\n".encode("ascii"))

    def pytest_sessionstart(self) -> None:
        """A session begins."""
        uname = os.uname()
        self._tell(
            "begun",
            pytest=pytest.__version__,
            kernel=f"{uname.release} {uname.machine}",
            python=platform.python_version(),
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file was read, or could not be."""
        more = {"broken": report.nodeid, "text": report.longreprtext} if report.failed else {}
        self._tell("collected", **more)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what is wanted."""
        wanted = set(self._wanted)
        items[:] = [item for item in items if item.nodeid in wanted]
        missing = wanted - {item.nodeid for item in items}
        if missing and os.environ.get(PART, "0") == "0":
            self._tell("missing", ids=sorted(missing))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._tell("start", id=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test is over."""
        data: dict[str, Any] = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._tell("report", report=data)


def files(ids: Sequence[str]) -> list[str]:
    """Where the tests with these node ids are."""
    return list(dict.fromkeys(each.partition("::")[0] for each in ids))
