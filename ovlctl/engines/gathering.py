"""Entries of a store's directories, read one by one: a damaged one is one trouble, and all others are told."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, TypeVar

from ovlctl.errors import OvlError, StoreDamaged, StoreMisleads, literal, strerror

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.engines.files import Files

_Read = TypeVar("_Read")
#: How long entries may take, all together, to become whole. Docker takes a tenth of a second for a container.
PATIENCE_S = 1.0
_PAUSE_S = 0.05
_FRESH_S = 3.0


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
        self._patience_s = PATIENCE_S

    def names(self, directory: str) -> list[str]:
        """The names of the directories in *directory*; none, and a trouble, when it cannot be read.

        A symbolic link in the place of one is a trouble. Files are left out: engines do not take them for entries.
        """
        names = self.one(directory, self.files.names) or ()
        return [name for name in names if self.one(f"{directory}/{name}", self._is_entry)]

    def one(self, name: str, read: Callable[[str], _Read]) -> _Read | None:
        """What *read* says of *name*; None when it fails, with one trouble.

        What is not there, or was removed while it was read, is no trouble; what is there without a file that belongs
        to it is. An entry that the engine is just making has some time to become whole.
        """
        while True:
            incomplete = False
            try:
                return read(name)
            except FileNotFoundError as error:
                incomplete = True
                missing = os.fsdecode(error.filename or "")
                if missing == name:
                    return None
                words = f"{{}} has no {literal(os.path.basename(missing))}"
                trouble: OvlError = StoreDamaged(words, self.files.path(name))
            except OvlError as error:
                trouble = error
            except OSError as error:
                trouble = StoreDamaged(f"{{}} cannot be read: {strerror(error)}", self.files.path(name))
            # Looked at once: it may go between two looks.
            changed = self._changed(name)
            if incomplete and changed is None:
                return None
            if self._patience_s <= 0 or abs(time.time() - (changed or 0)) > _FRESH_S:
                self.tell(trouble)
                return None
            self._patience_s -= _PAUSE_S
            time.sleep(_PAUSE_S)

    def tell(self, trouble: OvlError) -> None:
        """Keep a trouble."""
        self.troubles.append(trouble)

    def _is_entry(self, name: str) -> bool:
        path = self.files.path(name)
        status = self.files.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise StoreMisleads("{} is a symbolic link, which no engine makes", path, hint="`ls -ld {}`")
        return status is not None and stat.S_ISDIR(status.st_mode)

    def _changed(self, name: str) -> float | None:
        # When something at *name* last changed, since the epoch; None when nothing is there any more.
        try:
            status = self.files.status(name)
        except (OvlError, OSError):
            return 0
        return status.st_ctime if status is not None else None
