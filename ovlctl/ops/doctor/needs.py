"""What somebody needs, by name, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import BadUsage, literal
from ovlctl.ops.doctor.catalogue import OPTIONS
from ovlctl.ops.doctor.values import Ability
from ovlctl.overlay.options import KEYS, Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.kernel.bootcache import Answer
    from ovlctl.ops.doctor.values import Diagnosis, DirectoryReport, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something asked for.

    Attributes:
        ability: What.
        value: The value of a mount option; None for all that is meant by *ability*.
    """

    ability: Ability
    value: str | None = None

    @property
    def name(self) -> str:
        """As ``--need`` takes it."""
        return self.ability if self.value is None else f"{self.ability}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A need and what was found; *directory* is None for what no directory is asked about."""

    need: Need
    answer: Answer
    finding: Finding
    directory: DirectoryReport | None


def known() -> tuple[Need, ...]:
    """Everything that can be needed: each ability, and each value of each mount option."""
    values = tuple(
        Need(ability=OPTIONS[key.name], value=value) for key in KEYS if key.values is not Flag for value in key.values
    )
    return tuple(Need(ability=ability) for ability in Ability) + values


def parse(lists: Sequence[str]) -> tuple[Need, ...]:
    """The needs in comma-separated lists, each once, in order; case and ``-`` or ``_`` make no difference.

    Raises:
        BadUsage: for a name that is not one of :func:`known`, with those nearest to it.
    """
    names = {_plain(need.name): need for need in known()}
    asked = [word.strip() for each in lists for word in each.split(",")]
    found: dict[Need, None] = {}
    for word in asked:
        need = names.get(_plain(word))
        if need is None:
            raise _unknown(word, names)
        found[need] = None
    return tuple(found)


def met(needs: Sequence[Need], diagnosis: Diagnosis) -> tuple[Met, ...]:
    """What was found of each need; one about directories is answered for every directory that was looked at."""
    return tuple(
        Met(need=need, answer=_answer(need, finding), finding=finding, directory=directory)
        for need in needs
        for directory, finding in diagnosis.findings()
        if finding.ability is need.ability
    )


def _answer(need: Need, finding: Finding) -> Answer:
    # Of an option that is not there at all no values are told.
    return next(
        (value.usable for value in finding.values if need.value is not None and value.value == need.value),
        finding.answer,
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _unknown(word: str, names: dict[str, Need]) -> BadUsage:
    from difflib import get_close_matches  # only those who mistype pay for it

    near = [f"`{names[name].name}`" for name in get_close_matches(_plain(word), names, n=3)]
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    # The word is whatever was typed, so it is passed as a path is, to be escaped.
    return BadUsage(
        "nothing called {} can be needed", word, hint=literal(f"{guess}`ovlctl doctor --need help` lists all")
    )
