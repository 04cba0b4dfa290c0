"""``cat``: what is read is what the mount gives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from ovlctl.errors import ContentUnreadable, NotAFile, OvlError, PathNotInStack
from ovlctl.ops import listing
from ovlctl.ops.extracting import content
from ovlctl.ops.reading import layer_names
from ovlctl.ops.reading.troubles import Troubles
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.tree import Kind
from tests.capabilities import each_fs, needs_root
from tests.ops.reading.opening import viewing
from tests.ops.reading.worked import OPTIONS, worked_on
from tests.overlay.made import Case, directory, file, mounted, new_directory, whiteout
from tests.overlay.test_fuzz import EXAMPLES, cases

if TYPE_CHECKING:
    from ovlctl.ops.reading import View
    from ovlctl.overlay.stack import Stack
    from tests.conftest import MakeFs

pytestmark = needs_root


def _read(view: View, path: str, layer: str | None = None) -> bytes | int | None:
    """The content, or the errno of the error."""
    one = None if layer is None else layer_names.find(view.layers, layer_names.parse(layer))
    try:
        return b"".join(content.read(view, path, one, Troubles()))
    except OvlError as error:
        return error.errno


def _through(point: str, path: str) -> bytes | int | None:
    try:
        with open(os.path.join(point, path), "rb") as opened:
            return opened.read()
    except OSError as error:
        return error.errno


def _differences(view: View, stack: Stack, point: str) -> list[str]:
    files = [
        row.path for row in listing.merged(view, "", Troubles()) if row.attributes and row.attributes.kind is Kind.FILE
    ]
    wrong = [path for path in files if _read(view, path) != _through(point, path)]
    if wrong:
        # Does it share an inode with a name that was looked up before?
        with mounted(stack, f"{point}-again") as again:
            wrong = [path for path in wrong if _read(view, path) != _through(again, path)]
    return wrong


@settings(max_examples=EXAMPLES // 8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_content_is_what_the_mount_gives(room: str, case: Case) -> None:
    """Through metacopy and redirects, in layers of every shape; a file that cannot be opened has the kernel's errno."""
    with new_directory(room) as base:
        stack = case.write(base)
        with viewing(stack) as view, mounted(stack, f"{base}/merged") as point:
            assert _differences(view, stack, point) == []


@pytest.mark.parametrize("kind", each_fs("ext4", "xfs", "btrfs", "tmpfs"))
def test_content_of_what_the_kernel_wrote(make_fs: MakeFs, kind: str) -> None:
    """On every file system, data and metadata apart, with lowers elsewhere."""
    base, elsewhere = make_fs(kind), make_fs("tmpfs")
    stack = worked_on(base, OPTIONS["metacopy"], elsewhere=elsewhere)
    with viewing(stack) as view, mounted(stack, f"{base}/merged") as point:
        assert _differences(view, stack, point) == []
        assert _read(view, "data/sparse") == _through(point, "data/sparse")


META = Options(metacopy=Switch.ON)
TOP = {"f": file(b"....", metacopy=b""), "n": file(b"....", metacopy=b""), "gone": whiteout(), "g": file(b"top")}
LOW = {"f": file(b"lower"), "gone": file(b"was here"), "g": file(b"low"), "d/x": file(b"x"), "d": directory()}


def test_one_layer(room: str) -> None:
    """A layer's own file, hidden or not; metadata alone is no content, and a whiteout is no file."""
    with new_directory(room) as base, viewing(Case(lowers=(TOP, LOW), options=META).write(base)) as view:
        assert _read(view, "f") == b"lower"
        assert (_read(view, "g"), _read(view, "g", "0"), _read(view, "g", "lower:1")) == (b"top", b"top", b"low")
        assert _read(view, "gone", "1") == b"was here"
        top = view.layers.lowers[0]
        with pytest.raises(ContentUnreadable, match="metadata only"):
            content.read(view, "f", top, Troubles())
        with pytest.raises(NotAFile, match="whiteout"):
            content.read(view, "gone", top, Troubles())
        for path in ("d/x", "d/x/y", "g/x"):
            with pytest.raises(PathNotInStack):
                content.read(view, path, top, Troubles())


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("gone", PathNotInStack),
        ("no/where", PathNotInStack),
        ("g/x", PathNotInStack),
        ("n" * 300, PathNotInStack),
        ("d", NotAFile),
        ("", NotAFile),
        ("n", ContentUnreadable),
    ],
)
def test_what_has_no_content(room: str, path: str, error: type[OvlError]) -> None:
    """Each has its own error, and a hint."""
    with (
        new_directory(room) as base,
        viewing(Case(lowers=(TOP, LOW), options=META).write(base)) as view,
        pytest.raises(error) as caught,
    ):
        content.read(view, path, None, Troubles())
    assert caught.value.hint()
