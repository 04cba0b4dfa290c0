"""How this kernel counts the names of a file in the index, found out by a mount that nobody sees."""

from __future__ import annotations

import os
from functools import cache

from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.own_mounts import without
from ovlctl.overlay.options import Options, Switch

#: Some directory to mount over, in a namespace of our own.
_POINTS = ("/tmp", "/run", "/mnt", "/var", "/usr")  # noqa: S108 -- a tmpfs of ours is mounted over it first
_OPTIONS = b"lowerdir=lower,upperdir=upper,workdir=work,nfs_export=on"


def link_marks(options: Options) -> Answer:
    """Whether a fresh mount believes the mark ``nlink`` of a file that has one name in its lower, too.

    A kernel that does not, takes the link count of the upper's file, in which the name in the index is one (Linux 6.18
    does so, 7.3 does not). With nfs_export=on that are all files that were copied up, with index=on those whose lower
    lost its other names since. Tried once by each process, in a thread with mounts of its own, on a tmpfs that goes
    with it; UNKNOWN to who may not mount, and without an index, where it does not matter.

    Args:
        options: Of the mount that it is about.
    """
    return _tried() if Switch.ON in {options.index, options.nfs_export} else Answer.UNKNOWN


@cache
def _tried() -> Answer:
    try:
        return without((), _try)
    except OSError:
        return Answer.UNKNOWN


def _try() -> Answer:
    base = next(filter(os.path.isdir, _POINTS))
    mount("tmpfs", base, "tmpfs", MS.NOSUID | MS.NODEV, b"size=1m,mode=0700")
    os.chdir(base)  # of this thread alone, which left the others' with its mounts
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(name)
    with open("lower/file", "xb"):
        pass
    _mount()
    os.chmod("merged/file", 0o600)
    umount2("merged", MNT(0))
    # Without the index nfs_export was dropped, as it is in a user namespace.
    if os.lstat("upper/file").st_nlink == 1:
        return Answer.UNKNOWN
    _mount()
    return Answer.YES if os.lstat("merged/file").st_nlink == 1 else Answer.NO


def _mount() -> None:
    mount("ovlctl:probe", "merged", "overlay", MS.NOSUID | MS.NODEV, _OPTIONS)
