"""Result files: read back for comparing, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import replace

from ovlctl.bench.codec import decode
from ovlctl.bench.values import Result
from ovlctl.errors import AccessDenied, BadUsage, OutputFailed, PathMissing, ResultUnreadable, literal, strerror

SCHEMA = "ovlctl.bench-copyup/1"
_LARGEST_FILE = 64 << 20
#: What an off_t holds.
_MOST_BYTES = (1 << 63) - 1


def load(path: str) -> Result:
    """Read the result that ``bench-copyup --json`` wrote.

    Raises:
        PathMissing: *path* is not there.
        AccessDenied: It cannot be read.
        ResultUnreadable: It holds something else; the message says where it stops making sense.
    """
    try:
        found = json.loads(_content(path))
    except FileNotFoundError as error:
        raise PathMissing("there is no file {}", path, errno=error.errno) from error
    except IsADirectoryError as error:
        raise ResultUnreadable("{} is a directory", path, errno=error.errno) from error
    except OSError as error:
        raise AccessDenied(f"cannot read {{}}: {strerror(error)}", path, errno=error.errno) from error
    except (ValueError, RecursionError) as error:
        raise ResultUnreadable("{} is not JSON", path, hint="give a file that `bench-copyup --json` wrote") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise ResultUnreadable(
            f"{{}} has the schema {literal(repr(schema))}, not `{SCHEMA}`",
            path,
            hint="give a file that `bench-copyup --json` wrote",
        )
    try:
        result = decode(Result, found.get("data"))
    except ValueError as error:
        raise ResultUnreadable(f"{{}} is damaged: {literal(str(error))}", path) from error
    if not all(cell.samples_ns and min(cell.samples_ns) > 0 and cell.aa_ratio != 0 for cell in result.cells):
        raise ResultUnreadable("{} is damaged: a cell has no times, or a time of zero", path)
    if not result.cells:
        raise ResultUnreadable("{} has nothing that was measured", path)
    if not all(0 < cell.size <= _MOST_BYTES for cell in result.cells):
        raise ResultUnreadable("{} is damaged: a cell has a size that no file has", path)
    return result


def _content(path: str) -> bytes:
    # A named pipe that nobody writes to is empty; waiting for a writer could last for ever.
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        os.set_blocking(file.fileno(), True)
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ResultUnreadable(
            "{} is larger than 64 MiB, which no result is", path, hint="give a file that `bench-copyup --json` wrote"
        )
    return content


def without_samples(result: Result) -> Result:
    """*result* with its times and lines but without the single samples: what predicting needs, and fast to read."""
    return replace(result, cells=tuple(replace(cell, samples_raw=(), bare_raw=()) for cell in result.cells))


def check_writable(path: str) -> None:
    """See to it, before a long run, that :func:`write` will be able to write *path*.

    Raises:
        BadUsage: *path* is something else than a file.
        PathMissing: Its directory is not there.
        AccessDenied: No file can be made in its directory.
    """
    if not path:
        raise BadUsage("an empty name names no file")
    directory = os.path.dirname(os.path.realpath(path))
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BadUsage("{} is not a file", path, hint="give the name of a file; an old result is replaced")
    if not os.path.isdir(directory):
        raise PathMissing("there is no directory {}", directory, errno=errno.ENOENT)
    try:
        tempfile.TemporaryFile(prefix=".ovlctl-", dir=directory).close()
    except OSError as error:
        raise AccessDenied(f"no file can be made in {{}}: {strerror(error)}", directory, errno=error.errno) from error


def write(path: str, text: str) -> None:
    """Make *text* the content of *path*: whoever looks sees the old file or the whole new one.

    A symbolic link is followed to the file it names.

    Raises:
        OutputFailed: It could not be written; the old file is as it was.
    """
    path = os.path.realpath(path)
    try:
        fd, temporary = tempfile.mkstemp(prefix=".ovlctl-", dir=os.path.dirname(path))
        try:
            with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fchmod(fd, 0o666 & ~_umask())
                os.fsync(fd)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OutputFailed(f"cannot write {{}}: {strerror(error)}", path, errno=error.errno) from error


def _umask() -> int:
    # umask(2) only tells by changing; /proc does not change anything under other threads' feet.
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o077
