"""Some paths of a tree, and what lies at, below and above them; by components, never as strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet


class Within:
    """What is at or below one of some paths.

    Attributes:
        everything: Whether nothing is left out.

    Args:
        paths: From a root; leading, trailing and doubled slashes do not matter; ``""`` is everything.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = [tuple(part for part in path.split("/") if part not in {"", "."}) for path in paths]
        self.everything = () in self._paths

    def has(self, path: str) -> bool:
        """Whether *path* is at or below one of them."""
        if self.everything:
            return True
        parts = _parts(path)
        return any(parts[: len(wanted)] == wanted for wanted in self._paths)

    def of(self, directory: str, names: AbstractSet[str]) -> AbstractSet[str]:
        """Those of *names*, in *directory*, that are at, below or on the way to one of them."""
        if self.everything or self.has(directory):
            return names
        parts = _parts(directory)
        following = {wanted[len(parts)] for wanted in self._paths if wanted[: len(parts)] == parts}
        return names & following


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")) if path else ()
