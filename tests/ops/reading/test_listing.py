"""``tree``: the list is the mount's, and nothing is missing from it."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from ovlctl.errors import BadUsage, PathNotInStack
from ovlctl.ops import listing
from ovlctl.ops.reading import layer_names
from ovlctl.ops.reading.troubles import Troubles
from ovlctl.overlay.marks import Opaque
from ovlctl.overlay.options import Options, RedirectDir
from ovlctl.overlay.resolution import Outcome, Verdict
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Attributes, Kind
from tests import trees
from tests.capabilities import each_fs, each_options, needs_root
from tests.ops.reading.opening import viewing
from tests.ops.reading.worked import OPTIONS, worked_on
from tests.overlay.made import Case, directory, file, link, mounted, new_directory, whiteout
from tests.overlay.test_corners import CORNERS
from tests.overlay.test_corners import Row as Corner
from tests.overlay.test_fuzz import EXAMPLES, cases

if TYPE_CHECKING:
    from ovlctl.ops.listing import Row
    from ovlctl.overlay.layers import Layer
    from tests.conftest import MakeFs

pytestmark = needs_root


def _rows(stack: Stack, path: str = "", *, hidden: bool = False, depth: int | None = None) -> list[Row]:
    troubles = Troubles()
    with viewing(stack) as view:
        rows = list(listing.merged(view, path, troubles, hidden=hidden, depth=depth))
    assert not troubles.any
    return rows


def _differences(rows: list[Row], point: str, stack: Stack | None) -> list[str]:
    """What the list has and the mount at *point* has not, or otherwise."""
    wrong = [path for row in rows if (path := _difference(row, point))]
    if wrong and stack is not None:
        # What shares an inode with a name that was looked up before is another thing the second time.
        with mounted(stack, f"{point}-again") as again:
            wrong = [path for row in rows if row.path in wrong and (path := _difference(row, again))]
    refused = {row.path for row in rows if row.outcome is Outcome.REFUSED}
    listed = {row.path for row in rows if row.listed} - refused
    return wrong + sorted(listed ^ (_listed(point) - refused))


def _difference(row: Row, point: str) -> str:
    try:
        kernel = Attributes.of(os.lstat(os.path.join(point, row.path)))
    except OSError as error:
        return "" if error.errno == row.errno else row.path
    ours = row.attributes
    if ours is None:
        return row.path
    same = (kernel.kind, kernel.mode, kernel.uid, kernel.gid, kernel.rdev) == (
        ours.kind,
        ours.mode,
        ours.uid,
        ours.gid,
        ours.rdev,
    )
    if kernel.kind is not Kind.DIRECTORY:
        same = same and (kernel.size, kernel.mtime_ns) == (ours.size, ours.mtime_ns)
    if kernel.kind is Kind.SYMLINK:
        same = same and os.readlink(os.path.join(point, row.path)) == row.target
    return "" if same else row.path


def _listed(point: str) -> set[str]:
    """Every name that readdir(3) gives below *point*."""
    found, pending = set[str](), [""]
    while pending:
        above = pending.pop()
        try:
            names = os.listdir(os.path.join(point, above))
        except OSError:
            continue
        for name in names:
            path = os.path.join(above, name)
            found.add(path)
            full = os.path.join(point, path)
            if os.path.isdir(full) and not os.path.islink(full):
                pending.append(path)
    return found


@pytest.mark.parametrize("kind", each_fs("ext4", "xfs", "btrfs", "tmpfs"))
@pytest.mark.parametrize("options", each_options(OPTIONS))
def test_a_list_is_a_walk_of_the_mount(make_fs: MakeFs, kind: str, options: Options) -> None:
    """Law: of uppers that the kernel wrote, on every file system."""
    base = make_fs(kind)
    stack = worked_on(base, options)
    rows = _rows(stack)
    paths = [row.path for row in rows]
    assert paths == sorted(paths, key=lambda path: path.split("/"))
    with mounted(stack, f"{base}/merged") as point:
        assert _differences(rows, point, None) == []


# Redirects that lead to what is seen elsewhere too: the kernel's own list depends on what was looked up before.
@pytest.mark.parametrize("corner", [each for each in CORNERS if "loop" not in str(each.id)])
def test_a_list_of_what_the_kernel_would_never_write(room: str, corner: Corner) -> None:
    """Law: of layers made by hand, each with a corner of its own; what the kernel refuses has its errno."""
    case = Case(lowers=corner.lowers, upper=corner.upper, data=corner.data, options=corner.options)
    with new_directory(room) as base:
        stack = case.write(base)
        rows = _rows(stack)
        with mounted(stack, f"{base}/merged") as point:
            assert _differences(rows, point, stack) == []


@settings(max_examples=EXAMPLES // 5, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_every_object_has_a_row(room: str, case: Case) -> None:
    """With what is hidden: each object of each layer once where it lies, and what is seen as without."""
    with new_directory(room) as base:
        stack = case.write(base)
        rows = _rows(stack, hidden=True)
        with viewing(stack) as view:
            seen = Counter(
                (row.place.layer.directory, row.path) for row in rows if row.place and row.place.path == row.path
            )
            there = Counter((layer.directory, path) for layer in view.layers.merged for path in _everything(layer))
        assert seen == there
        plain = [row for row in rows if row.verdict is Verdict.PROVIDES or row.place is None]
        assert [row.path for row in plain] == [row.path for row in _rows(stack)]


@settings(max_examples=EXAMPLES // 10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_one_layer_is_what_lies_there(room: str, case: Case) -> None:
    """Every object of the layer once, whatever the merge makes of it, with its marks."""
    with new_directory(room) as base:
        stack = case.write(base)
        with viewing(stack) as view:
            for layer in (*view.layers.merged, *view.layers.data):
                troubles = Troubles()
                rows = list(listing.of_layer(view, layer, "", troubles))
                assert not troubles.any
                assert Counter(row.path for row in rows) == Counter(_everything(layer))
                for row in rows:
                    assert row.marks is not None
                    value = _xattr(f"{layer.directory}/{row.path}", case.prefix + "opaque")
                    expected = None if value is None else {b"y": Opaque.YES, b"x": Opaque.WHITEOUTS}.get(value)
                    assert row.marks.opaque is (expected or (None if value is None else Opaque.IGNORED))


def _everything(layer: Layer) -> list[str]:
    found = []
    for directory_, names, files in os.walk(layer.directory):
        found += [os.path.relpath(os.path.join(directory_, name), layer.directory) for name in (*names, *files)]
    return found


def _xattr(path: str, name: str) -> bytes | None:
    return os.getxattr(path, name, follow_symlinks=False) if name in os.listxattr(path, follow_symlinks=False) else None


TOP = {
    "d": directory(),
    "d/gone": whiteout(),
    "d/f": file(b"top"),
    "alone/w": whiteout(),
    "moved": directory(redirect=b"/was"),
    "bad": directory(redirect=b"../x"),
}
LOW = {
    "d/gone": file(b"gone"),
    "d/f": file(b"low"),
    "d/deep/er": file(),
    "was/f": file(),
    "moved/f": file(),
    "link": link("/etc"),
    "bad/x": file(),
}


def _example(room: str) -> Stack:
    return Case(lowers=(TOP, LOW), options=Options(redirect_dir=RedirectDir.FOLLOW)).write(room)


def _outline(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [
        (row.path, "" if row.place is None else str(layer_names.name_of(row.place.layer)), row.verdict or row.outcome)
        for row in rows
    ]


def test_what_is_seen(room: str) -> None:
    """Names that are there, one that is listed and is not, and one that the kernel refuses."""
    with new_directory(room) as base:
        stack = _example(base)
        rows = _rows(stack)
        assert _outline(rows) == [
            ("alone", "lower:0", "provides"),
            ("alone/w", "", "absent"),
            ("bad", "", "refused"),
            ("d", "lower:0", "provides"),
            ("d/deep", "lower:1", "provides"),
            ("d/deep/er", "lower:1", "provides"),
            ("d/f", "lower:0", "provides"),
            ("link", "lower:1", "provides"),
            ("moved", "lower:0", "provides"),
            ("moved/f", "lower:1", "provides"),
            ("was", "lower:1", "provides"),
            ("was/f", "lower:1", "provides"),
        ]
        by_path = {row.path: row for row in rows}
        assert (by_path["alone/w"].listed, by_path["alone/w"].errno) == (True, errno.ENOENT)
        assert (by_path["bad"].errno, by_path["bad"].rule) == (errno.EINVAL, "redirect-invalid")
        place = by_path["moved/f"].place
        assert place is not None
        assert place.path == "was/f"


def test_what_is_hidden(room: str) -> None:
    """Each object that is not seen, where it lies, with the reason."""
    with new_directory(room) as base:
        hidden = [line for line in _outline(_rows(_example(base), hidden=True)) if line[2] != "provides" and line[1]]
        assert hidden == [
            ("alone/w", "lower:0", "whiteout"),
            ("bad", "lower:0", "refused"),
            ("bad", "lower:1", "shadowed"),
            ("bad/x", "lower:1", "parent-hidden"),
            ("d", "lower:1", "merged"),
            ("d/f", "lower:1", "shadowed"),
            ("d/gone", "lower:0", "whiteout"),
            ("d/gone", "lower:1", "whited-out"),
            ("moved", "lower:1", "redirected-away"),
            ("moved/f", "lower:1", "parent-hidden"),
        ]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_part_of_it(room: str, *, hidden: bool) -> None:
    """A directory of the view lists what is in it, anything else itself; depth counts from there."""
    with new_directory(room) as base:
        stack = _example(base)
        everything = _rows(stack, hidden=hidden)
        for path in ("d", "moved", "d/deep", "/d//./deep/"):
            below = [row for row in everything if row.path.startswith(path.strip("/").replace("//./", "/") + "/")]
            assert _outline(_rows(stack, path, hidden=hidden)) == _outline(below)
        for depth in (1, 2):
            shallow = [row for row in everything if row.path.count("/") < depth]
            assert _outline(_rows(stack, depth=depth, hidden=hidden)) == _outline(shallow)
        for path in ("link", "d/f", "bad", "moved/f"):
            own = [row for row in everything if row.path == path or (hidden and row.path.startswith(path + "/"))]
            assert _outline(_rows(stack, path, hidden=hidden)) == _outline(own)


def test_paths_that_are_not_there(room: str) -> None:
    """PathNotInStack, unless something hidden is there and asked for; ``..`` is no name."""
    with new_directory(room) as base:
        stack = _example(base)
        for path in ("no/where", "d/gone", "d/f/x"):
            with pytest.raises(PathNotInStack):
                _rows(stack, path)
        with pytest.raises(PathNotInStack):
            _rows(stack, "no/where", hidden=True)
        assert _outline(_rows(stack, "d/gone", hidden=True)) == [
            ("d/gone", "lower:0", "whiteout"),
            ("d/gone", "lower:1", "whited-out"),
        ]
        assert _outline(_rows(stack, "bad/x", hidden=True)) == [
            ("bad/x", "", "refused"),
            ("bad/x", "lower:1", "parent-hidden"),
        ]
        with pytest.raises(BadUsage):
            _rows(stack, "d/../d")
        with viewing(stack) as view, pytest.raises(PathNotInStack):
            list(listing.of_layer(view, view.layers.lowers[1], "alone", Troubles()))


def test_marks_of_a_layer(room: str) -> None:
    """A layer by itself is told with its marks, and a path of it that is no directory is told by itself."""
    with new_directory(room) as base, viewing(_example(base)) as view:
        top = view.layers.lowers[0]
        rows = {row.path: row for row in listing.of_layer(view, top, "", Troubles())}
        assert set(rows) == {"alone", "alone/w", "bad", "d", "d/f", "d/gone", "moved"}
        marks = rows["moved"].marks
        assert marks is not None
        assert marks.redirect is not None
        assert marks.redirect.target == "/was"
        (alone,) = listing.of_layer(view, top, "d/gone", Troubles())
        assert alone.marks is not None
        assert alone.marks.whiteout == "device"


def test_metadata_only(room: str) -> None:
    """A file of which a layer has the metadata only is told with the layer that has the data."""
    with new_directory(room) as base:
        stack = worked_on(base, OPTIONS["metacopy"])
        rows = {row.path: row for row in _rows(stack)}
        sparse = rows["data/sparse"]
        assert sparse.place is not None
        assert sparse.data is not None
        assert (sparse.place.layer.role, sparse.data.layer.role) == ("upper", "lower")
        assert rows["data/two"].data is not None
        assert rows["etc/app.conf"].data is None


def test_names_deeper_than_a_path(scratch: str) -> None:
    """Directories nested deeper than any path reaches are listed to the bottom."""
    name, depth = "n" * 200, 30
    trees.make(scratch, {"top/": None, "low/": None})
    here = os.open(f"{scratch}/low", os.O_PATH)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.mknod("bottom", stat.S_IFREG | 0o600, dir_fd=here)
    os.close(here)
    rows = _rows(Stack([f"{scratch}/top", f"{scratch}/low"]))
    assert rows[-1].path == "/".join([name] * depth) + "/bottom"
    assert len(rows) == depth + 1
