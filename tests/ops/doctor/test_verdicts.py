"""Each verdict on a directory against what a real mount there does."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.clones import across_mounts
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops.doctor import diagnose
from ovlctl.ops.doctor.values import Ability, DirectoryReport, Finding
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeFs

pytestmark = [capabilities.needs_root, capabilities.needs_overlay]

#: File systems without a device that can be mounted as often as one likes, and those that are the kernel's own.
NODEV = ("tmpfs", "ramfs", "proc", "sysfs", "devpts", "mqueue", "bpf", "debugfs", "tracefs", "securityfs", "hugetlbfs")


def answers(directory: str) -> dict[Ability, Answer]:
    """What the doctor says about *directory*, in which nothing is left."""
    (report,) = diagnose([directory]).directories
    assert not [name for name in os.listdir(directory) if name.startswith(".ovlctl")]
    return {finding.ability: finding.answer for finding in report.findings}


def found(directory: str, ability: Ability) -> Finding:
    """One finding about *directory*."""
    return next(finding for finding in looked_at(directory).findings if finding.ability is ability)


def looked_at(directory: str) -> DirectoryReport:
    """The report on one directory."""
    (report,) = diagnose([directory]).directories
    return report


def serves_as_upper(directory: str, scratch: str) -> bool:
    """Whether an overlay with a fresh upper and work in *directory* can be changed in every way."""
    lower, merged = os.path.join(scratch, "lower"), os.path.join(scratch, "merged")
    trees.make(lower, {"changed": "old", "deleted": "old", "directory/inside": "old"})
    os.mkdir(merged)
    upper, work = os.path.join(directory, "upper"), os.path.join(directory, "work")
    try:
        for path in (upper, work):
            os.mkdir(path)
        mount("test", merged, "overlay", MS(0), os.fsencode(f"lowerdir={lower},upperdir={upper},workdir={work}"))
    except OSError:
        subprocess.run(["rm", "-rf", upper, work], check=True)
        return False
    try:
        with open(f"{merged}/changed", "a") as file:
            file.write("new")
        os.unlink(f"{merged}/deleted")
        os.unlink(f"{merged}/directory/inside")
        os.rmdir(f"{merged}/directory")
        os.mkdir(f"{merged}/directory")
        with open(f"{merged}/changed") as file:
            content = file.read()
        return (
            content == "oldnew"
            and sorted(os.listdir(merged)) == ["changed", "directory"]
            and not os.listdir(f"{merged}/directory")
        )
    except OSError:
        return False
    finally:
        umount2(merged, MNT(0))
        subprocess.run(["rm", "-rf", upper, work], check=False)


def serves_as_lower(directory: str, scratch: str) -> bool:
    """Whether *directory* can be mounted as one of two lowers, and be listed."""
    trees.make(scratch, {"empty/": None, "view/": None})
    view = os.path.join(scratch, "view")
    try:
        mount("test", view, "overlay", MS(0), os.fsencode(f"lowerdir={scratch}/empty:{directory}"))
    except OSError:
        return False
    try:
        os.listdir(view)
    except OSError:
        return False
    finally:
        umount2(view, MNT(0))
    return True


def agrees(directory: str, scratch: str) -> dict[Ability, Answer]:
    """Compare both verdicts on *directory* with real mounts; the doctor's answers."""
    said = answers(directory)
    upper = Answer.YES if serves_as_upper(directory, scratch) else Answer.NO
    lower = Answer.YES if serves_as_lower(directory, scratch) else Answer.NO
    assert (said[Ability.UPPER], said[Ability.LOWER]) == (upper, lower)
    return said


@pytest.fixture
def point(scratch: str) -> Iterator[str]:
    """A directory to mount something at, which is unmounted afterwards."""
    path = os.path.join(scratch, "point")
    os.mkdir(path)
    yield path
    with suppress(OSError):
        umount2(path, MNT.DETACH)


