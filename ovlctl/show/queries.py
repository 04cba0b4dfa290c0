"""What is looked for in a tree, from text: ``conf size:>1M kind:dir sign:+ layer:upper``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ovlctl.errors import BadUsage, literal
from ovlctl.ops.atlas.atlas import Sign
from ovlctl.ops.atlas.finding import Query
from ovlctl.overlay.tree import Kind
from ovlctl.show.names import show_text
from ovlctl.show.sizes import parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_T = TypeVar("_T")

_KINDS: Final = {
    **{str(kind): kind for kind in Kind},
    "dir": Kind.DIRECTORY,
    "link": Kind.SYMLINK,
    "char": Kind.CHARACTER,
}
_SIGNS: Final = {
    **{sign.name.lower(): sign for sign in Sign},
    **{sign.glyph: sign for sign in Sign if sign.glyph.strip()},
}


def parse_query(text: str, labels: Sequence[str]) -> Query:
    """What *text* asks for.

    Words with blanks between; all have to hold. ``size:>1M`` and ``size:<1M`` bound sizes, ``size:0`` is one exactly.
    ``kind:``, ``sign:`` and ``layer:`` take one or several with commas between. Everything else is a part of a path,
    and so is a word with a colon that begins with none of these. What is not typed to its end yet asks for nothing.

    Args:
        text: As typed.
        labels: Of the layers, by number; lowers also go by their index alone.

    Raises:
        BadUsage: There is no such size, kind, sign or layer.
    """
    words: list[str] = []
    kinds: set[Kind] = set()
    signs: set[Sign] = set()
    layers: set[int] = set()
    least: int | None = None
    most: int | None = None
    for word in text.split():
        key, colon, value = word.partition(":")
        if not colon or key not in {"size", "kind", "sign", "layer"}:
            words.append(word)
        elif key == "kind":
            kinds |= _chosen(value, _KINDS, "kind")
        elif key == "sign":
            signs |= _chosen(value, _SIGNS, "sign")
        elif key == "layer":
            layers |= _chosen(value, _numbers(labels), "layer")
        elif size := value.lstrip("<>="):
            bytes_ = parse_size(size)
            least = least if value.startswith("<") else bytes_
            most = most if value.startswith(">") else bytes_
    return Query(
        words=tuple(words),
        kinds=frozenset(kinds),
        signs=frozenset(signs),
        layers=frozenset(layers),
        at_least=least,
        at_most=most,
    )


def _chosen(value: str, known: Mapping[str, _T], what: str) -> set[_T]:
    found = set()
    for name in filter(None, value.split(",")):
        if name not in known:
            raise BadUsage(
                f"`{literal(show_text(name))}` is no {what}",
                hint=f"there are {literal(', '.join(f'`{each}`' for each in known))}",
            )
        found.add(known[name])
    return found


def _numbers(labels: Sequence[str]) -> dict[str, int]:
    numbers = {label: number for number, label in enumerate(labels)}
    return {**{label.removeprefix("lower:"): number for label, number in numbers.items()}, **numbers}
