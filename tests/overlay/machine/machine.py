"""The machine: a stack by chance, the rules, and what must hold after every few steps."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from ovlctl.errors import KernelRefused
from tests.overlay.machine import laws
from tests.overlay.machine.layers import Lower, lowers, options
from tests.overlay.machine.live import Live
from tests.overlay.machine.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.overlay.options import Options

# How many steps are taken between two comparisons, and at least between two mounts.
_EVERY = 4
_LIFE = 6


class Machine(Rules):
    """A mounted stack.

    Attributes:
        disks: Where layers go, the first for uppers.
    """

    disks: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.held = {}
        self.steps = self._compared = self._mounted = 0

    @initialize(
        layers=st.lists(lowers(), min_size=1, max_size=6),
        chosen=options,
        places=st.sampled_from([(0,), (0,), (1,), (2,), (0, 1), (1, 0, 2)]),
    )
    def mount(self, layers: list[Lower], chosen: Options, places: tuple[int, ...]) -> None:
        """Write the lowers, each to one of the disks, and mount them below a new upper."""
        disks = [self.disks[place % len(self.disks)] for place in places]
        self.live = Live(self.disks[0], list(zip(layers, itertools.cycle(disks), strict=False)), chosen)
        note(f"  mounted with {', '.join(f'{key.name}={value}' for key, value in chosen.asked())}")

    @precondition(lambda self: self.steps >= self._mounted + _LIFE)
    @rule()
    def mount_again(self) -> None:
        """Everything is forgotten that is not on disk."""
        self._mount("mount-again", self.live.again)
        self._compare()

    @precondition(lambda self: self.steps >= self._mounted + _LIFE)
    @rule()
    def bury(self) -> None:
        """The upper becomes a lower."""
        self._mount("bury", self.live.bury)

    def _mount(self, name: str, action: Callable[[], None]) -> None:
        # Which the kernel never has a reason to refuse.
        self.let_go()
        action()
        self.steps += 1
        self.done[name] += 1
        self._mounted = self.steps

    @invariant()
    def agree(self) -> None:
        """Every few steps."""
        if self.steps >= self._compared + _EVERY:
            self._compare()

    def teardown(self) -> None:
        """At the end, and once more after the last mount."""
        if not hasattr(self, "live"):
            return
        try:
            if self.steps > self._compared:
                self._compare()
        finally:
            self.let_go()
            self.live.close()

    def _compare(self) -> None:
        self._compared = self.steps
        self.done["compare"] += 1
        wrong = laws.broken(self.live, content=bool(self.done["compare"] % 2))
        if wrong:
            self.let_go()
            with suppress(KernelRefused, OSError):
                # Is it only what this mount remembers?
                self.live.again()
                note(f"  after another mount: {laws.broken(self.live, content=True)}")
        assert not wrong, "\n".join(wrong)
