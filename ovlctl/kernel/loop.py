"""Loop devices: loop(4), linux/loop.h."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from contextlib import contextmanager
from enum import IntFlag
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.libc import StrPath

LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82


class LO_FLAGS(IntFlag):  # noqa: N801 -- kernel spelling
    """Flags of a loop device."""

    READ_ONLY = 1
    AUTOCLEAR = 4
    PARTSCAN = 8
    DIRECT_IO = 16


# struct loop_config: fd, block_size, struct loop_info64 (lo_device, lo_inode, lo_rdevice, lo_offset, lo_sizelimit,
# lo_number, lo_encrypt_type, lo_encrypt_key_size, lo_flags, lo_file_name, lo_crypt_name, lo_encrypt_key, lo_init),
# eight reserved words.
_LOOP_CONFIG = struct.Struct("=II QQQQQ IIII 64s64s32s QQ 64x")
_LO_NAME_SIZE = 64

_TRIES = 100
_PAUSE_S = 0.01


@contextmanager
def attach(file: StrPath, *, read_only: bool = False) -> Iterator[str]:
    """Attach *file* to a free loop device for as long as the context is open or the device is mounted.

    The device clears itself with its last user (LO_FLAGS_AUTOCLEAR): when the context ends without a mount, when a
    mount made meanwhile ends, or when this process is killed. The context keeps it alive until it is mounted.

    LOOP_CTL_GET_FREE, since 3.1; LOOP_CONFIGURE, since 5.8.

    Args:
        file: An image.
        read_only: The device, too, is read-only.

    Yields:
        The device's path, such as ``"/dev/loop3"``.

    Raises:
        KernelLacks: No LOOP_CONFIGURE.
        OSError: No access to *file* or to /dev/loop-control (ENOENT: no loop driver), or no free device.
    """
    access = os.O_RDONLY if read_only else os.O_RDWR
    backing = os.open(file, access | os.O_CLOEXEC)
    try:
        device, path = _configure_free(backing, os.fsencode(file), access)
    finally:
        os.close(backing)
    try:
        yield path
    finally:
        os.close(device)


def _configure_free(backing: int, name: bytes, access: int) -> tuple[int, str]:
    flags = LO_FLAGS.AUTOCLEAR | (LO_FLAGS.READ_ONLY if access == os.O_RDONLY else 0)
    # The name is for losetup(8) to show, cut as it cuts it.
    shown = name[: _LO_NAME_SIZE - 1]
    config = _LOOP_CONFIG.pack(backing, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags, shown, b"", b"", 0, 0)
    last: OSError | None = None
    for _ in range(_TRIES):
        path = f"/dev/loop{_free_number()}"
        try:
            device = os.open(path, access | os.O_CLOEXEC)
        except FileNotFoundError as error:
            last = error  # the node of a new device comes a moment later
            time.sleep(_PAUSE_S)
            continue
        try:
            fcntl.ioctl(device, LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(device)
            if error.errno in {errno.EINVAL, errno.ENOTTY} and not _has_loop_configure():
                raise KernelLacks("this kernel cannot configure a loop device in one step (Linux 5.8)") from error
            if error.errno != errno.EBUSY:
                raise OSError(error.errno, os.strerror(error.errno or 0), path) from error
            last = error  # somebody else took it between the two calls
            time.sleep(_PAUSE_S)
            continue
        except BaseException:
            os.close(device)
            raise
        return device, path
    raise OSError(errno.EBUSY, "no free loop device", "/dev/loop-control") from last


def _free_number() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


def _has_loop_configure() -> bool:
    # EINVAL also stands for a bad block size or flag. The only trace LOOP_CONFIGURE leaves outside itself is the
    # version that brought it: commit 3448914e8cc5 "loop: Add LOOP_CONFIGURE ioctl", v5.8.
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (5, 8)
