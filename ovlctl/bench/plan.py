"""What a run is asked to do, and the schedule that comes of it. Pure values."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.bench.terms import Cache, Content, Operation, Settings
from ovlctl.bench.values import CellKey
from ovlctl.errors import BadUsage, literal
from ovlctl.overlay.options import Options, key_named

if TYPE_CHECKING:
    from collections.abc import Sequence

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
DEFAULT_SIZES = (4 * KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB)
LARGEST_SIZE = 64 * GIB
OWN = ""
"""Stands for the file system that the directory is on, beside ext4, xfs, btrfs and tmpfs, which are made."""

MADE = ("ext4", "xfs", "btrfs", "tmpfs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One mount option and the values it takes in turn."""

    option: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Sweep:
        """A sweep from ``KEY=V1,V2``.

        Raises:
            BadUsage: The form, the key or a value is wrong.
        """
        name, equals, values = text.partition("=")
        key = key_named(name.strip().replace("-", "_"))
        if not equals or not values:
            raise BadUsage(f"`{literal(text)}` is not KEY=V1,V2", hint="for example `--sweep metacopy=on,off`")
        found = tuple(value.strip() for value in values.split(","))
        for value in found:
            Options().with_value(key.name, value)
        return cls(option=key.name, values=tuple(dict.fromkeys(found)))


def parse_operations(text: str) -> tuple[Operation, ...]:
    """Operations from a comma-separated list; ``all`` is every one.

    Raises:
        BadUsage: There is no such operation; the hint lists them.
    """
    if text == "all":
        return tuple(Operation)
    found = []
    for name in text.split(","):
        try:
            found.append(Operation(name.strip()))
        except ValueError as error:
            raise BadUsage(
                f"there is no operation `{literal(name)}`", hint=f"choose from {', '.join(Operation)}, or all"
            ) from error
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure.

    Attributes:
        directory: Where scratch files go, and so the file system to measure unless *file_systems* names others.
        sizes: File sizes in bytes.
        operations: What is done to the files.
        caches: States of the page cache.
        file_systems: Types to make and measure (see :data:`MADE`), or :data:`OWN`.
        options: Mount options that all cells have in common.
        sweep: Options that vary; all combinations are measured.
        layers: How many lowers.
        depth: How many directories above each file are copied up with it.
        content: What the files hold.
        links: How many names each lower file has.
        samples: How many samples in each cell; None lets the time of a sample decide.
        seed: Of the shuffling and the content.
        max_time_s: A run that is estimated to take longer is refused.
        own_type: Type of the file system of *directory*.
        identity: Whether to follow inode numbers and hard links too.
        baseline: Whether to copy and touch each file without an overlay too.
    """

    directory: str
    sizes: tuple[int, ...] = DEFAULT_SIZES
    operations: tuple[Operation, ...] = (Operation.WRITE,)
    caches: tuple[Cache, ...] = (Cache.WARM,)
    file_systems: tuple[str, ...] = (OWN,)
    own_type: str = ""
    options: Options = field(default_factory=Options)
    sweep: tuple[Sweep, ...] = ()
    layers: int = 1
    depth: int = 0
    content: Content = Content.RANDOM
    links: int = 1
    samples: int | None = None
    seed: int = 1
    max_time_s: int = 600
    identity: bool = True
    baseline: bool = True

    def __post_init__(self) -> None:
        """Refuse what makes no sense, so that every plan that exists can be tried."""
        # One lower less than the kernel's limit of 500 would do as well; deeper trees than 64 only measure mkdir.
        for name, value, low, high in (
            ("layers", self.layers, 1, 500),
            ("depth", self.depth, 0, 64),
            ("links", self.links, 1, 2),
            ("samples", 1 if self.samples is None else self.samples, 1, 100_000),
        ):
            if not low <= value <= high:
                raise BadUsage(f"{name} must be from {low} to {high}, not {value}")
        if not all(1 <= size <= LARGEST_SIZE for size in self.sizes):
            raise BadUsage(f"a size must be from 1 byte to {LARGEST_SIZE // GIB} GiB")
        for name, values in (("size", self.sizes), ("op", self.operations), ("cache", self.caches)):
            if not values:
                raise BadUsage(f"no {name} was given")
        for fs in self.file_systems:
            if fs not in {OWN, *MADE}:
                raise BadUsage(f"no way to make a `{literal(fs)}` to measure on", hint=f"choose from {', '.join(MADE)}")
        if Cache.WARM not in self.caches and not all(map(self.can_be_cold, self.file_systems)):
            raise BadUsage("a tmpfs has no cold cache: its files live nowhere else", hint="leave out `--cache cold`")

    def can_be_cold(self, fs: str) -> bool:
        """Whether files on *fs*, one of ``file_systems``, live anywhere else than in the page cache."""
        return (self.own_type if fs == OWN else fs) != "tmpfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to mount: a file system and a set of options. Every round mounts each variant once."""

    fs: str
    sweep: Settings
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """One cell, the variant that it is measured in (an index), and how many of its files each round holds."""

    key: CellKey
    variant: int
    per_round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Everything the measuring process needs.

    A round mounts every variant afresh and touches ``per_round`` files of every cell in shuffled order. The lowers
    are built once and serve all rounds. One warm-up round with one file a cell goes first; it is not counted.
    """

    plan: Plan
    variants: tuple[Variant, ...]
    cells: tuple[PlannedCell, ...]
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One step of a round: touch file *slot* of *cell* through the overlay, or (bare) copy it and touch the copy."""

    cell: int
    slot: int
    bare: bool


def variants(plan: Plan) -> tuple[Variant, ...]:
    """Every combination of file system and swept options, in a fixed order."""
    found = []
    for fs in plan.file_systems:
        for combination in itertools.product(*([(s.option, value) for value in s.values] for s in plan.sweep)):
            options = plan.options
            for name, value in combination:
                options = options.with_value(name, value)
            found.append(Variant(fs=fs, sweep=Settings(tuple(combination)), options=options))
    return tuple(found)


def cell_keys(plan: Plan, ways: Sequence[Variant]) -> tuple[tuple[int, CellKey], ...]:
    """Every cell with the index of its variant. tmpfs has no cold cache."""
    return tuple(
        (
            index,
            CellKey(op=op, size=size, fs=way.fs, sweep=way.sweep, layers=plan.layers, depth=plan.depth, cache=cache),
        )
        for index, way in enumerate(ways)
        for op in plan.operations
        for size in plan.sizes
        for cache in plan.caches
        if cache is Cache.WARM or plan.can_be_cold(way.fs)
    )


def tasks_of_round(schedule: Schedule, number: int) -> tuple[Task, ...]:
    """The shuffled tasks of round *number*; the warm-up is round -1 and has one file a cell.

    Law: every cell has ``per_round`` overlay tasks and (with a baseline) as many bare ones, whatever the seed; the
    same seed and number give the same order.
    """
    tasks = [
        Task(cell=index, slot=slot, bare=bare)
        for index, cell in enumerate(schedule.cells)
        for slot in range(1 if number < 0 else cell.per_round)
        for bare in ((False, True) if schedule.plan.baseline else (False,))
    ]
    random.Random(f"{schedule.plan.seed} {number}").shuffle(tasks)
    return tuple(tasks)
