"""Stacks with one of everything that the kernel has worked on: made through a mount, as users make them."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import struct
from typing import TYPE_CHECKING

from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.overlay.made import mounted

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = {
    "default": Options(),
    "redirect": Options(redirect_dir=RedirectDir.ON),
    "metacopy": Options(metacopy=Switch.ON),
    "index": Options(metacopy=Switch.ON, index=Switch.ON),
    "userxattr": Options(userxattr=Flag.YES),
}
HOSTILE = os.fsdecode(b"- \xff\x1b[31m\n\\'x")
_LOW: Mapping[str, str | bytes | None] = {
    "etc/app.conf": "lower\n",
    "etc/gone": "gone\n",
    "etc/kept": "kept\n",
    "etc/old/deep/f": "deep\n",
    "moved/inner/f": "moved\n",
    "moved/g": "g\n",
    "bin/tool": "#!/bin/sh\n",
    "names/" + HOSTILE: "hostile\n",
    "data/one": "1" * 5000,
    "empty/": None,
    "closed/f": "closed\n",
}
_MIDDLE: Mapping[str, str | bytes | None] = {
    "etc/kept": "middle\n",
    "etc/only": "only\n",
    "moved/h": "h\n",
    "data/two": "22",
}


def worked_on(base: str, options: Options, *, elsewhere: str | None = None) -> Stack:
    """A stack of an upper and two lowers below *base*, changed through a mount that is gone again.

    Args:
        base: An existing directory.
        options: Of the mount.
        elsewhere: A directory on another file system for the lowers; None for *base*.
    """
    place = elsewhere or base
    low, middle = trees.make(f"{place}/low", _LOW), trees.make(f"{place}/middle", _MIDDLE)
    _special(low)
    trees.make(base, {"upper/": None, "work/": None})
    stack = Stack([middle, low], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        _work(point, renames=options.redirect_dir is RedirectDir.ON or options.metacopy is Switch.ON)
    return stack


def _special(low: str) -> None:
    """What a tree of names and contents does not say."""
    with open(f"{low}/data/sparse", "wb") as sparse:
        sparse.seek(1 << 20)
        sparse.write(b"x" * 4096)
        sparse.truncate(8 << 20)
    os.link(f"{low}/data/one", f"{low}/data/other")
    os.link(f"{low}/data/one", f"{low}/etc/third")
    os.symlink("app.conf", f"{low}/etc/link")
    os.symlink("/etc/passwd", f"{low}/etc/out")
    os.mkfifo(f"{low}/fifo", 0o640)
    os.mknod(f"{low}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(f"{low}/disk", stat.S_IFBLK | 0o600, os.makedev(7, 9))
    here = os.open(low, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as new:
        new.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)
    os.chown(f"{low}/bin/tool", 1234, 4321)
    os.chmod(f"{low}/bin/tool", 0o6755)
    os.chown(f"{low}/etc/link", 77, 88, follow_symlinks=False)
    _attribute(f"{low}/etc/kept", "user.note", b"low")
    _attribute(f"{low}/data/one", "user.empty", b"")
    os.setxattr(f"{low}/etc", "trusted.own", b"\x00\xff")
    os.setxattr(f"{low}/bin/tool", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    acl = _acl(user=1234)
    os.setxattr(f"{low}/bin", "system.posix_acl_default", acl)
    os.setxattr(f"{low}/etc/app.conf", "system.posix_acl_access", acl)
    os.chmod(f"{low}/empty", 0o1777)
    os.chmod(f"{low}/closed", 0)
    for second, (directory, names, files) in enumerate(os.walk(low, topdown=False), start=10**9):
        for entry in (*names, *files, "."):
            times = second * 10**9, second * 10**9 + 1001 + len(entry)
            os.utime(os.path.join(directory, entry), ns=times, follow_symlinks=False)


def _attribute(path: str, name: str, value: bytes) -> None:
    """Set one where it can be: not of users on tmpfs, nor like an overlay's own through one, before 6.6 and 6.7."""
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _acl(user: int) -> bytes:
    """An access control list as the kernel keeps it: owner, one user, group, mask, others. acl(5)."""
    undefined = 0xFFFFFFFF
    entries = ((0x01, 6, undefined), (0x02, 4, user), (0x04, 4, undefined), (0x10, 6, undefined), (0x20, 0, undefined))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _work(point: str, *, renames: bool) -> None:
    """Change one of everything."""
    with open(f"{point}/etc/app.conf", "a", encoding="ascii") as changed:
        changed.write("upper\n")
    os.unlink(f"{point}/etc/gone")
    shutil.rmtree(f"{point}/etc/old")
    trees.make(f"{point}/etc/old", {"new": "new\n"})
    os.chmod(f"{point}/data/sparse", 0o600)
    os.chmod(f"{point}/data/other", 0o640)
    _attribute(f"{point}/data/two", "user.set", b"through the mount")
    _attribute(f"{point}/etc/only", "trusted.overlay.opaque", b"y")
    trees.make(point, {"made/sub/f": "made\n", "made/g": "g\n"})
    os.link(f"{point}/made/g", f"{point}/made/sub/link")
    os.rename(f"{point}/etc/kept", f"{point}/made/kept")
    if renames:
        os.rename(f"{point}/moved", f"{point}/made/was-moved")
        trees.make(point, {"moved/f": "another\n"})
