"""Marks in words: one line for each that an object has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.overlay.marks import Mark, Opaque, RedirectForm, Whiteout
from ovlctl.overlay.tree import Kind
from ovlctl.show.explain_lines import view_path, whole
from ovlctl.show.names import show_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.explain.values import LayerLook
    from ovlctl.overlay.marks import Metacopy, Redirect
    from ovlctl.overlay.object_marks import Marks

#: A mount of ours found that out: ovlctl.ops.kernel_habits.
_UNREAD = "this kernel does not read it, as a trial mount showed"
_VALUE = "of its value this kernel reads nothing, as a trial mount showed"
_FLAGS = {"a": "append-only", "i": "immutable"}


def mark_lines(look: LayerLook) -> Iterator[str]:
    """What the marks of one layer's object say; a mark that the kernel ignores is said to be ignored."""
    marks, seen = look.marks, look.candidate.attributes
    if marks is None or seen is None:
        return
    yield from _whiteout(marks)
    yield from _search(marks, seen.kind)
    if marks.origin_raw is not None:
        yield _origin(look, marks)
    yield from _bookkeeping(marks)
    yield from _foreign(marks)


def _search(marks: Marks, kind: Kind) -> Iterator[str]:
    # What steers the search for the object in the layers below.
    directory, file = kind is Kind.DIRECTORY, kind is Kind.FILE
    if marks.opaque is not None:
        unread = directory and Mark.OPAQUE in marks.unread
        yield f"opaque=x, ignored: {_UNREAD}" if unread else _opaque(marks.opaque, ignored=not directory)
    if marks.redirect is not None:
        yield _redirect(marks.redirect, ignored=not (directory or (file and marks.metacopy is not None)))
    if marks.metacopy is not None:
        unread = file and Mark.METACOPY in marks.unread
        yield f"metacopy: it has metadata only; {_VALUE}" if unread else _metacopy(marks.metacopy, ignored=not file)


def _bookkeeping(marks: Marks) -> Iterator[str]:
    if marks.impure:
        yield "impure: it has names that were copied up, and readdir looks up their numbers"
    if marks.nlink is not None:
        yield f"nlink={_text(marks.nlink)}: how the index counts its names"
    if marks.uuid is not None:
        yield f"uuid={marks.uuid.hex()}: by which the overlay knows itself again"
    if marks.protattr is not None:
        yield f"protattr={_text(marks.protattr)}: {_protected(marks.protattr)}"
    if marks.upper is not None:
        yield "upper: this index entry stands for an object of the upper"


def _whiteout(marks: Marks) -> Iterator[str]:
    if marks.whiteout is Whiteout.DEVICE:
        yield "whiteout: a character device 0:0"
    elif marks.whiteout is Whiteout.XATTR:
        yield "whiteout: an empty file with the mark"
    if Mark.WHITEOUT in marks.unread:
        yield f"mark whiteout, ignored: {_UNREAD}"
    elif marks.whiteout_mark and marks.whiteout is not Whiteout.XATTR:
        yield "mark whiteout, ignored: only an empty regular file can be one by it"


def _opaque(opaque: Opaque, *, ignored: bool) -> str:
    if ignored:
        return f"opaque={opaque}, ignored: only directories can be"
    return {
        Opaque.YES: "opaque: it shows nothing of the layers below",
        Opaque.WHITEOUTS: "opaque=x: it holds whiteouts that are empty files",
        Opaque.IGNORED: "opaque, ignored: its value is neither y nor x",
    }[opaque]


def _redirect(redirect: Redirect, *, ignored: bool) -> str:
    target = whole(redirect.target)
    if ignored:
        return f"redirect to {target}, ignored: only directories and metadata-only files have one"
    return {
        RedirectForm.RELATIVE: f"redirect, relative: in the layers below it is called {target}",
        RedirectForm.ABSOLUTE: f"redirect, absolute: in the layers below it is at {target}",
        RedirectForm.INVALID: f"redirect, invalid: {target or 'empty'} is neither a name nor a path from the root",
    }[redirect.form]


def _metacopy(metacopy: Metacopy, *, ignored: bool) -> str:
    if ignored:
        return "metacopy, ignored: only regular files can be"
    if not metacopy.valid:
        return "metacopy, damaged: its value has less than four bytes"
    digest = f", with fs-verity digest {metacopy.digest.hex()} (algorithm {metacopy.algorithm})"
    return f"metacopy: it has metadata only{digest if metacopy.algorithm else ''}"


def _origin(look: LayerLook, marks: Marks) -> str:
    if not marks.origin_raw:
        return "origin: copied up from a file system without file handles"
    if marks.origin is None:
        return f"origin, damaged: {len(marks.origin_raw)} bytes that are no handle"
    if look.origin is not None:
        layer = look.origin.layer
        return f"origin: copied up from what {layer.role} {layer.index} has at {view_path(look.origin.path)}"
    return "origin: copied up from an object that is none of those below"


def _protected(value: bytes) -> str:
    named = [_FLAGS[letter] for letter in _text(value) if letter in _FLAGS]
    return f"{' and '.join(named) or 'no'} flags that the upper's own inode cannot have"


def _foreign(marks: Marks) -> Iterator[str]:
    if marks.escaped:
        names = ", ".join(show_name(name) for name, _ in marks.escaped)
        lost = ", which this kernel neither shows nor copies up, as a trial mount showed"
        lost = lost if marks.escaped[0][0] in marks.unread else ""
        yield f"marks of an overlay on top of this one, ignored here{lost}: {names}"
    if marks.unknown:
        yield f"unknown marks: {', '.join(map(show_name, marks.unknown))}"


def _text(value: bytes) -> str:
    return show_name(os.fsdecode(value))
