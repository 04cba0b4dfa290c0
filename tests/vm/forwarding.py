"""On the host: a session of tests in the guest, and its results as if the tests had run here."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.vm.reporter import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.vm.guest import Guest

_PAUSE = 0.05  # seconds
#: Seconds that the guest gets to end what was started there.
_FAREWELL = 15.0
#: What makes long runs longer, there as here.
_VARIABLES = ("OVLCTL_MACHINE_EXAMPLES", "OVLCTL_RESOLVER_EXAMPLES")
_LAST_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Why a session in the guest came to its end.

    Attributes:
        reason: What to say of a test that it did not finish.
        alive: Whether another session could be started.
    """

    reason: str
    alive: bool


class Running:
    """A session in the guest. Its answers go into a file, so that nobody has to read while other tests run here.

    (A thread could read. But a process with threads cannot enter a user namespace, as tests do.)
    """

    def __init__(self, guest: Guest, request: dict[str, Any], patience: float) -> None:
        self._patience = patience
        self._said, self._answers = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 -- see end()
        self._process = guest.start(self._said, self._answers)
        self.end: End | None = None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # what it says on its way out is told with the unfinished tests
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """What happens there, as it comes, until the session ends; then :attr:`end` says why."""
        place, rest = 0, b""
        last = time.monotonic()
        while self.end is None:
            gone = self._process.poll() is not None  # before reading: what it wrote last is there
            read = os.pread(self._answers.fileno(), 1 << 20, place)
            if read:
                place, last = place + len(read), time.monotonic()
                *lines, rest = (rest + read).split(b"\n")
                yield from self._understood(lines)
            elif gone:
                self.end = End(reason=f"the guest is gone: {self._last_words()}", alive=False)
            elif time.monotonic() > last + self._patience:
                self.end = End(reason=f"nothing came from the guest for {self._patience:g} s", alive=True)
            else:
                time.sleep(_PAUSE)

    def _understood(self, lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        for line in lines:
            try:
                event: dict[str, Any] = json.loads(line)
            except ValueError:
                self.end = End(reason=f"the guest says what is no event: {line[:200]!r}", alive=False)
                return
            match event:
                case {"event": "end", "status": status, "said": said}:
                    last = "\n".join(said.splitlines()[-_LAST_LINES:])
                    self.end = End(reason=f"pytest ended there with status {status}:\n{last}", alive=True)
                    return
                case {"event": "begun", "pytest": version} if version != pytest.__version__:
                    reason = f"pytest is {version} in the guest and {pytest.__version__} here: `vagrant/site.sh`"
                    self.end = End(reason=reason, alive=False)
                    return
                case _:
                    yield event

    def _last_words(self) -> str:
        status = self._process.wait()
        said = os.pread(self._said.fileno(), 1 << 16, max(0, os.fstat(self._said.fileno()).st_size - (1 << 16)))
        lines = said.decode(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([f"{'ssh' if status == 255 else 'what ran there'} ended with status {status}", *lines])

    def close(self) -> None:
        """End it, whatever it does. The guest goes on ending what was started there when this one stops waiting."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        for say in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_FAREWELL)
            except subprocess.TimeoutExpired:
                say()
        self._process.wait()
        self._said.close()
        self._answers.close()


class Forwarding:
    """Tests that run in the guest.

    Args:
        config: Of the session here.
        guest: Where they run.
        items: The tests.
    """

    def __init__(self, config: pytest.Config, guest: Guest, items: Sequence[pytest.Item]) -> None:
        self._config, self._guest = config, guest
        #: Tests without an answer.
        self.unfinished = {item.nodeid: item for item in items}
        #: The kernel that they ran on, and other facts about the session there.
        self.facts: dict[str, str] = {}
        #: How long it took, when it is over.
        self.seconds = 0.0
        #: How many tests passed, failed and were skipped.
        self.outcomes: Counter[str] = Counter()
        #: What was said of a test that is not done: it waits until all is there, so that tests that run side by side
        #: are told one after the other.
        self._reports: dict[str, list[dict[str, Any]]] = {}
        self._trouble: dict[str, str] = {}
        self._begun = time.monotonic()
        self._running = self._start()

    def _start(self) -> Running:
        variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        request = {"ids": list(self.unfinished), "options": _options(self._config), "variables": variables}
        return Running(self._guest, request, self._config.getoption("vm_patience"))

    def replay(self, session: pytest.Session) -> None:
        """Report each test as it ends, as if it had run here.

        A test during which its session ended, or nothing was heard any more, fails, and the others go on in a new one.
        Where none can be had, or none of them is to blame, all others fail.

        Raises:
            session.Failed, session.Interrupted: As in the loop of pytest, such as for ``-x``.
        """
        while self.unfinished:
            for event in self._running.events():
                self._take(event)
                match event:
                    case {"event": "report", "report": {"when": "teardown", "nodeid": nodeid}} if (
                        nodeid in self.unfinished
                    ):
                        self._tell(nodeid)
                        _stop_if_told(session)
                    case _:
                        pass
            end = self._running.end
            assert end is not None
            self._running.close()
            begun = [nodeid for nodeid in self._reports if nodeid in self.unfinished]
            again = end.alive and bool(begun)
            for nodeid in begun if again else list(self.unfinished):
                self._fail(nodeid, self._trouble.get(nodeid, end.reason))
                _stop_if_told(session)
            if self.unfinished:
                self._running = self._start()

    def close(self) -> None:
        """End what runs there."""
        self._running.close()
        self.seconds = time.monotonic() - self._begun

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "begun":
                self.facts = {name: str(value) for name, value in event.items() if name != "event"}
            case "collected":
                if "broken" in event:
                    ids = [nodeid for nodeid in self.unfinished if files([nodeid]) == files([event["broken"]])]
                    self._trouble.update(dict.fromkeys(ids, f"not collected in the guest:\n{event['text']}"))
            case "missing":
                for nodeid in event["ids"]:
                    self._trouble.setdefault(nodeid, "the guest has no such test; do its parameters depend on where?")
            case "start":
                self._reports[event["id"]] = []
            case "report":
                self._reports.setdefault(event["report"]["nodeid"], []).append(event["report"])
            case _:
                pass

    def _tell(self, nodeid: str) -> None:
        item = self.unfinished.pop(nodeid)
        hook = self._config.hook
        hook.pytest_runtest_logstart(nodeid=nodeid, location=item.location)
        worst = "passed"
        for data in self._reports.pop(nodeid):
            report = hook.pytest_report_from_serializable(config=self._config, data=data)
            if isinstance(report.longrepr, list):  # JSON has no tuples, and a skip is one
                path, line, reason = report.longrepr
                inside = os.path.relpath(path, self._guest.source)
                here = path if inside.startswith("..") else os.path.join(self._config.rootpath, inside)
                report.longrepr = (here, line, reason)
            if worst != "failed" and report.outcome != "passed":
                worst = report.outcome
            if report.failed:
                kernel = self.facts.get("kernel", "an unknown kernel")
                report.sections.append(("Where", f"{self._guest.name}, {kernel}"))
            hook.pytest_runtest_logreport(report=report)
        self.outcomes[worst] += 1
        hook.pytest_runtest_logfinish(nodeid=nodeid, location=item.location)

    def _fail(self, nodeid: str, reason: str) -> None:
        when: Literal["setup", "call"] = "call" if self._reports.get(nodeid) else "setup"
        item = self.unfinished[nodeid]
        keywords: dict[str, Literal[1]] = dict.fromkeys(item.keywords, 1)
        failed = pytest.TestReport(nodeid, item.location, keywords, "failed", reason, when)
        over = pytest.TestReport(nodeid, item.location, keywords, "passed", None, "teardown")
        reports = [
            self._config.hook.pytest_report_to_serializable(config=self._config, report=each) for each in (failed, over)
        ]
        self._reports[nodeid] = [*self._reports.get(nodeid, []), *reports]
        self._tell(nodeid)


def _stop_if_told(session: pytest.Session) -> None:
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _options(config: pytest.Config) -> list[str]:
    # Those that decide how a test runs and what is said about it. -m: what to run was chosen here.
    given = config.option
    options = ["-p", "tests.vm.reporter", "-p", "no:cacheprovider", "--continue-on-collection-errors", "-m", ""]
    options += [
        f"--tb={given.tbstyle}",
        f"--maxfail={given.maxfail or 0}",
        *["-v"] * given.verbose,
        *["-q"] * -given.verbose,
    ]
    flags = {"--showlocals": given.showlocals, "--full-trace": given.fulltrace, "--runxfail": given.runxfail}
    options += [option for option, wanted in flags.items() if wanted]
    options += [word for each in given.pythonwarnings or () for word in ("-W", each)]
    for name in ("--hypothesis-seed", "--hypothesis-profile"):
        value = config.getoption(name, None)
        options += [] if value is None else [f"{name}={value}"]
    return options
