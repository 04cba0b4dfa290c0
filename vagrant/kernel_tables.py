"""What was found on several kernels, as tables for a terminal and as docs/kernels.md."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Final

from vagrant.kernel_results import Outcome, Run, abilities, failures, groups, heads, reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_WRITTEN: Final = (
    "Written by `make kernels` from what `ovlctl doctor` and the tests said on each kernel; do not edit it."
)
_LONGEST: Final = 100  # characters of a reason on a terminal


def text(runs: Sequence[Run]) -> str:
    """All of it for a terminal."""
    columns = heads([run.release for run in runs])
    parts = [_kernels_text(columns, runs)]
    rows = [(group, [_counts(run, group) for run in runs]) for group in groups(runs)]
    rows.append(("all", [_counts(run, None) for run in runs]))
    parts.append(_table("passed/failed/skipped", columns, rows))
    if failed := failures(runs):
        told = [f"  on {_where(columns, on)}: {test.file}.py::{test.name}\n      {test.reason}" for test, on in failed]
        parts.append("\n".join(("failed", *told)))
    if skipped := reasons(runs):
        parts.append(_table("skipped because", columns, [(why, list(map(str, counts))) for why, counts in skipped]))
    for title, differing, alike in _sections(runs):
        parts += [_table(title, columns, differing)] if differing else [title]
        parts += [fill(f"{words}: {' '.join(names)}", _LONGEST, break_on_hyphens=False) for words, names in alike]
    return "\n\n".join(parts)


def _kernels_text(columns: Sequence[str], runs: Sequence[Run]) -> str:
    lines = []
    for column, run in zip(columns, runs, strict=True):
        what = run.trouble or f"{_counts(run, None)} passed/failed/skipped in {run.seconds:.0f} s"
        lines.append(f"{column:8} {run.release}: {what}")
    return "\n".join(lines)


def _counts(run: Run, group: str | None) -> str:
    if not any(group in {None, test.group} for test in run.tests):
        return ""
    return "/".join(str(run.count(each, group)) for each in (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED))


def _where(columns: Sequence[str], on: Iterable[bool]) -> str:
    return ", ".join(column for column, there in zip(columns, on, strict=True) if there)


def _table(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> str:
    # A long first cell has a line of its own, so that the others stay on the screen.
    first = max(len(corner), *(len(name) for name, _ in rows if len(name) <= _LONGEST // 2), 0)
    width = max(len(cell) for _, cells in (("", columns), *rows) for cell in cells)
    lines = [f"{corner:{first}}  {_cells(columns, width)}"]
    for name, cells in rows:
        if len(name) > first:
            lines.append(name[:_LONGEST] + ("..." if len(name) > _LONGEST else ""))
        lines.append(f"{name if len(name) <= first else '':{first}}  {_cells(cells, width)}")
    return "\n".join(line.rstrip() for line in lines)


def _cells(cells: Iterable[str], width: int) -> str:
    return "  ".join(f"{cell:>{width}}" for cell in cells)


def markdown(runs: Sequence[Run]) -> str:
    """docs/kernels.md."""
    columns = heads([run.release for run in runs])
    parts = [
        "# Which kernel can what",
        _WRITTEN,
        _markdown_table("", columns, [*_circumstances(runs), *_totals(runs)]),
    ]
    for title, differing, alike in _sections(runs):
        parts.append(f"## {title}")
        if differing:
            parts.append(_markdown_table("", columns, [(f"`{name}`", answers) for name, answers in differing]))
        parts += [f"{words}: {', '.join(f'`{name}`' for name in names)}." for words, names in alike]
    if refusals := _refusals(columns, runs):
        parts += ["## What a kernel said where others can", "\n".join(refusals)]
    counts = [(f"`{group}`", [_counts(run, group) for run in runs]) for group in groups(runs)]
    parts += ["## Tests", "Passed/failed/skipped.", _markdown_table("", columns, counts)]
    if skipped := reasons(runs):
        cells = [(_escaped(why), list(map(str, numbers))) for why, numbers in skipped]
        parts += ["Why tests were skipped, and how many.", _markdown_table("", columns, cells)]
    if failed := failures(runs):
        told = [f"- {_where(columns, on)}: `{test.file}.py::{test.name}`" for test, on in failed]
        parts += ["Tests that failed.", "\n".join(told)]
    return "\n\n".join(parts) + "\n"


def _circumstances(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    return [
        ("release", [run.release for run in runs]),
        ("commit of ovlctl", [run.commit for run in runs]),
        ("day", [run.day for run in runs]),
        ("machine", [run.machine for run in runs]),
        ("minutes", [f"{run.seconds / 60:.0f}" for run in runs]),
    ]


def _totals(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    return [(f"tests {each}", [run.trouble or str(run.count(each)) for run in runs]) for each in Outcome]


_ALIKE: Final = {"yes": "On all of them", "-": "On none of them", "?": "Not to be found out on any"}
_TITLES: Final = {"root": "As root", "user": "As an ordinary user"}

_Rows = list[tuple[str, list[str]]]


def _sections(runs: Sequence[Run]) -> Iterator[tuple[str, _Rows, list[tuple[str, list[str]]]]]:
    """Of each who was asked: a title, what tells the kernels apart, and in words what is the same on all of them."""
    rows = abilities(runs)
    for asked in dict.fromkeys(asked for asked, _, _ in rows):
        own = {name: answers for who, name, answers in rows if who == asked}
        differing = [(name, list(answers)) for name, answers in own.items() if len(set(answers)) > 1]
        alike = [
            (words, [name for name, answers in own.items() if set(answers) == {mark}]) for mark, words in _ALIKE.items()
        ]
        yield _TITLES.get(asked, f"Layers on {asked}"), differing, [each for each in alike if each[1]]


def _refusals(columns: Sequence[str], runs: Sequence[Run]) -> list[str]:
    # By what was said, since kernels that lack the same mostly say the same.
    answers = {(asked, name): set(marks) for asked, name, marks in abilities(runs)}
    said: dict[tuple[str, str, str], list[bool]] = {}
    for place, run in enumerate(runs):
        for each in run.abilities:
            if each.answer != "yes" and "yes" in answers[each.asked, each.name]:
                said.setdefault((each.asked, each.name, each.tried), [False] * len(runs))[place] = True
    return [
        f"- `{name}`, {asked}, on {_where(columns, on)}: {_escaped(tried)}" for (asked, name, tried), on in said.items()
    ]


def _markdown_table(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    lines = [(corner, *columns), ("---", *("---:" for _ in columns)), *((name, *cells) for name, cells in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(words: str) -> str:
    return "".join(f"\\{each}" if each in "\\|<>*_`[]" else each for each in words)
