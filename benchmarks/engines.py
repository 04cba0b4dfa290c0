"""What the verbs about container engines cost on a large store of Docker's, beside ``du -s`` of the same directory.

The store is made by hand, as Docker's overlay2 lays one out: 1,000 layers (800 of 200 images, which share 20 bases, and
two for each of 100 containers) with 200,000 files in all. It lies in a directory for temporary files and, as root, on
xfs, where every file has to be opened for its extents. Whole processes are run in turn and compared as ratios, of CPU
and of time; caches are warm.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ovlctl.engines.docker.layers import chain_id
from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.capabilities import Capability
from ovlctl.kernel.mount import MNT, umount2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BASES, OF_BASE = 20, 10
IMAGES, OF_IMAGE = 200, 3
CONTAINERS = 100
LAYERS = BASES * OF_BASE + IMAGES * OF_IMAGE + 2 * CONTAINERS
A_DIRECTORY = 50


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if shutil.which("du") is None:
        print("skipped: needs du(1)")
        return 0
    scratch = tempfile.mkdtemp(prefix="ovlctl-benchmark-")
    try:
        report("temporary files", Made(f"{scratch}/docker", given.files), given.rounds)
        shutil.rmtree(f"{scratch}/docker")
        on_xfs(scratch, given.files, given.rounds)
    finally:
        shutil.rmtree(scratch)
    return 0


def on_xfs(scratch: str, files: int, rounds: int) -> None:
    """The same on a file system with reflinks."""
    if shutil.which("mkfs.xfs") is None or not capabilities.has(Capability.CAP_SYS_ADMIN):
        print("xfs: skipped: needs root and mkfs.xfs")
        return
    namespaces.enter_private_mounts()
    image, point = f"{scratch}/xfs.img", f"{scratch}/xfs"
    os.mkdir(point)
    with open(image, "xb") as new:
        new.truncate((1 << 30) + files * (8 << 10))
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        report("xfs", Made(f"{point}/docker", files), rounds)
    finally:
        umount2(point, MNT.DETACH)


class Made:
    """A data root of Docker's.

    Args:
        root: A directory, which must not exist yet.
        files: How many files its layers have in all.

    Attributes:
        path: A path in the writable layer of a container.
        name: The name of that container.
    """

    def __init__(self, root: str, files: int) -> None:
        self.root = root
        self._files, self._rest = divmod(files, LAYERS)
        self._db = f"{root}/image/overlay2/layerdb"
        os.makedirs(f"{root}/overlay2/l")
        names: dict[str, dict[str, str]] = {}
        images = [self._image(at, names) for at in range(IMAGES)]
        self._json("image/overlay2/repositories.json", {"Repositories": names})
        uppers = [self._container(f"container-{at}", *images[at % IMAGES]) for at in range(CONTAINERS)]
        self.name = f"container-{CONTAINERS // 2}"
        self.path = f"{root}/overlay2/{uppers[CONTAINERS // 2]}/diff"
        os.sync()

    def _image(self, at: int, names: dict[str, dict[str, str]]) -> tuple[str, str]:
        # Its id, and its topmost layer.
        seeds = [f"base {at % BASES} {one}" for one in range(OF_BASE)] + [
            f"image {at} {one}" for one in range(OF_IMAGE)
        ]
        digests: list[str] = []
        for seed in seeds:
            parent = chain_id(digests)
            digests.append(f"sha256:{_hash(seed)}")
            self._layer(seed, str(chain_id(digests)), digests[-1], parent)
        history = [{"created": "2024-05-01T10:00:00Z", "created_by": f"COPY {seed} /"} for seed in seeds]
        document = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-05-01T10:00:00Z",
            "config": {"Cmd": ["sh"], "Env": [f"NUMBER={at}"]},
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": digests},
        }
        content = json.dumps(document)
        key = _hash(content)
        self._write(f"image/overlay2/imagedb/content/sha256/{key}", content)
        names[f"image-{at}"] = {f"image-{at}:latest": f"sha256:{key}"}
        return f"sha256:{key}", str(chain_id(digests))

    def _layer(self, seed: str, chain: str, digest: str, parent: str | None) -> None:
        at = f"image/overlay2/layerdb/sha256/{chain[7:]}"
        if os.path.isdir(f"{self.root}/{at}"):
            return
        said = {"cache-id": _hash(f"cache {seed}"), "diff": digest, "size": "1000", "tar-split.json.gz": "packed"}
        for name, content in (said | ({"parent": parent} if parent else {})).items():
            self._write(f"{at}/{name}", content)
        self._directory(said["cache-id"])

    def _directory(self, name: str) -> None:
        link = _hash(name)[:26].upper()
        self._write(f"overlay2/{name}/link", link)
        os.makedirs(f"{self.root}/overlay2/{name}/diff")
        os.makedirs(f"{self.root}/overlay2/{name}/work")
        os.symlink(f"../{name}/diff", f"{self.root}/overlay2/l/{link}")
        count, self._rest = self._files + (self._rest > 0), max(self._rest - 1, 0)
        for number in range(count):
            self._write(f"overlay2/{name}/diff/usr/{number // A_DIRECTORY}/{number:06}", "some content")

    def _container(self, name: str, image: str, top: str) -> str:
        key, upper = _hash(name), _hash(f"cache {name}")
        document = {
            "ID": key,
            "Name": f"/{name}",
            "Driver": "overlay2",
            "Image": image,
            "Created": "2024-05-02T10:00:00Z",
            "Config": {"Image": "image"},
            "State": {"Running": False, "Paused": False, "Pid": 0, "StartedAt": "2024-05-02T10:00:01Z"},
        }
        self._json(f"containers/{key}/config.v2.json", document)
        for file, content in {"mount-id": upper, "init-id": f"{upper}-init", "parent": top}.items():
            self._write(f"image/overlay2/layerdb/mounts/{key}/{file}", content)
        for directory in (upper, f"{upper}-init"):
            self._directory(directory)
        return upper

    def _json(self, name: str, document: Any) -> None:
        self._write(name, json.dumps(document))

    def _write(self, name: str, content: str) -> None:
        path = f"{self.root}/{name}"
        try:
            file = open(path, "w", encoding="ascii")  # noqa: SIM115 -- closed below
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path))
            file = open(path, "w", encoding="ascii")  # noqa: SIM115 -- closed below
        with file:
            file.write(content)


def _hash(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took, in seconds: computing, and in all."""

    cpu: float
    time: float


