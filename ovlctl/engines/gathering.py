"""Entries of a store's directories, read one by one: a damaged one is one trouble, and all others are told."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, TypeVar

from ovlctl.errors import OvlError, StoreDamaged, StoreMisleads, literal, strerror

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.engines.files import Files

_Read = TypeVar("_Read")


class Gathering:
    """Reads entries, and keeps what could not be read.

    Args:
        files: The store.

    Attributes:
        files: The store.
        troubles: One error for each entry, in order.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self.troubles: list[OvlError] = []

    def names(self, directory: str) -> list[str]:
        """The names of the directories in *directory*; none, and a trouble, when it cannot be read.

        A symbolic link in the place of one is a trouble. Files are left out: engines do not take them for entries.
        """
        names = self.one(directory, self.files.names) or ()
        return [name for name in names if self.one(f"{directory}/{name}", self._is_entry)]

    def one(self, name: str, read: Callable[[str], _Read]) -> _Read | None:
        """What *read* says of *name*; None when it fails, with one trouble.

        What is not there, or was removed while it was read, is no trouble; what is there without a file that belongs
        to it is.
        """
        try:
            return read(name)
        except FileNotFoundError as error:
            missing = os.fsdecode(error.filename or "")
            if missing != name and self._still(name):
                self.tell(StoreDamaged(f"{{}} has no {literal(os.path.basename(missing))}", self.files.path(name)))
        except OvlError as error:
            self.tell(error)
        except OSError as error:
            self.tell(StoreDamaged(f"{{}} cannot be read: {strerror(error)}", self.files.path(name)))
        return None

    def tell(self, trouble: OvlError) -> None:
        """Keep a trouble."""
        self.troubles.append(trouble)

    def _is_entry(self, name: str) -> bool:
        path = self.files.path(name)
        status = self.files.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise StoreMisleads("{} is a symbolic link, which no engine makes", path, hint="`ls -ld {}`")
        return status is not None and stat.S_ISDIR(status.st_mode)

    def _still(self, name: str) -> bool:
        try:
            return self.files.status(name) is not None
        except (OvlError, OSError):
            return False
