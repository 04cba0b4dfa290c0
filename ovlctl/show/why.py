"""Explanations and pages of errors as text, JSON and Markdown."""

from __future__ import annotations

import re
from collections import Counter
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ovlctl.ops.why.values import Certainty, Kind, Verdict
from ovlctl.show.columns import aligned
from ovlctl.show.names import json_path, json_paths, show_argument, show_name, show_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.why.pages import Page
    from ovlctl.ops.why.values import Explanation, Finding, Line

_WIDTH = 80
_LABEL = 7
_CANDIDATES_SHOWN = 6
_OF_ONE_KIND = 3
#: The kernel takes no longer path; of such a one, in a text that was pasted, the beginning is shown.
_PATH_MAX = 4095
_SHOWN_OF_LONG = 100
_COMMAND = re.compile(r"`[^`]*`")
#: Stands for a space that is no place to break a line; no text that is shown has one.
_HARD_SPACE = "\x00"


def explanation_text(explanation: Explanation) -> str:
    """An explanation for people: each cause with what it rests on and what to do, the surest first."""
    blocks = ["\n".join(_finding(finding)) for finding in _sample(explanation.findings)]
    more = len(explanation.findings) - len(blocks)
    if more:
        blocks.append(f"and {more} more of the same kinds; --json has all")
    verdict = _verdict(explanation)
    return "\n\n".join([*blocks, verdict] if verdict else blocks)


def _sample(findings: Sequence[Finding]) -> list[Finding]:
    """*findings* with no more than a few of one kind: a stack of 500 lowers may have lost them all."""
    seen: Counter[str] = Counter()
    shown = []
    for finding in findings:
        seen[finding.error.code] += 1
        if seen[finding.error.code] <= _OF_ONE_KIND:
            shown.append(finding)
    return shown


