"""The inode story, against lstat(2): before a change, after it, and through the next mount."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.backing import fs_uuid
from ovlctl.kernel.mounts import mount_at
from ovlctl.ops.explain.file_systems import FileSystems
from ovlctl.ops.explain.inodes import story
from ovlctl.ops.explain.looks import looks
from ovlctl.ops.explain.sight import see
from ovlctl.ops.explain.terms import Because, DeviceOf, Donor, Known, LinkFate, Stays
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, Xino
from tests import capabilities, trees
from tests.needs import Answer, needs
from tests.ops.explain.mounts import fresh, viewing, viewing_directories
from tests.overlay.made import mounted, new_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.explain.values import InodeStory
    from ovlctl.ops.reading import View
    from ovlctl.overlay.stack import Stack


def _names_itself() -> Answer:
    """Whether this kernel tells the UUID of a file system that keeps none on a disk, as since Linux 6.9."""
    try:
        fd = os.open("/dev/shm", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        return Answer(able=False, reason=str(error))
    try:
        return Answer(fs_uuid(fd) is not None, "this kernel does not tell the UUID of a tmpfs")
    finally:
        os.close(fd)


needs_uuids = needs(_names_itself(), "UUIDs of file systems")

PATHS = ("d", "d/file", "d/link", "d/symlink", "d/fifo", "d/sub", "")
SAME = {
    "default": Options(),
    "index": Options(index=Switch.ON),
    "metacopy": Options(metacopy=Switch.ON),
    "userxattr": Options(userxattr=Flag.YES),
    "nfs_export": Options(nfs_export=Switch.ON),
}
TWO = {
    "xino=off": Options(),
    "xino=off,index": Options(index=Switch.ON),
    "xino=auto": Options(xino=Xino.AUTO),
    "xino=on": Options(xino=Xino.ON),
    "xino=on,index": Options(xino=Xino.ON, index=Switch.ON),
}


def _lower(base: str) -> str:
    trees.make(base, {"d/file": "file", "d/link": "link", "d/sub/inside": "x"})
    os.link(f"{base}/d/link", f"{base}/d/other")
    os.symlink("file", f"{base}/d/symlink")
    os.mkfifo(f"{base}/d/fifo")
    return base


def _told(view: View, path: str) -> InodeStory:
    found = view.resolver.resolve(path, complete=True)
    seen = None if view.subject.root is None else see(view.subject.root, path, view.subject.options).attributes
    told = story(view, found, looks(view, found), seen, FileSystems(view))
    assert told is not None
    return told


def _change(path: str) -> None:
    found = os.lstat(path)
    if stat.S_ISREG(found.st_mode):
        with open(path, "ab") as file:
            file.write(b"more")
    else:
        os.chown(path, 1, 1, follow_symlinks=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """One object through its life.

    Attributes:
        foretold: By the layers alone, before anything was mounted.
        first: Through the first mount, before the change.
        changed: After the change.
        again: Through the second mount.
        numbers: st_ino, in the same order as the stories that were told of a mount.
        devices: Whether st_dev was the overlay's own.
    """

    foretold: InodeStory
    first: InodeStory
    changed: InodeStory
    again: InodeStory
    numbers: tuple[int, int, int]
    devices: tuple[bool, bool, bool]


def _live(stack: Stack, point: str) -> dict[str, Lived]:
    """Every object looked at before a change, after it, and through another mount."""
    stories: list[dict[str, InodeStory]] = []
    stats: list[dict[str, tuple[int, bool]]] = []

    def look() -> None:
        own = mount_at(point).st_dev
        with viewing(point) as view:
            stories.append({path: _told(view, path) for path in PATHS})
        found = {path: os.lstat(f"{point}/{path}") for path in PATHS}
        stats.append({path: (each.st_ino, each.st_dev == own) for path, each in found.items()})

    with viewing_directories(stack) as view:
        stories.append({path: _told(view, path) for path in PATHS})
    with mounted(stack, point):
        look()
        for path in PATHS:
            _change(f"{point}/{path}")
        look()
    with mounted(stack, point):
        look()
    return {
        path: Lived(
            foretold=stories[0][path],
            first=stories[1][path],
            changed=stories[2][path],
            again=stories[3][path],
            numbers=(stats[0][path][0], stats[1][path][0], stats[2][path][0]),
            devices=(stats[0][path][1], stats[1][path][1], stats[2][path][1]),
        )
        for path in PATHS
    }


def _agrees(lived: Lived) -> None:
    """Whatever was foretold came true."""
    before, after, again = lived.numbers
    first = lived.first
    assert lived.foretold.known is not Known.MEASURED
    # A number that the overlay makes up is not foretold; every other one is.
    assert lived.foretold.predicted == (None if first.donor is Donor.OWN else before)
    assert (first.predicted, first.ino, first.known) == (lived.foretold.predicted, before, Known.MEASURED)
    if first.after_copy_up is not None:
        assert lived.foretold.after_copy_up is first.after_copy_up
        assert {Stays.YES: True, Stays.NO: False, Stays.PERHAPS: None}[first.after_copy_up] in {before == after, None}
    for told, number in ((first, before), (lived.changed, after)):
        stays = {Stays.YES: True, Stays.NO: False, Stays.PERHAPS: None}[told.after_remount]
        assert stays in {number == again, None}, told
    # Through a new mount, what the layers say is all there is.
    assert lived.again.predicted == (None if lived.again.donor is Donor.OWN else again)
    for told, own in zip((first, lived.changed, lived.again), lived.devices, strict=True):
        assert told.device_of is (DeviceOf.OVERLAY if own else DeviceOf.PER_FILE_SYSTEM)


@pytest.mark.parametrize("options", capabilities.each_options(SAME))
def test_one_file_system(disk: str, options: Options) -> None:
    """All layers on one file system: numbers of the lower stay, but for a hard link without an index."""
    with new_directory(disk) as base:
        found = _live(fresh(base, "a", [_lower(f"{base}/lower")], options), f"{base}/merged")
    for lived in found.values():
        _agrees(lived)
    link = found["d/link"].first
    indexed = options.index is Switch.ON or options.nfs_export is Switch.ON
    assert link.links is (LinkFate.KEPT if indexed else LinkFate.BROKEN)
    assert (link.after_copy_up is Stays.YES) == indexed
    if options.userxattr is Flag.YES:
        # user.* attributes are for files and directories only, so that these cannot say what they were copied from.
        assert found["d/symlink"].first.remount_because is Because.NO_MARK_POSSIBLE
        assert found["d/symlink"].first.after_remount is Stays.NO


@needs_uuids
@pytest.mark.parametrize("options", TWO.values(), ids=TWO)
@pytest.mark.parametrize("below", ["ext4", "memory"])
def test_two_file_systems(ext4: str, memory: str, below: str, options: Options) -> None:
    """Lowers apart from the upper: raw numbers by file system without xino, unique ones with it."""
    low, high = (ext4, memory) if below == "ext4" else (memory, ext4)
    with new_directory(high) as base, new_directory(low) as elsewhere:
        found = _live(fresh(base, "a", [_lower(f"{elsewhere}/lower")], options), f"{base}/merged")
    for lived in found.values():
        _agrees(lived)
    assert found["d/sub"].first.donor is (Donor.LOWER if options.xino in {Xino.ON, Xino.AUTO} else Donor.OWN)
    assert found["d/file"].first.predicted == found["d/file"].numbers[0]


@contextmanager
def _second_ext4() -> Iterator[str]:
    with new_directory(capabilities.session().directory) as base:
        point = capabilities.make_file_system("ext4", base)
        try:
            yield point
        finally:
            subprocess.run(["umount", point], check=True)


@needs_uuids
def test_short_numbers_leave_many_bits(ext4: str, memory: str) -> None:
    """Between file systems with 32-bit numbers xino adds its bits above those; with a third one of another kind not."""
    with _second_ext4() as second, new_directory(ext4) as base, new_directory(memory) as third:
        lower = _lower(f"{second}/lower")
        found = _live(fresh(base, "a", [lower], Options(xino=Xino.ON)), f"{base}/merged")
        for lived in found.values():
            _agrees(lived)
        assert found["d/file"].numbers[0] == os.lstat(f"{lower}/d/file").st_ino | 1 << 33
        extra = trees.make(f"{third}/extra", {"d/third": "3"})
        found = _live(fresh(base, "b", [lower, extra], Options(xino=Xino.ON)), f"{base}/merged")
        for lived in found.values():
            _agrees(lived)


@needs_uuids
def test_a_lower_without_uuid(ext4: str, memory: str) -> None:
    """Squashfs has no uuid: what is copied up from it gets another number with the next mount, unless index is on."""
    if shutil.which("mksquashfs") is None:
        pytest.skip("mksquashfs is not installed")
    with new_directory(ext4) as base, new_directory(memory) as elsewhere:
        _lower(f"{elsewhere}/source")
        os.mkdir(f"{elsewhere}/lower")
        image = f"{elsewhere}/image"
        subprocess.run(["mksquashfs", f"{elsewhere}/source", image, "-quiet", "-no-progress"], check=True)
        subprocess.run(["mount", "-o", "loop", image, f"{elsewhere}/lower"], check=True)
        try:
            for name, options in {**TWO, "redirect_dir": Options(redirect_dir=RedirectDir.ON)}.items():
                found = _live(fresh(base, name, [f"{elsewhere}/lower"], options), f"{base}/merged-{name}")
                for path, lived in found.items():
                    if path != "d/link":
                        _agrees(lived)
                if name == "xino=off":
                    assert found["d/file"].first.remount_because is Because.NO_UUID
                    assert found["d/file"].first.after_remount is Stays.NO
        finally:
            subprocess.run(["umount", f"{elsewhere}/lower"], check=True)


def test_a_copy_that_lost_its_mark(disk: str) -> None:
    """An upper copied without its attributes has numbers of its own, and they stay."""
    with new_directory(disk) as base:
        stack = fresh(base, "a", [_lower(f"{base}/lower")], Options())
        with mounted(stack, f"{base}/merged") as point:
            _change(f"{point}/d/file")
        os.removexattr(f"{stack.upper}/d/file", "trusted.overlay.origin")
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            told = _told(view, "d/file")
            assert (told.donor, told.after_remount) == (Donor.UPPER, Stays.YES)
            assert told.predicted == os.lstat(f"{point}/d/file").st_ino == os.lstat(f"{stack.upper}/d/file").st_ino


def test_read_only_stacks(disk: str) -> None:
    """Without an upper no copy-up is to come, and the numbers stay."""
    with new_directory(disk) as base:
        lower = _lower(f"{base}/lower")
        os.mkdir(f"{base}/second")
        stack = fresh(base, "a", [f"{base}/second", lower], Options())
        read_only = type(stack)(stack.lowers)
        with mounted(read_only, f"{base}/merged") as point, viewing(point) as view:
            told = {path: _told(view, path) for path in PATHS}
            for path, each in told.items():
                assert each.predicted == each.ino == os.lstat(f"{point}/{path}").st_ino
                assert (each.after_copy_up, each.after_remount) == (None, Stays.YES)
        assert told["d/link"].links is LinkFate.NONE_TO_COME
