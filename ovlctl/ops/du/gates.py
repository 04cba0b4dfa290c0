"""Limits for what stacks may take, as a build checks them.

A rule is a limit for a number of bytes or of whiteouts, or for a percentage. A percentage alone would fail small stacks
for next to nothing, so it only fails when the bytes behind it are more than a floor, too.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.overlay.fates import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ovlctl.ops.du.values import Usage

#: What a percentage must exceed in bytes, unless the file says otherwise.
PERCENT_FLOOR = 1 << 20
_LARGEST_FILE = 1 << 20


class Unit(StrEnum):
    """What a limit counts."""

    BYTES = "bytes"
    NAMES = "names"
    PERCENT = "percent"


class Limit(StrEnum):
    """The limits, by the keys of a rules file; ``FAIL_OVER`` is the option of this name."""

    FAIL_OVER = "fail_over"
    TOTAL = "max_total"
    UPPER = "max_upper"
    RECLAIMABLE = "max_reclaimable"
    SHADOWED = "max_shadowed"
    HIDDEN = "max_hidden"
    WHITEOUTS = "max_whiteouts"
    RECLAIMABLE_PERCENT = "max_reclaimable_percent"
    SHADOWED_PERCENT = "max_shadowed_percent"
    HIDDEN_PERCENT = "max_hidden_percent"

    @property
    def unit(self) -> Unit:
        """What it counts."""
        if self.value.endswith("_percent"):
            return Unit.PERCENT
        return Unit.NAMES if self is Limit.WHITEOUTS else Unit.BYTES


class Outcome(StrEnum):
    """What became of a rule. ``UNDECIDED``: what is known is below the limit, but not everything is known."""

    PASS = "pass"  # noqa: S105 -- no password
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One limit.

    Attributes:
        most: The most that passes, in the unit of *limit*.
        floor: Of a percentage: bytes that must be exceeded, too.
    """

    limit: Limit
    most: float
    floor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a rule.

    Attributes:
        actual: What was found, in the unit of the limit.
        bytes: The bytes behind a percentage, else None.
    """

    rule: Rule
    actual: float
    bytes: int | None
    outcome: Outcome


def fail_over(most: int) -> Rule:
    """The rule of ``--fail-over``."""
    return Rule(limit=Limit.FAIL_OVER, most=most)


def load(path: str, *, size: Callable[[str], int]) -> tuple[Rule, ...]:
    """Read a rules file: TOML with limits at the top, and ``percent_floor``.

    Args:
        path: The file.
        size: Reads a size such as ``50M``; raises BadUsage.

    Raises:
        PathMissing, AccessDenied: It cannot be read.
        BadUsage: It is no TOML, has a key that is not known or a value that is no limit, or has no limit at all.
    """
    import tomllib

    try:
        # A pipe might never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise errors.BadUsage("the rules file {} is no plain file", path)
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise errors.BadUsage("{} is larger than 1 MiB, which no rules file is", path)
        found = tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError as error:
        raise errors.PathMissing("the rules file {} does not exist", path, errno=error.errno) from error
    except OSError as error:
        message = f"the rules file {{}} cannot be read: {strerror(error)}"
        raise errors.AccessDenied(message, path, errno=error.errno) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise errors.BadUsage(f"{{}} is not TOML: {literal(str(error))}", path, hint=_EXAMPLE) from error
    return _rules(path, found, size)


_FLOOR = "percent_floor"
_KNOWN = (*(limit.value for limit in Limit if limit is not Limit.FAIL_OVER), _FLOOR)
_EXAMPLE = 'a rules file has lines such as `max_reclaimable = "50M"` and `max_whiteouts = 1000`'


def _rules(path: str, found: dict[str, Any], size: Callable[[str], int]) -> tuple[Rule, ...]:
    for key in found:
        if key not in _KNOWN:
            from difflib import get_close_matches

            near = get_close_matches(key, _KNOWN, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(_KNOWN)}"
            raise errors.BadUsage(f"`{literal(key)}` in {{}} is no rule that is known", path, hint=hint)
    floor = int(_limit(path, _FLOOR, found.get(_FLOOR, PERCENT_FLOOR), Unit.BYTES, size))
    rules = tuple(
        Rule(
            limit=limit,
            most=_limit(path, limit, found[limit], limit.unit, size),
            floor=floor if limit.unit is Unit.PERCENT else 0,
        )
        for limit in Limit
        if limit in found
    )
    if not rules:
        raise errors.BadUsage("{} has no rule", path, hint=_EXAMPLE)
    return rules


def _limit(path: str, key: str, raw: Any, unit: Unit, size: Callable[[str], int]) -> float:
    if unit is Unit.BYTES and isinstance(raw, str):
        try:
            return size(raw)
        except errors.BadUsage as error:
            raise errors.BadUsage(f"`{key}` in {{}}: {literal(error.message())}", path, hint=error.hint()) from error
    # Booleans are numbers to Python.
    number = isinstance(raw, (int, float) if unit is Unit.PERCENT else int) and not isinstance(raw, bool)
    if not number or not 0 <= raw <= (100 if unit is Unit.PERCENT else 1 << 63):
        wanted = {
            Unit.BYTES: 'a size such as "50M", or a number of bytes',
            Unit.NAMES: "a whole number",
            Unit.PERCENT: "a number from 0 to 100",
        }[unit]
        raise errors.BadUsage(f"`{key}` in {{}} must be {wanted}", path)
    return float(raw) if unit is Unit.PERCENT else int(raw)


def judge(rules: Iterable[Rule], usage: Usage) -> tuple[Verdict, ...]:
    """What becomes of each rule."""
    return tuple(_judged(rule, usage) for rule in rules)


def _judged(rule: Rule, usage: Usage) -> Verdict:
    total, limit = usage.total, rule.limit
    everything = total.every.bytes
    if limit is Limit.WHITEOUTS:
        actual, behind = float(sum(each.marks.whiteouts for each in usage.directories)), None
    elif limit.unit is Unit.PERCENT:
        behind, whole = {
            Limit.RECLAIMABLE_PERCENT: (total.of(Fate.UNCHANGED).bytes, usage.uppers.every.bytes),
            Limit.SHADOWED_PERCENT: (total.of(Fate.SHADOWED).bytes, everything),
            Limit.HIDDEN_PERCENT: (total.hidden.bytes, everything),
        }[limit]
        actual = 100 * behind / whole if whole else 0.0
    else:
        actual, behind = (
            {
                Limit.TOTAL: everything,
                Limit.UPPER: usage.uppers.every.bytes,
                Limit.SHADOWED: total.of(Fate.SHADOWED).bytes,
                Limit.HIDDEN: total.hidden.bytes,
            }.get(limit, total.of(Fate.UNCHANGED).bytes),
            None,
        )
    over = actual > rule.most and (behind is None or behind > rule.floor)
    outcome = Outcome.FAIL if over else Outcome.UNDECIDED if usage.partial else Outcome.PASS
    return Verdict(rule=rule, actual=actual, bytes=behind, outcome=outcome)