def _finding(finding: Finding) -> Iterator[str]:
    error = finding.error
    sure = "" if finding.certainty is Certainty.CERTAIN else f" (likeliest of {len(finding.candidates)})"
    yield fill(
        f"{error.code} {error.name()}{sure}: {show_text(error.message(_name))}",
        _WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    # A command with a name that cannot be is none.
    hint = error.hint(_name if max(map(len, error.paths), default=0) > _PATH_MAX else show_argument)
    if hint is not None:
        yield from _labelled("fix", show_text(hint))
    said = _kernel(finding)
    if said:
        yield from _labelled("kernel", said)
    if finding.evidence is not None:
        yield from _labelled("from", show_name(finding.evidence))
    if finding.candidates:
        yield from _candidates(finding)


def _name(path: str) -> str:
    return show_name(path if len(path) <= _PATH_MAX else path[:_SHOWN_OF_LONG] + "...")


def _kernel(finding: Finding) -> str:
    error = finding.error
    words = "; ".join(map(show_name, error.kernel))
    if finding.verdict is Verdict.MOUNTS:
        return words or "mounts it all the same"
    if finding.verdict is Verdict.REFUSES and error.errno_name is not None:
        return f"refuses with {error.errno_name}" + (f": {words}" if words else "")
    return words


def _candidates(finding: Finding) -> Iterator[str]:
    yield "  could be, the likeliest first:"
    shown = finding.candidates[:_CANDIDATES_SHOWN]
    for candidate in shown:
        text = f"{candidate.cause.code} {candidate.cause.name()}: {candidate.distinction}"
        yield fill(
            text,
            _WIDTH,
            initial_indent="    ",
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    if len(finding.candidates) > len(shown):
        yield f"    and {len(finding.candidates) - len(shown)} more; --json has all"


def _labelled(label: str, text: str) -> Iterator[str]:
    # A command stays on one line, for copying.
    whole = _COMMAND.sub(lambda command: command[0].replace(" ", _HARD_SPACE), text)
    yield fill(
        whole,
        _WIDTH,
        initial_indent=f"  {label:{_LABEL}} ",
        subsequent_indent=" " * (_LABEL + 3),
        break_long_words=False,
        break_on_hyphens=False,
    ).replace(_HARD_SPACE, " ")


def _verdict(explanation: Explanation) -> str:
    if explanation.kind is Kind.TEXT:
        return "" if explanation.findings else "the mounts that the text speaks of have nothing wrong in themselves"
    if not explanation.here:
        return "" if explanation.findings else "nothing is wrong with its words"
    if explanation.kind is Kind.MOUNTED:
        return (
            "" if explanation.findings else "nothing is wrong with this mount, as far as its line and its layers tell"
        )
    if any(finding.verdict is Verdict.REFUSES for finding in explanation.findings):
        return ""
    if explanation.findings:
        return "the kernel would mount it, with what is said above"
    return "no problem found: this would mount"


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation for programs."""
    return {
        "kind": explanation.kind,
        "mount": None if explanation.line is None else _line_json(explanation.line),
        "would_mount": _would_mount(explanation),
        "findings": [_finding_json(finding) for finding in explanation.findings],
    }


def _would_mount(explanation: Explanation) -> bool | None:
    if explanation.kind not in {Kind.COMMAND, Kind.FSTAB} or not explanation.here:
        return None
    return all(finding.verdict is not Verdict.REFUSES for finding in explanation.findings)


def _line_json(line: Line) -> dict[str, Any]:
    return {
        **json_path("target", line.target),
        **json_paths("lowers", line.stack.lowers),
        **json_paths("data_only", line.stack.data_only),
        **json_path("upper", line.stack.upper),
        **json_path("work", line.stack.work),
        "read_only": line.read_only,
        "options": {key.name: str(value) for key, value in line.stack.options.asked()},
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    error = finding.error
    hint = error.hint(show_argument)
    return {
        "code": error.code,
        "name": error.name(),
        "message": show_text(error.message(show_name)),
        **json_paths("paths", error.paths),
        "hint": None if hint is None else show_text(hint),
        "errno": error.errno_name,
        "certainty": finding.certainty,
        "verdict": finding.verdict,
        "evidence": None if finding.evidence is None else show_name(finding.evidence),
        "candidates": [
            {"code": each.cause.code, "name": each.cause.name(), "distinction": each.distinction}
            for each in finding.candidates
        ],
    }


def page_text(page: Page) -> str:
    """The page of one error."""
    head = f"{page.code} {page.name}\n{fill(page.summary, _WIDTH)}"
    body = "\n\n".join(_paragraph(part) for part in page.text.split("\n\n")) if page.text else ""
    return "\n\n".join(part for part in (head, body, f"exit status {int(page.exit_status)}") if part)


def _paragraph(text: str) -> str:
    return text if text.startswith("    ") else fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def page_json(page: Page) -> dict[str, Any]:
    """The page of one error for programs."""
    return {
        "code": page.code,
        "name": page.name,
        "summary": page.summary,
        "text": page.text,
        "exit_status": int(page.exit_status),
    }


def list_text(pages: Sequence[Page]) -> str:
    """All errors, a line each."""
    return aligned([[page.code, page.name, page.summary] for page in pages])


_MARKDOWN_HEAD = """\
# Errors of ovlctl

Each error is one cause with a code that stays. `ovlctl why CODE` prints the same pages, `ovlctl why --list` all codes;
`ovlctl why -- mount ...` and `ovlctl why -` find the code for a mount command or a pasted message. The exit status of
a command that ends with an error is the error's own.

This file is made from the classes in `ovlctl/errors/` by `scripts/errors_page.py`; edit their docstrings instead.
"""


def pages_markdown(pages: Sequence[Page]) -> str:
    """All pages as one Markdown document with a table of contents."""
    rows = ["| code | name | exit | summary |", "|---|---|---|---|"]
    rows += [
        f"| [{page.code}](#{page.code.lower()}-{page.name}) | {page.name} | {int(page.exit_status)} | "
        f"{page.summary.replace('|', chr(92) + '|')} |"
        for page in pages
    ]
    parts = [_MARKDOWN_HEAD, "\n".join(rows)]
    for page in pages:
        parts.append(f"## {page.code} {page.name}")
        parts.append(f"{page.summary} Exit status {int(page.exit_status)}.")
        if page.text:
            parts.append(page.text)
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)) + "\n"