@pytest.mark.parametrize("kind", capabilities.each_fs(*capabilities.FILE_SYSTEMS))
def test_usual_file_systems(kind: str, make_fs: MakeFs, scratch: str) -> None:
    """ext4, xfs, btrfs and tmpfs serve as both, and differ in reflinks."""
    point = make_fs(kind)
    said = agrees(point, scratch)
    clones = kind == "xfs" or (kind == "btrfs" and across_mounts() is not Answer.NO)
    assert looked_at(point).losses == (() if clones else (Ability.REFLINK,))
    assert said[Ability.UPPER] is said[Ability.LOWER] is Answer.YES
    assert said[Ability.REFLINK] is (Answer.YES if clones else Answer.NO)
    assert set(said.values()) <= {Answer.YES, Answer.NO}


@pytest.mark.parametrize("kind", NODEV)
def test_file_systems_without_a_device(kind: str, point: str, scratch: str) -> None:
    """Whatever the kernel can mount: the verdicts are what an overlay does there."""
    try:
        mount(kind, point, kind, MS(0), b"newinstance" if kind == "devpts" else None)
    except OSError as error:
        pytest.skip(f"{kind} cannot be mounted: {error}")
    agrees(point, scratch)


@capabilities.needs_fs("ext4")
def test_read_only_mount(make_fs: MakeFs, scratch: str) -> None:
    """Read-only: no upper, a fine lower, and handles are known although nothing can be tried."""
    point = make_fs("ext4")
    mount(None, point, None, MS.REMOUNT | MS.RDONLY)
    said = agrees(point, scratch)
    assert said[Ability.UPPER] is said[Ability.WRITABLE] is Answer.NO
    assert said[Ability.LOWER] is said[Ability.FILE_HANDLES] is Answer.YES
    assert said[Ability.D_TYPE] is said[Ability.REFLINK] is Answer.UNKNOWN
    writable = found(point, Ability.WRITABLE)
    assert writable.fix is not None
    assert writable.fix.text(str) == f"sudo mount -o remount,rw {point}"
    assert looked_at(point).read_only


@capabilities.needs_fs("ext4")
def test_on_overlays(make_fs: MakeFs, scratch: str) -> None:
    """On an overlay: no upper, a lower once; on an overlay on an overlay not even that."""
    base = trees.make(make_fs("ext4"), dict.fromkeys(("l/", "u/", "w/", "m/", "l2/", "m2/")))
    mount("t", f"{base}/m", "overlay", MS(0), os.fsencode(f"lowerdir={base}/l,upperdir={base}/u,workdir={base}/w"))
    mount("t", f"{base}/m2", "overlay", MS(0), os.fsencode(f"lowerdir={base}/m:{base}/l2"))
    said = agrees(f"{base}/m", trees.make(scratch, {"one/": None}) + "/one")
    assert (said[Ability.UPPER], said[Ability.LOWER]) == (Answer.NO, Answer.YES)
    assert looked_at(f"{base}/m").overlay_depth == 1
    said = agrees(f"{base}/m2", trees.make(scratch, {"two/": None}) + "/two")
    assert (said[Ability.UPPER], said[Ability.LOWER]) == (Answer.NO, Answer.NO)
    assert looked_at(f"{base}/m2").overlay_depth == 2
    for name in ("m2", "m"):
        umount2(f"{base}/{name}")


@pytest.mark.parametrize(("limit", "short"), [(b"size=64k", Ability.SPACE), (b"nr_inodes=5", Ability.INODES)])
def test_full(limit: bytes, short: Ability, point: str, scratch: str) -> None:
    """A full file system is told from a poor one: what is used up is named, and nothing is called missing."""
    mount("t", point, "tmpfs", MS(0), limit)
    with suppress(OSError):
        for number in range(99):
            with open(os.path.join(point, str(number)), "xb") as file:
                file.write(bytes(8192) if short is Ability.SPACE else b"")
    said = agrees(point, scratch)
    other = Ability.INODES if short is Ability.SPACE else Ability.SPACE
    assert (said[short], said[other], said[Ability.UPPER]) == (Answer.NO, Answer.YES, Answer.NO)
    assert said[Ability.USER_XATTR] is not Answer.NO or not capabilities.user_xattrs_in_memory()
    assert (looked_at(point).free_inodes == 0) == (short is Ability.INODES)


