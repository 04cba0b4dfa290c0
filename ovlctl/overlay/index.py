"""The index of an upper: what makes the names of a hard link stay one file over copy-up (index=on).

An entry is the upper file itself (a hard link of it), under the handle of the lower file as its name. A lower name that
was never copied up leads there all the same: ovl_lookup_index() in fs/overlayfs/namei.c.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from ovlctl.overlay.lookup import Found, RefusedError, UnreadableError
from ovlctl.overlay.marks import decode_index_name
from ovlctl.overlay.object_marks import whiteout
from ovlctl.overlay.resolution import Place, Rule

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer

_NLINK = re.compile(rb"(?P<base>[UL])(?P<difference>[+-][0-9]+)")


class Index:
    """The entries of WORK/index, read once when the first is asked for.

    The uuid of a record is not compared: a handle that two file systems share by chance is as good as not indexed.

    Args:
        layer: The directory.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._names: dict[tuple[int, bytes], list[str]] | None = None

    def entry(self, lower: Found) -> Found | None:
        """The upper file that stands for *lower*, a non-directory; None when it is not indexed.

        Raises:
            RefusedError: EIO, the entry is a whiteout or of another kind.
            UnreadableError: The index, or the handle of *lower*, cannot be read.
        """
        place = lower.place
        try:
            names = self._load()
            handle = place.layer.tree.handle(place.path) if names else None
            found = names.get((handle.type, handle.handle), []) if handle is not None else []
            if len(found) != 1:
                return None
            place = Place(self._layer, found[0])
            attributes = self._layer.tree.lstat(found[0])
        except OSError as error:
            raise UnreadableError(place, error.errno or 0) from error
        if attributes is None:
            return None
        if whiteout(attributes, marked=False) is not None or attributes.kind is not lower.attributes.kind:
            raise RefusedError(errno.EIO, Rule.INDEX_WRONG)
        return Found(place, attributes)

    def _load(self) -> dict[tuple[int, bytes], list[str]]:
        if self._names is None:
            self._names = {}
            for child in self._layer.tree.scandir(""):
                record = decode_index_name(child.name)
                if record is not None:
                    self._names.setdefault((record.type, record.handle), []).append(child.name)
        return self._names


def merged_nlink(mark: bytes | None, upper: int, lower: int | None) -> int:
    """The link count of an indexed file: ovl_get_nlink() in fs/overlayfs/inode.c.

    Args:
        mark: The value of ``nlink`` on the upper file.
        upper: Its own link count.
        lower: That of the lower file, where the lookup found it; a name of the upper does not lead there.
    """
    match = _NLINK.fullmatch(mark or b"")
    base = upper if match is not None and match["base"] == b"U" else lower
    if match is None or lower == 1 or base is None:
        return upper
    count = base + int(match["difference"])
    return count if count > 0 else upper
