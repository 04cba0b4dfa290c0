"""Archives read from beginning to end: plain ones by leaping over content, compressed ones as they come out."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from ovlctl.oci.tar import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.oci.blobs import Blob

_CUT_OFF = "it ends within a file"


class Leaping:
    """A :class:`~ovlctl.oci.tar.Stream` over a plain archive: content is not read at all.

    Args:
        blob: The archive.
    """

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self.position = 0

    def read(self, size: int) -> bytes:
        """See :class:`~ovlctl.oci.tar.Stream`. Raises OSError."""
        found = os.pread(self._blob.fd, size, self.position)
        self.position += len(found)
        return found

    def skip(self, size: int) -> None:
        """See :class:`~ovlctl.oci.tar.Stream`."""
        self.position += size
        if self.position > self._blob.size:
            raise DamagedError(_CUT_OFF)


class Flowing:
    """A :class:`~ovlctl.oci.tar.Stream` over pieces as a decompressor makes them.

    Args:
        pieces: Of any size.
        algorithm: Of the digest that :meth:`finish` gives.

    Attributes:
        position: How far it was read.
        size: How much came out so far.
    """

    def __init__(self, pieces: Iterator[bytes], algorithm: str) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0
        self._seen = hashlib.new(algorithm)
        self.position = 0
        self.size = 0

    def read(self, size: int) -> bytes:
        """See :class:`~ovlctl.oci.tar.Stream`. Raises DamagedError, OSError."""
        end = self._at + size
        if end <= len(self._piece):
            found = self._piece[self._at : end]
            self._at = end
        else:
            parts = bytearray()
            while len(parts) < size and (self._at < len(self._piece) or self._next()):
                part = self._piece[self._at : self._at + size - len(parts)]
                self._at += len(part)
                parts += part
            found = bytes(parts)
        self.position += len(found)
        return found

    def skip(self, size: int) -> None:
        """See :class:`~ovlctl.oci.tar.Stream`. Raises DamagedError, OSError."""
        self.position += size
        while size > (left := len(self._piece) - self._at):
            size -= left
            if not self._next():
                raise DamagedError(_CUT_OFF)
        self._at += size

    def finish(self) -> str:
        """Take what is left, which is nothing or zeros in most archives; the digest of the whole in hex."""
        while self._next():
            pass
        return self._seen.hexdigest()

    def _next(self) -> bool:
        # An empty piece is not the end.
        for piece in self._pieces:
            if piece:
                self._seen.update(piece)
                self.size += len(piece)
                self._piece, self._at = piece, 0
                return True
        self._piece, self._at = b"", 0
        return False
