"""How many samples, how long and how much space: decided and checked before anything is built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import perf_counter_ns

from ovlctl.bench.plan import MIB, OWN, Plan, PlannedCell, Schedule, cell_keys, variants
from ovlctl.errors import NotEnoughSpace, RunTooLong

CELL_SECONDS = 3.0
"""Time that a cell may take when nobody said how many samples: the default run has five cells and 30 s."""

MOST_SAMPLES = 40
FEWEST_SAMPLES = ((MIB, 30), (16 * MIB, 10))
"""Up to a size, the fewest samples; above the last, FEWEST_LARGE, below which a median has no 95 % interval."""
FEWEST_LARGE = 8
MOST_ROUNDS = 12
MOST_ROUND_BYTES = 256 * MIB
"""Files of one round lie on the disk together three times over; more than this is spread over more rounds."""
IMAGE_OVERHEAD = {"ext4": 64 * MIB, "xfs": 320 * MIB, "btrfs": 256 * MIB, "tmpfs": MIB}
"""What an empty file system of a type takes: mkfs.xfs refuses less than 300 MiB, mkfs.btrfs less than 109 MiB."""

_SAMPLE_FIXED_S = 0.004
_SYNCS_A_SAMPLE = 8
_PASSES_A_SAMPLE = 3
"""Times the data of a file is written for one sample: copy-up, plain copy, and once for comparing and deleting."""
_RESERVE = 16 * MIB
"""Left free: the journal, directories, and whoever else writes there meanwhile."""
_PROBE_BYTES = 8 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What a directory's file system does: bytes per second written and synced, seconds for a small fsync."""

    bytes_per_s: float
    sync_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a schedule takes: seconds, and bytes per file system."""

    seconds: float
    layers: dict[str, int]

    def image_bytes(self, fs: str) -> int:
        """Size of the image (or tmpfs) that is made for *fs*: a quarter more than the files, and the fs itself."""
        return self.layers[fs] * 5 // 4 + IMAGE_OVERHEAD[fs]

    @property
    def disk_bytes(self) -> int:
        """Bytes below the scratch directory."""
        images = sum(self.image_bytes(fs) for fs in self.layers if fs not in {OWN, "tmpfs"})
        return self.layers.get(OWN, 0) + images + _RESERVE

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the tmpfs takes."""
        return self.image_bytes("tmpfs") if "tmpfs" in self.layers else 0


def measure_speed(directory: str) -> Speed:
    """Write and sync a few MiB in *directory*, the run's own, and see how fast that goes; the file vanishes.

    Raises:
        NotEnoughSpace: Not even that fits.
    """
    _check_free(os.path.dirname(directory), _PROBE_BYTES + _RESERVE // 2)
    block = os.urandom(MIB)
    path = os.path.join(directory, "speed")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.unlink(path)
        start = perf_counter_ns()
        for _ in range(_PROBE_BYTES // MIB):
            os.write(fd, block)
        os.fsync(fd)
        middle = perf_counter_ns()
        for _ in range(3):
            os.pwrite(fd, block[:4096], 0)
            os.fsync(fd)
        end = perf_counter_ns()
    finally:
        os.close(fd)
    return Speed(bytes_per_s=_PROBE_BYTES * 1e9 / (middle - start), sync_s=(end - middle) / 3e9)


def sample_seconds(size: int, speed: Speed) -> float:
    """What one sample of *size* with its bare twin takes."""
    return _SAMPLE_FIXED_S + _SYNCS_A_SAMPLE * speed.sync_s + _PASSES_A_SAMPLE * size / speed.bytes_per_s


def samples_for(plan: Plan, size: int, speed: Speed) -> int:
    """How many samples a cell of *size* gets."""
    if plan.samples is not None:
        return plan.samples
    fewest = next((count for limit, count in FEWEST_SAMPLES if size <= limit), FEWEST_LARGE)
    return max(fewest, min(MOST_SAMPLES, int(CELL_SECONDS / sample_seconds(size, speed))))


def schedule(plan: Plan, speed: Speed) -> Schedule:
    """Spread the samples over rounds.

    As many rounds as the rarest cell has samples, but at most MOST_ROUNDS unless the files are large.
    """
    ways = variants(plan)
    counts = [(index, key, samples_for(plan, key.size, speed)) for index, key in cell_keys(plan, ways)]
    fewest = max(1, min(count for _, _, count in counts))
    rounds = min(MOST_ROUNDS, fewest)
    if sum(-(-count // rounds) * key.size for _, key, count in counts) > MOST_ROUND_BYTES:
        rounds = fewest
    cells = tuple(PlannedCell(key=key, variant=index, per_round=-(-count // rounds)) for index, key, count in counts)
    return Schedule(plan=plan, variants=ways, cells=cells, rounds=rounds)


def needs(made: Schedule, speed: Speed) -> Needs:
    """Time and space that *made* takes."""
    seconds = 1.5 if made.plan.identity else 0.5
    layers = dict.fromkeys(made.plan.file_systems, 0)
    built: set[tuple[object, ...]] = set()
    largest = max(made.plan.sizes)
    for cell in made.cells:
        key = cell.key
        seconds += (cell.per_round * made.rounds + 1) * sample_seconds(key.size, speed)
        bytes_a_file = max(key.size, 4096) + 4096 * (key.depth + 1)
        # Uppers and bare copies of a whole round lie there together.
        layers[key.fs] += (2 if made.plan.baseline else 1) * cell.per_round * bytes_a_file
        files = (key.fs, key.op, key.size, key.cache)
        if files not in built:  # the lowers serve every variant
            built.add(files)
            layers[key.fs] += cell.per_round * bytes_a_file
            seconds += cell.per_round * key.size / speed.bytes_per_s
    for fs in layers:
        layers[fs] += largest + 4096 * made.plan.layers
    return Needs(seconds=seconds, layers=layers)


def check(made: Schedule, needed: Needs, directory: str) -> None:
    """Refuse a run that would not fit.

    Raises:
        NotEnoughSpace: *directory* or the memory has too little room; the message has both figures.
        RunTooLong: It would take longer than the plan allows.
    """
    from ovlctl.bench.noise import available_bytes

    _check_free(directory, needed.disk_bytes)
    memory = available_bytes()
    on_tmpfs = needed.memory_bytes
    if on_tmpfs > memory * 3 // 4:
        raise NotEnoughSpace(
            f"the tmpfs needs {_mib(on_tmpfs)} of memory, and {_mib(memory)} are available",
            hint="give smaller `--size`s or fewer `--samples`",
        )
    if needed.seconds > made.plan.max_time_s:
        raise RunTooLong(
            f"the run would take about {needed.seconds:.0f} s, and {made.plan.max_time_s} s are allowed",
            hint=f"allow it with `--max-time {int(needed.seconds * 1.5) + 1}`, or ask for less",
        )


def _check_free(directory: str, needed: int) -> None:
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    if needed > free:
        raise NotEnoughSpace(
            f"the run needs {_mib(needed)} below {{}}, where {_mib(free)} are free",
            directory,
            hint="give another `--dir`, smaller `--size`s or fewer `--samples`",
        )


def _mib(size: int) -> str:
    return f"{-(-size // MIB)} MiB"
