"""TOML values that know where they stand, so that what is wrong with one can be said in the file's own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ovlctl.errors import StackFileWrong, literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Value:
    """One value.

    Attributes:
        raw: What the TOML parser gave.
        keys: How to get there from the top.
        file: The file it stands in.
    """

    raw: Any
    keys: tuple[str | int, ...]
    file: str

    @property
    def place(self) -> str:
        """Where it stands, as TOML writes keys: ``stack.app.lowers[2]``, counted from 1."""
        parts = [f"[{key + 1}]" if isinstance(key, int) else f".{_quoted(key)}" for key in self.keys]
        return "".join(parts).removeprefix(".")

    def wrong(self, why: str, *, hint: str | None = None) -> StackFileWrong:
        """The error about this value; *why* goes after its place, both as plain text."""
        return StackFileWrong(
            f"`{literal(self.place)}` in {{}} {literal(why)}", self.file, hint=None if hint is None else literal(hint)
        )

    @property
    def is_text(self) -> bool:
        """Whether it is a string."""
        return isinstance(self.raw, str)

    @property
    def is_boolean(self) -> bool:
        """Whether it is true or false."""
        return isinstance(self.raw, bool)

    @property
    def is_table(self) -> bool:
        """Whether it is a table."""
        return isinstance(self.raw, dict)

    def text(self) -> str:
        """The string."""
        return str(self._typed(str))

    def boolean(self) -> bool:
        """True or false."""
        return bool(self._typed(bool))

    def items(self) -> list[Value]:
        """The values of a list."""
        return [Value(item, (*self.keys, at), self.file) for at, item in enumerate(self._typed(list))]

    def table(self) -> Table:
        """The table."""
        return Table(self._typed(dict), self.keys, self.file)

    def _typed(self, kind: type) -> Any:
        if not isinstance(self.raw, kind):
            raise self.wrong(f"is {_KINDS.get(type(self.raw), 'a date')}: expected {_KINDS[kind]}")
        return self.raw


class Table(Value):
    """A table."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        """Its keys and values, as they stand in the file."""
        for key in self.raw:
            yield key, Value(self.raw[key], (*self.keys, key), self.file)

    def get(self, key: str) -> Value | None:
        """The value of *key*, or None."""
        return Value(self.raw[key], (*self.keys, key), self.file) if key in self.raw else None

    def tables(self, key: str) -> Table:
        """The table under *key*; an empty one when it is not there."""
        found = self.get(key)
        return Table({}, (*self.keys, key), self.file) if found is None else found.table()

    def only(self, known: Sequence[str], *, what: str = "key") -> None:
        """Refuse every key that is not *known*.

        Raises:
            StackFileWrong: with the nearest known key as the hint.
        """
        for key, value in self:
            if key not in known:
                from difflib import get_close_matches

                near = get_close_matches(key, known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
                raise value.wrong(f"is no {what} that is known", hint=hint)


def _quoted(key: str) -> str:
    return key if key and all(char.isalnum() or char in "-_" for char in key) and key.isascii() else f'"{key}"'
