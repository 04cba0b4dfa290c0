"""Stacks at the limits: as many layers, attributes and components as there can be, and layers in odd places."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.overlay.change import Change
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Layers
from ovlctl.overlay.merged import Entry, listing, walk
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch
from ovlctl.overlay.resolution import Rule, Unreadable
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import MAX_LOWERS, Stack
from tests import capabilities, trees
from tests.overlay.agreement import disagreements
from tests.overlay.made import Made, directory, file, link, mounted, new_directory, resolving, whiteout, write_layer

if TYPE_CHECKING:
    from tests.conftest import MakeFs

ROOT = capabilities.needs_root
FOLLOW = Options(redirect_dir=RedirectDir.FOLLOW)


@ROOT
def test_five_hundred_layers(scratch: str) -> None:
    """A mount of as many lowers as the kernel takes, with redirects and opaque directories on the way, is resolved."""
    layers: list[dict[str, Made]] = [
        {f"d/{at}": file(b"%d" % at), "same": file(b"%d" % at), f"gone{at}": whiteout()} for at in range(MAX_LOWERS)
    ]
    for at in range(0, MAX_LOWERS - 1, 7):
        layers[at] |= {f"gone{at + 1}": file(), f"moved{at}": directory(redirect=b"/d")}
    layers[400] |= {"d": directory(opaque=b"y")}
    stack = Stack([write_layer(f"{scratch}/{at}", layer) for at, layer in enumerate(layers)], options=FOLLOW)
    with resolving(stack) as resolver, mounted(stack, f"{scratch}/merged") as point:
        entries = {entry.resolution.path: entry for entry in walk(resolver) if isinstance(entry, Entry)}
        assert set(os.listdir(f"{point}/d")) == {str(at) for at in range(401)}
        assert {path for path, entry in entries.items() if path.startswith("d/")} == {f"d/{at}" for at in range(401)}
        assert resolver.resolve("d/400").stack[0].layer.index == 400
        # Many names lead to one directory here, so that what is in them is compared with their own mounts only.
        names = ["d", "same", *(f"gone{at}" for at in range(60)), "moved0", "moved399", "moved497"]
        for name in names:
            found = resolver.child(resolver.root(), name)
            assert found.errno == _errno(f"{point}/{name}"), name
        assert set(os.listdir(f"{point}/moved497")) == {"498", "499"}
        assert [entry.name for entry in _listing(resolver, "moved497")] == ["498", "499"]


@ROOT
def test_a_redirect_longer_than_a_path(room: str, scratch: str) -> None:
    """The kernel follows a redirect of more bytes than a path can have, component by component, and so do we."""
    long = "/".join(["n" * 250] * 40)
    with new_directory(room) as base:
        top = write_layer(f"{base}/top", {"d": directory(redirect=os.fsencode(f"/{long}"))})
        stack = Stack([top, write_layer(f"{base}/low", {f"{long}/f": file(b"far")})], options=FOLLOW)
        _both_read(stack, f"{scratch}/merged", "d/f", b"far")


def _both_read(stack: Stack, where: str, path: str, content: bytes) -> None:
    with resolving(stack) as resolver, mounted(stack, where) as point:
        with open(f"{point}/{path}", "rb") as opened:
            assert opened.read() == content
        found = resolver.resolve(path)
        assert found.data is not None
        with found.data.layer.tree.open(found.data.path) as data:
            assert data.read() == content


@ROOT
@capabilities.needs_fs("xfs")
def test_more_attributes_than_a_list_can_name(make_fs: MakeFs) -> None:
    """Marks count among so many attributes that no list holds their names (E2BIG); what else is there is not known."""
    base = make_fs("xfs")
    top = {"d": directory(opaque=b"y"), "m": file(b"....", metacopy=b""), "f": file(b"f"), "w": file(whiteout=b"")}
    low = {"d/hidden": file(), "m": file(b"data"), "f": file(), "w": file(b"w")}
    upper, lower = write_layer(f"{base}/upper", top), write_layer(f"{base}/lower", low)
    os.mkdir(f"{base}/work")
    for name in top:
        for at in range(300):
            os.setxattr(f"{upper}/{name}", f"user.{at:0240}", b"")
    with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
        os.listxattr(f"{upper}/d")
    stack = Stack([lower], upper=upper, work=f"{base}/work", options=Options(metacopy=Switch.ON))
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        with pytest.raises(OSError, match=os.strerror(errno.E2BIG)):
            os.listxattr(f"{point}/f")
        assert os.listdir(f"{point}/d") == []
        assert list(_listing(resolver, "d")) == []
        assert resolver.resolve("d").rule is Rule.OPAQUE
        assert (resolver.resolve("w").errno, _errno(f"{point}/w")) == (errno.ENOENT, errno.ENOENT)
        with open(f"{point}/m", "rb") as opened:
            assert opened.read() == b"data"
        found = resolver.resolve("m")
        assert found.data is not None
        assert found.data.layer.directory == lower
        below = Resolver(Layers(lowers=resolver.layers.lowers), resolver.following)
        every = list(changes(resolver, below))
        assert [one.path for one in every if isinstance(one, Change)] == ["d/hidden", "w"]
        lost = {one.place.path: one.errno for one in every if isinstance(one, Unreadable)}
        assert lost == dict.fromkeys(("d", "f", "m"), errno.E2BIG)


@ROOT
@capabilities.needs_fs("xfs")
def test_attributes_as_long_as_they_can_be(make_fs: MakeFs) -> None:
    """A value of 64 KiB, ordinary or a mark, is read as the kernel reads it."""
    base = make_fs("xfs")
    long = b"y" * 65536
    top = {
        "f": Made(content=b"x", xattrs={"user.long": long, "trusted.overlay.overlay.long": long}),
        "d": directory(opaque=long),
        "e": directory(redirect=long),
    }
    layers = [write_layer(f"{base}/top", top), write_layer(f"{base}/low", {"d/f": file(), "e/f": file()})]
    stack = Stack(layers, options=FOLLOW)
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        assert os.getxattr(f"{point}/f", "trusted.overlay.long") == long
        assert list(disagreements(resolver, point, ["f", "d", "e"], stack)) == []


@ROOT
def test_a_layer_that_is_a_link(scratch: str) -> None:
    """A layer given by a symbolic link is where that leads, as for mount(2); links in a layer are never followed."""
    os.symlink("/etc", f"{scratch}/link")
    top = write_layer(f"{scratch}/top", {"etc": link("/etc"), "passwd": file(b"mine")})
    stack = Stack([top, f"{scratch}/link"], options=FOLLOW)
    with resolving(stack) as resolver, mounted(stack, f"{scratch}/merged") as point:
        assert resolver.resolve("etc/passwd").rule is Rule.PARENT_NOT_DIRECTORY
        assert resolver.resolve("passwd").stack[0].layer.index == 0
        assert {entry.name for entry in _listing(resolver, "")} == set(os.listdir(point)) >= set(os.listdir("/etc"))


@ROOT
@pytest.mark.parametrize("userxattr", [Flag.NO, pytest.param(Flag.YES, marks=capabilities.needs_userxattr)])
def test_an_overlay_on_an_overlay(scratch: str, userxattr: Flag) -> None:
    """What an overlay wrote into an overlay's view, escaped once more, is resolved by both models as by both mounts."""
    prefix = "user.overlay." if userxattr is Flag.YES else "trusted.overlay."
    options = Options(userxattr=userxattr)
    trees.make(scratch, {"low/d/hidden": "x", "low/e/seen": "x", "low/g": "x", "top/d/": None, "top/e/": None})
    trees.make(scratch, {"top/w/x/": None, "top/w/x/g": "", "bottom/d/below": "x", "bottom/w/x/g": "hidden"})
    inner = Stack([f"{scratch}/top", f"{scratch}/low"], options=options)
    # Marks for the inner mount are one level deep, those for the outer one two.
    os.setxattr(f"{scratch}/top/e", f"{prefix}opaque", b"y")
    os.setxattr(f"{scratch}/top/d", f"{prefix}overlay.opaque", b"y")
    os.setxattr(f"{scratch}/top/w/x", f"{prefix}overlay.opaque", b"x")
    os.setxattr(f"{scratch}/top/w/x/g", f"{prefix}overlay.whiteout", b"y")
    with resolving(inner) as resolver, mounted(inner, f"{scratch}/inner") as point:
        assert list(disagreements(resolver, point, ["hidden", "seen", "g"], None)) == []
        assert resolver.resolve("d/hidden").exists
        assert not resolver.resolve("e/seen").exists
        outer = Stack([point, f"{scratch}/bottom"], options=options)
        with resolving(outer) as above, mounted(outer, f"{scratch}/outer") as other:
            assert list(disagreements(above, other, ["hidden", "below", "g"], None)) == []
            assert above.resolve("d").rule is Rule.OPAQUE
            assert above.resolve("w/x/g").rule is Rule.WHITEOUT


