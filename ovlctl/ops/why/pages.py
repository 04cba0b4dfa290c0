"""The page of each error: its class's docstring."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from difflib import get_close_matches

from ovlctl.errors import BadUsage, ExitStatus, OvlError, all_errors, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is known of one error.

    Attributes:
        code: Such as ``OVL-E012``.
        name: Such as ``upper-on-overlay``.
        summary: One sentence.
        text: When it happens, what the kernel says, how to fix it: paragraphs with commands indented by four spaces.
        exit_status: Of a command that ends with it.
    """

    code: str
    name: str
    summary: str
    text: str
    exit_status: ExitStatus


def pages() -> tuple[Page, ...]:
    """One page per error that can be raised, by code."""
    return tuple(sorted(map(_page, all_errors()), key=lambda page: page.code))


def page(word: str) -> Page:
    """The page that *word* names: ``OVL-E012``, ``E012``, ``12``, ``upper-on-overlay``, in any case.

    Raises:
        BadUsage: when there is none; the hint has the nearest.
    """
    wanted = as_code(word)
    if wanted is None and (name := _kebab(word)):
        wanted = name
    found = pages()
    for each in found:
        if wanted in {each.code, each.name}:
            return each
    near = get_close_matches(
        wanted or word, [name for each in found for name in (each.code, each.name)], n=1, cutoff=0.5
    )
    raise BadUsage(
        f"there is no error `{literal(word)}`",
        hint=f"did you mean `ovlctl why {near[0]}`? `ovlctl why --list` has all" if near else "`ovlctl why --list`",
    )


def as_code(word: str) -> str | None:
    """``OVL-E012`` for ``OVL-E012``, ``ovl-e12``, ``E012``, ``12``; None for anything else."""
    found = re.fullmatch(r"(?:ovl[-_ ]?)?e?0{0,4}([0-9]{1,3})", word.strip(), re.IGNORECASE | re.ASCII)
    return None if found is None else f"OVL-E{int(found[1]):03}"


def is_name(word: str) -> bool:
    """Whether *word* is the name of an error."""
    return _kebab(word) in {each.name() for each in all_errors()}


def _kebab(word: str) -> str:
    word = word.strip()
    if re.fullmatch(r"[A-Z][A-Za-z]{1,60}", word):
        # The name of the class, as Python shows it.
        word = re.sub(r"(?<!^)(?=[A-Z])", "-", word)
    return word.lower().replace("_", "-")


def _page(error: type[OvlError]) -> Page:
    # Single backticks everywhere: a page is Markdown, not reST.
    summary, _, text = inspect.cleandoc(error.__doc__ or "").replace("``", "`").partition("\n")
    return Page(
        code=error.code,
        name=error.name(),
        summary=summary,
        text=text.strip(),
        exit_status=error.exit_status,
    )
