"""Whether the kernel renames an object itself, or leaves it to the caller with EXDEV.

Source: ovl_rename(), ovl_can_move(), ovl_set_redirect() and ovl_get_redirect() in fs/overlayfs/dir.c.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.kernel import module
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark, decode_redirect
from ovlctl.overlay.options import RedirectDir
from ovlctl.overlay.resolution import Verdict

if TYPE_CHECKING:
    from ovlctl.ops.reading import View
    from ovlctl.overlay.resolution import Resolution

_REDIRECT_MAX = 256


class Renaming:
    """The rename of one object.

    Args:
        view: The stack.
        found: The object.
        metadata_only: Whether it is a file that is in the upper without its data by then.
    """

    def __init__(self, view: View, found: Resolution, *, metadata_only: bool) -> None:
        self._view, self._found, self._metadata_only = view, found, metadata_only

    @property
    def refused_whole(self) -> bool:
        """Whether it is a directory with a part in a lower, and redirect_dir is not on."""
        return self._has_part_below and self._view.subject.options.redirect_dir is not RedirectDir.ON

    @property
    def _has_part_below(self) -> bool:
        # As ovl_type_merge_or_lower() has it, of a directory.
        return self._found.is_directory and any(place.layer.role is not Role.UPPER for place in self._found.stack)

    def errnos(self) -> tuple[int, int]:
        """What it gives within its directory, and into another one."""
        if not (self._has_part_below or self._metadata_only):
            return 0, 0
        old = self._redirect(self._found.path)
        if old is not None and old.startswith("/"):
            return 0, 0
        elsewhere = errno.EXDEV if self._absolute_length() > _redirect_max() else 0
        absolute = self._metadata_only and self._lower_links() > 1
        return (elsewhere if absolute else 0), elsewhere

    def _lower_links(self) -> int:
        parts = {Verdict.PROVIDES, Verdict.DATA, Verdict.METADATA_ONLY}
        for seen in self._found.candidates:
            if seen.verdict in parts and seen.place.layer.role is not Role.UPPER and seen.attributes is not None:
                return seen.attributes.nlink
        return 1

    def _absolute_length(self) -> int:
        """Bytes of the path from the root by which the layers below know the object."""
        total, here = 0, self._found.path
        while here:
            parent, _, name = here.rpartition("/")
            known = self._redirect(here) or name
            total += len(os.fsencode(known)) + (not known.startswith("/"))
            if known.startswith("/"):
                break
            here = parent
        return total

    def _redirect(self, path: str) -> str | None:
        # Of the upper's object at *path*.
        found = self._view.resolver.resolve(path)
        place = found.stack[0] if found.stack else None
        if place is None or place.layer.role is not Role.UPPER or self._view.subject.following.blind:
            return None
        try:
            value = place.layer.tree.xattr(place.path, self._view.subject.following.prefix + Mark.REDIRECT)
        except OSError:
            return None
        return None if value is None else decode_redirect(value).target


def _redirect_max() -> int:
    value = module.parameter("overlay", "redirect_max")
    return int(value) if value is not None and value.isascii() and value.isdecimal() else _REDIRECT_MAX