def commands(made: Made) -> Iterator[tuple[str, ...]]:
    """What is measured."""
    for by in ("layer", "image", "container"):
        yield ("du", "docker", "--by", by)
    yield ("owner", made.path)
    yield ("orphans",)
    yield ("driver",)
    yield ("driver", "container", made.name)
    yield ("explain", f"docker:{made.name}", "usr/0")


def report(title: str, made: Made, rounds: int) -> None:
    """Run all in turn and print what came out."""
    words = list(commands(made))
    runs = [_round(made, words) for _ in range(rounds + 1)][1:]
    theirs = [first for first, *_ in runs]
    print(f"{title}: {LAYERS} layers, {IMAGES} images, {CONTAINERS} containers")
    print(f"  {'':44} {'CPU':>9}  {'time':>9}  CPU / CPU of du -s  time / time of du -s")
    tell("GNU du -s", theirs, theirs)
    for number, each in enumerate(words, start=1):
        shown = ("owner", "PATH") if each[0] == "owner" else each
        tell(" ".join(("ovlctl", *shown)), [of_round[number] for of_round in runs], theirs)


def _round(made: Made, words: Sequence[tuple[str, ...]]) -> list[Cost]:
    ours = [cost(made, sys.executable, "-m", "ovlctl", *each) for each in words]
    return [cost(made, "du", "-s", made.root), *ours]


def cost(made: Made, *argv: str) -> Cost:
    """Run a command that has to succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        argv, env=environment | {"OVLCTL_ENGINE_ROOT": made.root}, check=False, capture_output=True, text=True
    )
    end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, (argv, done.stderr)
    return Cost(cpu=after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, time=end - start)


def tell(what: str, costs: Sequence[Cost], theirs: Sequence[Cost]) -> None:
    """One line: medians, and ratios with their extremes."""
    cpu = sorted(mine.cpu / other.cpu for mine, other in zip(costs, theirs, strict=True))
    wall = sorted(mine.time / other.time for mine, other in zip(costs, theirs, strict=True))
    print(
        f"  {what:44} {statistics.median(each.cpu for each in costs):7.2f} s  "
        f"{statistics.median(each.time for each in costs):7.2f} s  "
        f"{statistics.median(cpu):5.2f} [{cpu[0]:.2f}..{cpu[-1]:.2f}]  "
        f"{statistics.median(wall):5.2f} [{wall[0]:.2f}..{wall[-1]:.2f}]"
    )


if __name__ == "__main__":
    sys.exit(main())
