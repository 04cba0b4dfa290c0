"""What a run measures, as values: every time in nanoseconds, every size in bytes, None where nobody knows.

These dataclasses are the JSON of ``bench-copyup --json`` (:mod:`ovlctl.bench.codec` maps one to the other), so a
field name here is a key there.
"""

from __future__ import annotations

from dataclasses import dataclass

# Not for type checkers alone: the codec reads the annotations at run time.
from ovlctl.bench.conditions import Environment, Method, Noise  # noqa: TC001
from ovlctl.bench.terms import Cache, DataPath, Operation, Settings  # noqa: TC001


@dataclass(frozen=True, slots=True, kw_only=True)
class CellKey:
    """What tells one cell from another.

    Attributes:
        op: The operation.
        size: Size of the file.
        fs: Type of the file system that holds all layers.
        sweep: The options that this run varies, as asked; empty when none.
        layers: How many lowers; the file lies in the bottom one.
        depth: How many parent directories are copied up with the file.
        cache: State of the page cache.
    """

    op: Operation
    size: int
    fs: str
    sweep: Settings
    layers: int
    depth: int
    cache: Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One distribution of times, in nanoseconds. ``p99`` is None below 100 samples, ``p50_ci`` below 6."""

    p50: int
    p50_ci: tuple[int, int] | None
    p5: int
    p25: int
    p75: int
    p95: int
    p99: int | None
    min: int
    max: int
    mad: int
    outliers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStat:
    """The part of stat(2) that a copy-up may change."""

    st_ino: int
    st_dev: int
    st_nlink: int
    st_blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One file, touched for the first time.

    Attributes:
        round: Which round, from 0.
        position: Place in that round's shuffled order.
        lookup_ns: The first stat(2) of the path, which finds it in the layers.
        first_ns: open and first write together, or the one system call.
        open_ns: The open alone; None for operations that are not opens.
        write_ns: The first write alone (for mmap: mapping and storing one byte).
        fsync_ns: fsync after it (msync for mmap).
        close_ns: close (with munmap for mmap).
        second_ns: The same operation again, on the file that is in the upper now; None for unlink.
        second_write_ns: The write of that second time.
        cpu_ns: CPU time within first_ns.
        blkio_ns: Time within first_ns waiting for block I/O; None when the kernel does not account it.
        read_bytes: Bytes that first_ns made the block layer read.
        write_bytes: Bytes that first_ns dirtied.
        involuntary: Involuntary context switches while the sample ran.
        cache_checked: Share of the lower file's pages in the page cache just before, 0 to 1; None if unknowable.
        data_path: What happened to the data.
        before: stat of the merged path before.
        after: and after (None once the path is gone).
    """

    round: int
    position: int
    lookup_ns: int
    first_ns: int
    open_ns: int | None
    write_ns: int | None
    fsync_ns: int | None
    close_ns: int | None
    second_ns: int | None
    second_write_ns: int | None
    cpu_ns: int | None
    blkio_ns: int | None
    read_bytes: int | None
    write_bytes: int | None
    involuntary: int
    cache_checked: float | None
    data_path: DataPath
    before: FileStat
    after: FileStat | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BareSample:
    """The same file without an overlay.

    Attributes:
        copy_ns: Copying the lower file as ``cp --reflink=never`` does, to a plain directory of its file system.
        copy_sync_ns: The same with an fsync before the close, which is what a copy-up does.
        bare_ns: The operation on that plain copy: open and write, or the one system call.
    """

    round: int
    position: int
    copy_ns: int
    copy_sync_ns: int
    bare_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Where the median sample's time went; each number is a median of its own, None where no source tells.

    ``off_cpu_ns`` is all that is not CPU time; where the kernel counts delays it falls into ``blkio_ns``, waiting for
    block I/O that the thread started itself, and ``rest_ns``: the journal, locks, a CPU that was busy.
    """

    cpu_ns: int | None
    off_cpu_ns: int | None
    blkio_ns: int | None
    rest_ns: int | None
    read_bytes: int | None
    write_bytes: int | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Everything measured for one combination. ``samples`` counts; ``samples_ns`` holds every first_ns in order.

    ``ratio`` is the first touch over the same on the bare file. ``aa_ratio`` is the second half of the samples over
    the first half: what this machine calls a difference when nothing differs.
    """

    op: Operation
    size: int
    fs: str
    options: Settings
    sweep: Settings
    layers: int
    depth: int
    cache: Cache
    samples: int
    data_path: tuple[DataPath, ...]
    first_ns: Summary
    open_ns: Summary | None
    write_ns: Summary | None
    fsync_ns: Summary | None
    close_ns: Summary | None
    lookup_ns: Summary
    second_ns: Summary | None
    second_write_ns: Summary | None
    bare_ns: Summary | None
    copy_ns: Summary | None
    copy_sync_ns: Summary | None
    ratio: float | None
    mib_per_s: float | None
    aa_ratio: float | None
    noisy: bool
    accounting: Accounting
    samples_ns: tuple[int, ...]
    samples_raw: tuple[Sample, ...]
    bare_raw: tuple[BareSample, ...]

    @property
    def key(self) -> CellKey:
        """What tells it from other cells."""
        return CellKey(
            op=self.op,
            size=self.size,
            fs=self.fs,
            sweep=self.sweep,
            layers=self.layers,
            depth=self.depth,
            cache=self.cache,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """``first_ns = fixed_ns + ns_per_mib * size``, by a robust fit over all samples of one operation."""

    op: Operation
    fs: str
    sweep: Settings
    cache: Cache
    fixed_ns: int
    ns_per_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityCase:
    """One file followed through copy-up and remount.

    Attributes:
        case: Name of the case, such as ``two file systems, xino=off``.
        options: The options in effect, read back from the mount.
        lower: stat in the lower itself.
        before: stat through the mount before anything.
        after: stat through the mount after the first write.
        remounted: stat through a new mount of the same layers.
        number_same_as_lower: ``before.st_ino == lower.st_ino``.
        device_same_as_lower: ``before.st_dev == lower.st_dev``.
        number_constant: st_ino is one and the same before, after and remounted.
        hardlink_kept: For a file with two names: both are still one file after writing through one of them, with
            the same number and data. None for a file with one name.
        note: What has to be known to read the case right, such as an option the kernel dropped.
    """

    case: str
    options: Settings
    lower: FileStat
    before: FileStat
    after: FileStat
    remounted: FileStat
    number_same_as_lower: bool
    device_same_as_lower: bool
    number_constant: bool
    hardlink_kept: bool | None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the identity cases say about a claim, in plain words."""

    claim: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run of the benchmark.

    ``partial`` says that not everything planned was measured; ``interrupted`` names the signal that ended it.
    """

    partial: bool
    interrupted: str | None
    method: Method
    environment: Environment
    noise: Noise
    cells: tuple[Cell, ...]
    fit: tuple[Fit, ...]
    identity: tuple[IdentityCase, ...]
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...]
