"""Blobs of a layout: found by their digest alone, and compared with it before anything in them is believed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import weakref
from typing import TYPE_CHECKING, NewType

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.kernel.openat2 import open_beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

#: ALGORITHM:HEX, of an algorithm that is known here; nothing else comes into a path.
Digest = NewType("Digest", str)

PIECE = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
#: As much of a document is read: manifests have 4 MiB at the most in registries.
_MOST_DOCUMENT = 16 << 20


def is_digest(text: object) -> bool:
    """Whether *text* is the digest of a blob."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


class Blob:
    """An open file of a layout.

    It is closed when nobody has it any more.

    Attributes:
        fd: To be read with pread(2).
        size: Bytes.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size
        weakref.finalize(self, os.close, fd)

    def pieces(self) -> Iterator[bytes]:
        """All of it, from the beginning. Raises OSError."""
        at = 0
        while piece := os.pread(self.fd, PIECE, at):
            yield piece
            at += len(piece)

    def hexdigest(self, algorithm: str) -> str:
        """Its digest. Raises OSError."""
        seen = hashlib.new(algorithm)
        for piece in self.pieces():
            seen.update(piece)
        return seen.hexdigest()


class Directory:
    """The directory of a layout.

    Nothing outside of it is opened, and no symbolic link in it is followed.

    Args:
        path: Symbolic links in this one path are followed.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)

    def document(self, name: str) -> bytes:
        """A file of the layout's own, such as index.json. Raises OvlError."""
        return self._short(self._open(name), name)

    def described(self, digest: Digest, size: int) -> bytes:
        """A document among the blobs.

        Raises:
            ImageDamaged: It is not there, is not what its digest says, or not of that size.
            ImageUnreadable: It is too long.
        """
        blob = self._open(_path(digest))
        text = self._short(blob, _path(digest))
        self._compare(blob, digest, size)
        return text

    def blob(self, digest: Digest, size: int) -> Blob:
        """A blob that is what its digest says. Raises ImageDamaged."""
        blob = self._open(_path(digest))
        self._compare(blob, digest, size)
        return blob

    def where(self, name: str) -> str:
        """The path of a file in it, for people to read."""
        return os.path.join(self.path, name)

    def _open(self, name: str) -> Blob:
        try:
            found = open_beneath(self._fd, name, os.O_PATH | os.O_NOFOLLOW, cross_mounts=True)
            try:
                if not stat.S_ISREG(os.fstat(found).st_mode):
                    raise errors.ImageDamaged(
                        "{} of the image is not a regular file; symbolic links are not followed", self.where(name)
                    )
                return Blob(os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC))
            finally:
                os.close(found)
        except OSError as error:
            raise self._lost(name, error) from error

    def _lost(self, name: str, error: OSError) -> errors.OvlError:
        where, number = self.where(name), error.errno
        if number in {errno.EACCES, errno.EPERM}:
            return errors.AccessDenied(
                f"{{}} of the image cannot be read: {strerror(error)}", where, errno=number, hint="ask as root"
            )
        if number == errno.ENOENT:
            return errors.ImageDamaged(
                "the image lacks {}",
                where,
                errno=number,
                hint="fetch it again: `skopeo copy docker://NAME oci:DIR:TAG`",
            )
        said = "a symbolic link is in the way" if number in {errno.ELOOP, errno.EXDEV} else strerror(error)
        return errors.ImageDamaged(f"{{}} of the image cannot be read: {literal(said)}", where, errno=number)

    def _short(self, blob: Blob, name: str) -> bytes:
        if blob.size > _MOST_DOCUMENT:
            raise errors.ImageUnreadable(
                f"{{}} has {blob.size} bytes, and a document of an image at most {_MOST_DOCUMENT}", self.where(name)
            )
        return os.pread(blob.fd, _MOST_DOCUMENT, 0)

    def _compare(self, blob: Blob, digest: Digest, size: int) -> None:
        where = self.where(_path(digest))
        if blob.size != size:
            raise errors.ImageDamaged(f"{{}} of the image has {blob.size} bytes instead of {size}", where)
        algorithm, _, expected = digest.partition(":")
        try:
            seen = blob.hexdigest(algorithm)
        except OSError as error:
            raise self._lost(_path(digest), error) from error
        if seen != expected:
            raise errors.ImageDamaged(
                "{} of the image is not what its name says: its digest is another one",
                where,
                hint="fetch it again: `skopeo copy docker://NAME oci:DIR:TAG`",
            )


def _path(digest: Digest) -> str:
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"
