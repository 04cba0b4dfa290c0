"""What is looked for, from text."""

from __future__ import annotations

import pytest

from ovlctl.errors import BadUsage
from ovlctl.ops.atlas.atlas import Sign
from ovlctl.ops.atlas.finding import Query
from ovlctl.overlay.tree import Kind
from ovlctl.show.queries import parse_query

LABELS = ("upper", "lower:0", "lower:1", "data:0")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("  conf  app ", Query(words=("conf", "app"))),
        ("size:>1M", Query(at_least=1 << 20)),
        ("size:<4K size:>=1", Query(at_least=1, at_most=4096)),
        ("size:0", Query(at_least=0, at_most=0)),
        ("kind:dir,link", Query(kinds=frozenset({Kind.DIRECTORY, Kind.SYMLINK}))),
        ("sign:+,whiteout", Query(signs=frozenset({Sign.ADDED, Sign.WHITEOUT}))),
        ("layer:upper,1,data:0", Query(layers=frozenset({0, 2, 3}))),
        ("lib kind:file", Query(words=("lib",), kinds=frozenset({Kind.FILE}))),
        ("Foo::Bar a:b", Query(words=("Foo::Bar", "a:b"))),
    ],
)
def test_queries(text: str, query: Query) -> None:
    """Words are parts of paths, unless they begin as one of the four questions."""
    assert parse_query(text, LABELS) == query


@pytest.mark.parametrize("text", ["size:", "size:>", "kind:", "sign:", "layer:", "kind:,"])
def test_what_is_not_typed_to_its_end(text: str) -> None:
    """It asks for nothing yet, and is no error while it is typed."""
    assert parse_query(text, LABELS).empty


@pytest.mark.parametrize("text", ["size:big", "kind:folder", "sign:*", "layer:9", "layer:{}"])
def test_nonsense(text: str) -> None:
    """What there is not is said, with what there is."""
    with pytest.raises(BadUsage) as caught:
        parse_query(text, LABELS)
    assert caught.value.hint()
    assert caught.value.message()