@capabilities.needs_fs("ext4")
def test_immutable(make_fs: MakeFs) -> None:
    """A directory with chattr +i: not writable, and the fix takes the flag away."""
    point = trees.make(os.path.join(make_fs("ext4"), "fixed"), {})
    subprocess.run(["chattr", "+i", point], check=True)
    writable = found(point, Ability.WRITABLE)
    assert writable.answer is Answer.NO
    assert writable.fix is not None
    subprocess.run(writable.fix.text(str).removeprefix("sudo ").split(), check=True)
    assert found(point, Ability.WRITABLE).answer is Answer.YES


@capabilities.needs_fs("btrfs")
def test_subvolumes(make_fs: MakeFs) -> None:
    """A subvolume directly below is a trap, and really one: over two of them copy-up fails with EXDEV."""
    point = make_fs("btrfs")
    assert found(point, Ability.ONE_SUBVOLUME).answer is Answer.YES
    subprocess.run(["btrfs", "-q", "subvolume", "create", f"{point}/odd"], check=True)
    report = looked_at(point)
    assert report.subvolumes == (f"{point}/odd",)
    assert found(point, Ability.ONE_SUBVOLUME).answer is Answer.NO
    assert looked_at(f"{point}/odd").is_subvolume
    trees.make(point, {"lower/file": "x", "work/": None, "merged/": None})
    words = f"lowerdir={point}/lower,upperdir={point}/odd,workdir={point}/work"
    mount("t", f"{point}/merged", "overlay", MS(0), os.fsencode(words))
    try:
        with pytest.raises(OSError, match="cross-device"):
            os.chmod(f"{point}/merged/file", 0o600)
    finally:
        umount2(f"{point}/merged")


@capabilities.needs_fs("xfs")
def test_xfs_without_types(scratch: str) -> None:
    """An xfs of old (ftype=0) does not tell types, and deleted files stay listed."""
    image = os.path.join(scratch, "image")
    with open(image, "xb") as file:
        file.truncate(320 << 20)
    made = subprocess.run(
        ["mkfs.xfs", "-q", "-m", "crc=0", "-n", "ftype=0", image], capture_output=True, text=True, check=False
    )
    point = trees.make(os.path.join(scratch, "point"), {})
    if made.returncode or subprocess.run(["mount", "-o", "loop", image, point], check=False).returncode:
        pytest.skip(f"no xfs with ftype=0 can be made or mounted here: {made.stderr.strip()[:60]}")
    said = agrees(point, scratch)
    assert (said[Ability.D_TYPE], said[Ability.UPPER]) == (Answer.NO, Answer.NO)


@capabilities.needs_fs("ext4")
def test_case_folding(scratch: str) -> None:
    """A directory that folds case is called one, and the verdicts are the kernel's."""
    image = os.path.join(scratch, "image")
    with open(image, "xb") as file:
        file.truncate(16 << 20)
    point = trees.make(os.path.join(scratch, "point"), {})
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "casefold", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, check=False).returncode:
        pytest.skip("this kernel mounts no ext4 with casefold (CONFIG_UNICODE)")
    folding = trees.make(os.path.join(point, "folding"), {})
    subprocess.run(["chattr", "+F", folding], check=True)
    assert found(point, Ability.CASE_SENSITIVE).answer is Answer.YES
    assert agrees(folding, scratch)[Ability.CASE_SENSITIVE] is Answer.NO


def test_cgroups_are_not_made(point: str) -> None:
    """Where mkdir means something to the kernel, nothing is tried."""
    try:
        mount("t", point, "cgroup2", MS(0))
    except OSError as error:
        pytest.skip(f"cgroup2 cannot be mounted: {error}")
    before = os.stat(point).st_mtime_ns
    assert found(point, Ability.UPPER).answer is Answer.NO
    assert os.stat(point).st_mtime_ns == before
