"""What this kernel and a directory's file system can do, found out by trying it without lasting effects.

No probe makes a superblock: FSCONFIG_CMD_CREATE of an overlay writes to its layers. What cannot be tried by this
user is UNKNOWN, which is something else than NO.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks, strerror
from ovlctl.kernel import fscontext, handles, libc, xattr
from ovlctl.kernel.bootcache import Answer, BootCache
from ovlctl.kernel.libc import StrPath, check, encode, function
from ovlctl.kernel.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFeatures:
    """What the file system of a directory can do.

    Attributes:
        o_tmpfile: Files without a name.
        rename_whiteout: renameat2(2) that leaves a whiteout behind.
        trusted_xattr: Attributes of the trusted namespace.
        user_xattr: Attributes of the user namespace, on a directory.
        d_type: readdir(3) tells the type of an entry.
        handles: File handles that can be opened again.
        reflink: Cloning the data of a file.
        whiteout: Device 0:0, by which overlayfs marks a deleted file.
        data: Files that can be written, which is not so everywhere a file can be made.
        case_sensitive: Names that differ in case are two names.
        refusals: The errno of each that is not there, by the name of its attribute.
    """

    o_tmpfile: Answer
    rename_whiteout: Answer
    trusted_xattr: Answer
    user_xattr: Answer
    d_type: Answer
    handles: Answer
    reflink: Answer
    whiteout: Answer
    data: Answer
    case_sensitive: Answer
    refusals: tuple[tuple[str, int], ...] = ()


__all__ = [
    "Answer",
    "BootCache",
    "DirectoryFeatures",
    "directory_features",
    "fd_layers_known",
    "layer_refusal",
    "lowerdir_plus_known",
    "option_known",
    "overlay_present",
    "xattr_kept",
]

_NO_SUCH_OPTION = "ovlctl_no_such_option"
_RENAME_WHITEOUT = 4
_FICLONE = 0x40049409

_renameat2 = function(
    "renameat2", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


def overlay_present() -> Answer:
    """Whether the kernel has overlayfs now; UNKNOWN when its module is there but not loaded (a mount by root would)."""
    with open("/proc/filesystems", "rb") as file:
        if any(line.split()[-1:] == [b"overlay"] for line in file):
            return Answer.YES
    try:
        with open(f"/lib/modules/{os.uname().release}/modules.dep", "rb") as file:
            return Answer.UNKNOWN if any(b"/overlay.ko" in line.partition(b":")[0] for line in file) else Answer.NO
    except OSError:
        return Answer.NO


def option_known(key: str, value: str | None = None) -> Answer:
    """Whether the kernel's overlay takes option *key*, and *value* for it.

    Args:
        key: The option. One that takes a path is known, too, when the path is refused.
        value: A legal value; None for a flag.
    """

    def attempt(context: int) -> None:
        if value is None:
            fscontext.fsconfig_set_flag(context, key)
        else:
            fscontext.fsconfig_set_string(context, key, value)

    return _taken(attempt)


def lowerdir_plus_known() -> Answer:
    """Whether layers can be given one by one (``lowerdir+``, since 6.7)."""
    return option_known("lowerdir+", "/")


def fd_layers_known() -> Answer:
    """Whether layers can be given as O_PATH descriptors (since 6.15; 6.13 and 6.14 take ordinary ones only)."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        return _taken(lambda context: fscontext.fsconfig_set_fd(context, "lowerdir+", root))
    finally:
        os.close(root)


def _taken(attempt: Callable[[int], None]) -> Answer:
    # Until 6.5 overlay had no parser for fsconfig(2): the VFS collected any key for later. So a kernel that takes
    # nonsense tells nothing.
    if _refusal(lambda context: fscontext.fsconfig_set_flag(context, _NO_SUCH_OPTION)) is not Answer.NO:
        return Answer.UNKNOWN
    return _refusal(attempt)


def _refusal(attempt: Callable[[int], None]) -> Answer:
    try:
        context = fscontext.fsopen("overlay")
    except KernelLacks:
        return Answer.UNKNOWN
    except OSError as error:
        return Answer.NO if error.errno == errno.ENODEV else Answer.UNKNOWN
    try:
        attempt(context)
    except OSError as error:
        # The kernel knows the key and has something against the path: that comes as another errno.
        return Answer.NO if error.errno in {errno.EINVAL, errno.EBADF} else Answer.YES
    else:
        return Answer.YES
    finally:
        os.close(context)