@ROOT
@pytest.mark.parametrize("index", Switch)
def test_an_upper_inside_a_lower(scratch: str, index: Switch) -> None:
    """Whoever keeps the upper in a lower gets ELOOP where both meet, at the work directory too, and nothing below."""
    trees.make(scratch, {"low/f": "x", "low/in/upper/u": "x", "low/in/work/": None, "low/in/other": "x"})
    stack = Stack(
        [f"{scratch}/low"],
        upper=f"{scratch}/low/in/upper",
        work=f"{scratch}/low/in/work",
        options=Options(index=index),
    )
    with mounted(stack, f"{scratch}/merged"):
        pass
    with resolving(stack) as resolver, mounted(stack, f"{scratch}/merged") as point:
        found = resolver.resolve("in/upper")
        assert (found.rule, found.errno) == (Rule.OVERLAPPING, errno.ELOOP)
        assert _errno(f"{point}/in/upper") == _errno(f"{point}/in/work") == errno.ELOOP
        assert list(disagreements(resolver, point, ["in", "upper", "work", "u", "other"], None)) == []


def _listing(resolver: Resolver, path: str) -> list[Entry]:
    return [entry for entry in listing(resolver, resolver.resolve(path)) if isinstance(entry, Entry) and entry.listed]


def _errno(path: str) -> int:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno or 0
    return 0
