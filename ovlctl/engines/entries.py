"""Entries of a store's documents, each value checked before it is used: whoever wrote them may be anybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ovlctl.engines import documents
from ovlctl.errors import OvlError, StoreDamaged

if TYPE_CHECKING:
    from ovlctl.engines.files import Files

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Entry:
    """A JSON object whose members have whatever types they have.

    Args:
        values: The object; of anything else there are no members.
    """

    __slots__ = ("values",)

    def __init__(self, values: object) -> None:
        self.values = documents.mapping(values)

    def text(self, key: str) -> str | None:
        """A string that is not empty."""
        return documents.text(self.values.get(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """The strings of a list."""
        found = map(documents.text, documents.sequence(self.values.get(key)))
        return tuple(one for one in found if one is not None)

    def number(self, key: str) -> int | None:
        """A whole number that is not negative."""
        return documents.whole(self.values.get(key))

    def flag(self, key: str) -> bool:
        """Whether it is true."""
        return self.values.get(key) is True

    def entry(self, key: str) -> Entry:
        """An object."""
        return Entry(self.values.get(key))

    def entries(self, key: str) -> tuple[Entry, ...]:
        """The objects of a list."""
        return tuple(Entry(one) for one in documents.sequence(self.values.get(key)) if isinstance(one, dict))

    def digest(self, key: str) -> str | None:
        """A digest, ``sha256:HEX``."""
        return documents.digest(self.values.get(key))

    def component(self, key: str) -> str | None:
        """A name that can stand in a directory."""
        value = self.values.get(key)
        return value if documents.is_name(value) else None

    def time_ns(self, key: str) -> int | None:
        """A time of RFC 3339, in nanoseconds since the epoch."""
        return documents.nanoseconds(self.values.get(key))


def image_id(value: str | None) -> str | None:
    """An id of 64 hexadecimal digits as ``sha256:HEX``, which it stands for; others as they are."""
    return f"sha256:{value}" if value is not None and _HEX.fullmatch(value) else value


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
    found = [Entry(one) for one in document if isinstance(one, dict)]
    if len(found) < len(document):
        wrong = len(document) - len(found)
        troubles.append(StoreDamaged(f"{{}}: {wrong} of its {len(document)} entries are no objects", files.path(name)))
    return found


def short_link(files: Files, directory: str) -> str | None:
    """The name of the short link to a layer of an overlay driver, which its directory holds; None where it holds none.

    Raises:
        StoreDamaged: It is no name.
    """
    try:
        link = files.text(f"{directory}/link")
    except FileNotFoundError:
        return None
    if not documents.is_name(link):
        raise StoreDamaged("{} holds no name of a short link", files.path(f"{directory}/link"))
    return link
