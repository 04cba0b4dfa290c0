"""A plugin of pytest: a test runs where what it needs is there. Here, else in the machine of vagrant/, else nowhere."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.needs import NEEDS, unmet
from tests.sandbox import is_root
from tests.side_by_side import HERE, PART
from tests.vm.forwarding import Forwarding
from tests.vm.guest import NoGuest, guest
from tests.vm.serving import GUEST

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tests.vm.guest import Guest

#: With 1: a test that can run neither here nor in a machine fails, instead of being skipped.
REQUIRE: Final = "OVLCTL_REQUIRE_VM"
_CANNOT = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of a run."""
    group = parser.getgroup("vm", "virtual machine")
    group.addoption(
        "--vm", action="store_true", help="run every privileged test in the machine of vagrant/, root or not"
    )
    group.addoption(
        "--vm-patience",
        type=float,
        default=900.0,
        metavar="SECONDS",
        help="a test in the machine hangs when nothing was heard for so long (default: %(default)g)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what the mark means."""
    config.addinivalue_line("markers", f"{NEEDS}(what, answer): runs where it can have *what*; see tests/needs.py")
    config.pluginmanager.register(Placing(config), "vm-placing")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that has to run and cannot."""
    if _CANNOT in item.stash:
        pytest.fail(item.stash[_CANNOT], pytrace=False)


class Placing:
    """Decides where each test of a session runs."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._in_guest = GUEST in os.environ
        self._forwarding: Forwarding | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Start what runs in the guest, run what runs here, and report the former after the latter."""
        option = self._config.option
        if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
            return (yield)
        with ExitStack() as stack:
            self._forwarding = self._place(session, stack)
            result = yield
            # Not inside of the loop, which begins with giving up when something has failed already.
            if self._forwarding is not None:
                self._forwarding.replay(session)
        return result

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what ran in the guest."""
        done = self._forwarding
        if done is not None and done.facts:
            counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(done.outcomes.items()))
            terminalreporter.section("virtual machine")
            terminalreporter.write_line(
                f"kernel {done.facts['kernel']}, Python {done.facts['python']}:"
                f" {counts or 'no test was done'} in {done.seconds:.0f} s"
            )

    def _place(self, session: pytest.Session, stack: ExitStack) -> Forwarding | None:
        remote = [item for item in session.items if self._is_for_guest(item)]
        if os.environ.get(PART, "0") != "0":
            _take_out(session, remote)  # the first of the processes that run side by side does it
            remote = []
        hint = ""
        if remote:
            try:
                found = stack.enter_context(guest(str(self._config.rootpath)))
            except NoGuest as error:
                if self._config.option.vm:
                    raise pytest.UsageError(f"--vm: {error}") from error
                hint = f"; {error}"
            else:
                return self._forward(session, remote, found, stack)
        for item in session.items:
            reason = unmet(item)
            if reason is None:
                continue
            if not self._in_guest and os.environ.get(REQUIRE) == "1":
                item.stash[_CANNOT] = f"{reason}{hint}"
            else:
                item.add_marker(pytest.mark.skip(reason=f"{reason}{hint}"))
        for item in remote:
            item.stash[HERE] = True
        return None

    def _is_for_guest(self, item: pytest.Item) -> bool:
        if self._in_guest:
            return False
        if self._config.option.vm:
            return item.get_closest_marker(NEEDS) is not None
        return not is_root() and unmet(item) is not None

    def _forward(
        self, session: pytest.Session, items: Sequence[pytest.Item], found: Guest, stack: ExitStack
    ) -> Forwarding:
        _take_out(session, items)
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self._config.option.verbose >= 0:
            terminal.write_line(f"{len(items)} of them in {found.name}")
        forwarding = Forwarding(self._config, found, items)
        stack.callback(forwarding.close)
        return forwarding


def _take_out(session: pytest.Session, items: Sequence[pytest.Item]) -> None:
    out = set(items)
    session.items[:] = [item for item in session.items if item not in out]
