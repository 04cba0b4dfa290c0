"""The kernel's own look at a path of a merged view: through its root, never past it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.openat2 import open_far_beneath
from ovlctl.ops.reading import witness
from ovlctl.overlay.tree import Attributes

if TYPE_CHECKING:
    from ovlctl.overlay.marks import HandleRecord
    from ovlctl.overlay.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen.

    Attributes:
        errno: Of the lookup; 0 when there is something. ELOOP stands for a symbolic link on the way, EXDEV for another
            mount that lies on the path.
        attributes: What lstat(2) says.
        record: The handle of the layer's object, where the kernel tells.
    """

    errno: int
    attributes: Attributes | None = None
    record: HandleRecord | None = None


def see(root: str, path: str, options: Options) -> Sight:
    """Look at *path* of the view mounted at *root* with *options*; links and mounts on the way are not followed.

    What the kernel cannot answer without changing the upper it is not asked.
    """
    try:
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Sight(errno=error.errno or errno.EIO)
    try:
        found = open_far_beneath(top, path or ".", os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        return Sight(errno=error.errno or errno.EIO)
    finally:
        os.close(top)
    try:
        attributes = Attributes.of(os.fstat(found))
        asks = not path or witness.harmless(options, attributes.kind)
        return Sight(errno=0, attributes=attributes, record=witness.record_of("", found) if asks else None)
    except OSError as error:
        return Sight(errno=error.errno or errno.EIO)
    finally:
        os.close(found)
