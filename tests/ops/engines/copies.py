"""Copies of the real stores that tests run, to be damaged; and a directory outside that nobody may look into."""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ops.engines.cases import Case

_SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"
_PLACES = {
    "docker": "overlay2",
    "podman": "overlay",
    "containerd": f"{_SNAPSHOTTER}/snapshots",
    "moby": f"containerd/daemon/{_SNAPSHOTTER}/snapshots",
}
_DATABASES = ("io.containerd.metadata.v1.bolt/meta.db", f"{_SNAPSHOTTER}/metadata.db")
_BOLTS = {
    "docker": ("buildkit/snapshots.db",),
    "podman": ("libpod/bolt_state.db",),
    "containerd": _DATABASES,
    "moby": tuple(f"containerd/daemon/{name}" for name in _DATABASES),
}
_LARGE = 64 << 20
_IN_OPEN = 0x20  # linux/inotify.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A store on a disk that no engine of this machine uses.

    Attributes:
        name: Of the case, as in :data:`tests.ops.engines.cases.NAMES`.
        case: Of which it is a copy.
        root: Its data root.
    """

    name: str
    case: Case
    root: str

    @property
    def places(self) -> str:
        """The directory of its layers."""
        return f"{self.root}/{_PLACES[self.name]}"

    @property
    def diff(self) -> str:
        """What the directory in the directory of a layer is called."""
        return "diff" if self.name in {"docker", "podman"} else "fs"

    @property
    def bolts(self) -> tuple[str, ...]:
        """Its bolt databases."""
        return tuple(f"{self.root}/{name}" for name in _BOLTS[self.name])

    @property
    def container(self) -> str:
        """A container, as the word for a STACK."""
        return f"{self.case.engine}:{self.case.stopped[0]}"


def name_of(case: Case) -> str:
    """Which of :data:`tests.ops.engines.cases.NAMES` it is."""
    return str(case.engine) if case.answers else "moby"


def copied(case: Case, directory: str) -> str:
    """A copy of a case's data root in *directory*, made while nothing writes there."""
    root = f"{directory}/{name_of(case)}"
    with case.down():
        again(case.root, root)
    return root


def again(old: str, new: str) -> None:
    """Copy a data root. As on the disk of a machine that is switched off nothing is mounted in the copy."""
    subprocess.run(["cp", "-ax", "--", old, new], check=True, capture_output=True)


@contextmanager
def outside(directory: str) -> Iterator[str]:
    """A directory with names and a size of its own, as /etc is to a store; nothing may open any part of it meanwhile.

    Whatever part of a store is made a link to it finds what engines have there.
    """
    out = f"{directory}/outside"
    inside = [f"{out}/{name}" for name in ("", "MARK", "diff", "fs", "dir", "sha256", "overlay2", "link", "MARK/diff")]
    for path in inside:
        os.makedirs(path, exist_ok=True)
    os.symlink("MARKED", f"{out}/MARKLINK")
    files = [
        f"{out}/{name}" for name in ("MARKFILE", "layers.json", "containers.json", "config.v2.json", "metadata.db")
    ]
    for path in files:
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, _LARGE)
    libc = ctypes.CDLL(None, use_errno=True)
    watch: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for path in (*inside, *files):
            assert libc.inotify_add_watch(watch, os.fsencode(path), _IN_OPEN) >= 0, os.strerror(ctypes.get_errno())
        yield out
        try:
            opened = os.read(watch, 1 << 16)
        except BlockingIOError:
            opened = b""
        assert opened == b"", f"something was opened: {opened!r}"
    finally:
        os.close(watch)
