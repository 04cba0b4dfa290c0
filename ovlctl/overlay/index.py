"""The index of an upper: what makes the names of a hard link stay one file over copy-up (index=on).

An entry of a file is the upper file itself (a hard link of it), under the handle of the lower file as its name. A lower
name that was never copied up leads there all the same. With nfs_export=on everything that is copied up has an entry;
that of a directory is an empty directory which names the upper one, and an entry that does not fit is an error.

Source: ovl_lookup_index() in fs/overlayfs/namei.c of Linux 6.18, and its callers.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.overlay.lookup import Found
from ovlctl.overlay.marks import Mark, decode_index_name, known_record
from ovlctl.overlay.object_marks import whiteout
from ovlctl.overlay.refusals import RefusedError, UnreadableError
from ovlctl.overlay.resolution import Place, Rule
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.lookup import Lookup
    from ovlctl.overlay.tree import Attributes

_NLINK = re.compile(rb"(?P<base>[UL])(?P<difference>[+-][0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index has for an object.

    Attributes:
        entry: The upper file; for a directory, its stand-in.
        lower_nlink: The link count of the lower object that the entry is about.
    """

    entry: Found
    lower_nlink: int


class Index:
    """The entries of WORK/index, read once when the first is asked for.

    The uuid of a record is not compared: a handle that two file systems share by chance is as good as the other's.

    Args:
        layer: The directory; None when the mount is yet to make it.
        lowers: The stack's, for objects that are known by their handle only.
        everything: Whether directories are indexed too (nfs_export=on).
    """

    def __init__(self, layer: Layer | None, lowers: tuple[Layer, ...], *, everything: bool) -> None:
        self._layer = layer
        self._lowers = lowers
        self.everything = everything
        self._names: dict[tuple[int, bytes], list[str]] | OSError | None = None

    def consult(self, lookup: Lookup) -> Indexed | None:
        """What it has for the object that *lookup* found; None for nothing.

        Raises:
            RefusedError: EIO, what it has does not fit.
            UnreadableError: The index, or a handle, cannot be read.
        """
        upper, lower = lookup.upper, lookup.found[0] if lookup.found else None
        if lookup.is_directory and not self.everything:
            return None
        if upper is not None and not lookup.is_directory and not lookup.upper_metacopy:
            return self._by_origin(lookup, upper)
        if lower is None or (upper is not None and not lookup.verified):
            return None
        handle = lookup.handle(lower.place)
        entry = None if handle is None else self._entry((handle.type, handle.handle), lower.attributes)
        if entry is None:
            return None
        self._check(lookup, entry, lower.attributes.kind)
        return None if self._of_another(upper, entry) else Indexed(entry, lower.attributes.nlink)

    def origin(self, lookup: Lookup, upper: Found) -> Attributes | None:
        """The lower object that *upper*, a non-directory, was copied up from; None where that is not known."""
        record = known_record(lookup.mark(upper.place, Mark.ORIGIN))
        if record is None:
            return None
        for layer in self._lowers:
            try:
                found = layer.tree.by_handle(record.type, record.handle)
            except OSError as error:
                raise UnreadableError(upper.place, error.errno or 0) from error
            if found is not None:
                return found if found.kind is upper.attributes.kind else None
        return None

    def _by_origin(self, lookup: Lookup, upper: Found) -> Indexed | None:
        record = known_record(lookup.mark(upper.place, Mark.ORIGIN))
        entry = None if record is None else self._entry((record.type, record.handle), upper.attributes)
        if entry is None or (origin := self.origin(lookup, upper)) is None:
            return None
        self._check(lookup, entry, origin.kind)
        return None if self._of_another(upper, entry) else Indexed(entry, origin.nlink)

    def _check(self, lookup: Lookup, entry: Found, kind: Kind) -> None:
        wrong = whiteout(entry.attributes, marked=False) is not None or entry.attributes.kind is not kind
        if not wrong and kind is Kind.DIRECTORY:
            record = known_record(lookup.mark(entry.place, Mark.UPPER))
            wrong = lookup.upper is None or record is None or not record.stands_for(lookup.handle(lookup.upper.place))
        if wrong:
            raise RefusedError(errno.EIO, Rule.INDEX_WRONG)

    @staticmethod
    def _of_another(upper: Found | None, entry: Found) -> bool:
        if upper is None or entry.attributes.kind is Kind.DIRECTORY:
            return False
        return (upper.attributes.dev, upper.attributes.ino) != (entry.attributes.dev, entry.attributes.ino)

    def _entry(self, key: tuple[int, bytes], about: Attributes) -> Found | None:
        if self._layer is None:
            return None
        names = self._load(self._layer)
        if isinstance(names, OSError):
            # What has one name has no entry: ovl_need_index() in fs/overlayfs/util.c.
            if about.nlink == 1 and not self.everything:
                return None
            raise UnreadableError(Place(self._layer, ""), names.errno or 0) from names
        found = names.get(key, [])
        if len(found) != 1:
            return None
        place = Place(self._layer, found[0])
        try:
            attributes = self._layer.tree.lstat(place.path)
        except OSError as error:
            raise UnreadableError(place, error.errno or 0) from error
        return None if attributes is None else Found(place, attributes)

    def _load(self, layer: Layer) -> dict[tuple[int, bytes], list[str]] | OSError:
        if self._names is None:
            try:
                self._names = _names(layer)
            except OSError as error:
                self._names = error
        return self._names


def _names(layer: Layer) -> dict[tuple[int, bytes], list[str]]:
    names: dict[tuple[int, bytes], list[str]] = {}
    for child in layer.tree.scandir(""):
        record = decode_index_name(child.name)
        if record is not None:
            names.setdefault((record.type, record.handle), []).append(child.name)
    return names


def merged_nlink(mark: bytes | None, upper: int, lower: int | None) -> int:
    """The link count of an indexed file, by its mark: ovl_get_nlink() in fs/overlayfs/inode.c.

    Args:
        mark: The value of ``nlink`` on the upper file.
        upper: Its own link count.
        lower: That of the lower file; None where it is not known and does not matter.
    """
    match = _NLINK.fullmatch(mark or b"")
    base = upper if match is not None and match["base"] == b"U" else lower
    if match is None or base is None:
        return upper
    count = base + int(match["difference"])
    return count if count > 0 else upper
