"""Kinds and permissions as ls(1) writes them."""

from __future__ import annotations

import stat

from ovlctl.overlay.tree import Kind

_FORMATS = {
    Kind.FILE: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
}
#: One for each kind.
LETTERS = {kind: stat.filemode(number)[0] for kind, number in _FORMATS.items()}


def mode_text(kind: Kind, mode: int) -> str:
    """Ten characters, such as ``drwxr-xr-x``."""
    return stat.filemode(_FORMATS[kind] | mode)
