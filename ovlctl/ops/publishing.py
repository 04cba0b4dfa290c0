"""A page written to a file: in full or not at all, and over nothing unasked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops.extracting.destination import Destination, check_outside, destination, failed, temporary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.ops.reading import Subject

_PAGE = "page"


def place(word: str, subject: Subject | None, *, replace: bool) -> Destination:
    """Where a page is to be written; nothing is changed.

    Args:
        word: The name of a file.
        subject: The stack that the page is about.
        replace: Whether a file that is there may be replaced.

    Raises:
        BadUsage: *word* is no name for a file.
        PathMissing, NotADirectory: The directory that it would go to is not there.
        DestinationTaken: Something is there that may not be replaced, or cannot be.
        DestinationInLayer: It would be in a layer of a mounted stack.
    """
    if os.path.isdir(word):
        raise errors.DestinationTaken("{} is a directory", word, hint="give the name of a file")
    where = destination(word, "", is_directory=False, replace=replace)
    if subject is not None:
        check_outside(where, subject, None)
    return where


def write(where: Destination, pieces: Iterable[str]) -> int:
    """Write a page and return how many bytes it has.

    Law: whatever interrupts it, *where* is what it was, or the whole page. Its mode is what the umask leaves of 0666,
    as of any file that a program is told to write: the page tells names, which is for its maker to judge.

    Args:
        where: From :func:`place`.
        pieces: Of ASCII.

    Raises:
        DestinationTaken: Something came there meanwhile.
        OutputFailed, AccessDenied: It cannot be written.
    """
    try:
        with temporary(where) as made:
            size = _fill(made.descriptor, pieces)
            made.gives(_PAGE, where)
            return size
    except OSError as error:
        raise failed(error, where.path, "page") from error


def _fill(directory: int, pieces: Iterable[str]) -> int:
    descriptor = os.open(_PAGE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            file.write(piece.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
        return file.tell()
