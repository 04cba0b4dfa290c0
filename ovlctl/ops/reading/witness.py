"""What the kernel itself says of who provides an object of a merged view: file handles of overlayfs.

name_to_handle_at(2) with AT_HANDLE_FID gives, on an overlay, the handle of the layer's object behind a name: of the
upper's where it was created there, of the lower it was copied up from where it was not, else of the topmost lower's.
It needs no privilege. Source: ovl_encode_fh() and ovl_check_encode_origin() in fs/overlayfs/export.c; since Linux 6.6.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl.kernel.handles import name_to_handle_at
from ovlctl.overlay.marks import HandleRecord, decode_handle

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layers

_OVL_FILEID_V1 = 0xF8
# struct ovl_fh keeps the record at an offset of three bytes, so that its uuid is aligned.
_PADDING = 3
_NO_ANSWER = {errno.EOPNOTSUPP, errno.EOVERFLOW, errno.EINVAL, errno.EPERM, errno.ENOSYS}


def record_of(path: str, directory: int | None = None) -> HandleRecord | None:
    """The record of the layer's object behind *path* of a merged view; None where the kernel does not tell.

    Args:
        path: Not followed when it is a symbolic link.
        directory: Descriptor that *path* is relative to.

    Raises:
        OSError: The object cannot be reached.
    """
    try:
        found = name_to_handle_at(path, directory, fid=True)
    except OSError as error:
        if error.errno in _NO_ANSWER:
            return None
        raise
    return decode_handle(found.handle[_PADDING:]) if found.type == _OVL_FILEID_V1 else None


def is_root(root: str, layers: Layers) -> bool:
    """Whether the kernel's root of the merged view at *root* is one of *layers*; True where nobody can tell."""
    try:
        record = record_of(root)
        top = [handle for layer in layers.merged[:2] if (handle := layer.tree.handle("")) is not None]
    except OSError:
        return True
    return record is None or not top or any((record.type, record.handle) == (each.type, each.handle) for each in top)
