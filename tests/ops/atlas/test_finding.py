"""Searching, against the plain way of doing the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.ops.atlas import finding
from ovlctl.ops.atlas.atlas import DIRECTORY, KINDS, Growing, Sign
from ovlctl.ops.atlas.finding import Finder, Found, Query, Want
from ovlctl.overlay.tree import Kind
from tests.ops.atlas.test_outline import Tree, atlas_of, trees_of

_trees = trees_of("abAB.")


def _paths(tree: Tree) -> dict[str, int]:
    atlas = atlas_of(tree)
    return {atlas.path(row): row for row in range(1, len(atlas))}


@given(tree=_trees, word=st.text(st.sampled_from("abB."), min_size=1, max_size=3))
def test_a_word_is_found_in_names(tree: Tree, word: str) -> None:
    """A word without slashes: any part of a name, in either case."""
    found = Finder(atlas_of(tree)).find(Query(words=(word,)))
    expected = [row for path, row in _paths(tree).items() if word.lower() in path.rpartition("/")[2].lower()]
    assert found.rows.tolist() == sorted(expected)


@given(tree=_trees, word=st.text(st.sampled_from("abB."), min_size=1, max_size=3), piece=st.integers(1, 9))
def test_what_stands_across_the_pieces_of_a_search_is_found(tree: Tree, word: str, piece: int) -> None:
    """The names are searched in pieces, which end anywhere."""
    finder = Finder(atlas_of(tree))
    whole = finder.find(Query(words=(word,))).rows.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "_PIECE", piece)
        assert Finder(finder.atlas).find(Query(words=(word,))).rows.tolist() == whole


@given(tree=_trees, words=st.lists(st.text(st.sampled_from("abB."), min_size=1, max_size=4), min_size=2, max_size=6))
def test_what_was_sought_before_changes_nothing(tree: Tree, words: list[str]) -> None:
    """A finder that goes on from the last text finds what a new one does, letter by letter and after a change."""
    atlas = atlas_of(tree)
    finder = Finder(atlas)
    for word in words:
        for end in range(1, len(word) + 1):
            query = Query(words=(word[:end],))
            assert finder.find(query).rows.tolist() == Finder(atlas).find(query).rows.tolist()


@given(tree=_trees, names=st.lists(st.text(st.sampled_from("ab"), max_size=2), min_size=2, max_size=3))
def test_a_word_with_slashes_is_found_across_names(tree: Tree, names: list[str]) -> None:
    """The end of a name, whole names, and the beginning of the last one."""
    first, *between, last = names
    expected = []
    for path, row in _paths(tree).items():
        parts = ["", *path.lower().split("/")]
        if len(parts) < len(names) or "" in between:
            continue
        head, *middle, tail = parts[-len(names) :]
        starts = (head == "" and len(parts) == len(names)) if first == "" else head.endswith(first) and head != ""
        if starts and middle == between and tail.startswith(last):
            expected.append(row)
    found = Finder(atlas_of(tree)).find(Query(words=("/".join(names),)))
    if "" not in between:
        assert found.rows.tolist() == sorted(expected)


@given(tree=_trees, words=st.lists(st.text(st.sampled_from("ab"), min_size=1, max_size=2), min_size=2, max_size=3))
def test_each_of_several_words_is_somewhere_in_the_path(tree: Tree, words: list[str]) -> None:
    """And one of them in the name itself."""
    found = Finder(atlas_of(tree)).find(Query(words=tuple(words)))
    expected = [
        row
        for path, row in _paths(tree).items()
        if all(any(word in part for part in path.lower().split("/")) for word in words)
        and any(word in path.lower().rpartition("/")[2] for word in words)
    ]
    assert found.rows.tolist() == sorted(expected)


@given(tree=_trees, text=st.text(st.sampled_from("abB"), min_size=1, max_size=3))
def test_fuzzy_finds_letters_in_order(tree: Tree, text: str) -> None:
    """All names that have them in order, and no other; a name that begins with them is before one that does not."""
    paths = _paths(tree)
    found = Finder(atlas_of(tree)).fuzzy(text, limit=1000)
    pattern = re.compile(".*".join(map(re.escape, text.lower())))
    expected = {row for path, row in paths.items() if pattern.search(path.lower().rpartition("/")[2])}
    assert set(found) == expected
    assert len(found) == len(expected)
    names = {row: path.lower().rpartition("/")[2] for path, row in paths.items()}
    ranks = [(not names[row].startswith(text.lower()), row) for row in found]
    begins = [not_begins for not_begins, _ in ranks]
    assert begins == sorted(begins)


def _of_all_sorts() -> Finder:
    growing = Growing()
    growing.add("", 0, 0, DIRECTORY, Sign.SAME, 0, 0)
    for number, sign in enumerate(Sign):
        growing.add(f"file{number}", 0, 1, KINDS.index(Kind.FILE), sign, number % 2, number * 10)
    growing.add("link", 0, 1, KINDS.index(Kind.SYMLINK), Sign.SAME, 1, 4)
    growing.add("sub", 0, 1, DIRECTORY, Sign.ADDED, 0, 4096)
    growing.close(0)
    return Finder(growing.done())


def test_by_kind_sign_layer_and_size() -> None:
    """Each by itself, and together."""
    finder = _of_all_sorts()

    def names(query: Query) -> list[str]:
        return [finder.atlas.name(int(row)) for row in finder.find(query).rows]

    assert names(Query(kinds=frozenset({Kind.SYMLINK, Kind.DIRECTORY}))) == ["link", "sub"]
    assert names(Query(signs=frozenset({Sign.ADDED}))) == ["file1", "sub"]
    assert names(Query(layers=frozenset({1}))) == ["file1", "file3", "file5", "link"]
    assert names(Query(at_least=40)) == ["file4", "file5", "file6"]
    assert names(Query(at_most=10)) == ["file0", "file1", "link"]
    assert names(Query(words=("FILE",), at_least=10, at_most=30, layers=frozenset({1}))) == ["file1", "file3"]
    assert Query().empty
    assert finder.find(Query()).count == len(finder.atlas) - 1


def test_steps_go_round() -> None:
    """To the next and the one before, and from the ends to the other."""
    finder = _of_all_sorts()
    row = finder.atlas.find
    assert finder.step(Want.WHITEOUT, 0) == row("file4")
    assert finder.step(Want.ADDED, row("file1") or 0) == row("sub")
    assert finder.step(Want.ADDED, row("sub") or 0) == row("file1")
    assert finder.step(Want.ADDED, row("file1") or 0, backwards=True) == row("sub")
    assert finder.step(Want.LARGEST, 0) == row("file6")
    assert finder.step(Want.LARGEST, row("file6") or 0) == row("file5")
    assert finder.step(Want.LARGEST, row("file6") or 0, backwards=True) == row("file0")
    empty = Finder(atlas_of({}))
    assert empty.step(Want.LARGEST, 0) is None
    assert empty.fuzzy("x") == ()
    assert [finder.atlas.name(int(at)) for at in finder.by_size(Found.of([1, 2, 9]))] == ["file1", "file0"]


def test_names_that_are_not_utf_8_are_found_by_their_bytes() -> None:
    """As they are typed: with surrogates."""
    finder = Finder(atlas_of({"a\udcffb": None, "Ä": None, "ä": None}))
    assert finder.find(Query(words=("\udcff",))).count == 1
    assert finder.find(Query(words=("ä",))).count == 1
