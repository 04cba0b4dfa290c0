"""Files of a store, read below one directory and never out of it.

A store may be another machine's, and anybody's: no symbolic link below its root is followed, what is no regular file is
not opened, nothing is longer than a limit, and nothing is written. Mount points are crossed: engines mount in their
stores.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any, Self

from ovlctl.errors import OvlError, StoreDamaged, StoreForbidden, StoreMisleads, strerror
from ovlctl.kernel.openat2 import open_beneath

if TYPE_CHECKING:
    from types import TracebackType

#: The longest document that is read, in bytes; layers.json of a thousand layers has half a megabyte.
DOCUMENT_MAX = 64 << 20
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
_LIST = os.O_RDONLY | os.O_DIRECTORY  # with O_NOFOLLOW a link would be ENOTDIR, as a file is


def misleads(path: str, *, errno: int | None = None) -> StoreMisleads:
    """What is wrong with a store where *path*, a part of it, is a symbolic link."""
    return StoreMisleads("{} is a symbolic link, which no engine makes", path, errno=errno, hint="`ls -ld {}`")


class Files:
    """What lies below a directory; a context manager that holds it open.

    Args:
        root: An absolute path. It may be a symbolic link itself: administrators move stores so.

    Attributes:
        root: With all links resolved, once.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        """It is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        os.close(self._fd)

    def path(self, name: str) -> str:
        """The absolute path of *name*, for people and for the kernel's tables."""
        return os.path.join(self.root, name) if name else self.root

    def open(self, name: str) -> int:
        """A descriptor for reading the regular file *name*.

        Raises:
            FileNotFoundError: It is not there.
            StoreForbidden, StoreMisleads, StoreDamaged: It cannot or must not be read, or is no regular file.
        """
        fd = self._open(name, _READ)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StoreDamaged("{} is no regular file", self.path(name))
        return fd

    def bytes(self, name: str, *, limit: int = DOCUMENT_MAX) -> bytes:
        """The content of the regular file *name*.

        Raises:
            FileNotFoundError: It is not there.
            StoreForbidden, StoreMisleads, StoreDamaged: as :meth:`open`; also when it is longer than *limit* bytes.
        """
        with open(self.open(name), "rb") as file:
            try:
                content = file.read(limit + 1)
            except OSError as error:
                raise self._trouble(name, error) from error
        if len(content) > limit:
            raise StoreDamaged(f"{{}} is longer than {limit} bytes", self.path(name))
        return content

    def text(self, name: str) -> str:
        """The content of a small file, without white space around it; bytes as names have them.

        Raises:
            FileNotFoundError, OvlError: as :meth:`bytes`.
        """
        return os.fsdecode(self.bytes(name, limit=1 << 20)).strip()

    def json(self, name: str) -> Any:
        """The document in *name*.

        Raises:
            FileNotFoundError, OvlError: as :meth:`bytes`; StoreDamaged also when it is no JSON.
        """
        content = self.bytes(name)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise StoreDamaged("{} is no JSON document", self.path(name)) from error

    def names(self, name: str) -> list[str]:
        """What is in a directory, sorted; nothing when it is not there.

        Raises:
            StoreForbidden, StoreMisleads, StoreDamaged: It cannot or must not be read, or is no directory.
        """
        try:
            fd = self._open(name, _LIST)
        except FileNotFoundError:
            return []
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def status(self, name: str) -> os.stat_result | None:
        """What is at *name*, a symbolic link being itself; None when nothing is.

        Raises:
            StoreForbidden, StoreMisleads, StoreDamaged: It cannot or must not be looked at.
        """
        try:
            fd = self._open(name, os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def is_directory(self, name: str) -> bool:
        """Whether *name* is a directory; a symbolic link to one is none.

        Raises:
            StoreForbidden, StoreMisleads, StoreDamaged: It cannot or must not be looked at.
        """
        status = self.status(name)
        return status is not None and stat.S_ISDIR(status.st_mode)

    def link(self, name: str) -> str | None:
        """Where the symbolic link *name* leads, unfollowed; None when it is none.

        Raises:
            StoreForbidden, StoreMisleads, StoreDamaged: It cannot or must not be looked at.
        """
        try:
            fd = self._open(name, os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)

    def _open(self, name: str, flags: int) -> int:
        try:
            return open_beneath(self._fd, name or ".", flags, cross_mounts=True)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._trouble(name, error) from error

    def _to_blame(self, name: str) -> str:
        # The first component that is a link, or the directory that may not be looked into: however much lies behind it,
        # one thing is wrong.
        parts = name.split("/")
        reached = ""
        for end in range(1, len(parts) + 1):
            part = "/".join(parts[:end])
            try:
                fd = open_beneath(self._fd, part, os.O_PATH | os.O_NOFOLLOW, cross_mounts=True)
            except OSError:
                return reached
            is_link = stat.S_ISLNK(os.fstat(fd).st_mode)
            os.close(fd)
            if is_link:
                return part
            reached = part
        return name

    def _trouble(self, name: str, error: OSError) -> OvlError:
        path = self.path(name)
        if error.errno in {errno.EACCES, errno.EPERM}:
            path = self.path(self._to_blame(name))
            return StoreForbidden(
                f"{{}} cannot be read: {strerror(error)}", path, errno=error.errno, hint="ask as root"
            )
        if error.errno in {errno.ELOOP, errno.EXDEV}:
            return misleads(self.path(self._to_blame(name)), errno=error.errno)
        return StoreDamaged(f"{{}} cannot be read: {strerror(error)}", path, errno=error.errno)
