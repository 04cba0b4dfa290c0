"""Docker's data root as files, written by hand: for what no engine writes."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from ovlctl.engines.docker.layers import chain_id


class DockerRoot:
    """A data root with images, each layer with one file less than an engine makes (``tar-split.json.gz``).

    Args:
        root: A directory, which must not exist yet.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.db = f"{root}/image/overlay2/layerdb"
        for name in ("overlay2/l", "image/overlay2/layerdb/sha256", "image/overlay2/imagedb/content/sha256"):
            os.makedirs(f"{root}/{name}")
        self.repositories: dict[str, dict[str, str]] = {}

    def write(self, name: str, content: str | bytes) -> str:
        """A file, its directories included; its path."""
        path = f"{self.root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return path

    def directory(self, name: str) -> None:
        """A layer's directory."""
        link = hashlib.sha256(name.encode()).hexdigest()[:26].upper()
        os.makedirs(f"{self.root}/overlay2/{name}/diff")
        os.makedirs(f"{self.root}/overlay2/{name}/work")
        self.write(f"overlay2/{name}/link", link)
        os.symlink(f"../{name}/diff", f"{self.root}/overlay2/l/{link}")

    def layer(self, seed: str, parent: str | None = None, *, directory: bool = True) -> str:
        """A layer of images on *parent*; its chain id. Its *directory* is named by :func:`cache_id`."""
        digest = f"sha256:{hashlib.sha256(seed.encode()).hexdigest()}"
        chain = chain_id([*([parent] if parent else []), digest])
        assert chain is not None
        at = f"image/overlay2/layerdb/sha256/{chain[7:]}"
        files = {"cache-id": cache_id(seed), "diff": digest, "size": "7"} | ({"parent": parent} if parent else {})
        for name, content in files.items():
            self.write(f"{at}/{name}", content)
        if directory:
            self.directory(cache_id(seed))
        return chain

    def image(self, name: str, *seeds: str) -> str:
        """An image with layers of these *seeds*, which are made; its id."""
        parent: str | None = None
        for seed in seeds:
            parent = self.layer(seed, parent)
        digests = [f"sha256:{hashlib.sha256(seed.encode()).hexdigest()}" for seed in seeds]
        return self.configuration(name, {"rootfs": {"type": "layers", "diff_ids": digests}, "history": []})

    def configuration(self, name: str, document: Any) -> str:
        """An image of which this is the configuration; its id."""
        content = json.dumps(document).encode()
        key = hashlib.sha256(content).hexdigest()
        self.write(f"image/overlay2/imagedb/content/sha256/{key}", content)
        self.repositories.setdefault(name, {})[f"{name}:latest"] = f"sha256:{key}"
        self.write("image/overlay2/repositories.json", json.dumps({"Repositories": self.repositories}))
        return f"sha256:{key}"

    def container(self, name: str, parent: str, **document: Any) -> str:
        """A container on the layer *parent*; its id."""
        key = hashlib.sha256(name.encode()).hexdigest()
        state = {"Running": False, "Paused": False, "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"}
        said = {"ID": key, "Name": f"/{name}", "Driver": "overlay2", "State": state, "Config": {"Image": "x"}}
        self.write(f"containers/{key}/config.v2.json", json.dumps(said | document))
        upper = cache_id(name)
        files = {"mount-id": upper, "init-id": f"{upper}-init", "parent": parent}
        for file, content in files.items():
            self.write(f"image/overlay2/layerdb/mounts/{key}/{file}", content)
        self.directory(upper)
        self.directory(f"{upper}-init")
        return key


def cache_id(seed: str) -> str:
    """The name of a layer's directory."""
    return hashlib.sha256(f"cache {seed}".encode()).hexdigest()
