"""What ``du --by`` says of a store of 100 layers that share files by reflinks and links; mounts do not count."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.kernel.copying import FICLONE
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from tests.capabilities import each_fs, needs_root
from tests.engines.docker_root import DockerRoot, cache_id
from tests.schemas import valid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli, MakeFs

pytestmark = needs_root

KINDS = each_fs("xfs", "btrfs")
BLOCK = 4096
OWN, LARGE = 4 * BLOCK, 64 * BLOCK
BASE = ("base 0", "base 1")
IMAGES, OF_IMAGE, CONTAINERS = 20, 4, 9
CLONED, LINKED = 5, 3
PARTS = ("exclusive", "shared", "unused", "build_cache", "unknown", "packed", "volumes", "rest")


class Made:
    """A store of 100 layers.

    Args:
        root: Its data root, which must not exist yet.

    Attributes:
        cloned: Bytes that GNU du counts and that are on disk as those of another file.
        uppers: Directories of the containers' own layers.
    """

    def __init__(self, root: str) -> None:
        self.docker = DockerRoot(root)
        self.cloned = 0
        self._layers = 0
        parent: str | None = None
        for seed in BASE:
            parent = self._layer(seed, parent)
        for image in range(IMAGES):
            top = parent
            seeds = [f"image {image} {at}" for at in range(OF_IMAGE)]
            for seed in seeds:
                top = self._layer(seed, top)
            digests = [self._digest(seed) for seed in (*BASE, *seeds)]
            self.docker.configuration(
                f"image-{image}", {"rootfs": {"type": "layers", "diff_ids": digests}, "history": []}
            )
            if image < CONTAINERS:
                assert top is not None
                self.docker.container(f"container-{image}", top)
                self._layers += 2
        self.uppers = [f"{root}/overlay2/{cache_id(f'container-{at}')}" for at in range(CONTAINERS)]
        for upper in self.uppers:
            self._file(f"{upper}/diff/written", OWN)
        os.sync()  # what has no place on the device yet has no blocks that can be counted
        assert self._layers == 100

    def _layer(self, seed: str, parent: str | None) -> str:
        chain = self.docker.layer(seed, parent)
        diff = f"{self.docker.root}/overlay2/{cache_id(seed)}/diff"
        self._file(f"{diff}/own", OWN)
        first = f"{self.docker.root}/overlay2/{cache_id(BASE[0])}/diff"
        if self._layers == 0:
            self._file(f"{diff}/large", LARGE)
        elif self._layers % CLONED == 0:
            with open(f"{first}/large", "rb") as old, open(f"{diff}/large", "xb") as new:
                fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
            self.cloned += LARGE
        elif self._layers % LINKED == 0:
            os.link(f"{first}/own", f"{diff}/linked")
        self._layers += 1
        return chain

    def _digest(self, seed: str) -> str:
        db = f"{self.docker.root}/image/overlay2/layerdb/sha256"
        (digest,) = {
            _read(f"{db}/{name}/diff") for name in os.listdir(db) if _read(f"{db}/{name}/cache-id") == cache_id(seed)
        }
        return digest

    @staticmethod
    def _file(path: str, size: int) -> None:
        with open(path, "xb") as file:
            file.write(os.urandom(size))
            file.flush()
            os.fsync(file.fileno())


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def gnu_du(directory: str) -> int:
    """What lies in *directory*, mounts in it aside."""
    return int(subprocess.run(["du", "-sxB1", directory], capture_output=True, text=True, check=True).stdout.split()[0])


def stores(cli: Cli, root: str, by: str) -> dict[str, Any]:
    """The one store."""
    done = cli("du", "docker", "--by", by, "--root", root, "--json")
    assert done.status == 0, done.stderr
    (store,) = valid("du", done.json)["data"]["stores"]
    found: dict[str, Any] = store
    return found


@contextmanager
def merged(upper: str, lower: str) -> Iterator[str]:
    """A merged view, mounted where Docker mounts it: in the store."""
    point = f"{upper}/merged"
    os.mkdir(point)
    options = f"lowerdir={lower},upperdir={upper}/diff,workdir={upper}/work"
    mount("overlay", point, "overlay", MS(0), options.encode())
    try:
        yield point
    finally:
        umount2(point, MNT.DETACH)


@contextmanager
def in_memory(point: str) -> Iterator[None]:
    """A tmpfs with a file in it."""
    mount("tmpfs", point, "tmpfs", MS(0), b"size=8M")
    try:
        with open(f"{point}/in-memory", "xb") as file:
            file.write(bytes(OWN))
        yield
    finally:
        umount2(point, MNT.DETACH)


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_counts_once(make_fs: MakeFs, cli: Cli, kind: str) -> None:
    """All adds up to what GNU du says, less what it counts twice: the data of reflinked files."""
    made = Made(f"{make_fs(kind, 512 << 20)}/docker")
    root = made.docker.root
    expected = gnu_du(root) - made.cloned
    assert made.cloned > 10 * LARGE
    by_layer = stores(cli, root, "layer")
    assert len(by_layer["rows"]) == 100
    for by in ("layer", "image", "container", "pod"):
        store = stores(cli, root, by)
        assert store["total"] == expected
        assert sum(store[part] for part in PARTS) == expected
    assert sum(row["bytes"] for row in by_layer["rows"]) == by_layer["exclusive"] + by_layer["shared"]
    assert by_layer["unused"] == by_layer["unknown"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_who_holds_what(make_fs: MakeFs, cli: Cli, kind: str) -> None:
    """Rows of images and containers agree with those of layers: alone, or with others."""
    made = Made(f"{make_fs(kind, 512 << 20)}/docker")
    root = made.docker.root
    rows = stores(cli, root, "layer")["rows"]
    users = Counter((row["images"], row["containers"]) for row in rows)
    # The base is everybody's; a container stands on its image's layers and has two of its own.
    held = IMAGES - CONTAINERS
    assert users == {
        (IMAGES, CONTAINERS): len(BASE),
        (1, 1): CONTAINERS * OF_IMAGE,
        (1, 0): held * OF_IMAGE,
        (0, 1): 2 * CONTAINERS,
    }
    own = {row["name"]: row for row in stores(cli, root, "container")["rows"]}
    upper = {row["dir"]: row["bytes"] for row in rows}
    for at, directory in enumerate(made.uppers):
        row = own[f"container-{at}"]
        assert row["own"] == row["exclusive"] == upper[directory] + upper[f"{directory}-init"]
        assert row["own"] >= OWN
    alone = sum(row["exclusive"] for row in (*own.values(), *stores(cli, root, "image")["rows"]))
    assert alone == sum(row["bytes"] for row in rows if row["images"] + row["containers"] == 1)


@pytest.mark.parametrize("kind", [*each_fs("ext4"), *KINDS])
def test_nothing_mounted_in_the_store_is_walked(make_fs: MakeFs, cli: Cli, kind: str) -> None:
    """A merged view, and a file system in a volume and over a layer, change nothing of what the store takes."""
    root = f"{make_fs(kind, 512 << 20)}/docker"
    docker = DockerRoot(root)
    top = docker.layer("base")
    key = docker.container("web", top)
    upper, lower = (f"{root}/overlay2/{cache_id(name)}" for name in ("web", "base"))
    docker.write(f"overlay2/{cache_id('base')}/diff/file", os.urandom(OWN))
    points = (f"{root}/volumes/data/_data", f"{root}/containers/{key}/mounts/shm", f"{lower}/diff")
    for point in points:
        os.makedirs(point, exist_ok=True)
    os.sync()
    with merged(upper, f"{lower}/diff") as view:
        before = stores(cli, root, "layer")
        assert os.listdir(view) == ["file"]
        with ExitStack() as mounts:
            for point in points:
                mounts.enter_context(in_memory(point))
            during = stores(cli, root, "layer")
    assert during == before
    # The directory that the merged view was mounted on is there still, as it was.
    assert stores(cli, root, "layer")["total"] == before["total"] == gnu_du(root)
