"""Layouts: which image is meant, and what is refused before anything in it is believed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl import errors
from ovlctl.oci import layout
from ovlctl.oci.opening import open_image
from tests.capabilities import needs_fs
from tests.oci.images import OCI, Layout, Made, archive, content, directory, entry, link, made, resolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeFs

_ONE, _TWO = archive(entry("one", b"1")), archive(entry("two", b"2"))
_INDEX = f"{OCI}index.v1+json"


def _names(word: str) -> set[str]:
    return {child.name for layer in open_image(layout.find(word)).lowers for child in layer.tree.scandir("")}


def test_choosing(scratch: str) -> None:
    """A tag or a digest chooses; a layout of one image needs none; a directory may hold colons."""
    here = Layout(f"{scratch}/a:b")
    first = here.image("v:1", _ONE)
    assert _names(f"{scratch}/a:b") == _names(f"{scratch}/a:b:v:1") == {"one"}
    here.image("v:2", _TWO)
    assert _names(f"{scratch}/a:b:v:2") == {"two"}
    assert _names(f"{scratch}/a:b:{first['digest']}") == {"one"}
    with pytest.raises(errors.ImageMissing, match="several images") as several:
        layout.find(f"{scratch}/a:b")
    assert "'v:1', 'v:2'" in (several.value.hint() or "")
    with pytest.raises(errors.ImageMissing, match="no image 'v:3'"):
        layout.find(f"{scratch}/a:b:v:3")


def test_platforms(scratch: str) -> None:
    """Of several platforms this machine's is taken, or the only one; attestations are no image."""
    here = Layout(f"{scratch}/l")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)

    def index(tag: str, **images: bytes) -> None:
        inner = []
        for name, tar in images.items():
            system, _, architecture = name.partition("_")
            inner.append({**here.manifest(tar), "platform": {"os": system, "architecture": architecture}})
        text = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": inner}
        here.manifests.append(here.blob(text, _INDEX) | {"annotations": {"org.opencontainers.image.ref.name": tag}})
        here.write("index.json", {"manifests": here.manifests})

    index("many", **{f"linux_{machine}": _ONE, "linux_other": _TWO, "unknown_unknown": archive(entry("attested"))})
    index("only", linux_other=_TWO)
    index("none", linux_other=_TWO, linux_else=_ONE)
    assert _names(f"{scratch}/l:many") == {"one"}
    assert _names(f"{scratch}/l:only") == {"two"}
    with pytest.raises(errors.ImageMissing, match=f"no image for linux/{machine}") as none:
        layout.find(f"{scratch}/l:none")
    hint = none.value.hint() or ""
    assert "linux/other" in hint
    assert "linux/else" in hint
    assert _names(f"{scratch}/l:{here.manifest(_TWO)['digest']}") == {"two"}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressions(scratch: str, compression: str) -> None:
    """A compressed layer is what it would be without, and its content is read from a file without a name."""
    if compression == "zstd" and shutil.which("zstd") is None and sys.version_info < (3, 14):
        pytest.skip("neither Python nor a program reads zstd")
    tar = archive(entry("a", b"a" * 70000), entry("b", b"b" * 3), entry("empty"))
    before = set(os.listdir("/var/tmp"))
    view = resolver(made(f"{scratch}/l", Made(tar, compression)))
    assert (content(view, "b"), content(view, "a"), content(view, "empty")) == (b"bbb", b"a" * 70000, b"")
    assert set(os.listdir("/var/tmp")) <= before


def test_members_of_gzip(scratch: str) -> None:
    """Several members after each other are one archive. RFC 1952, 2.2."""
    import gzip

    packed = b"".join(gzip.compress(_ONE[at : at + 700]) for at in range(0, len(_ONE), 700))
    assert content(resolver(made(f"{scratch}/l", Made(_ONE, "gzip", blob=packed))), "one") == b"1"


