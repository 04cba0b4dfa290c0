"""Values out of JSON documents and small files that anybody may have written: of the type they have to be, or None."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME_BYTES = 255  # NAME_MAX
_WHOLE_MAX = 1 << 63
_NUMBER = re.compile(r"[0-9]{1,18}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# RFC 3339, as Go writes it: up to nine digits of a second, which datetime cuts to six.
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def mapping(value: object) -> Mapping[str, Any]:
    """*value* when it is an object of JSON, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    """*value* when it is an array of JSON, else an empty one."""
    return value if isinstance(value, list) else ()


def text(value: object) -> str | None:
    """*value* when it is a string that says something, else None.

    Halves of characters, which JSON can spell and no file name has, are replaced.
    """
    if not isinstance(value, str) or not value:
        return None
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return value.encode(errors="replace").decode()
    return value


def whole(value: object) -> int | None:
    """*value* when it is a number that is whole, not negative and of 63 bits, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _WHOLE_MAX else None


def number(value: str) -> int | None:
    """What a file with nothing but a decimal number says, else None."""
    return int(value) if _NUMBER.fullmatch(value) else None


def truth(value: object) -> bool | None:
    """True and False, also as words, which DriverStatus has; else None."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def digest(value: object) -> str | None:
    """*value* when it is ``sha256:`` and 64 digits, else None."""
    return value if isinstance(value, str) and _DIGEST.fullmatch(value) else None


def is_name(value: object) -> bool:
    """Whether *value* can name something in a directory: one component, and neither ``.`` nor ``..``."""
    if not isinstance(value, str) or value in {"", ".", ".."} or "/" in value or "\0" in value:
        return False
    try:
        return len(os.fsencode(value)) <= _NAME_BYTES
    except UnicodeEncodeError:
        return False


def nanoseconds(value: object) -> int | None:
    """Since the epoch, of a time as Go writes it; None for anything else, and for Go's zero, the year 1."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    offset = timedelta(hours=int(match[9]), minutes=int(match[10])) if match[8] else timedelta()
    try:
        there = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        since = (there + offset if match[8] == "-" else there - offset) - _EPOCH
    except (ValueError, OverflowError):
        return None
    if year == 1:
        return None
    return (since.days * 86_400 + since.seconds) * 10**9 + int((match[7] or "0").ljust(9, "0"))
