"""What the kernel itself holds open on a file system: loop devices and swap files."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.kernel import mountinfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.kernel.mounts import Mount

_DELETED = " (deleted)"


class DeviceKind(StrEnum):
    """How a file serves as a device."""

    LOOP = "loop"
    SWAP = "swap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A file that serves as a device.

    Attributes:
        kind: As what.
        path: The file, as the kernel shows it.
        release: What ends that, one command after the other.
    """

    kind: DeviceKind
    path: str
    release: tuple[tuple[str, ...], ...]


def devices(directories: Iterable[str], table: Iterable[Mount]) -> list[Device]:
    """The loop devices and swap files whose file lies below one of *directories*.

    By the path that the kernel shows to this process: a device whose file was named in another mount namespace is
    found only where the paths agree.

    Args:
        directories: Absolute paths.
        table: The mounts here, to tell which loop devices are mounted.
    """
    where = tuple(path.rstrip("/") + "/" for path in directories)
    mounted: dict[str, list[str]] = {}
    for mount in table:
        mounted.setdefault(mount.source, []).append(mount.mount_point)
    found = []
    for device, path in _loops():
        if path.startswith(where):
            ends = tuple(("umount", point) for point in reversed(mounted.get(device, ())))
            # A device with autoclear goes with its mount.
            release = ends or (("losetup", "-d", device),)
            found.append(Device(kind=DeviceKind.LOOP, path=path, release=release))
    found += [
        Device(kind=DeviceKind.SWAP, path=path, release=(("swapoff", path.removesuffix(_DELETED)),))
        for path in _swaps()
        if path.startswith(where)
    ]
    return found


def _loops() -> Iterator[tuple[str, str]]:
    with suppress(OSError), os.scandir("/sys/block") as entries:
        for entry in entries:
            if entry.name.startswith("loop"):
                with suppress(OSError), open(f"{entry.path}/loop/backing_file", "rb") as file:
                    yield f"/dev/{entry.name}", os.fsdecode(file.read().removesuffix(b"\n"))


def _swaps() -> Iterator[str]:
    with suppress(OSError), open("/proc/swaps", "rb") as file:
        for line in file.read().splitlines()[1:]:
            # seq_file_path() escapes spaces, tabs, newlines and backslashes as in mountinfo.
            yield mountinfo.decode(line.split(b" ", 1)[0].split(b"\t", 1)[0])
