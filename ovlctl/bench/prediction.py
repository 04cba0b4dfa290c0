"""What a first change would take here, as a saved run of the benchmark has it.

Law 5: the result is predicted, and carries what it was predicted from. Only cells that did the same thing count: the
same operation, on the upper's type of file system, with the same settings for metadata and syncing, and with data that
went the same way (copied, cloned, left behind). The benchmark has all layers on one file system, one size at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.bench.terms import Cache, DataPath, Operation
from ovlctl.ops.explain.terms import Act, Data
from ovlctl.overlay.options import Fsync, Switch
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.bench.values import Cell, Fit, Result
    from ovlctl.ops.explain.values import Cost, Explanation
    from ovlctl.overlay.options import Options

_OPERATIONS = {
    Act.WRITE: Operation.WRITE,
    Act.CHMOD: Operation.CHMOD,
    Act.RENAME: Operation.RENAME,
    Act.UNLINK: Operation.UNLINK,
}
_PATHS = {
    Data.COPIED: DataPath.COPIED,
    Data.CLONED: DataPath.CLONED,
    Data.METADATA: DataPath.METADATA,
    Data.NONE: DataPath.NONE,
}
_MIB = 1 << 20
#: How many times smaller or larger a file may be than the one size that was measured.
_NEAR = 4


class Basis(StrEnum):
    """What a prediction rests on.

    ``LINE``: a line through all sizes that were measured. ``BEYOND``: that line, past its largest size by more than
    half. ``SIZE``: the median of the nearest size.
    """

    LINE = "line"
    BEYOND = "beyond"
    SIZE = "size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How long one change would take.

    Attributes:
        act: The change.
        ns: The time of the call that makes it, parents that come along included as they were measured.
        cache: Whether the lower's data are in the page cache then.
        basis: What it rests on.
        smallest: The smallest size measured, in bytes.
        largest: The largest.
        fs: The file system measured on.
        depth: How many parent directories came along.
        measured: When, in RFC 3339.
    """

    act: Act
    ns: int
    cache: Cache
    basis: Basis
    smallest: int
    largest: int
    fs: str
    depth: int
    measured: str


def predict(result: Result, explanation: Explanation, options: Options) -> tuple[Prediction, ...]:
    """The time of each change of *explanation* that brings a regular file, or a whiteout, into the upper.

    Args:
        result: A run of the benchmark.
        explanation: Of one path.
        options: Of its stack, as effective.
    """
    if explanation.kind is not Kind.FILE or explanation.upper_fs is None:
        return ()
    return tuple(_predictions(result, explanation, options))


def _predictions(result: Result, explanation: Explanation, options: Options) -> Iterator[Prediction]:
    size = 0 if explanation.resolution.attributes is None else explanation.resolution.attributes.size
    for cost in explanation.on_change:
        if cost.errno or not (cost.copies_object or (cost.act is Act.UNLINK and cost.whiteout)):
            continue
        alike = [each for each in result.cells if _is_alike(each, cost, explanation.upper_fs or "", options)]
        for cache in Cache:
            cells = [each for each in alike if each.cache is cache]
            if not cells:
                continue
            # Of several settings that make no difference here, the one that was measured best.
            best = max(cells, key=lambda each: sum(other.samples for other in cells if other.sweep == each.sweep))
            own = sorted((each for each in cells if each.sweep == best.sweep), key=lambda each: each.size)
            told = _told(_moved(cost, size), own, _fit(result.fit, best), cost, result.method.started)
            if told is not None:
                yield told
                if cost.data in {Data.METADATA, Data.NONE}:
                    break  # whether data are cached makes no difference to what moves none


def _is_alike(cell: Cell, cost: Cost, fs: str, options: Options) -> bool:
    return (
        cell.op is _OPERATIONS[cost.act]
        and cell.fs == fs
        and _PATHS[cost.data] in cell.data_path
        and (cell.options.get("metacopy") or Switch.OFF) == (options.metacopy or Switch.OFF)
        and (cell.options.get("fsync") or Fsync.AUTO) == (options.fsync or Fsync.AUTO)
    )


def _moved(cost: Cost, size: int) -> int:
    # Bytes on which the time depends.
    if cost.data is Data.COPIED:
        return size if cost.copies_bytes is None else cost.copies_bytes
    return size if cost.data is Data.CLONED else 0


def _fit(fits: Sequence[Fit], cell: Cell) -> Fit | None:
    key = (cell.op, cell.fs, cell.sweep, cell.cache)
    return next((each for each in fits if (each.op, each.fs, each.sweep, each.cache) == key), None)


def _told(size: int, cells: Sequence[Cell], fit: Fit | None, cost: Cost, measured: str) -> Prediction | None:
    smallest, largest = cells[0].size, cells[-1].size
    near = min(cells, key=lambda each: abs(each.size - size))
    moves = cost.data in {Data.COPIED, Data.CLONED}
    ns, basis = near.first_ns.p50, Basis.SIZE
    if moves and fit is not None:
        line = round(fit.fixed_ns + fit.ns_per_mib * size / _MIB)
        # A line that comes out at nothing says nothing about so small a file.
        ns = max(line, min(each.first_ns.min for each in cells))
        basis = Basis.BEYOND if size > largest * 3 // 2 else Basis.LINE
    elif moves and not (near.size // _NEAR <= size <= near.size * _NEAR):
        return None
    return Prediction(
        act=cost.act,
        ns=ns,
        cache=near.cache,
        basis=basis,
        smallest=smallest,
        largest=largest,
        fs=near.fs,
        depth=near.depth,
        measured=measured,
    )
