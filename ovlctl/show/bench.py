"""A result of the benchmark as text of at most 80 columns, as JSON types and as CSV."""

from __future__ import annotations

import csv
import io
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ovlctl.bench.codec import encode
from ovlctl.bench.terms import Cache, Operation
from ovlctl.bench.values import BareSample, Cell, Sample
from ovlctl.show.names import json_path, show_name
from ovlctl.show.sizes import format_ns, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.bench.values import Fit, Result, Summary

WIDTH = 79
_NOTHING = 0.2
"""A slope that adds less than this share of the fixed cost at the largest size is told as none."""

_TITLES = {
    Operation.WRITE: "write: open for writing, then write over the first 4 KiB",
    Operation.TRUNCATE: "truncate: open with O_TRUNC, then write up to 4 KiB",
    Operation.APPEND: "append: open with O_APPEND, then write up to 4 KiB behind its end",
    Operation.MMAP: "mmap: open for writing, map shared, store one byte",
    Operation.CHMOD: "chmod",
    Operation.CHOWN: "chown, to the owner it has",
    Operation.SETXATTR: "setxattr, of a user attribute",
    Operation.UTIME: "utime: set both time stamps",
    Operation.LINK: "link: give it a second name",
    Operation.RENAME: "rename, in its directory",
    Operation.UNLINK: "unlink",
}


_LEGEND = (
    ("first", "the first change to a file that only a lower has, which the kernel copies up; median of n files"),
    ("later", "the same change again, on the copy in the upper"),
    ("bare", "the same change to a file without an overlay; ratio = first / bare"),
    ("MiB/s", "size / first, where data was copied"),
    ("open", "share of first spent within open(2); CPU: computing; {waits}"),
    ("stat", "looking the file up, before; fsync: fsync(2), after"),
    ("copy", "copying the file like `cp`; +fsync: and writing it out, as a copy-up does"),
)


def result_text(result: Result) -> str:
    """The whole report: one block per operation and way of mounting, the fit, identity, noise, warnings."""
    blocks = [_heading(result)]
    blocks += ["\n".join(_group_lines(result, cells)) for cells in groups(result.cells)]
    blocks.append("\n".join(_legend_lines(result)))
    if result.identity:
        blocks.append("\n".join(_identity_lines(result)))
    blocks.append("\n".join(_noise_lines(result)))
    return "\n\n".join(blocks)


def result_json(result: Result) -> dict[str, Any]:
    """``data`` of the JSON envelope."""
    data: dict[str, Any] = encode(result)
    for stored in data["environment"]["storage"]:
        stored.update(json_path("path", stored["path"]))
        stored["device"] = show_name(stored["device"])
        stored["mount_options"] = [show_name(option) for option in stored["mount_options"]]
    return data


def result_csv(result: Result) -> str:
    """Every sample as one line: what cell it belongs to, whether it is of the overlay or bare, and its times."""
    out = io.StringIO()
    cell_columns = ["op", "size", "fs", "options", "layers", "depth", "cache"]
    times = [field.name for field in fields(Sample) if field.name not in {"before", "after"}]
    times += [field.name for field in fields(BareSample) if field.name not in times]
    writer = csv.DictWriter(out, [*cell_columns, "kind", *times], restval="", lineterminator="\n")
    writer.writeheader()
    for cell in result.cells:
        common = {name: getattr(cell, name) for name in cell_columns} | {"options": str(cell.options)}
        for kind, samples in (("overlay", cell.samples_raw), ("bare", cell.bare_raw)):
            for sample in samples:
                row = {name: getattr(sample, name) for name in times if hasattr(sample, name)}
                writer.writerow({**common, "kind": kind, **row})
    return out.getvalue()


def groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that differ in size only, together."""
    found: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.op, cell.fs, cell.sweep, cell.cache, cell.layers, cell.depth), []).append(cell)
    return [sorted(members, key=lambda cell: cell.size) for members in found.values()]


def group_title(cell: Cell) -> str:
    """What a group is, such as ``write on ext4, metacopy=on, cold cache``."""
    parts = [f"{cell.op} on {show_name(cell.fs)}"]
    if cell.sweep.pairs:
        parts += [f"{key}={value}" for key, value in cell.sweep.pairs]
    parts.append(f"{cell.cache} cache")
    if cell.layers > 1 or cell.depth:
        parts.append(f"{cell.layers} lowers")
        parts.append(f"depth {cell.depth}")
    return ", ".join(parts)


def environment_line(result: Result) -> str:
    """The machine in one line."""
    environment = result.environment
    where = [
        f"{show_name(stored.fs)} on {show_name(stored.device)}" for stored in environment.storage if not stored.image
    ]
    made = [show_name(stored.fs) for stored in environment.storage if stored.image]
    if made:
        where.append(f"{', '.join(made)} made for the run")
    how = "as root" if environment.privilege == "root" else "in a user namespace with userxattr"
    return ", ".join(
        (
            f"Linux {show_name(environment.kernel)}",
            f"{environment.cpus} CPUs",
            *where,
            how,
            f"seed {result.method.seed}",
        )
    )


def table(rows: Sequence[Sequence[str]], *, left: int = 1, gap: str = " ") -> list[str]:
    """Lines of *rows* in columns; the first *left* columns flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        gap.join(
            text.ljust(width) if at < left else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def narrow_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A :func:`table` of at most 79 columns: units stand close to their numbers where there is no room."""
    lines = table(rows)
    if max(map(len, lines)) <= WIDTH:
        return lines
    return table([[row[0], *(text.replace(" ", "") for text in row[1:])] for row in rows])


def wrap(text: str, indent: str = "  ") -> list[str]:
    """*text* in lines of at most 79 columns, all but the first indented."""
    # A figure and its percent sign stay together.
    glued = text.replace(" %", "\0%")
    lines = textwrap.wrap(glued, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return [line.replace("\0", " ") for line in lines]


def _heading(result: Result) -> str:
    lines = wrap(f"copy-up: {environment_line(result)}")
    places = [show_name(stored.path) for stored in result.environment.storage if not stored.image]
    lines += [line for path in dict.fromkeys(places) for line in wrap(f"  in {path}", "    ")]
    if result.partial:
        why = f" by {result.interrupted}" if result.interrupted else ""
        lines.append(f"PARTIAL: ended{why} before everything was measured")
    return "\n".join(lines)


def _group_lines(result: Result, cells: Sequence[Cell]) -> Iterator[str]:
    first = cells[0]
    noisy = " [noisy]" if result.noise.noisy else ""
    yield from wrap(f"{_TITLES[first.op]}{noisy}")
    yield from textwrap.wrap(group_title(first), WIDTH, initial_indent="  ", subsequent_indent="    ")
    rows = [("size", "n", "first", "95 % CI", "p95", "max", "later", "bare", "ratio", "MiB/s")]
    rows += [
        (
            format_size(cell.size),
            f"{cell.samples}{'~' if cell.noisy else ''}",
            format_ns(cell.first_ns.p50),
            _interval(cell.first_ns.p50_ci),
            format_ns(cell.first_ns.p95),
            format_ns(cell.first_ns.max),
            _p50(cell.second_ns),
            _p50(cell.bare_ns),
            _number(cell.ratio),
            _number(cell.mib_per_s),
        )
        for cell in cells
    ]
    yield from narrow_table(rows)
    yield ""
    yield from narrow_table(_parts(cells))
    for fit in result.fit:
        if (fit.op, fit.fs, fit.sweep, fit.cache) == (first.op, first.fs, first.sweep, first.cache):
            yield _fit_line(fit, cells[-1].size)
    if any(cell.noisy for cell in cells):
        yield "~ the samples of this size scatter or drift by more than 25 %"


def _fit_line(fit: Fit, largest: int) -> str:
    grown = fit.ns_per_mib * largest / (1 << 20)
    # Nor does a larger file cost less: a slope below zero is noise.
    if grown < _NOTHING * fit.fixed_ns:
        return f"fit: {format_ns(fit.fixed_ns)}, whatever the size"
    return f"fit: {format_ns(fit.fixed_ns)} for any file, and {format_ns(fit.ns_per_mib)} for each MiB"


def _legend_lines(result: Result) -> Iterator[str]:
    apart = any(cell.accounting.blkio_ns is not None for cell in result.cells)
    waits = "I/O: waiting for a disk; rest: for anything else" if apart else "waits: not computing"
    for name, text in _LEGEND:
        yield from wrap(f"{name:<5}  {text.format(waits=waits)}", " " * 7)
    if any(cell.cache is Cache.COLD for cell in result.cells):
        host = "; the host may hold it all the same" if result.environment.hypervisor else ""
        yield from wrap(f"cold   the lower's data is not in the page cache{host}", " " * 7)


def _parts(cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """Where the time of the first touch goes, and what stands beside it."""
    apart = all(cell.accounting.blkio_ns is not None for cell in cells)
    waits = ("I/O", "rest") if apart else ("waits",)
    rows: list[tuple[str, ...]] = [("size", "open", "CPU", *waits, "stat", "fsync", "copy", "+fsync", "data")]
    for cell in cells:
        used, whole = cell.accounting, cell.first_ns.p50
        rows.append(
            (
                format_size(cell.size),
                _share(cell.open_ns.p50, whole) if cell.open_ns else "-",
                _share(used.cpu_ns, whole),
                *(_share(part, whole) for part in ((used.blkio_ns, used.rest_ns) if apart else (used.off_cpu_ns,))),
                format_ns(cell.lookup_ns.p50),
                _p50(cell.fsync_ns),
                _p50(cell.copy_ns),
                _p50(cell.copy_sync_ns),
                "/".join(cell.data_path).replace("metadata only", "metadata"),
            )
        )
    return rows


def _identity_lines(result: Result) -> Iterator[str]:
    yield "identity: is a file still the same one after its first write?"
    notes = list(dict.fromkeys(case.note for case in result.identity if case.note))
    rows = [
        ("", "st_ino", "kept by", "kept by", "st_dev", "links"),
        ("case", "as lower", "write", "remount", "as lower", "kept"),
    ]
    rows += [
        (
            case.case.replace("hard link, index", "link, index")
            + (f" {'*' * (notes.index(case.note) + 1)}" if case.note else ""),
            _yes(case.number_same_as_lower),
            _yes(case.after.st_ino == case.before.st_ino),
            _yes(case.remounted.st_ino == case.after.st_ino),
            _yes(case.device_same_as_lower),
            _yes(case.hardlink_kept),
        )
        for case in result.identity
    ]
    yield from table(rows, left=6, gap=" ")
    for number, note in enumerate(notes, 1):
        yield from wrap(f"{'*' * number} {note}")
    for verdict in result.verdicts:
        yield from wrap(f'"{verdict.claim}": {verdict.verdict}: {verdict.reason}.')


def _noise_lines(result: Result) -> Iterator[str]:
    noise = result.noise
    floor = "unknown, with so few samples"
    if noise.aa_floor is not None and noise.aa_worst is not None:
        floor = (
            f"{100 * noise.aa_floor:.1f} % (at worst {100 * noise.aa_worst:.0f} %) between two halves of the samples"
        )
    yield from wrap(
        f"noise floor: {floor}; CPU pressure "
        f"{_percent(noise.cpu_pressure_percent)}, steal {_percent(noise.steal_percent)}, "
        f"{100 * noise.involuntary_share:.0f} % of short samples interrupted; clock {noise.clock_overhead_ns} ns"
    )
    for warning in noise.warnings:
        yield from wrap(f"noisy: {warning}")
    for warning in result.warnings:
        yield from wrap(f"warning: {warning}")
    if any(cell.accounting.blkio_ns is None for cell in result.cells):
        yield from wrap(
            "to see waiting for a disk apart from other waiting, run as root after `sysctl kernel.task_delayacct=1`"
        )


def _p50(summary: Summary | None) -> str:
    return "-" if summary is None else format_ns(summary.p50)


def _interval(interval: tuple[int, int] | None) -> str:
    if interval is None:
        return "-"
    low, high = interval
    number, unit = format_ns(high).split()
    factor = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
    decimals = len(number.partition(".")[2])
    return f"{low / factor:.{decimals}f}..{number} {unit}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 - three digits are enough


def _share(part: int | None, whole: int) -> str:
    return "?" if part is None or not whole else f"{min(100, round(100 * part / whole))}%"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} %"


def _yes(value: bool | None) -> str:  # noqa: FBT001 - the value shown
    return {None: "-", True: "yes", False: "no"}[value]
