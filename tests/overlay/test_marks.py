"""Marks decoded: what the kernel writes, and what it would make of anything else."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.kernel.handles import name_to_handle_at
from ovlctl.overlay.marks import (
    HandleRecord,
    Metacopy,
    Opaque,
    Prefix,
    RedirectForm,
    Whiteout,
    decode_handle,
    decode_index_name,
    decode_metacopy,
    decode_opaque,
    decode_redirect,
)
from ovlctl.overlay.object_marks import Marks, decode_marks, read_marks
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.real_tree import RealTree
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Attributes, Kind
from tests import capabilities, trees
from tests.overlay.made import Made, directory, file, mounted, write_layer

ROOT = capabilities.needs_root


@pytest.mark.parametrize(
    ("value", "form", "target"),
    [
        (b"name", RedirectForm.RELATIVE, "name"),
        (b"/a/b", RedirectForm.ABSOLUTE, "/a/b"),
        (b"/a\xff", RedirectForm.ABSOLUTE, "/a\udcff"),
        (b"a\0b", RedirectForm.RELATIVE, "a"),
        (b"", RedirectForm.INVALID, ""),
        (b"/", RedirectForm.INVALID, "/"),
        (b"/a/", RedirectForm.INVALID, "/a/"),
        (b"//a", RedirectForm.INVALID, "//a"),
        (b"a/b", RedirectForm.INVALID, "a/b"),
    ],
)
def test_redirect(value: bytes, form: RedirectForm, target: str) -> None:
    """The three forms, and a value cut at its first NUL byte."""
    redirect = decode_redirect(value)
    assert (redirect.form, redirect.target) == (form, target)


def test_opaque_and_metacopy() -> None:
    """One byte counts for opaque; a metacopy value is empty, or a header of four bytes and a digest."""
    assert [decode_opaque(value) for value in (b"y", b"x", b"yes", b"", b"Y")] == [
        Opaque.YES,
        Opaque.WHITEOUTS,
        Opaque.IGNORED,
        Opaque.IGNORED,
        Opaque.IGNORED,
    ]
    assert decode_metacopy(b"") == Metacopy()
    assert decode_metacopy(b"\0\4\0").valid is False
    assert decode_metacopy(b"\0\x24\0\1" + b"d" * 32) == Metacopy(algorithm=1, digest=b"d" * 32)


@given(st.binary(max_size=60))
def test_any_value_is_decoded_or_refused(value: bytes) -> None:
    """No value of a mark makes decoding fail, and a record that is taken says what the bytes say."""
    record = decode_handle(value)
    assert record is None or (len(value) == 21 + len(record.handle) and value[2] == len(value))
    assert decode_index_name(value.hex()) == record
    decode_redirect(value)
    decode_metacopy(value)
    found = {"origin": value, "upper": value, "redirect": value, "metacopy": value, "opaque": value, "x": value}
    marks = decode_marks(found, Attributes(kind=Kind.FILE, mode=0))
    assert (marks.origin_raw, marks.origin, marks.unknown) == (value, record, ("x",))


def test_names_that_are_no_index_entries() -> None:
    """Temporary names, odd digits and spaces are none."""
    for name in ("#12", "abc", "zz", "00 fb", ""):
        assert decode_index_name(name) is None


@ROOT
def test_marks_that_the_kernel_wrote(scratch: str) -> None:
    """A copied-up hard link, a renamed and a replaced directory, a whiteout: each mark is found and decoded."""
    trees.make(
        scratch, {"lower/f": "x", "lower/d/g": "x", "lower/e/h": "x", "lower/w": "x", "upper/": None, "work/": None}
    )
    os.link(f"{scratch}/lower/f", f"{scratch}/lower/f2")
    options = Options(metacopy=Switch.ON, index=Switch.ON)
    stack = Stack([f"{scratch}/lower"], upper=f"{scratch}/upper", work=f"{scratch}/work", options=options)
    with mounted(stack, f"{scratch}/merged") as point:
        os.chmod(f"{point}/f", 0o600)
        os.rename(f"{point}/d", f"{point}/e/d")
        os.unlink(f"{point}/w")
    handle = name_to_handle_at(f"{scratch}/lower/f")
    with RealTree(f"{scratch}/upper") as tree, RealTree(f"{scratch}/work/index") as index:
        marks = {path: _read(tree, path) for path in ("", "f", "e", "e/d", "w")}
        (name,) = [
            child.name for child in index.scandir("") if decode_index_name(child.name) is not None and child.kind
        ]
        entry = decode_index_name(name)
    assert marks["f"].metacopy == Metacopy()
    assert isinstance(marks["f"].origin, HandleRecord)
    assert (marks["f"].origin.type, marks["f"].origin.handle) == (handle.type, handle.handle)
    assert marks["f"].nlink is not None
    assert entry == marks["f"].origin
    assert marks["e/d"].redirect is not None
    assert marks["e/d"].redirect.target == "/d"
    assert marks["e"].impure
    assert marks["w"].whiteout is Whiteout.DEVICE
    # Written by the kernels that can choose whether to.
    kept = 16 if capabilities.overlay_option("uuid=auto") else 0
    assert len(marks[""].uuid or b"") == kept


@ROOT
def test_marks_of_both_prefixes_and_escaped_ones(scratch: str) -> None:
    """Only the stack's own prefix counts; escaped marks belong to an overlay on top."""
    layer = {
        "d": directory(**{"opaque": b"y", "overlay.opaque": b"x", "protattr": b"ia"}),
        "w": file(whiteout=b""),
        "full": file(b"x", whiteout=b""),
        "plain": Made(),
    }
    for prefix, other in ((Prefix.TRUSTED, Prefix.USER), (Prefix.USER, Prefix.TRUSTED)):
        write_layer(f"{scratch}/{prefix}", layer, prefix)
        with RealTree(f"{scratch}/{prefix}") as tree:
            found = _read(tree, "d", prefix)
            assert (found.opaque, found.escaped, found.protattr) == (Opaque.YES, (("overlay.opaque", b"x"),), b"ia")
            assert _read(tree, "w", prefix).whiteout is Whiteout.XATTR
            full = _read(tree, "full", prefix)
            assert (full.whiteout, full.whiteout_mark) == (None, True)
            assert not _read(tree, "plain", prefix).any
            assert _read(tree, "d", other) == Marks()


def _read(tree: RealTree, path: str, prefix: Prefix = Prefix.TRUSTED) -> Marks:
    attributes = tree.lstat(path)
    assert attributes is not None
    return read_marks(tree, path, attributes, prefix)
