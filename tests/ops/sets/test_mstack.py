"""systemd's stack directories, read and written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl import errors
from ovlctl.ops.sets import mstack, version_order
from ovlctl.ops.sets import up as bringing
from ovlctl.ops.sets.declared import Directory, GivenUpper
from ovlctl.ops.sets.down import down
from ovlctl.ops.state import locate
from ovlctl.overlay.options import Flag, Options, Switch
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Callable

_needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def _lowers(path: str) -> tuple[str, ...]:
    (stack,) = mstack.read(path).stacks
    return tuple(layer.path for layer in stack.lowers if isinstance(layer, Directory))


def test_layers_by_version_and_the_upper(scratch: str) -> None:
    """layer@10 lies above layer@9, hidden names are ignored, rw/data and rw/work need not exist, userxattr is set."""
    base = f"{scratch}/app.mstack"
    trees.make(
        base, {"layer@9": None, "layer@10": None, "layer@2~rc": None, "layer@2": None, "rw": None, ".hidden": "x"}
    )
    (stack,) = mstack.read(base).stacks
    assert stack.name == "app"
    assert [os.path.basename(path) for path in _lowers(base)] == ["layer@10", "layer@9", "layer@2", "layer@2~rc"]
    assert stack.upper == GivenUpper(f"{base}/rw/data", f"{base}/rw/work")
    assert (stack.target, stack.options) == (None, Options(userxattr=Flag.YES))
    assert os.listdir(f"{base}/rw") == []


def test_links_are_followed_and_said(scratch: str) -> None:
    """A layer may be a link to anywhere, as for systemd: the layer is where it leads, and a remark says so."""
    base = f"{scratch}/app.mstack"
    trees.make(scratch, {"elsewhere/f": "x", "state": None, "app.mstack/layer@0": None})
    os.symlink("../elsewhere", f"{base}/layer@1")
    os.symlink(f"{scratch}/state", f"{base}/rw")
    found = mstack.read(base)
    assert _lowers(base) == (f"{scratch}/elsewhere", f"{base}/layer@0")
    assert found.stacks[0].upper == GivenUpper(f"{scratch}/state/data", f"{scratch}/state/work")
    assert [note.paths for note in found.remarks] == [
        (f"{base}/layer@1", f"{scratch}/elsewhere"),
        (f"{base}/rw", f"{scratch}/state"),
    ]


def _link_out(base: str) -> None:
    os.mkdir(f"{base}/rw")
    os.symlink("/", f"{base}/rw/data")


_REFUSED: dict[str, tuple[Callable[[str], object], type[errors.OvlError]]] = {
    "image": (lambda base: trees.make(base, {"layer@1.raw": "img"}), errors.MstackUnsupported),
    "bind": (lambda base: trees.make(base, {"bind@var": None}), errors.MstackUnsupported),
    "read-only bind of an image": (lambda base: trees.make(base, {"robind@var.raw": ""}), errors.MstackUnsupported),
    "root": (lambda base: trees.make(base, {"root": None}), errors.MstackUnsupported),
    "versions": (lambda base: trees.make(base, {"layer@1.v": None}), errors.MstackUnsupported),
    "unknown name": (lambda base: trees.make(base, {"README": ""}), errors.MstackMalformed),
    "empty id": (lambda base: trees.make(base, {"layer@": None}), errors.MstackMalformed),
    "file": (lambda base: trees.make(base, {"layer@1": "file"}), errors.MstackMalformed),
    "pipe": (lambda base: os.mkfifo(f"{base}/layer@1"), errors.MstackMalformed),
    "dangling link": (lambda base: os.symlink("nowhere", f"{base}/layer@1"), errors.MstackMalformed),
    "circle": (lambda base: os.symlink("layer@1", f"{base}/layer@1"), errors.MstackMalformed),
    "upper is a link": (_link_out, errors.MstackMalformed),
    "same version": (lambda base: trees.make(base, {"layer@00": None}), errors.MstackAmbiguous),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_what_is_not_one_overlay_of_directories_is_refused(scratch: str, case: str) -> None:
    """Nothing in a stack directory is skipped: what cannot be mounted as meant refuses the whole."""
    base = f"{scratch}/app.mstack"
    trees.make(base, {"layer@0": None})
    make, kind = _REFUSED[case]
    make(base)
    with pytest.raises(kind):
        mstack.read(base)


def test_no_layer_and_no_directory(scratch: str) -> None:
    """A directory without a layer is no overlay, and a file is no directory."""
    trees.make(scratch, {"empty.mstack/rw": None, "file.mstack": "x"})
    with pytest.raises(errors.MstackAmbiguous):
        mstack.read(f"{scratch}/empty.mstack")
    with pytest.raises(errors.NotADirectory):
        mstack.read(f"{scratch}/file.mstack")
    with pytest.raises(errors.PathMissing):
        mstack.read(f"{scratch}/none.mstack")


@pytest.mark.parametrize("count", [1, 2, 11])
def test_read_of_export_is_the_same(scratch: str, count: int) -> None:
    """read(export(stack)) has the same layers in the same order, the upper included."""
    names = [f"l {at}\n\udcff" for at in range(count)]
    trees.make(scratch, {**dict.fromkeys(names), "state/data": None, "state/work": None})
    lowers = [f"{scratch}/{name}" for name in names]
    options = Options(userxattr=Flag.YES)
    stack = Stack(lowers, upper=f"{scratch}/state/data", work=f"{scratch}/state/work", options=options)
    target = f"{scratch}/out.mstack"
    mstack.export(stack, target).apply()
    (read,) = mstack.read(target).stacks
    assert _lowers(target) == tuple(lowers)
    assert read.upper == GivenUpper(f"{scratch}/state/data", f"{scratch}/state/work")
    assert read.options == options
    assert sorted(os.listdir(scratch)) == sorted([*names, "out.mstack", "state"])
    with pytest.raises(errors.MstackExists):
        mstack.export(stack, target)


def test_export_overwrites_nothing_that_came_in_between(scratch: str) -> None:
    """What appears at the place between the plan and the writing stays as it is."""
    trees.make(scratch, {"a": None})
    planned = mstack.export(Stack([f"{scratch}/a"]), f"{scratch}/out.mstack")
    trees.make(f"{scratch}/out.mstack", {"f": "mine"})
    with pytest.raises(errors.MstackExists):
        planned.apply()
    assert trees.everything(scratch) == {"a": "d", "out.mstack": "d", "out.mstack/f": "-"}


def test_what_a_stack_directory_cannot_say(scratch: str) -> None:
    """Data-only lowers and uppers that would be read differently are refused; options left out are said."""
    trees.make(scratch, {"a": None, "u": None, "w": None, "data": None, "work": None})
    path = f"{scratch}/out.mstack"
    for stack in (
        Stack([f"{scratch}/a"], data_only=[f"{scratch}/u"]),
        Stack([f"{scratch}/a"], upper=f"{scratch}/u", work=f"{scratch}/w", options=Options(userxattr=Flag.YES)),
        Stack([f"{scratch}/a"], upper=f"{scratch}/data", work=f"{scratch}/work"),
    ):
        with pytest.raises(errors.MstackInexpressible):
            mstack.export(stack, path)
    with pytest.raises(errors.BadUsage):
        mstack.export(Stack([f"{scratch}/a"]), f"{scratch}/out")
    stack = Stack([f"{scratch}/a"], upper=f"{scratch}/u", work=f"{scratch}/w", options=Options(index=Switch.ON))
    remarks = mstack.export(stack, path, upper=False).remarks
    options, marks, upper = (note.text() for note in remarks)
    assert options == "a stack directory has no place for options: index=on left out"
    assert "trusted.overlay.* in the lowers mean nothing there" in marks
    assert upper == f"the upper {f'{scratch}/u'!r} is left out"


@capabilities.needs_overlay
def test_a_stack_directory_mounts(scratch: str, state_dir: str) -> None:
    """What was read can be mounted, its upper made on first use; the higher version covers the lower one."""
    base = f"{scratch}/app.mstack"
    trees.make(base, {"layer@9/f": "nine", "layer@9/g": "nine", "ten/f": "ten", "rw": None})
    os.rename(f"{base}/ten", f"{scratch}/ten")
    os.symlink("../ten", f"{base}/layer@10")
    file = mstack.read(base)
    agreed = bringing.plan(file, state=locate())
    assert agreed.warnings == file.remarks != ()
    assert [note.text() for note in bringing.steps(agreed, locate())][:2] == [
        f"mkdir {f'{base}/rw/data'!r}",
        f"mkdir {f'{base}/rw/work'!r}",
    ]
    assert os.listdir(f"{base}/rw") == []
    (mounted,) = bringing.up(file).mounted
    seen = {name: Path(mounted.target or "", name).read_text() for name in "fg"}
    assert seen == {"f": "ten", "g": "nine"}
    assert bringing.plan(file, state=locate()).changes is False
    down(file)


@capabilities.needs_overlay
def test_a_stack_directory_that_is_refused_stays_as_it_is(scratch: str, state_dir: str) -> None:
    """What cannot be mounted gets no upper either."""
    base = f"{scratch}/app.mstack"
    trees.make(base, {"layer@1/f": "x", "rw": None})
    os.symlink("layer@1", f"{base}/layer@2")
    with pytest.raises(errors.LayerTwice):
        bringing.up(mstack.read(base))
    assert os.listdir(f"{base}/rw") == []


_VERSIONS = st.text(alphabet="0129aAbz.~^-_+", max_size=8)


@_needs_systemd
@pytest.mark.parametrize(
    ("one", "other"),
    [("9", "10"), ("1", "01"), ("1~rc", "1"), ("1", "1.1"), ("a", "1"), ("1-2", "1.2"), ("1^2", "1"), ("ab", "abc")],
)
def test_versions_as_systemd_compares_them(one: str, other: str) -> None:
    """The order is the one that systemd-analyze gives."""
    _same_as_systemd(one, other)


@_needs_systemd
def test_any_versions_as_systemd_compares_them() -> None:
    """The order is the one that systemd-analyze gives, whatever the names."""

    @given(_VERSIONS.filter(bool), _VERSIONS.filter(bool))
    def check(one: str, other: str) -> None:
        _same_as_systemd(one, other)

    check()


def _same_as_systemd(one: str, other: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "compare-versions", "--", one, other], capture_output=True, text=True, check=False
    )
    sign = {"<": -1, "==": 0, ">": 1}[done.stdout.removeprefix(one).strip().split()[0]]
    assert version_order.compare(one.encode(), other.encode()) == sign
