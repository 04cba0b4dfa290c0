"""Images against umoci: what it unpacks is what is read."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.tree import Kind
from tests.capabilities import needs_root
from tests.oci.images import Layout, Made, archive, directory, entry, hard_link, link, resolver
from tests.overlay.agreement import foretold
from tests.overlay.made import Seen, seen

pytestmark = [needs_root, pytest.mark.skipif(shutil.which("umoci") is None, reason="umoci is not installed")]


def _umoci(*argv: str) -> None:
    done = subprocess.run(["umoci", *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _plain(one: Seen) -> Seen:
    # What the file system that it was unpacked to decides: link counts of directories.
    from dataclasses import replace

    return replace(one, nlink=0) if one.kind is Kind.DIRECTORY else one


def _of_image(stack: str) -> dict[str, Seen]:
    view = resolver(stack)
    every = [view.root(), *(one.resolution for one in walk(view) if isinstance(one, Entry) and one.listed)]
    return {found.path: _plain(foretold(found, Prefix.TRUSTED)) for found in every}


def _of_directory(base: str) -> dict[str, Seen]:
    found = {"": _plain(seen(base))}
    for top, below, files in os.walk(base):
        for name in (*below, *files):
            path = os.path.join(top, name)
            found[os.path.relpath(path, base)] = _plain(seen(path))
    return found


def _unpacked(scratch: str, tag: str) -> dict[str, Seen]:
    _umoci("raw", "unpack", "--image", f"{scratch}/l:{tag}", f"{scratch}/{tag}")
    return _of_directory(f"{scratch}/{tag}")


def test_what_umoci_packs(scratch: str) -> None:
    """An image that umoci made of a directory, and again after changes, reads as umoci unpacks it."""
    image = f"{scratch}/l"
    _umoci("init", "--layout", image)
    _umoci("new", "--image", f"{image}:none")
    _umoci("unpack", "--image", f"{image}:none", f"{scratch}/b")
    root = f"{scratch}/b/rootfs"
    os.makedirs(f"{root}/usr/lib/deep/er")
    os.makedirs(f"{root}/etc/conf.d")
    for name, text in (("etc/a", "a"), ("etc/b", "b"), ("etc/conf.d/x", "x"), ("usr/lib/deep/er/y", "y" * 9000)):
        with open(f"{root}/{name}", "w", encoding="ascii") as new:
            new.write(text)
    os.link(f"{root}/etc/a", f"{root}/usr/a")
    os.symlink("usr/lib", f"{root}/lib")
    os.mkfifo(f"{root}/pipe")
    os.mknod(f"{root}/null", 0o20666, os.makedev(1, 3))
    os.chmod(f"{root}/etc/b", 0o6711)
    os.chown(f"{root}/etc/b", 1234, 56789)
    os.setxattr(f"{root}/etc/b", "user.note", b"\x00\xff")
    with open(f"{root}/sparse", "wb") as new:
        new.truncate(3 << 20)
    os.mkdir(f"{root}/" + "n" * 200)
    with open(f"{root}/{'n' * 200}/{'m' * 200}", "wb"):
        pass
    _umoci("repack", "--image", f"{image}:one", f"{scratch}/b")
    shutil.rmtree(f"{scratch}/b")
    _umoci("unpack", "--image", f"{image}:one", f"{scratch}/b")
    os.unlink(f"{root}/etc/a")
    shutil.rmtree(f"{root}/usr/lib/deep")
    os.mkdir(f"{root}/usr/lib/deep")
    with open(f"{root}/usr/lib/deep/new", "wb") as new:
        new.write(b"new")
    os.unlink(f"{root}/lib")
    os.mkdir(f"{root}/lib")
    os.chmod(f"{root}/etc/b", 0o600)
    _umoci("repack", "--image", f"{image}:two", f"{scratch}/b")
    for tag in ("one", "two"):
        assert _of_image(f"oci:{image}:{tag}") == _unpacked(scratch, tag)


_BASE = archive(
    directory("./", mode=0o711),
    directory("usr/lib", mode=0o750),
    entry("usr/lib/x", b"x"),
    link("lib", "usr/lib"),
    directory("tmp", mode=0o1777),
    directory("d", mode=0o700, uid=7),
    entry("d/a", b"a"),
    entry("d/b", b"b", mode=0o4755, uid=1000, gid=1001),
    entry("f", b"f"),
)
_LAYERS = {
    "missing parents": archive(entry("tmp/n", b"n"), entry("new/er/f", b"f"), entry("d/c", b"c")),
    "behind links": archive(entry("lib/y", b"y"), entry("lib/sub/z"), link("up", "../../d"), entry("up/q", b"q")),
    "odd names": archive(entry("/abs", b"1"), entry("../../out", b"2"), entry("a//b/./c", b"3"), entry("d/../g", b"4")),
    "twice": archive(
        entry("t", b"1"), entry("t", b"2"), directory("d", mode=0o711), entry("f", b"g"), directory("f", mode=0o710)
    ),
    "whiteouts": archive(entry("d/.wh.a"), entry(".wh.f"), entry("f", b"again"), entry("d/.wh.nothing")),
    "whiteout after an entry": archive(entry("f", b"again"), entry(".wh.f")),
    "opaque first": archive(entry("d/.wh..wh..opq"), entry("d/n", b"n")),
    "opaque last": archive(entry("d/n", b"n"), entry("d/.wh..wh..opq")),
    "opaque root": archive(entry(".wh..wh..opq"), directory("only")),
    "hard links": archive(entry("g", b"g"), hard_link("h", "g"), hard_link("d/i", "/g"), link("s", "g")),
    "replaced": archive(entry("d", b"file"), directory("f"), entry("f/in", b"in"), directory("lib"), entry("lib/own")),
}


@pytest.mark.parametrize("name", _LAYERS)
@pytest.mark.parametrize("compression", ["", "gzip"])
def test_odd_layers(scratch: str, name: str, compression: str) -> None:
    """Layers as other tools write them, and as none should, read as umoci unpacks them over a base."""
    Layout(f"{scratch}/l").image("it", _BASE, Made(_LAYERS[name], compression))
    ours, theirs = _of_image(f"oci:{scratch}/l:it"), _unpacked(scratch, "it")
    assert sorted(ours) == sorted(theirs)
    from dataclasses import replace

    # Times of links and of parents that no entry has are those of the unpacking.
    timeless = [{path: replace(one, mtime_ns=0) for path, one in found.items()} for found in (ours, theirs)]
    assert timeless[0] == timeless[1]