@needs_fs("tmpfs")
def test_no_room(scratch: str, make_fs: MakeFs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for the decompressed layer names are told and content is not: ENOSPC, each time it is asked for."""
    view = resolver(made(f"{scratch}/l", Made(archive(entry("a", b"a" * 70000)), "gzip")))
    monkeypatch.setenv("TMPDIR", make_fs("tmpfs", 1 << 16))
    found = view.resolve("a")
    assert found.attributes is not None
    assert found.attributes.size == 70000
    for _ in range(2):
        with pytest.raises(OSError, match="no room") as full:
            content(view, "a")
        assert full.value.errno == errno.ENOSPC
    monkeypatch.delenv("TMPDIR")
    assert content(view, "a") == b"a" * 70000


def test_a_shared_base_is_read_once(scratch: str) -> None:
    """While an image is open, what another has in common with it is not read again."""
    base = archive(entry("base", b"base"))
    first = layout.find(made(f"{scratch}/a", base, _ONE).removeprefix("oci:"))
    second = layout.find(made(f"{scratch}/b", base, _TWO).removeprefix("oci:"))
    opened = open_image(first)
    os.unlink(f"{scratch}/b/blobs/sha256/{hashlib.sha256(base).hexdigest()}")
    again = open_image(second)
    assert [layer.identity for layer in again.lowers][1:] == [layer.identity for layer in opened.lowers][1:]
    assert again.lowers[1].tree is opened.lowers[1].tree
    del opened, again
    with pytest.raises(errors.ImageDamaged, match="lacks"):
        open_image(second)


def test_one_layer_over_two_bases(scratch: str) -> None:
    """Objects have one number when they are one object: the same layer comes to something else over another base."""
    top = archive(entry("lib/a", b"a"), entry("b", b"b"))
    views = [
        resolver(made(f"{scratch}/{name}", base, top))
        for name, base in (("x", archive(link("lib", "usr/lib"))), ("y", archive(directory("lib"))))
    ]
    numbers = [found.ino for view in views for path in ("lib", "b") if (found := view.resolve(path).attributes)]
    assert len(set(numbers)) == len(numbers) == 4
    assert [view.resolve("usr/lib/a").exists for view in views] == [True, False]


def _corrupt(here: Layout, image: dict[str, Any]) -> None:
    path = here.blob_path(_layer(here, image))
    with open(path, "r+b") as blob:
        blob.seek(600)
        blob.write(b"!")


def _layer(here: Layout, image: dict[str, Any]) -> dict[str, Any]:
    with open(here.blob_path(image), encoding="utf-8") as text:
        found: dict[str, Any] = json.load(text)["layers"][0]
    return found


def _grown(here: Layout, image: dict[str, Any]) -> None:
    with open(here.blob_path(_layer(here, image)), "ab") as blob:
        blob.write(b"!")


def _fifo(here: Layout, image: dict[str, Any]) -> None:
    path = here.blob_path(_layer(here, image))
    os.unlink(path)
    os.mkfifo(path)


def _linked(here: Layout, image: dict[str, Any]) -> None:
    path = here.blob_path(_layer(here, image))
    os.rename(path, f"{here.path}/elsewhere")
    os.symlink(f"{here.path}/elsewhere", path)


def _linked_directory(here: Layout, image: dict[str, Any]) -> None:
    os.rename(f"{here.path}/blobs", f"{here.path}/elsewhere")
    os.symlink("elsewhere", f"{here.path}/blobs")


def _no_blobs(here: Layout, image: dict[str, Any]) -> None:
    shutil.rmtree(f"{here.path}/blobs")


def _document(name: str, text: str) -> Callable[[Layout, dict[str, Any]], None]:
    def write(here: Layout, image: dict[str, Any]) -> None:
        with open(f"{here.path}/{name}", "w", encoding="utf-8") as new:
            new.write(text)

    return write


def _descriptor(**fields: object) -> Callable[[Layout, dict[str, Any]], None]:
    def write(here: Layout, image: dict[str, Any]) -> None:
        here.write("index.json", {"manifests": [{**image, **fields}]})

    return write


def _artifact(here: Layout, image: dict[str, Any]) -> None:
    config = here.blob({"rootfs": {"diff_ids": []}}, f"{OCI}config.v1+json")
    text = {"config": config, "layers": [here.blob(b"x", "application/vnd.cncf.helm.chart")]}
    here.write("index.json", {"manifests": [here.blob(text, f"{OCI}manifest.v1+json")]})


def _unlike_config(here: Layout, image: dict[str, Any]) -> None:
    config = here.blob({"rootfs": {"diff_ids": []}}, f"{OCI}config.v1+json")
    text = {"config": config, "layers": [_layer(here, image)]}
    here.write("index.json", {"manifests": [here.blob(text, f"{OCI}manifest.v1+json")]})


_DAMAGED = errors.ImageDamaged
_CASES: dict[str, tuple[Callable[[Layout, dict[str, Any]], None], type[errors.OvlError], str]] = {
    "changed": (_corrupt, _DAMAGED, "not what its name says"),
    "longer": (_grown, _DAMAGED, "bytes instead of"),
    "fifo": (_fifo, _DAMAGED, "not a regular file"),
    "link": (_linked, _DAMAGED, "symbolic links are not followed"),
    "linked directory": (_linked_directory, _DAMAGED, "a symbolic link is in the way"),
    "missing": (_no_blobs, _DAMAGED, "lacks"),
    "no JSON": (_document("index.json", "{"), _DAMAGED, "no JSON"),
    "deep JSON": (_document("index.json", "[" * 200000), _DAMAGED, "no JSON"),
    "no list": (_document("index.json", '{"manifests": {}}'), _DAMAGED, "lacks the list `manifests`"),
    "no object": (_document("index.json", "[]"), _DAMAGED, "lacks an object"),
    "braces": (_document("oci-layout", '{"imageLayoutVersion": "{0}"}'), _DAMAGED, "has the version"),
    "other version": (_document("oci-layout", '{"imageLayoutVersion": "2.0"}'), _DAMAGED, "has the version"),
    "long document": (_document("index.json", " " * (17 << 20)), errors.ImageUnreadable, "at most"),
    "empty": (_document("index.json", '{"manifests": []}'), errors.ImageMissing, "has no image"),
    "digest": (_descriptor(digest="sha256:../../../etc/passwd"), _DAMAGED, "a digest is none"),
    "other digest": (_descriptor(digest="md5:00"), _DAMAGED, "a digest is none"),
    "size": (_descriptor(size=-1), _DAMAGED, "a size is none"),
    "large size": (_descriptor(size=1 << 70), _DAMAGED, "bytes instead of"),
    "media type": (_descriptor(mediaType=None), _DAMAGED, "lacks the text `mediaType`"),
    "surrogate": (_descriptor(annotations={"org.opencontainers.image.ref.name": "\ud800"}), errors.ImageMissing, ""),
    "artifact": (_artifact, errors.ImageUnreadable, "no layer of a file system"),
    "config": (_unlike_config, _DAMAGED, "has 1 layers, and its configuration 0"),
}


@pytest.mark.parametrize("name", _CASES)
def test_what_is_refused(scratch: str, name: str) -> None:
    """Nothing of an image is told that is not what it says it is, and nothing outside its directory is opened."""
    damage, expected, said = _CASES[name]
    here = Layout(f"{scratch}/l")
    damage(here, here.image("it", _ONE))
    with pytest.raises(expected) as refused:
        open_image(layout.find(f"{scratch}/l{':other' if name == 'surrogate' else ''}"))
    assert said in refused.value.message()


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Made(_ONE, diff_id=f"sha256:{'0' * 64}"), "not the one that its configuration names"),
        (Made(_ONE, "gzip", diff_id=f"sha256:{'0' * 64}"), "not the one that its configuration names"),
        (Made(_ONE, "gzip", blob=b"\x1f\x8b\x08" + bytes(40)), "compression"),
        (Made(_ONE, "gzip", blob=b"\x1f\x8b\x08"), "compression ends too early"),
        (Made(_ONE, "zstd", blob=b"\x28\xb5\x2f\xfd" + bytes(40)), "compression"),
    ],
    ids=["plain", "gzip", "garbage", "cut", "zstd"],
)
def test_layers_that_are_not_what_they_should_be(scratch: str, layer: Made, said: str) -> None:
    """The archive's own digest is compared too, and what cannot be decompressed is an error."""
    with pytest.raises(errors.ImageDamaged, match=said):
        resolver(made(f"{scratch}/l", layer))


def test_other_hashes(scratch: str) -> None:
    """Blobs may go by SHA-512, and a diff id by another hash than its blob."""
    here = Layout(f"{scratch}/l")
    os.mkdir(f"{scratch}/l/blobs/sha512")
    name = hashlib.sha512(_ONE).hexdigest()
    with open(f"{scratch}/l/blobs/sha512/{name}", "wb") as new:
        new.write(_ONE)
    for diff_id in (f"sha512:{name}", f"sha256:{hashlib.sha256(_ONE).hexdigest()}"):
        config = here.blob({"rootfs": {"diff_ids": [diff_id]}}, f"{OCI}config.v1+json")
        layer = {"digest": f"sha512:{name}", "size": len(_ONE), "mediaType": f"{OCI}layer.v1.tar"}
        manifest = here.blob({"config": config, "layers": [layer]}, f"{OCI}manifest.v1+json")
        here.write("index.json", {"manifests": [manifest]})
        assert _names(f"{scratch}/l") == {"one"}


def test_no_layout(scratch: str) -> None:
    """A directory that is none, one that is not there, and a file, are said to be."""
    with open(f"{scratch}/file", "wb"):
        pass
    for path in (scratch, f"{scratch}/nowhere", f"{scratch}/nowhere:tag", f"{scratch}/file", ""):
        with pytest.raises(errors.ImageMissing, match="no image layout"):
            layout.find(path)
