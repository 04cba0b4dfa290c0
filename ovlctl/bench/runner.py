"""One run from plan to result: check, start the measuring process, gather, judge, clean up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import TYPE_CHECKING

from ovlctl.bench import estimate, noise, protocol, summary
from ovlctl.bench.actions import WRITE_BYTES
from ovlctl.bench.conditions import Method
from ovlctl.bench.environment import environment
from ovlctl.bench.grounds import check_tools
from ovlctl.bench.plan import OWN
from ovlctl.bench.terms import Privilege
from ovlctl.bench.values import BareSample, Cell, Result, Sample
from ovlctl.bench.verdicts import verdicts
from ovlctl.errors import KernelRefused, UpperOnOverlay, literal
from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.mounts import mount_at
from ovlctl.ops import frames
from ovlctl.ops.workspace import BENCH, scratch
from ovlctl.overlay.rules import conflicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from ovlctl.bench.conditions import Pressure
    from ovlctl.bench.estimate import Needs
    from ovlctl.bench.plan import Plan, Schedule
    from ovlctl.bench.values import IdentityCase
    from ovlctl.errors import OvlError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class _Gathered:
    """What has come from the measuring process so far."""

    samples: dict[int, list[Sample]] = field(default_factory=dict)
    bare: dict[int, list[BareSample]] = field(default_factory=dict)
    identity: list[IdentityCase] = field(default_factory=list)
    facts: protocol.Facts | None = None
    before: noise.Reading | None = None
    error: OvlError | None = None
    done: bool = False


def run(plan: Plan, progress: Callable[[int, int], None] | None = None) -> Result:
    """Measure what *plan* asks for.

    Everything happens below one scratch directory in ``plan.directory`` and inside a child process with mounts of
    its own; both are gone when this returns or raises. SIGINT, SIGTERM and SIGHUP, when this is the main thread,
    end the run early: what was measured so far comes back as a result with ``partial`` set and ``interrupted``
    naming the signal. A second one kills the child at once.

    Args:
        plan: What to measure.
        progress: Called with samples done and samples in all, now and then, never while a sample is timed.

    Raises:
        NotEnoughSpace, RunTooLong: It does not fit; nothing was built.
        ToolMissing, MissingCapability, NoUserNamespace: Something is missing that it needs.
        KernelRefused: A mount or a file operation failed.
        NoCopyUp: A sample did not copy up.
        KeyboardInterrupt: The signal came before anything was measured.
    """
    started, clock, pressure = datetime.now(UTC), perf_counter_ns(), noise.read_pressure()
    privilege = _privilege()
    check_tools(plan.file_systems, root=privilege is Privilege.ROOT)
    plan = replace(plan, directory=os.path.realpath(plan.directory))
    with scratch(plan.directory, BENCH) as place:
        plan = _on_its_ground(plan, place.path)
        speed = estimate.measure_speed(place.path)
        schedule = estimate.schedule(plan, speed)
        _check_options(schedule, privilege)
        needed = estimate.needs(schedule, speed)
        estimate.check(schedule, needed, plan.directory)
        cpu = max(os.sched_getaffinity(0))
        order = protocol.Order(
            schedule=schedule,
            scratch=place.path,
            sizes={fs: needed.image_bytes(fs) for fs in needed.layers if fs},
            privilege=privilege,
            cpu=cpu,
        )
        gathered, interrupted = _drive(order, place.lock, pressure, progress)
    if gathered.error is not None:
        raise gathered.error
    if gathered.facts is None or gathered.before is None or not gathered.samples:
        if interrupted:
            signal.raise_signal(signal.Signals[interrupted])  # nothing to report: end as everybody else does
            raise KeyboardInterrupt
        raise KernelRefused("the measuring process ended before it had measured anything")
    method = _method(schedule, started.isoformat(timespec="seconds"), perf_counter_ns() - clock)
    return _result(
        order,
        gathered,
        facts=gathered.facts,
        before=gathered.before,
        needed=needed,
        interrupted=interrupted,
        method=method,
    )


def _on_its_ground(plan: Plan, place: str) -> Plan:
    """*plan*, knowing what its directory is on."""
    fs = mount_at(place).fs_type
    if fs == "overlay" and OWN in plan.file_systems:
        raise UpperOnOverlay(
            "{} is on an overlay itself, which cannot hold the upper of another one",
            plan.directory,
            hint="give a directory on another file system with `--dir`, or measure in memory with `--fs tmpfs`",
        )
    return replace(plan, own_type=fs)


def _privilege() -> Privilege:
    if capabilities.has(capabilities.Capability.CAP_SYS_ADMIN) and namespaces.in_initial_user_namespace():
        return Privilege.ROOT
    return Privilege.USER_NAMESPACE


def _check_options(schedule: Schedule, privilege: Privilege) -> None:
    for variant in schedule.variants:
        for error in conflicts(variant.options, has_upper=True, trusted_xattrs=privilege is Privilege.ROOT):
            raise error


def _drive(
    order: protocol.Order, lock: int, pressure: Pressure, progress: Callable[[int, int], None] | None
) -> tuple[_Gathered, str | None]:
    """Run the measuring process to its end; what it told, and the signal that cut it short."""
    gathered = _Gathered()
    # -P and an explicit path: the working directory must not be able to offer modules to a process of root's.
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = "import sys; sys.path.insert(0, sys.argv[1]); from ovlctl.bench.child import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(lock,)
    )
    control, events = (stream.fileno() for stream in (process.stdin, process.stdout) if stream is not None)
    with process, _stopping(process, control) as signals:
        try:
            with suppress(BrokenPipeError):
                frames.send(control, order)
            while (event := frames.receive(events)) is not None:
                _take(event, gathered, pressure)
                if isinstance(event, protocol.Report):
                    if progress is not None:
                        progress(event.done, event.total)
                    if not event.samples:
                        with suppress(BrokenPipeError):
                            os.write(control, protocol.STOP if signals else protocol.GO)
        except BaseException:
            process.kill()
            raise
    if not gathered.done and gathered.error is None and not signals:
        gathered.error = KernelRefused(
            literal(f"the measuring process ended with status {process.returncode}"),
            hint="-9 means killed; the kernel does that when memory is short"
            if process.returncode == -signal.SIGKILL
            else None,
        )
    return gathered, signals[0].name if signals else None


@contextmanager
def _stopping(process: subprocess.Popen[bytes], control: int) -> Iterator[list[signal.Signals]]:
    """Turn signals into STOP for *process* while inside, and a second one into its end."""
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        if received:
            process.kill()
        else:
            with suppress(OSError):
                os.write(control, protocol.STOP)
        received.append(signal.Signals(number))

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number, handler in previous.items() if handler is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number in taken:
            signal.signal(number, previous[number])


def _take(event: protocol.Event, gathered: _Gathered, pressure: Pressure) -> None:
    match event:
        case protocol.Facts():
            gathered.facts = event
            gathered.before = noise.read(pressure)
        case protocol.Report():
            for index, sample in event.samples:
                if isinstance(sample, Sample):
                    gathered.samples.setdefault(index, []).append(sample)
                else:
                    gathered.bare.setdefault(index, []).append(sample)
        case protocol.Identity():
            gathered.identity.append(event.case)
        case protocol.Failed():
            gathered.error = event.error
        case protocol.Done():
            gathered.done = True


def _method(schedule: Schedule, started: str, elapsed_ns: int) -> Method:
    plan = schedule.plan
    return Method(
        started=started,
        elapsed_ns=elapsed_ns,
        seed=plan.seed,
        rounds=schedule.rounds,
        warmup_rounds=1,
        samples_asked=plan.samples,
        sizes=plan.sizes,
        operations=plan.operations,
        caches=plan.caches,
        write_bytes=WRITE_BYTES,
        clock="perf_counter_ns (CLOCK_MONOTONIC)",
        content=plan.content,
        links=plan.links,
    )


def _result(
    order: protocol.Order,
    gathered: _Gathered,
    *,
    facts: protocol.Facts,
    before: noise.Reading,
    needed: Needs,
    interrupted: str | None,
    method: Method,
) -> Result:
    after = noise.read()
    cells = tuple(_cells(order.schedule, gathered, facts))
    judged = noise.judge(
        before,
        after,
        cells,
        cpu=order.cpu,
        working_set=sum(needed.layers.values()),
        overhead_ns=noise.clock_overhead_ns(),
    )
    partial = interrupted is not None or len(cells) < len(order.schedule.cells)
    return Result(
        partial=partial,
        interrupted=interrupted,
        method=method,
        environment=environment(
            pinned_cpu=order.cpu,
            privilege=order.privilege,
            xattr_prefix=facts.xattr_prefix,
            accounting=facts.accounting,
            storage=tuple(facts.storage.values()),
        ),
        noise=judged,
        cells=cells,
        fit=summary.fits(cells),
        identity=tuple(gathered.identity),
        verdicts=verdicts(gathered.identity),
        warnings=(*facts.warnings, *_cache_warnings(cells)),
    )


def _cells(schedule: Schedule, gathered: _Gathered, facts: protocol.Facts) -> Iterator[Cell]:
    for index, planned in enumerate(schedule.cells):
        samples = gathered.samples.get(index)
        if samples:
            key = replace(planned.key, fs=facts.storage[planned.key.fs].fs)
            options = facts.options[planned.variant]
            yield summary.cell(key, options, facts.accounting, samples, gathered.bare.get(index, ()))


def _cache_warnings(cells: tuple[Cell, ...]) -> Iterator[str]:
    wrong = sum(
        sample.cache_checked is not None and abs(sample.cache_checked - (cell.cache == "warm")) > 0.01  # noqa: PLR2004
        for cell in cells
        for sample in cell.samples_raw
    )
    if wrong:
        yield f"in {wrong} samples the page cache was not as asked"
