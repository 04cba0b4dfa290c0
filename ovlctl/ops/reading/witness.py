"""What the kernel itself says of who provides an object of a merged view: file handles of overlayfs.

name_to_handle_at(2) with AT_HANDLE_FID gives, on an overlay, the handle of the layer's object behind a name: of the
upper's where it was created there, of the lower it was copied up from where it was not, else of the topmost lower's.
It needs no privilege. Source: ovl_encode_fh() and ovl_check_encode_origin() in fs/overlayfs/export.c; since Linux 6.6.

What a mount remembers is more than what is on disk: of a hard link that it copied up without an index, and of a
symbolic link or special file that it copied up with userxattr, it still names the lower, where later mounts name the
upper. With nfs_export=on it names the upper's of whatever is in the upper without an index entry.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl.kernel.handles import name_to_handle_at
from ovlctl.overlay.marks import HandleRecord, decode_handle
from ovlctl.overlay.options import Switch
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layers
    from ovlctl.overlay.options import Options

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


def harmless(options: Options, kind: Kind) -> bool:
    """Whether the kernel answers for an object of *kind* without changing anything.

    With nfs_export=on it may copy a directory up first, so that the handle can be opened: ovl_connect_layer().

    Args:
        options: Of the mount.
        kind: Of the object; the overlay's root is never copied up.
    """
    return options.nfs_export is not Switch.ON or kind is not Kind.DIRECTORY


def is_root(root: str, layers: Layers) -> bool:
    """Whether the kernel's root of the merged view at *root* is one of *layers*; True where nobody can tell."""
    try:
        record = record_of(root)
        top = [handle for layer in layers.merged[:2] if (handle := layer.tree.handle("")) is not None]
    except OSError:
        return True
    return record is None or not top or any((record.type, record.handle) == (each.type, each.handle) for each in top)
