"""Images written by hand: archives entry by entry, and layouts around them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ovlctl.oci import layout
from ovlctl.oci.opening import FOLLOWING, open_image
from ovlctl.overlay.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OCI = "application/vnd.oci.image."
TIME = 1_600_000_000


def entry(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A file, or what *fields* (type, mode, linkname, pax_headers, ...) make of it."""
    made = tarfile.TarInfo(name)
    made.size, made.mtime, made.mode = len(content), TIME, 0o644
    for key, value in fields.items():
        setattr(made, key, value)
    return made, content


def directory(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A directory."""
    return entry(name, **{"type": tarfile.DIRTYPE, "mode": 0o755, **fields})


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link."""
    return entry(name, type=tarfile.SYMTYPE, linkname=target, mode=0o777)


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """Another name of a file."""
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


def archive(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


@dataclass(frozen=True, slots=True)
class Made:
    """A layer to be put into an image.

    Attributes:
        tar: The archive.
        compression: Of the blob: "", "gzip" or "zstd".
        blob: In place of what would be made of them.
        diff_id: In place of the right one.
    """

    tar: bytes
    compression: str = ""
    blob: bytes | None = None
    diff_id: str | None = None

    @property
    def packed(self) -> bytes:
        """The blob."""
        if self.blob is not None:
            return self.blob
        if self.compression == "zstd":
            return subprocess.run(["zstd", "-q", "-c"], input=self.tar, capture_output=True, check=True).stdout
        return gzip.compress(self.tar, 1) if self.compression == "gzip" else self.tar


@dataclass(slots=True)
class Layout:
    """A layout directory that is being made."""

    path: str
    manifests: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the directory."""
        os.makedirs(f"{self.path}/blobs/sha256", exist_ok=True)
        self.write("oci-layout", {"imageLayoutVersion": "1.0.0"})
        self.write("index.json", {"schemaVersion": 2, "manifests": self.manifests})

    def write(self, name: str, value: object) -> None:
        """Write a document of the layout's own."""
        with open(f"{self.path}/{name}", "w", encoding="utf-8") as new:
            json.dump(value, new)

    def blob(self, content: bytes | Mapping[str, Any], kind: str) -> dict[str, Any]:
        """Add a blob; its descriptor."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        name = hashlib.sha256(data).hexdigest()
        with open(f"{self.path}/blobs/sha256/{name}", "wb") as new:
            new.write(data)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}

    def blob_path(self, descriptor: Mapping[str, Any]) -> str:
        """Where a blob is."""
        return f"{self.path}/blobs/{descriptor['digest'].replace(':', '/')}"

    def image(self, tag: str | None, *layers: Made | bytes, **descriptor: Any) -> dict[str, Any]:
        """Add an image of *layers*, lowest first, to the index; its manifest's descriptor."""
        made = self.manifest(*layers)
        made |= {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag is not None else {}
        made |= descriptor
        self.manifests.append(made)
        self.write("index.json", {"schemaVersion": 2, "manifests": self.manifests})
        return made

    def manifest(self, *layers: Made | bytes) -> dict[str, Any]:
        """Add an image of *layers*, which the index does not have."""
        whole = [layer if isinstance(layer, Made) else Made(layer) for layer in layers]
        blobs = [
            self.blob(layer.packed, f"{OCI}layer.v1.tar{'+' if layer.compression else ''}{layer.compression}")
            for layer in whole
        ]
        diff_ids = [layer.diff_id or f"sha256:{hashlib.sha256(layer.tar).hexdigest()}" for layer in whole]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "history": [{"created_by": "test"} for _ in whole],
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}manifest.v1+json",
            "config": self.blob(config, f"{OCI}config.v1+json"),
            "layers": blobs,
        }
        return self.blob(manifest, f"{OCI}manifest.v1+json")


def made(path: str, *layers: Made | bytes) -> str:
    """A layout with one image, called ``it``; the STACK that it is."""
    Layout(path).image("it", *layers)
    return f"oci:{path}:it"


def resolver(stack: str) -> Resolver:
    """A resolver for the image that *stack* names."""
    return Resolver(open_image(layout.find(stack.removeprefix("oci:"))), FOLLOWING)


def content(view: Resolver, path: str) -> bytes:
    """What the file at *path* of the merged view holds."""
    found = view.resolve(path)
    assert found.data is not None, found
    with found.data.layer.tree.open(found.data.path) as opened:
        return b"".join(iter(lambda: opened.read(1 << 16), b""))


def kinds(view: Resolver, paths: Sequence[str]) -> dict[str, str]:
    """What the merged view has at *paths*: its kind, or what became of it."""
    found = {path: view.resolve(path) for path in paths}
    return {path: str(each.kind or each.rule) for path, each in found.items()}
