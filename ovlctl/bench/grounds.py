"""The file systems that a run measures on: the directory's own, or ones made for the run and gone with it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.bench.plan import OWN
from ovlctl.errors import KernelRefused, MissingCapability, ToolMissing, literal, strerror
from ovlctl.kernel import loop
from ovlctl.kernel.mount import MNT, mount, umount2
from ovlctl.kernel.mounts import Mount, mount_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Without lazy initialisation, or ext4 would go on writing its inode tables in the background while samples run, and
# without discarding, which would give the image's blocks back to the file system below.
_MKFS: dict[str, tuple[str, ...]] = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-K"),
}
_PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs", "btrfs": "btrfs-progs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A place to put layers on.

    Attributes:
        key: What the plan calls it.
        root: An empty directory of the run's own.
        mount: The mount that it lies on.
        image: Whether it was made for the run.
    """

    key: str
    root: str
    mount: Mount
    image: bool


def check_tools(file_systems: Sequence[str], *, root: bool) -> None:
    """See to it early that every file system can be made.

    Raises:
        MissingCapability: A loop image is wanted by somebody who cannot mount it.
        ToolMissing: mkfs is not installed; the hint names the package.
    """
    for fs in file_systems:
        if fs in {OWN, "tmpfs"}:
            continue
        if not root:
            raise MissingCapability(
                f"measuring on a new {fs} image needs CAP_SYS_ADMIN, to mount it",
                hint=f"run it as root, or give a directory on {fs} with `--dir` instead of `--fs {fs}`",
            )
        _mkfs(fs)


@contextmanager
def grounds(file_systems: Sequence[str], scratch: str, sizes: Mapping[str, int]) -> Iterator[tuple[Ground, ...]]:
    """Every file system of *file_systems*, ready below *scratch*; unmounted afterwards.

    Args:
        file_systems: Types to make, or OWN for that of *scratch*.
        scratch: The run's directory.
        sizes: How many bytes each made file system must have.
    """
    with ExitStack() as stack:
        found = []
        for fs in file_systems:
            root = os.path.join(scratch, f"on-{fs or 'own'}")
            os.mkdir(root, 0o700)
            if fs != OWN:
                stack.enter_context(_made(fs, root, sizes[fs]))
                # mkfs.ext4 leaves lost+found behind.
                root = os.path.join(root, "bench")
                os.mkdir(root, 0o700)
            found.append(Ground(key=fs, root=root, mount=mount_at(root), image=fs != OWN))
        yield tuple(found)


@contextmanager
def small_tmpfs(directory: str, size: int = 1 << 20) -> Iterator[str]:
    """A tmpfs mounted on the new *directory*."""
    os.mkdir(directory, 0o700)
    with _made("tmpfs", directory, size):
        yield directory


@contextmanager
def _made(fs: str, target: str, size: int) -> Iterator[None]:
    if fs == "tmpfs":
        mount("ovlctl-bench", target, fs, data=b"mode=0700,size=%d" % size)
    else:
        image = f"{target}.img"
        _make_image(fs, image, size)
        # The mount keeps the device; the device goes with it, however this process ends.
        with loop.attach(image) as device:
            # btrfs discards by itself since 6.2 (discard=async), at a time of its choosing.
            mount(device, target, fs, data=b"nodiscard" if fs == "btrfs" else None)
    try:
        yield
    finally:
        umount2(target, MNT.DETACH)


def _make_image(fs: str, image: str, size: int) -> None:
    fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Allocated now, or the host's file system would allocate blocks inside timed samples.
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)
    made = subprocess.run([*_mkfs(fs), image], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if made.returncode:
        words = made.stderr.decode(errors="replace").strip().splitlines()
        raise KernelRefused(literal(f"{_MKFS[fs][0]} failed: {words[-1] if words else made.returncode}"))


def _mkfs(fs: str) -> tuple[str, ...]:
    name, *arguments = _MKFS[fs]
    # The tools live in sbin, which an ordinary PATH may lack.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise ToolMissing(f"{name} is not installed", hint=f"`apt-get install {_PACKAGES[fs]}`")
    return (found, *arguments)


def refused(error: OSError) -> KernelRefused:
    """An OSError of building the layers or of a sample, in words."""
    where = error.filename if isinstance(error.filename, str) else ""
    hint = (
        "the file system has no blocks or no inodes left: see `df` and `df -i`" if error.errno == errno.ENOSPC else None
    )
    return KernelRefused(f"the benchmark cannot go on at {{}}: {strerror(error)}", where, errno=error.errno, hint=hint)
