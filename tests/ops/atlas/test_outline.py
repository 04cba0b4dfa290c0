"""Folding, narrowing and splicing, against the plain way of doing the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from ovlctl.ops import reading
from ovlctl.ops.atlas import scan
from ovlctl.ops.atlas.atlas import DIRECTORY, Growing, Sign
from ovlctl.ops.atlas.finding import Found
from ovlctl.ops.atlas.outline import Outline
from ovlctl.ops.atlas.splicing import spliced
from ovlctl.overlay.stack import Stack
from tests import trees

if TYPE_CHECKING:
    from ovlctl.ops.atlas.atlas import Atlas

_FILE = 0
Tree = dict[str, "Tree | None"]


def trees_of(letters: str) -> st.SearchStrategy[Tree]:
    """Trees with names of one or two of *letters*."""
    names = st.text(st.sampled_from(letters), min_size=1, max_size=2).filter(lambda name: name not in {".", ".."})
    return st.recursive(
        st.dictionaries(names, st.none(), max_size=4),
        lambda inner: st.dictionaries(names, st.none() | inner, max_size=4),
        max_leaves=12,
    )


_trees = trees_of("abcö")


def atlas_of(tree: Tree) -> Atlas:
    """The atlas of nested dictionaries; None is a file."""
    growing = Growing()

    def add(name: str, below: Tree | None, parent: int, depth: int) -> None:
        row = growing.add(name, parent, depth, _FILE if below is None else DIRECTORY, Sign.SAME, 0, len(name))
        if below is not None:
            if len(name) == 2:
                growing.cover(row, 1, DIRECTORY, 7)
            for each in sorted(below):
                add(each, below[each], row, depth + 1)
            growing.close(row)

    add("", tree, 0, 0)
    return growing.done()


def _shown(atlas: Atlas, unfolded: set[int], wanted: set[int] | None) -> list[int]:
    rows = []
    for row in range(1, len(atlas)):
        above, at = [], row
        while at:
            at = atlas.parents[at]
            above.append(at)
        if unfolded.issuperset(above) and (wanted is None or row in wanted):
            rows.append(row)
    return rows


@given(tree=_trees, moves=st.lists(st.tuples(st.sampled_from(["fold", "unfold", "reveal"]), st.integers(0, 20))))
def test_what_is_shown_is_what_is_unfolded(tree: Tree, moves: list[tuple[str, int]]) -> None:
    """Law of the outline, after any moves."""
    atlas = atlas_of(tree)
    outline = Outline(atlas)
    unfolded = {0}
    for move, number in moves:
        row = number % len(atlas)
        if move == "reveal":
            outline.reveal(row)
            while row:
                row = atlas.parents[row]
                unfolded.add(row)
        elif atlas.is_directory(row):
            (outline.unfold if move == "unfold" else outline.fold)(row)
            (unfolded.add if move == "unfold" or row == 0 else unfolded.discard)(row)
        assert outline.rows.tolist() == _shown(atlas, unfolded, None)
    for row in range(1, len(atlas)):
        at = outline.position(row)
        assert at is None or outline.rows[at] == row
        assert outline.is_shown(row) == (at is not None)
    same = outline.moved_to(atlas)
    assert same.rows.tolist() == outline.rows.tolist()


@given(tree=_trees, chosen=st.sets(st.integers(1, 30)))
def test_a_narrowed_outline_has_what_was_found_and_the_way_to_it(tree: Tree, chosen: set[int]) -> None:
    """And all of it, however it was folded before."""
    atlas = atlas_of(tree)
    found = sorted({number % len(atlas) for number in chosen} - {0})
    wanted = set(found)
    for row in found:
        at = row
        while at:
            at = atlas.parents[at]
            wanted.add(at)
    outline = Outline(atlas)
    outline.narrow(Found.of(found))
    assert outline.rows.tolist() == sorted(wanted - {0})
    outline.narrow(None)
    outline.unfold_all()
    assert outline.rows.tolist() == list(range(1, len(atlas)))
    outline.fold_all()
    assert outline.rows.tolist() == list(atlas.children(0))


def _columns(atlas: Atlas) -> dict[str, Any]:
    covered = atlas.covered
    plain = ("offsets", "parents", "ends", "depths", "kinds", "signs", "flags", "providers", "sizes")
    return {
        "names": bytes(atlas.names),
        **{name: list(getattr(atlas, name)) for name in plain},
        "covered": [*zip(covered.rows, covered.layers, covered.kinds, covered.sizes, strict=True)],
    }


@given(tree=_trees, number=st.integers(0, 30), part=_trees)
def test_a_spliced_atlas_is_that_of_the_whole(tree: Tree, number: int, part: Tree) -> None:
    """Law of splicing: as if it had been scanned so."""
    atlas = atlas_of(tree)
    row = number % len(atlas)
    if not atlas.is_directory(row):
        return
    path = atlas.path(row)
    here = tree
    for name in filter(None, path.split("/")):
        inside = here[name]
        assert inside is not None
        here = inside
    grown = atlas_of(part)
    here.clear()
    here.update(part)
    whole = atlas_of(tree)
    result = spliced(atlas, row, grown)
    assert _columns(result) == _columns(whole)


def test_a_directory_that_was_changed_is_listed_anew(scratch: str) -> None:
    """One level scanned again and spliced in: what a whole scan gives."""
    trees.make(f"{scratch}/low", {"a/b/c": "1", "a/d": "2", "e": "3", "z/y": "4"})
    with reading.opened(reading.of_directories(Stack([f"{scratch}/low"]))) as view:
        before, _ = scan.merged(view)
        trees.make(f"{scratch}/low/a/b", {"new/deep": "5"})
        os.unlink(f"{scratch}/low/a/d")
        after = spliced(before, before.find("a") or 0, scan.merged(view, "a")[0])
        whole, _ = scan.merged(view)
    assert _columns(after) == _columns(whole)


@given(tree=_trees, other=_trees, unfolded=st.sets(st.integers(0, 30)))
def test_folding_goes_by_paths_to_another_tree(tree: Tree, other: Tree, unfolded: set[int]) -> None:
    """A directory is unfolded there when it is here, and so is everything that it is in."""
    here, there = atlas_of(tree), atlas_of(other)
    outline = Outline(here)
    for number in unfolded:
        row = number % len(here)
        if here.is_directory(row):
            (outline.reveal if number % 2 else outline.unfold)(row)
            outline.unfold(row)
    moved = outline.moved_to(there)
    expected = {
        found
        for row in range(len(here))
        if here.is_directory(row) and outline.is_unfolded(row)
        if (found := there.find(here.path(row))) is not None and there.is_directory(found)
    }
    assert {row for row in range(len(there)) if moved.is_unfolded(row)} == expected
    assert moved.rows.tolist() == _shown(there, expected, None)