def layer_refusal(directory: StrPath, key: str) -> tuple[Answer, str]:
    """Whether the kernel's overlay takes *directory* as a layer, as far as it looks before it makes a superblock.

    It looks at the file system's way with names, at read-only and at overlays below an upper; the depth of a stack,
    what lies in a work directory, and whether somebody else uses it come later.

    Args:
        directory: It must be readable.
        key: ``"lowerdir+"`` or ``"upperdir"``.

    Returns:
        NO with what the kernel says (its path is ``the directory``); UNKNOWN where it cannot be asked.

    Raises:
        OSError: *directory* cannot be opened.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)
    name = f"/proc/self/fd/{fd}"
    said: list[str] = []

    def attempt(context: int) -> None:
        try:
            fscontext.fsconfig_set_string(context, key, name)
        except OSError as error:
            said.extend(message.text.replace(name, "the directory") for message in fscontext.messages(context))
            said.append(strerror(error))

    try:
        answer = _taken(attempt)
    finally:
        os.close(fd)
    if answer is not Answer.YES or not said:
        return answer, ""
    unknown = any(text.startswith("Unknown parameter") for text in said)
    return (Answer.UNKNOWN, "") if unknown else (Answer.NO, said[0])


def directory_features(directory: StrPath) -> DirectoryFeatures:
    """Try every feature in a temporary directory inside *directory*, which is removed again.

    One that a killed process left is removed by the next call for the same directory.

    Raises:
        OSError: No temporary directory can be made there (EACCES, EROFS, ENOSPC, ...).
    """
    with scratch(directory) as inside:
        tried = _Trials()
        return DirectoryFeatures(
            d_type=tried.read(lambda: _d_type(inside)),
            data=tried("data", lambda: _write(inside)),
            whiteout=tried("whiteout", lambda: _whiteout(inside), errno.EPERM),
            o_tmpfile=tried("o_tmpfile", lambda: _o_tmpfile(inside), errno.EISDIR, errno.ENOENT),
            rename_whiteout=tried("rename_whiteout", lambda: _rename_whiteout(inside), errno.ENOSYS),
            # An attribute that overlayfs would set, too: a file system may keep its own eye on those.
            trusted_xattr=tried("trusted_xattr", lambda: _keep(inside, "trusted.", "trusted.overlay.")),
            user_xattr=tried("user_xattr", lambda: _keep(inside, "user.", "user.overlay.")),
            handles=handles.openable(inside),
            reflink=tried("reflink", lambda: _reflink(inside), errno.ENOTTY, errno.ENOSYS),
            case_sensitive=tried.read(lambda: _case_sensitive(inside)),
            refusals=tuple(tried.refusals),
        )


def xattr_kept(directory: StrPath, prefix: str) -> Answer:
    """Whether a directory inside *directory* keeps an attribute of a namespace, tried like :func:`directory_features`.

    Args:
        directory: Where to try.
        prefix: What the attribute's name starts with: ``"trusted.overlay."``, ``"user.overlay."``. UNKNOWN for one
            that this user may not set.

    Raises:
        OSError: As for :func:`directory_features`.
    """
    with scratch(directory) as inside:
        return _kept(inside, prefix)


def _kept(path: str, prefix: str) -> Answer:
    return _Trials()("xattr", lambda: _keep(path, prefix))


class _Trials:
    """Tries one thing after the other and notes what refused."""

    def __init__(self) -> None:
        self.refusals: list[tuple[str, int]] = []

    def __call__(self, name: str, attempt: Callable[[], object], *also_no: int) -> Answer:
        # EINVAL and EOPNOTSUPP come from the file system. EPERM, EACCES, ENOSPC, EDQUOT and the rest say nothing about
        # it: trusted attributes are refused to ordinary users before anybody asks the file system.
        try:
            attempt()
        except OSError as error:
            self.refusals.append((name, error.errno or 0))
            return Answer.NO if error.errno in {errno.EINVAL, errno.EOPNOTSUPP, *also_no} else Answer.UNKNOWN
        return Answer.YES

    @staticmethod
    def read(question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except OSError:
            return Answer.UNKNOWN


def _keep(path: str, *prefixes: str) -> None:
    for prefix in prefixes:
        xattr.set(path, f"{prefix}ovlctl-probe", b"y")


def _o_tmpfile(inside: str) -> None:
    os.close(os.open(inside, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _rename_whiteout(inside: str) -> None:
    old, new = os.path.join(inside, "old"), os.path.join(inside, "new")
    _make(old, b"")
    result = _renameat2(libc.AT_FDCWD, encode(old), libc.AT_FDCWD, encode(new), _RENAME_WHITEOUT)
    check(result, old, new)


def _d_type(inside: str) -> Answer:
    # DirEntry asks lstat(2) when readdir(3) did not tell the type, and takes a missing file for no file. So of a file
    # that is gone by then it knows only what readdir told.
    _make(os.path.join(inside, "types"), b"")
    with os.scandir(inside) as entries:
        (entry,) = (entry for entry in entries if entry.name == "types")
    os.unlink(entry.path)
    return Answer.YES if entry.is_file(follow_symlinks=False) else Answer.NO


def _write(inside: str) -> None:
    path = os.path.join(inside, "new")
    _make(path, b"data")
    os.unlink(path)


def _whiteout(inside: str) -> None:
    # No capability is needed for this one device: mknod(2), since 5.8.
    path = os.path.join(inside, "old")
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    os.unlink(path)


def _case_sensitive(inside: str) -> Answer:
    path = os.path.join(inside, "types")
    _make(path, b"")
    try:
        return Answer.NO if os.path.lexists(os.path.join(inside, "TYPES")) else Answer.YES
    finally:
        os.unlink(path)


def _reflink(inside: str) -> None:
    source = os.path.join(inside, "source")
    _make(source, bytes(4096))
    with open(source, "rb") as old, open(os.path.join(inside, "clone"), "wb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())


def _make(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
