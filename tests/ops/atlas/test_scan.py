"""The merged view as columns: what a mount shows, and every name that a layer has besides."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings

from ovlctl.ops import reading
from ovlctl.ops.atlas import scan
from ovlctl.ops.atlas.atlas import KINDS, Flag, Sign
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.overlay.resolution import Outcome
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests import trees
from tests.overlay import made
from tests.overlay.made import Case, Made, mounted, new_directory
from tests.overlay.test_fuzz import EXAMPLES, cases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.reading import View

_GONE = {Sign.WHITEOUT, Sign.HIDDEN}


def _unread(atlas: Atlas) -> list[str]:
    return [atlas.path(row) + "/" for row in range(len(atlas)) if atlas.flags[row] & Flag.UNREAD]


def _seen(atlas: Atlas) -> dict[str, tuple[Kind, int, int]]:
    return {
        atlas.path(row): (KINDS[atlas.kinds[row]], atlas.sizes[row], atlas.providers[row])
        for row in range(1, len(atlas))
        if atlas.signs[row] not in {*_GONE, Sign.ODD}
    }


def _walked(view: View, unread: list[str]) -> dict[str, tuple[Kind, int, int]]:
    numbers = {layer: number for number, layer in enumerate((*view.layers.merged, *view.layers.data))}
    if view.layers.index is not None:
        numbers[view.layers.index] = 0
    return {
        found.path: (found.attributes.kind, found.attributes.size, numbers[found.stack[0].layer])
        for entry in walk(view.resolver)
        if isinstance(entry, Entry) and (found := entry.resolution).attributes is not None
        if not found.path.startswith(tuple(unread))
    }


def _names(view: View) -> Iterator[str]:
    for layer in view.layers.merged:
        for directory, below, files in os.walk(layer.directory):
            at = os.path.relpath(directory, layer.directory)
            for name in (*below, *files):
                yield name if at == "." else f"{at}/{name}"


def _is_sound(atlas: Atlas) -> bool:
    rows = range(len(atlas))
    order = all(atlas.parents[row] < row < atlas.ends[atlas.parents[row]] for row in rows[1:])
    depths = all(atlas.depths[row] == atlas.depths[atlas.parents[row]] + 1 for row in rows[1:])
    ends = all(row < atlas.ends[row] <= len(atlas) for row in rows)
    names = [[atlas.name(child) for child in atlas.children(row)] for row in rows]
    found = all(atlas.find(atlas.path(row)) == row for row in rows)
    return order and depths and ends and found and all(each == sorted(set(each)) for each in names)


@settings(max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_the_rows_are_what_the_resolver_walks_and_no_name_of_a_layer_is_left_out(room: str, case: Case) -> None:
    """Law of the scan, for any stack; the columns are sound."""
    with new_directory(room) as base, reading.opened(reading.of_directories(case.write(base))) as view:
        atlas, summary = scan.merged(view)
        unread = _unread(atlas)
        seen = _seen(atlas)
        assert seen == _walked(view, unread)
        assert _is_sound(atlas)
        rows = {atlas.path(row) for row in range(1, len(atlas))}
        assert {path for path in _names(view) if not path.startswith(tuple(unread))} <= rows
        kinds = [kind for kind, _, _ in seen.values()]
        assert summary.files + summary.directories == len(seen)
        assert summary.directories == kinds.count(Kind.DIRECTORY)


@settings(max_examples=EXAMPLES // 4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_odd_rows_are_refused_by_the_kernel(room: str, case: Case) -> None:
    """What is called ODD has an outcome of its own; what is hidden is absent."""
    with new_directory(room) as base, reading.opened(reading.of_directories(case.write(base))) as view:
        atlas, _ = scan.merged(view)
        for row in range(1, len(atlas)):
            outcome = view.resolver.resolve(atlas.path(row)).outcome
            if atlas.signs[row] == Sign.ODD:
                assert outcome in {Outcome.REFUSED, Outcome.UNKNOWN}
            elif atlas.signs[row] == Sign.WHITEOUT:
                assert outcome is Outcome.ABSENT


def _stack(base: str, upper: Mapping[str, Made], *lowers: Mapping[str, Made]) -> Stack:
    return Case(lowers=lowers, upper=upper, options=Options(redirect_dir=RedirectDir.ON)).write(base)


def test_signs_flags_and_what_is_covered(room: str) -> None:
    """Each sign once, with what lower layers have there."""
    lower = {
        "same": made.file(b"1"),
        "changed": made.file(b"22"),
        "equal": made.file(b"333"),
        "gone": made.file(b"4444"),
        "away/file": made.file(b"55555"),
        "dir/inside": made.file(b"6"),
    }
    upper = {
        "added": made.file(b"x"),
        "changed": made.file(b"yy!"),
        "equal": made.file(b"333"),
        "gone": made.whiteout(),
        "away": made.whiteout(),
        "dir": made.directory(),
    }
    with new_directory(room) as base:
        stack = _stack(base, upper, lower)
        for path in (f"{base}/upper/equal", f"{base}/lower0/equal"):
            os.utime(path, ns=(5, 5))
        sizes = {name: os.lstat(f"{base}/lower0/{name}").st_size for name in ("away", "dir")}
        with reading.opened(reading.of_directories(stack)) as view:
            atlas, summary = scan.merged(view)
            with mounted(stack, f"{base}/merged") as point:
                shown = {
                    os.path.relpath(os.path.join(at, name), point)
                    for at, below, files in os.walk(point)
                    for name in (*below, *files)
                }
    rows = {atlas.path(row): row for row in range(1, len(atlas))}
    assert {path: Sign(atlas.signs[row]).glyph for path, row in rows.items()} == {
        "added": "+",
        "away": "o",
        "away/file": "-",
        "changed": "~",
        "dir": "~",
        "dir/inside": " ",
        "equal": "=",
        "gone": "o",
        "same": " ",
    }
    assert set(_seen(atlas)) == shown
    assert {path: list(atlas.covered_at(row)) for path, row in rows.items() if atlas.flags[row] & Flag.COVERS} == {
        "away": [(1, Kind.DIRECTORY, sizes["away"])],
        "changed": [(1, Kind.FILE, 2)],
        "dir": [(1, Kind.DIRECTORY, sizes["dir"])],
        "equal": [(1, Kind.FILE, 3)],
        "gone": [(1, Kind.FILE, 4)],
    }
    assert (summary.files, summary.directories, summary.size) == (5, 1, 1 + 3 + 3 + 1 + 1)
    assert (summary.added, summary.changed, summary.deleted, summary.unreadable) == (1, 1, 2, 0)


def test_one_level_marks_directories_as_unread(scratch: str) -> None:
    """What is below one level is for later, and a scan that begins there gives the same rows."""
    trees.make(f"{scratch}/low", {"a/b/c": "1", "a/d": "2", "e": "3"})
    with reading.opened(reading.of_directories(Stack([f"{scratch}/low"]))) as view:
        top, _ = scan.merged(view, depth=1)
        assert [(top.path(row), bool(top.flags[row] & Flag.UNREAD)) for row in range(1, len(top))] == [
            ("a", True),
            ("e", False),
        ]
        below, _ = scan.merged(view, "a", depth=1)
        assert [below.path(row) for row in range(len(below))] == ["", "b", "d"]


def test_status_is_kept_where_it_is_asked_for(scratch: str) -> None:
    """Mode, owner and time of every row."""
    trees.make(f"{scratch}/low", {"dir/file": "content"})
    os.chmod(f"{scratch}/low/dir/file", 0o4711)
    with reading.opened(reading.of_directories(Stack([f"{scratch}/low"]))) as view:
        atlas, _ = scan.merged(view, status=True)
    status = atlas.status
    assert status is not None
    found = os.lstat(f"{scratch}/low/dir/file")
    assert (status.modes[2], status.uids[2], status.gids[2], status.mtimes[2]) == (
        0o4711,
        found.st_uid,
        found.st_gid,
        found.st_mtime_ns,
    )


def test_a_view_of_endless_paths_is_listed_in_the_steps_of_its_layers(room: str) -> None:
    """Two redirects in each of 60 layers make 2**60 paths, to what there is once."""
    layer = {f"d/{name}": made.directory(redirect=b"/d") for name in "ab"}
    case = Case(lowers=(*[layer] * 60, {"d/file": made.file(b"x")}), options=Options(redirect_dir=RedirectDir.FOLLOW))
    with new_directory(room) as base, reading.opened(reading.of_directories(case.write(base))) as view:
        assert len(scan.merged(view)[0]) < 1000


def test_with_an_index_the_answer_is_the_resolvers(room: str) -> None:
    """Hard links in the index are not what the topmost layer's object says."""
    lower = {"one": made.file(b"1"), "dir/two": made.file(b"2")}
    case = Case(lowers=(lower,), upper={"dir/new": made.file(b"3")}, options=Options(index=Switch.ON))
    with new_directory(room) as base:
        stack = case.write(base)
        os.link(f"{base}/lower0/one", f"{base}/lower0/other")
        with mounted(stack, f"{base}/merged") as point, open(f"{point}/one", "ab") as opened:
            opened.write(b"more")
        with reading.opened(reading.of_directories(stack)) as view:
            atlas, _ = scan.merged(view)
            assert _seen(atlas) == _walked(view, [])
            assert atlas.sizes[atlas.find("other") or 0] == 5


def test_names_of_any_bytes_come_back(scratch: str) -> None:
    """As long as names get, and not UTF-8; in the order of their code points."""
    trees.make(f"{scratch}/low", {"x" * 255: "1", "ö\udcff": "2", "normal": "3"})
    with reading.opened(reading.of_directories(Stack([f"{scratch}/low"]))) as view:
        atlas, summary = scan.merged(view)
    assert [atlas.name(row) for row in range(1, 4)] == ["normal", "x" * 255, "ö\udcff"]
    assert summary.unreadable == 0
