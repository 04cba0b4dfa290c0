"""What a stack's options mean for the programs that run on it, in words.

Every sentence was seen to hold on real mounts; the benchmark's identity table measures the ones about inodes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.overlay.options import Flag, Fsync, RedirectDir, Switch, Xino

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.options import Options


class Topic(StrEnum):
    """What an implication is about."""

    HARD_LINKS = "hard links"
    DIRECTORY_RENAMES = "directory renames"
    INODE_NUMBERS = "inode numbers"
    METADATA = "metadata changes"
    DURABILITY = "durability"
    MARKS = "marks"


def implications(
    options: Options, *, read_only: bool, one_fs: bool | None, rootless: bool
) -> Iterator[tuple[Topic, str]]:
    """What *options*, as effective, imply.

    Args:
        options: Effective options of a mount.
        read_only: Whether there is no upper.
        one_fs: Whether all layers are on one file system; None when that is not known.
        rootless: Whether it is mounted in a user namespace, where the kernel opens no file by its handle.
    """
    yield Topic.INODE_NUMBERS, _inode_numbers(options.xino, one_fs=one_fs)
    if rootless and not read_only:
        yield Topic.INODE_NUMBERS, "of a copied-up file change with the next mount, as handles need root"
    if read_only:
        return
    if options.index is Switch.ON:
        yield Topic.HARD_LINKS, "kept over copy-up (index=on)"
    else:
        yield Topic.HARD_LINKS, "broken by copy-up: the name written to becomes a file of its own (index=off)"
    if options.redirect_dir is RedirectDir.ON:
        yield Topic.DIRECTORY_RENAMES, "work on directories of a lower (redirect_dir=on)"
    else:
        yield (
            Topic.DIRECTORY_RENAMES,
            f"fail with EXDEV on directories of a lower (redirect_dir={options.redirect_dir}); mv then copies",
        )
    if options.metacopy is Switch.ON:
        yield Topic.METADATA, "chmod, chown and the like copy up no data (metacopy=on); the upper needs its lowers"
    else:
        yield Topic.METADATA, "chmod, chown and the like copy up the whole file (metacopy=off)"
    if options.volatile is Flag.YES or options.fsync is Fsync.VOLATILE:
        yield Topic.DURABILITY, "nothing is synced; after a crash upper and work have to be thrown away"
    elif options.fsync is Fsync.STRICT:
        yield Topic.DURABILITY, "every copy-up is synced, metadata included (fsync=strict)"
    else:
        yield Topic.DURABILITY, "each copied file is synced before it appears (fsync=auto)"
    if options.userxattr is Flag.YES:
        yield Topic.MARKS, "kept in user.overlay.*; marks that root made in trusted.overlay.* are ignored"


def _inode_numbers(xino: Xino | None, *, one_fs: bool | None) -> str:
    if one_fs is None:
        return "unknown, as not all layers can be looked at"
    if one_fs:
        return "those of the layers, the same after copy-up; st_dev is the overlay's own"
    if xino in {Xino.ON, Xino.AUTO}:
        return f"unique over all layers, the same after copy-up (xino={xino}); st_dev is the overlay's own"
    return "of files the same after copy-up, st_dev by layer; directories get numbers that may change (xino=off)"
