"""A machine's disk, this one's or another's: paths on it, and its configuration files.

Links are followed as that machine follows them: an absolute one begins at the disk's root, and ``..`` does not lead
above it. So nothing on it leads out.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Literal

from ovlctl.engines.entries import Entry
from ovlctl.engines.files import Files
from ovlctl.errors import OvlError, StoreDamaged, StoreForbidden, strerror

if TYPE_CHECKING:
    from collections.abc import Callable

_LINKS_MAX = 40  # MAXSYMLINKS of linux/namei.h
_LONGEST = 4 << 20


class Disk:
    """The disk whose root directory is *root*.

    Args:
        root: An absolute path; ``/`` is this machine.

    Attributes:
        root: With all links resolved.
        troubles: What of its configuration could not be read.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self.troubles: list[OvlError] = []
        self._read: dict[str, Entry] = {}

    @property
    def alive(self) -> bool:
        """Whether it is this machine's."""
        return self.root == "/"

    def at(self, path: str) -> str:
        """Where *path*, an absolute one of that machine, is; also when nothing is there.

        Raises:
            OSError: Links lead in a circle.
        """
        there: list[str] = []
        left = path.split("/")[::-1]
        links = 0
        while left:
            part = left.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                del there[-1:]
                continue
            try:
                target = os.readlink(os.path.join(self.root, *there, part))
            except OSError:  # no link, or not there
                there.append(part)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                there = []
            left += target.split("/")[::-1]
        return os.path.join(self.root, *there)

    def directory(self, path: str) -> str | None:
        """Where the directory *path* of that machine is; None when there is none."""
        try:
            there = self.at(path)
            return there if os.path.isdir(there) else None
        except (OSError, ValueError):  # ValueError: a NUL in it
            return None

    def names(self, path: str) -> list[str]:
        """What is in the directory *path*; nothing when it is none, or may not be read."""
        there = self.directory(path)
        try:
            return sorted(os.listdir(there)) if there is not None else []
        except OSError:
            return []

    def text(self, path: str) -> str | None:
        """The content of the configuration file *path*; None when there is none, or a trouble is noted."""
        try:
            there = self.at(path)
            with Files(os.path.dirname(there)) as files:
                return os.fsdecode(files.bytes(os.path.basename(there), limit=_LONGEST))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OvlError as error:
            self.troubles.append(error)
        except PermissionError as error:
            self.troubles.append(StoreForbidden(f"{{}} cannot be read: {strerror(error)}", path, errno=error.errno))
        except OSError as error:
            self.troubles.append(StoreDamaged(f"{{}} cannot be read: {strerror(error)}", path, errno=error.errno))
        except ValueError:
            self.troubles.append(StoreDamaged("{} is no path", path))
        return None

    def configuration(self, path: str, syntax: Literal["json", "toml"]) -> Entry:
        """The document in the configuration file *path*; an empty one when there is none, or a trouble is noted.

        It is read once.
        """
        if path not in self._read:
            self._read[path] = self._configuration(path, syntax)
        return self._read[path]

    def _configuration(self, path: str, syntax: Literal["json", "toml"]) -> Entry:
        text = self.text(path)
        if not text or not text.strip():
            return Entry(None)
        try:
            return Entry(_parser(syntax)(text))
        except (ValueError, RecursionError):
            self.troubles.append(StoreDamaged(f"{{}} is no {syntax.upper()} document", self.root.rstrip("/") + path))
            return Entry(None)


def _parser(syntax: Literal["json", "toml"]) -> Callable[[str], object]:
    if syntax == "json":
        return json.loads
    import tomllib

    return tomllib.loads
