"""The bytes of a layer's archive, however they are compressed.

What a layer is compressed with is told by its first bytes, as runtimes do; media types are often wrong.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import zlib
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.oci.blobs import PIECE
from ovlctl.oci.tar import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.oci.blobs import Blob

_GZIP = 16 + zlib.MAX_WBITS


class Compression(StrEnum):
    """How a layer is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @classmethod
    def of(cls, blob: Blob) -> Compression:
        """What the first bytes say. Raises OSError."""
        first = os.pread(blob.fd, 4, 0)
        if first[:2] == b"\x1f\x8b":
            return cls.GZIP
        return cls.ZSTD if first == b"\x28\xb5\x2f\xfd" else cls.NONE


def plain(blob: Blob, compression: Compression) -> Iterator[bytes]:
    """The archive in pieces of about a MiB.

    Raises:
        DamagedError: It cannot be decompressed.
        ImageUnreadable: There is nothing here that could.
        OSError: It cannot be read.
    """
    match compression:
        case Compression.NONE:
            return blob.pieces()
        case Compression.GZIP:
            return _gunzip(blob)
        case Compression.ZSTD:
            return _unzstd(blob)


def _gunzip(blob: Blob) -> Iterator[bytes]:
    engine = None
    try:
        for piece in blob.pieces():
            rest = piece
            while rest:
                # Several members after each other are one file: RFC 1952, 2.2.
                engine = engine or zlib.decompressobj(_GZIP)
                yield engine.decompress(rest, PIECE)
                rest = engine.unconsumed_tail
                if engine.eof:
                    rest, engine = engine.unused_data, None
        if engine is not None:
            yield engine.flush()
            if not engine.eof:
                raise DamagedError("its compression ends too early")
    except zlib.error as error:
        raise DamagedError("its compression is damaged") from error


def _unzstd(blob: Blob) -> Iterator[bytes]:
    try:
        # Since Python 3.14.
        library = importlib.import_module("compression.zstd")
    except ImportError:
        return _unzstd_by_program(blob)
    return _unzstd_by_library(blob, library.ZstdFile, library.ZstdError)


def _unzstd_by_library(blob: Blob, opened: type, damaged: type[Exception]) -> Iterator[bytes]:
    with open(f"/proc/self/fd/{blob.fd}", "rb") as packed, opened(packed) as unpacked:
        try:
            while piece := unpacked.read(PIECE):
                yield piece
        except (damaged, EOFError) as error:
            raise DamagedError("its compression is damaged") from error


def _unzstd_by_program(blob: Blob) -> Iterator[bytes]:
    program = shutil.which("zstd")
    if program is None:
        raise errors.ImageUnreadable(
            "a layer is compressed with zstd, which neither this Python nor a program here can read",
            hint="install the program `zstd`, or use Python 3.14 or later",
        )
    # Opened anew, so that it is read from its beginning and nobody else's place in it changes.
    with (
        open(f"/proc/self/fd/{blob.fd}", "rb") as packed,
        subprocess.Popen(
            [program, "-d", "-c", "-q"], stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as running,
    ):
        assert running.stdout is not None, "asked for"  # noqa: S101 -- for the type checker
        while piece := running.stdout.read(PIECE):
            yield piece
    # Of one whose output nobody wants any more, this is not reached.
    if running.returncode != 0:
        raise DamagedError("its compression is damaged")
