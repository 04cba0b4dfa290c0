"""The content of files in a layer, read on demand.

Of a plain archive the pieces are read from the blob itself. A compressed one cannot be read in its midst: the first
time that content of a file is asked for, it is decompressed once, into a temporary file without a name. Names,
attributes and sizes need no such file.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
import weakref
from bisect import bisect_right
from typing import TYPE_CHECKING

from ovlctl.oci.compression import Compression, plain
from ovlctl.oci.tar import DamagedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import WriteableBuffer

    from ovlctl.oci.blobs import Blob, Digest
    from ovlctl.oci.tar import Piece

#: What is left free on the file system of a temporary file.
_SPARE = 16 << 20


class Content:
    """The bytes of a layer's archive.

    Args:
        blob: The layer, whose digest was checked.
        compression: Its own.
        size: Of the archive.
        diff_id: The digest of the archive; it is compared again when it is decompressed again.
    """

    def __init__(self, blob: Blob, compression: Compression, size: int, diff_id: Digest) -> None:
        self._blob = blob
        self._compression = compression
        self._size = size
        self._diff_id = diff_id
        self._fd = blob.fd if compression is Compression.NONE else -1
        self._trouble: OSError | None = None

    def read(self, size: int, offset: int) -> bytes:
        """At most *size* bytes from *offset*.

        Raises:
            OSError: ENOSPC, there is no room for the temporary file; EIO, the blob was changed meanwhile.
        """
        if self._fd < 0:
            self._unpack()
        found = os.pread(self._fd, size, offset)
        if not found and size:
            raise OSError(errno.EIO, "the layer was cut off while it was read")
        return found

    def _unpack(self) -> None:
        if self._trouble is not None:
            # A damaged layer is not decompressed again for every file.
            raise OSError(self._trouble.errno, self._trouble.strerror)
        try:
            self._fd = self._unpacked()
        except OSError as error:
            # Room may come; whether there is any is asked first, and costs nothing.
            self._trouble = error if error.errno != errno.ENOSPC else None
            raise
        weakref.finalize(self, os.close, self._fd)

    def _unpacked(self) -> int:
        algorithm, _, expected = self._diff_id.partition(":")
        seen = hashlib.new(algorithm)
        with tempfile.TemporaryFile(dir=_roomy(self._size), prefix="ovlctl-") as file:
            try:
                for piece in plain(self._blob, self._compression):
                    seen.update(piece)
                    file.write(piece)
            except DamagedError as error:
                raise OSError(errno.EIO, "the layer was changed while it was read") from error
            file.flush()
            if seen.hexdigest() != expected:
                raise OSError(errno.EIO, "the layer was changed while it was read")
            return os.dup(file.fileno())


def _roomy(size: int) -> str:
    """A directory for temporary files with room for *size* bytes: TMPDIR's if that is set, else on disk before memory.

    Raises:
        OSError: ENOSPC, there is none.
    """
    asked = os.environ.get("TMPDIR")
    for directory in [asked] if asked else ["/var/tmp", tempfile.gettempdir()]:  # noqa: S108 -- the file has no name
        try:
            free = os.statvfs(directory)
        except OSError:
            continue
        if free.f_bavail * free.f_frsize >= size + _SPARE and os.access(directory, os.W_OK | os.X_OK):
            return directory
    raise OSError(errno.ENOSPC, f"no room for {size} bytes of a decompressed layer: set TMPDIR")


class File(io.RawIOBase):
    """The content of one file, open for reading.

    Args:
        content: Of the layer.
        pieces: Where in it, in order.
        size: Of the file; where there is no piece it reads as zeros.
    """

    def __init__(self, content: Content, pieces: Sequence[Piece], size: int) -> None:
        super().__init__()
        self._content = content
        self._pieces = pieces
        self._size = size
        self._at = 0
        self._starts = [piece.start for piece in pieces]

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place, of those that lseek(2) has without looking at holes."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence)
        if base is None or base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill what one piece, or one hole, has for it. Raises OSError."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._at)
        if wanted <= 0:
            return 0
        index = bisect_right(self._starts, self._at) - 1
        piece = self._pieces[index] if index >= 0 else None
        if piece is not None and self._at < piece.start + piece.length:
            into = self._at - piece.start
            found = self._content.read(min(wanted, piece.length - into), piece.offset + into)
        else:
            end = self._starts[index + 1] if index + 1 < len(self._starts) else self._size
            found = bytes(min(wanted, end - self._at, len(view)))
        view[: len(found)] = found
        self._at += len(found)
        return len(found)
