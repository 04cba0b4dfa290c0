"""Entries of a store's documents, each value checked before it is used: whoever wrote them may be anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ovlctl.errors import OvlError, StoreDamaged

if TYPE_CHECKING:
    from ovlctl.engines.files import Files

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,128}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Entry:
    """A JSON object whose members have whatever types they have.

    Args:
        values: The object; of anything else there are no members.
    """

    __slots__ = ("values",)

    def __init__(self, values: object) -> None:
        self.values: Mapping[str, Any] = values if isinstance(values, Mapping) else {}

    def text(self, key: str) -> str | None:
        """A string that is not empty."""
        value = self.values.get(key)
        return value if isinstance(value, str) and value else None

    def texts(self, key: str) -> tuple[str, ...]:
        """The strings of a list."""
        value = self.values.get(key)
        return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()

    def number(self, key: str) -> int | None:
        """An integer; True and False are none."""
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, key: str) -> bool:
        """Whether it is true."""
        return self.values.get(key) is True

    def entry(self, key: str) -> Entry:
        """An object."""
        return Entry(self.values.get(key))

    def entries(self, key: str) -> tuple[Entry, ...]:
        """The objects of a list."""
        value = self.values.get(key)
        return tuple(Entry(one) for one in value if isinstance(one, Mapping)) if isinstance(value, list) else ()

    def digest(self, key: str) -> str | None:
        """A digest, ``sha256:HEX``."""
        value = self.text(key)
        return value if value is not None and _DIGEST.fullmatch(value) else None

    def component(self, key: str) -> str | None:
        """A name that can stand in a directory."""
        value = self.text(key)
        return value if value is not None and is_component(value) else None

    def time_ns(self, key: str) -> int | None:
        """A time of RFC 3339, in nanoseconds since the epoch."""
        return time_ns(self.values.get(key))


def is_component(name: str) -> bool:
    """Whether *name* is one plain name in a directory, that leads nowhere else."""
    return name not in {"", ".", ".."} and "/" not in name and "\0" not in name and len(name) <= 255  # noqa: PLR2004 -- NAME_MAX of linux/limits.h


def image_id(value: str | None) -> str | None:
    """An id of 64 hexadecimal digits as ``sha256:HEX``, which it stands for; others as they are."""
    return f"sha256:{value}" if value is not None and _HEX.fullmatch(value) else value


def time_ns(value: object) -> int | None:
    """A time of RFC 3339 in nanoseconds since the epoch; None for none, and for the year 1, which is Go's word for it."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
    if moment.year == 1:
        return None
    away = timedelta(hours=int(match[4] or 0), minutes=int(match[5] or 0))
    since = moment - _EPOCH + (away if match[3] == "-" else -away)
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def listed(files: Files, name: str, troubles: list[OvlError]) -> list[Entry]:
    """The objects of the list in *name*; nothing when it is not there.

    What cannot be read, and what is no object, goes to *troubles*.
    """
    try:
        document = files.json(name)
    except FileNotFoundError:
        return []
    except OvlError as error:
        troubles.append(error)
        return []
    if document is None:  # Go writes an empty list so
        return []
    if not isinstance(document, list):
        troubles.append(StoreDamaged("{} is no list", files.path(name)))
        return []
    found = [Entry(one) for one in document if isinstance(one, Mapping)]
    if len(found) < len(document):
        troubles.append(StoreDamaged(f"{{}} has {len(document) - len(found)} entries that are none", files.path(name)))
    return found
