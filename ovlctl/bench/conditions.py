"""Under which conditions a run was made: the machine, the method, the noise. Part of :mod:`ovlctl.bench.values`."""

from __future__ import annotations

from dataclasses import dataclass

from ovlctl.bench.terms import Cache, Content, Operation, Privilege, Settings  # noqa: TC001 - read by the codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How busy the machine is at one moment.

    ``cpu`` and ``io`` are the kernel's pressure (share of the last 10 s in percent in which some task waited).
    """

    cpu_avg10: float | None
    io_avg10: float | None
    memory_avg10: float | None
    load1: float
    available_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How far this machine, during this run, can be trusted.

    Attributes:
        before: Just before the first sample.
        after: Just after the last one.
        steal_percent: Share of CPU time the hypervisor took away during the run.
        cpu_pressure_percent: Share of the run in which some task waited for a CPU.
        involuntary_share: Share of the samples of less than 5 ms that had an involuntary context switch.
        aa_floor: Median over cells of how far two halves of the same samples lie apart, as a fraction.
        aa_worst: The largest of them.
        clock_overhead_ns: Cost of reading the clock once, contained in every time.
        noisy: Whether any warning applies.
        warnings: Why, one line each.
    """

    before: Pressure
    after: Pressure
    steal_percent: float | None
    cpu_pressure_percent: float | None
    involuntary_share: float
    aa_floor: float | None
    aa_worst: float | None
    clock_overhead_ns: int
    noisy: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """One file system that was measured on."""

    fs: str
    path: str
    mount_options: tuple[str, ...]
    device: str
    rotational: bool | None
    scheduler: str | None
    free_bytes: int
    image: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The machine, as far as it bears on the times."""

    kernel: str
    machine: str
    cmdline: str | None
    cpu_model: str | None
    cpus: int
    pinned_cpu: int
    governor: str | None
    hypervisor: str | None
    memory_bytes: int
    python: str
    ovlctl: str
    privilege: Privilege
    xattr_prefix: str
    module_parameters: Settings
    accounting_source: str
    storage: tuple[Storage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How it was measured, enough to repeat it."""

    started: str
    elapsed_ns: int
    seed: int
    rounds: int
    warmup_rounds: int
    samples_asked: int | None
    sizes: tuple[int, ...]
    operations: tuple[Operation, ...]
    caches: tuple[Cache, ...]
    write_bytes: int
    clock: str
    content: Content
    links: int
