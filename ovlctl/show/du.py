"""What stacks take on disk, as text."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.errors import Note, strerror
from ovlctl.ops.du.gates import Limit, Outcome, Unit
from ovlctl.ops.du.values import Part, Split
from ovlctl.ops.reading.troubles import UNSEEN_MARKS
from ovlctl.overlay.fates import Fate
from ovlctl.show.columns import aligned
from ovlctl.show.names import show_name
from ovlctl.show.sizes import format_size
from ovlctl.show.times import format_time, format_wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.du.gates import Verdict
    from ovlctl.ops.du.growth import Growth
    from ovlctl.ops.du.values import Directory, Marks, Tally, Trouble, Usage


class By(StrEnum):
    """What each row of the table stands for."""

    LAYER = "layer"
    STACK = "stack"
    PATH = "path"
    CONTAINER = "container"
    IMAGE = "image"
    POD = "pod"


#: What holds layers of an engine's store, rather than of a stack.
HELD = frozenset({By.CONTAINER, By.IMAGE, By.POD})


class Class(StrEnum):
    """What an object in the list of the largest is; ``OWN`` is in the upper and seen."""

    OWN = "own"
    RECLAIMABLE = "reclaimable"
    SHADOWED = "shadowed"
    HIDDEN = "hidden"
    UNKNOWN = "unknown"


# How much of what could not be read is named; the rest is counted.
_NAMED = 20
_NUMBERED = {Part.LOWER, Part.DATA}
_WAYS = {
    Fate.WHITED_OUT: "by whiteouts",
    Fate.BEHIND_OPAQUE: "behind opaque directories",
    Fate.BEHIND_OTHER: "below or behind what is no directory",
    Fate.REDIRECTED: "where redirects lead away",
    Fate.REFUSED: "under names that the kernel refuses",
    Fate.UNUSED: "unused in data-only layers",
}
_FREED = {
    Class.OWN: "giving it up: nothing else has it",
    Class.RECLAIMABLE: "removing it from the upper while not mounted: the same is seen",
    Class.SHADOWED: "a lower made anew without it: nothing less is seen",
    Class.HIDDEN: "a lower made anew without it: nothing less is seen",
}
_MARKS = (
    ("opaque", "opaque directory", "opaque directories"),
    ("redirects", "redirect", "redirects"),
    ("metadata_only", "metadata-only file", "metadata-only files"),
)


def class_of(fate: Fate) -> Class:
    """What an object with this fate is called."""
    if fate.hidden:
        return Class.HIDDEN
    known = {Fate.VISIBLE: Class.OWN, Fate.UNCHANGED: Class.RECLAIMABLE, Fate.SHADOWED: Class.SHADOWED}
    return known.get(fate, Class.UNKNOWN)


def usage_text(usage: Usage, *, by: By = By.LAYER, apparent: bool = False, growth: bool = False) -> str:
    """The layers, a table, what it comes to in words, what is largest, and what became of rules.

    Args:
        usage: What was found.
        by: What the table is by.
        apparent: Show apparent sizes instead of bytes on disk.
        growth: Name uppers, too, that were looked at for the first time.
    """
    return "\n".join(_lines(usage, by, growth=growth, apparent=apparent))


def unread_notes(troubles: Sequence[Trouble], count: int) -> list[Note]:
    """What could not be read, one by one and then by number: *count* is of all."""
    notes = [
        Note(
            f"{{}} could not be read: {strerror(OSError(each.errno, ''))}",
            (os.path.join(each.directory, each.path).rstrip("/"),),
        )
        for each in troubles[:_NAMED]
    ]
    if count > len(notes):
        notes.append(Note(f"{count - len(notes)} more could not be read"))
    return notes


def usage_warnings(usage: Usage) -> list[Note]:
    """What could not be read, one by one and then by number, and which marks could not be seen."""
    notes = unread_notes(usage.troubles, usage.unread)
    if not usage.certain:
        notes.append(UNSEEN_MARKS)
    return notes


def _lines(usage: Usage, by: By, *, growth: bool, apparent: bool) -> Iterator[str]:
    yield from _stacks(usage)
    yield ""
    yield _table(usage, by, apparent=apparent)
    yield ""
    yield from _words(usage, apparent=apparent)
    for each in usage.growth:
        yield from _growth(each, first=growth)
    yield from _largest(usage, apparent=apparent)
    if usage.verdicts:
        yield ""
        yield from map(_verdict, usage.verdicts)


def part_name(usage: Usage, directory: Directory) -> str:
    """What a layer is called: ``lower 0``, after the number of its first stack where there are several."""
    number = f" {directory.index}" if directory.part in _NUMBERED else ""
    stack = f"{directory.stacks[0] + 1}:" if len(usage.stacks) > 1 else ""
    return f"{stack}{directory.part}{number}"


def _stacks(usage: Usage) -> Iterator[str]:
    several = len(usage.stacks) > 1
    for number, label in enumerate(usage.stacks):
        yield f"stack {number + 1}: {show_name(label)}" if several else f"stack {show_name(label)}"
        yield aligned(
            [
                (part_name(usage, each), show_name(each.directory))
                for each in usage.directories
                if number in each.stacks
            ],
            indent="  ",
        )


def _table(usage: Usage, by: By, *, apparent: bool) -> str:
    unknown = bool(usage.total.of(Fate.UNKNOWN).inodes)
    if by is By.PATH:
        rows = [(show_name(each.path) or ".", each.split) for each in usage.below]
    elif by is By.STACK:
        return _by_stack(usage, apparent=apparent)
    else:
        rows = [(part_name(usage, each), each.split) for each in usage.directories]
        rows.append(("total", usage.total))
    head = ["apparent" if apparent else "on disk", "visible", "reclaimable", "shadowed", "hidden"]
    cells = [_cells(split, apparent=apparent, unknown=unknown) for _, split in rows]
    head += ["unknown"] if unknown else []
    numbers = frozenset(range(len(head)))
    if by is By.PATH:
        # A path may be long: it comes last.
        return aligned(
            [(*head, ""), *((*row, name) for row, (name, _) in zip(cells, rows, strict=True))], right=numbers
        )
    right = frozenset(number + 1 for number in numbers)
    return aligned([("", *head), *((name, *row) for row, (name, _) in zip(cells, rows, strict=True))], right=right)


def _cells(split: Split, *, apparent: bool, unknown: bool) -> list[str]:
    shown = [split.every, split.of(Fate.VISIBLE), split.of(Fate.UNCHANGED), split.of(Fate.SHADOWED), split.hidden]
    shown += [split.of(Fate.UNKNOWN)] if unknown else []
    return [_size(tally, apparent=apparent) for tally in shown]


def _size(tally: Tally, *, apparent: bool) -> str:
    size = tally.size(apparent=apparent)
    return format_size(size) if size else "-"


def _by_stack(usage: Usage, *, apparent: bool) -> str:
    rows = [("", "apparent" if apparent else "on disk", "its own", "shared", "upper")]
    for number, label in enumerate(usage.stacks):
        every = [each for each in usage.directories if number in each.stacks]
        own = [each for each in every if len(each.stacks) == 1]
        shared = [each for each in every if len(each.stacks) > 1]
        upper = [each for each in every if each.part is Part.UPPER]
        sums = [Split.sum(each.split for each in some).every for some in (every, own, shared, upper)]
        rows.append((show_name(label), *(_size(tally, apparent=apparent) for tally in sums)))  # type: ignore[arg-type] # four sums, four cells
    total = _size(usage.total.every, apparent=apparent)
    rows.append(("total", total, "", "", ""))
    return aligned(rows, right=frozenset({1, 2, 3, 4}))


def _words(usage: Usage, *, apparent: bool) -> Iterator[str]:
    total = usage.total
    every = total.every
    unmeasured = sum(each.unmeasured for each in usage.directories)
    what = f"{format_size(every.size(apparent=apparent))} {'of apparent size' if apparent else 'on disk'}"
    known = "in part unknown" if (unmeasured and not apparent) or usage.unread else "measured"
    yield f"{what} in {_count(every.inodes, 'inode', 'inodes')}, each counted once: {known}"
    rows = [(name, text) for name, text in _facts(usage, total, apparent=apparent) if text]
    if unmeasured and not apparent:
        rows.append(("unmeasured", f"{format_size(unmeasured)} that may take less: compressed, or perhaps shared"))
    if rows:
        yield aligned(rows, indent="  ")


def _facts(usage: Usage, total: Split, *, apparent: bool) -> Iterator[tuple[str, str]]:
    def amount(tally: Tally, one: str, many: str) -> str:
        return f"{format_size(tally.size(apparent=apparent))} in {_count(tally.inodes, one, many)}"

    unchanged, shadowed, hidden = total.of(Fate.UNCHANGED), total.of(Fate.SHADOWED), total.hidden
    if unchanged.inodes:
        how = "by content" if usage.proved else "by size and time"
        yield "reclaimable", f"{amount(unchanged, 'file', 'files')} copied up and unchanged, {how}"
        if unchanged.elsewhere and not apparent:
            yield "", f"{format_size(unchanged.elsewhere)} of it is shared with other files, and so not freed"
    if shadowed.inodes:
        yield "shadowed", f"{amount(shadowed, 'object', 'objects')} whose name a higher layer has"
    if hidden.inodes:
        yield "hidden", amount(hidden, "object", "objects")
        for fate, way in _WAYS.items():
            tally = total.of(fate)
            if tally.inodes:
                yield "", f"{format_size(tally.size(apparent=apparent))} {way}"
    if (unknown := total.of(Fate.UNKNOWN)).inodes:
        yield "unknown", f"{amount(unknown, 'object', 'objects')}: what is above could not be read"
    yield from _overhead(usage, total, apparent=apparent)


def _overhead(usage: Usage, total: Split, *, apparent: bool) -> Iterator[tuple[str, str]]:
    whiteouts, work = total.of(Fate.WHITEOUT), total.of(Fate.WORK)
    names = sum(each.marks.whiteouts for each in usage.directories)
    if names:
        inodes = _count(whiteouts.inodes, "inode", "inodes")
        yield "whiteouts", f"{_count(names, 'name', 'names')} in {inodes}: {format_size(whiteouts.bytes)}"
    marks = [each.marks for each in usage.directories]
    yield "marks", ", ".join(filter(None, (_marks(marks, *words) for words in _MARKS)))
    if work.inodes:
        yield "work", f"{format_size(work.size(apparent=apparent))} of overlayfs's own"
    allocated = sum(each.allocated for each in usage.directories)
    once = allocated - total.every.bytes
    if once > 0 and not apparent:
        yield "shared", f"{format_size(once)} that files share, counted once; du says {format_size(allocated)}"


def _marks(marks: list[Marks], name: str, one: str, many: str) -> str:
    count = sum(getattr(each, name) for each in marks)
    return _count(count, one, many) if count else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _growth(growth: Growth, *, first: bool) -> Iterator[str]:
    where, before, now = show_name(growth.directory), growth.before, growth.now
    if before is None:
        if first:
            yield f"growth: this is the first look at {where} that is remembered"
        return
    grown = now.bytes - before.bytes
    wait = now.time_ns - before.time_ns
    sign, ago = "+" if grown >= 0 else "", f" in {format_wait(wait)}" if wait >= 0 else ""
    since = format_time(before.time_ns)
    files = now.files - before.files
    what = "file" if abs(files) == 1 else "files"
    yield f"growth: {sign}{format_size(grown)} and {files:+d} {what}{ago}, since {since}: {where}"


def _largest(usage: Usage, *, apparent: bool) -> Iterator[str]:
    if not usage.largest:
        return
    yield ""
    yield "largest"
    yield aligned(
        [
            (
                format_size(each.tally.size(apparent=apparent)),
                class_of(each.fate),
                part_name(usage, usage.directories[each.at]),
                show_name(each.path),
            )
            for each in usage.largest
        ],
        indent="  ",
        right=frozenset({0}),
    )
    yield "freed by"
    met = {class_of(each.fate) for each in usage.largest}
    yield aligned([(name, text) for name, text in _FREED.items() if name in met], indent="  ")


def _verdict(verdict: Verdict) -> str:
    rule = verdict.rule
    word = {Outcome.PASS: "PASS", Outcome.FAIL: "FAIL", Outcome.UNDECIDED: "UNDECIDED"}[verdict.outcome]
    actual, most = _amount(verdict.actual, rule.limit.unit), _amount(rule.most, rule.limit.unit)
    if verdict.bytes is not None:
        actual, most = f"{actual} ({format_size(verdict.bytes)})", f"{most} once over {format_size(rule.floor)}"
    name = "fail-over" if rule.limit is Limit.FAIL_OVER else rule.limit
    what = " reclaimable" if rule.limit is Limit.FAIL_OVER else ""
    why = ", for not everything could be read" if verdict.outcome is Outcome.UNDECIDED else ""
    return f"{word} {name}: {actual}{what}, at most {most}{why}"


def _amount(number: float, unit: Unit) -> str:
    if unit is Unit.PERCENT:
        return f"{number:.3g}%"
    return format_size(int(number)) if unit is Unit.BYTES else str(int(number))
