"""Values between two processes of ours, over a pipe: pickled frames.

Both ends are the same program on one machine and the values are its own dataclasses. The end of the pipe says that the
other process is gone.
"""

from __future__ import annotations

import os
import pickle
import struct
from typing import Any

_LENGTH = struct.Struct("=Q")


def send(fd: int, value: object) -> None:
    """Write one frame.

    Raises:
        BrokenPipeError: The other process is gone.
    """
    data = pickle.dumps(value)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(fd, left) :]


def receive(fd: int) -> Any:
    """Read one frame; None when the other process is gone, even in the middle of one."""
    header = _read(fd, _LENGTH.size)
    if header is None:
        return None
    data = _read(fd, _LENGTH.unpack(header)[0])
    return None if data is None else pickle.loads(data)  # noqa: S301 - from our own process, over our own pipe


def _read(fd: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        block = os.read(fd, min(size - len(data), 1 << 20))
        if not block:
            return None
        data += block
    return bytes(data)
