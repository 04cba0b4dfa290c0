"""Rows of an SQLite database in a store: read from a private copy, so that nothing is locked and nothing written.

The database may be anybody's. Of its schema nothing runs: no view, no trigger, no function, no other database; columns
of tables are read and that is all.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from ovlctl.engines.files import Files

_PARTS = ("", "-wal", "-journal")
_TRIES = 40
_PAUSE_S = 0.05
_SECONDS = 10.0
_CELL_MAX = 16 << 20
# The end of a rollback journal that names a second one (sqlite.org/fileformat.html, "The Rollback Journal"): SQLite
# removes the file of that name when it is done, whatever file that is.
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")


def tables(files: Files, name: str, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[object, ...]]]:
    """The rows of tables, text as bytes.

    Args:
        files: The store.
        name: The database in it.
        wanted: Columns by table; both are names of ours.

    Raises:
        FileNotFoundError: It is not there.
        OvlError: It cannot or must not be read, or is no database with these tables.
    """
    with tempfile.TemporaryDirectory(prefix="ovlctl-") as directory:
        copy = os.path.join(directory, "copy")
        _copy(files, name, copy)
        return _read(copy, files.path(name), wanted)


def _copy(files: Files, name: str, copy: str) -> None:
    # A writer may be at work: what was the same before and after belongs together.
    for _ in range(_TRIES):
        before = _stamps(files, name)
        contents = {part: _content(files, name + part) for part in _PARTS}
        if contents[""] is None:
            raise FileNotFoundError(files.path(name))
        if before == _stamps(files, name):
            break
        time.sleep(_PAUSE_S)
    else:
        raise StoreDamaged("{} changes all the time", files.path(name), hint="again, when less goes on")
    if (contents["-journal"] or b"").endswith(_NAMES_ANOTHER):
        raise StoreDamaged("{} names another file, as no engine's does", files.path(f"{name}-journal"))
    for part, content in contents.items():
        if content is not None:
            with open(copy + part, "xb") as file:
                file.write(content)


def _content(files: Files, name: str) -> bytes | None:
    try:
        return files.bytes(name, limit=1 << 30)
    except FileNotFoundError:
        return None


def _stamps(files: Files, name: str) -> list[tuple[int, int, int] | None]:
    found = [files.status(name + part) for part in _PARTS]
    return [status and (status.st_ino, status.st_size, status.st_mtime_ns) for status in found]


def _read(copy: str, path: str, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[object, ...]]]:
    import sqlite3

    try:
        # Not mode=ro: what a journal undoes is written, to the copy.
        database = sqlite3.connect(f"file:{quote(copy)}?mode=rw", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise _damaged(path, error) from error
    try:
        _defend(database, wanted)
        return {
            table: database.execute(f"SELECT {', '.join(columns)} FROM main.{table}").fetchall()  # noqa: S608 -- ours
            for table, columns in wanted.items()
        }
    except (sqlite3.Error, MemoryError, OverflowError) as error:
        raise _damaged(path, error) from error
    finally:
        database.close()


def _defend(database: sqlite3.Connection, wanted: Mapping[str, Sequence[str]]) -> None:
    import sqlite3

    database.text_factory = bytes
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _CELL_MAX)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
        database.execute(f"PRAGMA {pragma}")
    database.set_authorizer(_authorizer(wanted))
    end = time.monotonic() + _SECONDS
    database.set_progress_handler(lambda: time.monotonic() > end, 100_000)


def _authorizer(
    wanted: Mapping[str, Sequence[str]],
) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    import sqlite3

    columns = {(table, column) for table, names in wanted.items() for column in names}

    def allowed(action: int, first: str | None, second: str | None, _database: str | None, within: str | None) -> int:
        if within is not None:  # a view or a trigger
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and (first, second) in columns):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return allowed


def _damaged(path: str, error: Exception) -> StoreDamaged:
    # SQLite's words may hold names of the schema.
    return StoreDamaged("{} is no database that can be read: {}", path, str(error) or type(error).__name__)
