"""What moving a file's data into the upper takes, worked out from the file itself.

Source: ovl_copy_up_file() in fs/overlayfs/copy_up.c. The kernel first tries to clone the whole file. Where that cannot
be it copies in steps of at most a MiB, and before a step asks for the next data: holes there are skipped, holes within
a step are copied as zeros. So 4 KiB of data in a large hole cost a MiB.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.clones import can_clone, has_digest
from ovlctl.ops.explain.terms import Data

if TYPE_CHECKING:
    from ovlctl.ops.explain.file_systems import FileSystems
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Place

STEP = 1 << 20
_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What happens to the data.

    Attributes:
        data: What kind of move it is.
        copies_bytes: Bytes written into the upper; None when the file cannot be read.
        at_most: The most that can be, where it is None.
        reflink: Whether they are cloned.
        has_digest: Whether the file has an fs-verity digest; None when that could not be asked.
    """

    data: Data
    copies_bytes: int | None
    at_most: int | None = None
    reflink: Answer = Answer.NO
    has_digest: bool | None = None


def move(source: Place, size: int, upper: Layer, file_systems: FileSystems) -> Move:
    """What it takes to copy *source* up.

    Args:
        source: The lower's file that has the data.
        size: The size that the merged file has.
        upper: Where to.
        file_systems: The stack's.
    """
    if size == 0:
        return Move(data=Data.NONE, copies_bytes=0)
    below, above = file_systems.of(source.layer), file_systems.of(upper)
    apart = below is not None and above is not None and below.dev != above.dev
    try:
        with source.layer.tree.open(source.path) as opened:
            fd = opened.fileno()
            reflink = Answer.NO if apart else Answer.UNKNOWN if below is None else can_clone(fd, below.kind)
            digest = has_digest(fd)
            if reflink is Answer.YES:
                return Move(data=Data.CLONED, copies_bytes=0, reflink=reflink, has_digest=digest)
            copied = bytes_copied(fd, size)
    except OSError:
        return _unread(source, size, Answer.NO if apart else Answer.UNKNOWN)
    return Move(data=Data.COPIED if copied else Data.NONE, copies_bytes=copied, reflink=reflink, has_digest=digest)


def bytes_copied(fd: int, size: int) -> int:
    """Bytes that the kernel's loop copies from the open file *fd* of *size* bytes.

    Raises:
        OSError: The file cannot be searched.
    """
    end = min(size, os.fstat(fd).st_size)
    copied = position = 0
    data = -1
    searches = True
    while position < end:
        if searches and data < position:
            try:
                data = os.lseek(fd, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break  # nothing but a hole is left
                searches = False
            else:
                if data > position:
                    position = data
                    continue
        step = min(STEP, end - position)
        copied += step
        position += step
    return copied


def _unread(source: Place, size: int, reflink: Answer) -> Move:
    # Of a file that we may not read, and the kernel may: one without holes is copied whole.
    attributes = source.layer.tree.lstat(source.path)
    whole = attributes is not None and attributes.blocks * _BLOCK >= size
    return Move(
        data=Data.COPIED,
        copies_bytes=size if whole and reflink is Answer.NO else None,
        at_most=size,
        reflink=reflink,
    )
