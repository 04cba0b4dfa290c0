"""Images against the kernel: the same layers, written by hand as an overlay keeps them, and mounted."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.merged import Entry, listing
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests import capabilities
from tests.oci.images import archive, entry, made, resolver
from tests.overlay.agreement import foretold
from tests.overlay.made import Made, directory, file, link, mounted, new_directory, seen, whiteout, write_layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.resolver import Resolver

pytestmark = [capabilities.needs_overlay, capabilities.needs_root]

_TIME = 1_500_000_000
_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.CHARACTER: tarfile.CHRTYPE,
    Kind.BLOCK: tarfile.BLKTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
}


def _archive(layer: Mapping[str, Made]) -> bytes:
    """The layer as an archive has it: whiteouts by name, opaque directories by an entry in them."""
    entries = []
    for path, one in layer.items():
        parent, _, name = path.rpartition("/")
        fields = {"mtime": _TIME, "mode": one.mode, "type": _TYPES[one.kind], "linkname": one.target}
        if one.kind is not Kind.SYMLINK:
            del fields["linkname"]
        fields["pax_headers"] = {f"SCHILY.xattr.{key}": os.fsdecode(value) for key, value in one.xattrs.items()}
        if one.kind is Kind.CHARACTER and one.rdev == 0:
            entries.append(entry(os.path.join(parent, f".wh.{name}"), mtime=_TIME))
            continue
        fields["devmajor"], fields["devminor"] = os.major(one.rdev), os.minor(one.rdev)
        entries.append(entry(path, one.content, **fields))
        if "opaque" in one.marks:
            entries.append(entry(os.path.join(path, ".wh..wh..opq")))
    return archive(*entries)


def _write(base: str, layer: Mapping[str, Made]) -> str:
    write_layer(base, layer)
    for path, one in layer.items():
        if one.kind is not Kind.CHARACTER or one.rdev:
            os.utime(os.path.join(base, path), (_TIME, _TIME), follow_symlinks=False)
    return base


_STACKS: dict[str, tuple[Mapping[str, Made], ...]] = {
    "files": (
        {"d": directory(), "d/a": file(b"upper"), "d/b": whiteout(), "new": file(b"n")},
        {"d": directory(), "d/a": file(b"lower"), "d/b": file(b"b"), "d/c": file(b"c"), "l": link("d/a")},
    ),
    "opaque": (
        {"d": directory(opaque=b"y"), "d/a": file(b"upper"), "e": directory(), "e/sub": directory(opaque=b"y")},
        {"d": directory(), "d/b": file(), "e": directory(), "e/sub": directory(), "e/sub/x": file(), "e/y": file()},
    ),
    "kinds": (
        {
            "pipe": Made(kind=Kind.FIFO, mode=0o600),
            "disk": Made(kind=Kind.BLOCK, mode=0o660, rdev=os.makedev(8, 17)),
            "null": Made(kind=Kind.CHARACTER, mode=0o666, rdev=os.makedev(1, 3)),
            "was": file(b"file now"),
            "now": directory(),
            "now/in": link("/etc/passwd"),
        },
        {"was": directory(), "was/x": file(), "now": file(), "null": directory(), "null/x": file()},
    ),
    "attributes": (
        {"d": Made(kind=Kind.DIRECTORY, mode=0o2775, xattrs={"user.a": b"1", "trusted.b": b"\xff\x00"})},
        {
            "d": Made(kind=Kind.DIRECTORY, mode=0o700, xattrs={"user.c": b"2"}),
            "d/suid": Made(mode=0o4755, content=b"x" * 5000, xattrs={"user.x": b"x" * 100}),
        },
    ),
    "deep": (
        {"a": directory(), "a/b": whiteout()},
        {"a": directory(), "a/b": directory(), "a/b/c": directory(), "a/b/c/new": file(b"1")},
        {"a": directory(), "a/b": file(b"in the middle")},
        {"a": directory(), "a/b": directory(), "a/b/c": directory(), "a/b/c/old": file(b"2"), "a/z": file(b"z")},
    ),
    "back again": (
        {"a": directory(), "a/b": directory(), "a/b/n": file(b"1")},
        {"a": directory(), "a/b": whiteout()},
        {"a": directory(), "a/b": directory(), "a/b/old": file(b"2")},
    ),
}


def _walk(view: Resolver, start: Resolution) -> Iterator[Resolution]:
    for each in listing(view, start):
        assert isinstance(each, Entry)
        yield each.resolution
        if each.resolution.is_directory:
            yield from _walk(view, each.resolution)


@pytest.mark.parametrize("name", _STACKS)
def test_an_image_is_a_mount_of_its_layers(scratch: str, name: str) -> None:
    """Names, types, modes, owners, sizes, link counts, times, content, targets and attributes are those of a mount."""
    layers = _STACKS[name]
    view = resolver(made(f"{scratch}/image", *map(_archive, reversed(layers))))
    with new_directory(scratch) as base:
        stack = Stack([_write(f"{base}/{at}", layer) for at, layer in enumerate(layers)])
        with mounted(stack, f"{base}/merged") as point:
            names = {path for layer in layers for path in layer}
            ours = {path: foretold(view.resolve(path), Prefix.TRUSTED) for path in names}
            assert ours == {path: seen(f"{point}/{path}") for path in names}
            shown = {
                os.path.relpath(os.path.join(top, each), point)
                for top, below, files in os.walk(point)
                for each in (*below, *files)
            }
            assert {found.path for found in _walk(view, view.root()) if found.exists} == shown
