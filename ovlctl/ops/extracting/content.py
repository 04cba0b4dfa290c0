"""The content of one file of a stack: ``cat``."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.ops.extracting.objects import find
from ovlctl.ops.reading.layer_names import name_of
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ovlctl.ops.extracting.objects import Thing
    from ovlctl.ops.reading import View
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.layers import Layer

_PIECE = 1 << 20
_KINDS = {
    Kind.DIRECTORY: "a directory",
    Kind.SYMLINK: "a symbolic link",
    Kind.CHARACTER: "a character device",
    Kind.BLOCK: "a block device",
    Kind.FIFO: "a fifo",
    Kind.SOCKET: "a socket",
}


def read(view: View, path: str, layer: Layer | None, troubles: Troubles) -> Iterator[bytes]:
    """The content of the regular file at *path*, in pieces of at most 1 MiB.

    It is opened before this returns.

    Args:
        view: An open stack.
        path: From the root of the merged view, or of *layer*.
        layer: What this one has there, as it is; None for the merged view.
        troubles: Knows afterwards whether the answer is certain.

    Raises:
        NotAFile: It is no regular file.
        ContentUnreadable: Its content cannot be had, or not all of it.
        OvlError: as :func:`~ovlctl.ops.extracting.objects.find` and :func:`opened`.
    """
    thing = find(view, path, layer, troubles)
    if thing.attributes.kind is not Kind.FILE:
        kind = _KINDS[thing.attributes.kind]
        hint = "`ovlctl tree` lists it" if thing.is_directory else "`ovlctl tree` shows what it is"
        raise errors.NotAFile(f"{{}} is {kind}", thing.path or "/", hint=hint)
    return _pieces(thing, opened(thing))


def opened(thing: Thing) -> BinaryIO:
    """The content of a regular file, to be closed.

    Raises:
        AccessDenied: It may not be read; or it is nothing but a hole, and the mark that would say that its content is
            elsewhere cannot be seen.
        ContentUnreadable: It has none, or it cannot be read.
    """
    if thing.data is None:
        raise errors.ContentUnreadable(
            f"{{}} has no content to be read: {thing.why_no_data}",
            thing.path,
            errno=thing.data_errno or None,
            hint="`ovlctl explain STACK {}` tells where they should be",
        )
    try:
        content = thing.data.layer.tree.open(thing.data.path)
    except OSError as error:
        raise _unreadable(thing, error) from error
    if not thing.certain and thing.attributes.size and _is_hole(content):
        content.close()
        raise errors.AccessDenied(
            f"{{}} in {name_of(thing.data.layer)} is nothing but a hole: whether it has metadata only, and its content "
            "is in another layer, cannot be seen without root",
            thing.path,
            hint="ask as root",
        )
    return content


def _is_hole(content: BinaryIO) -> bool:
    # As a metadata-only file is, to which nothing was ever written.
    try:
        os.lseek(content.fileno(), 0, os.SEEK_DATA)
    except OSError as error:
        return error.errno == errno.ENXIO
    os.lseek(content.fileno(), 0, os.SEEK_SET)
    return False


def _pieces(thing: Thing, content: BinaryIO) -> Iterator[bytes]:
    with content:
        while True:
            try:
                piece = content.read(_PIECE)
            except OSError as error:
                raise _unreadable(thing, error) from error
            if not piece:
                return
            yield piece


def _unreadable(thing: Thing, error: OSError) -> errors.OvlError:
    place = thing.data or thing.place
    text = f"the content of {{}}, in {name_of(place.layer)}, cannot be read: {literal(strerror(error))}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return errors.AccessDenied(text, thing.path, errno=error.errno, hint="ask as root")
    return errors.ContentUnreadable(text, thing.path, errno=error.errno)
