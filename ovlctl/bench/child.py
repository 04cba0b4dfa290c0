"""The measuring process: alone in a private mount namespace, pinned to one CPU, without garbage collection.

Whatever ends it, its mounts and loop devices end with it, because nobody else is in its namespace.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from contextlib import closing, suppress
from time import monotonic
from typing import TYPE_CHECKING

from ovlctl.bench import environment, identity, layers, protocol, stage
from ovlctl.bench.accounting import Meter
from ovlctl.bench.grounds import Ground, grounds, refused
from ovlctl.bench.plan import tasks_of_round
from ovlctl.bench.sampling import WARMUP, Sampler
from ovlctl.bench.terms import Privilege
from ovlctl.errors import OvlError
from ovlctl.kernel import namespaces
from ovlctl.ops import frames
from ovlctl.ops.workspace import remove_tree

if TYPE_CHECKING:
    from ovlctl.bench.plan import Schedule

REPORT_SECONDS = 0.25


class Stopped(Exception):
    """The other process asked for an end, or is gone."""


class Parent:
    """The process that gave the order.

    Args:
        control: Descriptor that its bytes come from.
        events: Descriptor that events go to.
    """

    def __init__(self, control: int, events: int) -> None:
        self._control = control
        self._events = events
        self._stopped = False
        self.gone = False

    def tell(self, event: protocol.Event) -> None:
        """Send *event*.

        Raises:
            Stopped: Nobody is there.
        """
        try:
            frames.send(self._events, event)
        except BrokenPipeError as error:
            self.gone = self._stopped = True
            raise Stopped from error

    def hears(self, event: protocol.Report) -> bool:
        """Send *event* and wait until the other process is done with it, so that it never runs beside a sample.

        Returns:
            Whether to go on.
        """
        try:
            self.tell(event)
        except Stopped:
            return False
        return self.goes_on(wait=True)

    def goes_on(self, *, wait: bool = False) -> bool:
        """Whether neither STOP has come nor the other process is gone; looks, or waits for its answer."""
        while not self._stopped and (wait or select.select([self._control], [], [], 0)[0]):
            answer = os.read(self._control, 1)
            self.gone = self.gone or not answer
            self._stopped = answer != protocol.GO
            wait = False
        return not self._stopped

    def check(self) -> None:
        """Leave when it does not go on.

        Raises:
            Stopped: STOP has come, or the other process is gone.
        """
        if not self.goes_on():
            raise Stopped


def main() -> int:
    """Serve one order from standard input; events go to standard output."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the whole group may get it; the other process decides
    events = os.dup(1)
    os.dup2(2, 1)  # nothing that a tool prints gets between the frames
    parent = Parent(0, events)
    order: protocol.Order | None = frames.receive(0)
    if order is None:
        return 1
    try:
        stopped = _serve(order, parent)
    except OvlError as error:
        with suppress(Stopped):
            parent.tell(protocol.Failed(error=error))
        return 1
    except OSError as error:
        with suppress(Stopped):
            parent.tell(protocol.Failed(error=refused(error)))
        return 1
    finally:
        if parent.gone:
            remove_tree(order.scratch)
    with suppress(Stopped):
        parent.tell(protocol.Done(stopped=stopped))
    return 0


def _serve(order: protocol.Order, parent: Parent) -> bool:
    """Do what was ordered and clean up; whether it was stopped."""
    if order.privilege is Privilege.ROOT:
        namespaces.enter_private_mounts()
    else:
        namespaces.enter_user_namespace()
    os.sched_setaffinity(0, {order.cpu})
    os.umask(0o022)
    gc.collect()
    gc.disable()
    schedule = order.schedule
    try:
        with grounds(schedule.plan.file_systems, order.scratch, order.sizes) as found, Meter() as meter:
            roots = {ground.key: ground.root for ground in found}
            lowers = {}
            for ground in found:
                parent.check()
                lowers[ground.key] = layers.build(schedule, ground.key, ground.root)
            sampler = Sampler(schedule, roots, lowers, meter)
            sampler.round(WARMUP, lambda _: parent.goes_on())
            parent.check()
            parent.tell(_facts(found, sampler, meter, schedule.plan.directory))
            _measure(schedule, sampler, parent)
            if schedule.plan.identity:
                with closing(identity.measure(found[0].root)) as cases:
                    for case in cases:
                        parent.tell(protocol.Identity(case=case))
                        parent.check()
    except Stopped:
        return True
    return False


def _measure(schedule: Schedule, sampler: Sampler, parent: Parent) -> None:
    a_round = len(tasks_of_round(schedule, 0))
    total = a_round * schedule.rounds
    last = monotonic()
    for number in range(schedule.rounds):

        def goes_on(position: int, done: int = number * a_round) -> bool:
            nonlocal last
            if monotonic() - last > REPORT_SECONDS:
                last = monotonic()
                return parent.hears(protocol.Report(samples=(), done=done + position, total=total))
            return parent.goes_on()

        samples = sampler.round(number, goes_on)
        # What an interrupted round has counts as well.
        parent.tell(protocol.Report(samples=tuple(samples), done=min(total, (number + 1) * a_round), total=total))
        parent.check()


def _facts(found: tuple[Ground, ...], sampler: Sampler, meter: Meter, directory: str) -> protocol.Facts:
    stages = sampler.stages
    return protocol.Facts(
        storage={
            ground.key: environment.storage(
                ground.mount, ground.root, shown=ground.key if ground.image else directory, image=ground.image
            )
            for ground in found
        },
        options=tuple(stage.shown(mounted.effective) for mounted in stages),
        xattr_prefix=stages[0].xattr_prefix,
        accounting=meter.source,
        warnings=tuple(dict.fromkeys(line for mounted in stages for line in mounted.weaker)),
    )


if __name__ == "__main__":
    sys.exit(main())
