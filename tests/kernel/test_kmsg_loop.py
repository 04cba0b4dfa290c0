"""The kernel log and loop devices."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import kmsg, loop
from ovlctl.kernel.mount import MS, mount, umount2
from tests.capabilities import needs_fs, needs_loop, needs_overlay, needs_root
from tests.kernel.children import child
from tests.patience import eventually

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser


@needs_root
@needs_overlay
def test_log_has_what_was_said_meanwhile(scratch: str) -> None:
    """The reason of a refused mount is among the lines, with the path as it is; older lines are not."""
    with pytest.raises(FileNotFoundError):
        mount("o", scratch, "overlay", MS(0), os.fsencode(f"lowerdir={scratch}:{scratch}/before"))
    missing = f"{scratch}/mis\udcffsing \\ one"
    with kmsg.KernelLog() as log:
        with pytest.raises(FileNotFoundError):
            mount("o", scratch, "overlay", MS(0), os.fsencode(f"lowerdir={scratch}:" + missing.replace("\\", "\\\\")))
        within = log.lines()
    assert any(missing in line and line.startswith("overlay") for line in within)
    assert not any(f"{scratch}/before" in line for line in within)
    assert log.lines()[: len(within)] == within


def test_log_without_permission(ordinary_user: OrdinaryUser) -> None:
    """Where the log may not be read there are no lines, and nothing is claimed about whose they are."""
    with open("/proc/sys/kernel/dmesg_restrict", encoding="ascii") as file:
        if file.read().strip() != "1":
            pytest.skip("kernel.dmesg_restrict is 0: everybody may read the log")
    code = "from ovlctl.kernel.kmsg import KernelLog\nwith KernelLog() as log: print(log.attributed, log.lines())"
    done = ordinary_user.run([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("False ()\n", "")


def refused_mount(scratch: str, missing: str) -> int:
    """Have a mount refused for a lower that is *missing*; the thread in which that happened."""
    with pytest.raises(FileNotFoundError):
        mount("o", scratch, "overlay", MS(0), os.fsencode(f"lowerdir={scratch}:{scratch}/{missing}"))
    return threading.get_native_id()


@needs_root
@needs_overlay
def test_log_of_other_threads(scratch: str) -> None:
    """Messages of other threads are among the lines if they were accepted, or if the kernel does not tell whose."""
    with kmsg.KernelLog() as log, ThreadPoolExecutor(2) as pool:
        refused_mount(scratch, "own")
        other = pool.submit(refused_mount, scratch, "other").result()
        lines = log.lines()
        assert any("/own" in line for line in lines)
        assert any("/other" in line for line in lines) != log.attributed
        log.accept(other)
        assert any("/other" in line for line in log.lines())


@needs_root
def test_attribution_is_what_the_kernel_tells() -> None:
    """It is claimed if and only if the real log's records name their caller and thread numbers are the kernel's."""
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        record = os.read(fd, 16384)
    except BlockingIOError:
        pytest.skip("the kernel log is empty")
    finally:
        os.close(fd)
    initial = os.readlink("/proc/self/ns/pid") == "pid:[4026531836]"
    with kmsg.KernelLog() as log:
        assert log.attributed == (b",caller=" in record.partition(b";")[0] and initial)


@pytest.mark.parametrize(
    ("record", "text", "caller"),
    [
        (b"6,339,5140900,-;overlayfs: text; more\n SUBSYSTEM=x\n", b"overlayfs: text; more", None),
        (b"4,1,2,c;overlay: a\\x5cb\\xff\n", b"overlay: a\\b\xff", None),
        (b"4,1,2,-;\n", b"", None),
        (b"4,1,2,-;overlayfs: ,caller=T1;\n", b"overlayfs: ,caller=T1;", None),
        (b"4,8117,4318486108,-,caller=T22863;overlayfs: text\n", b"overlayfs: text", "T22863"),
        (b"4,1,2,-,caller=C3;overlayfs: text\n", b"overlayfs: text", "C3"),
        (b"4,1,2,-,new=1,caller=T5,more=2;overlayfs: text\n", b"overlayfs: text", "T5"),
    ],
)
def test_parse_record(record: bytes, text: bytes, caller: str | None) -> None:
    """The text ends at the line's end, and its escapes are undone; the caller is told where the kernel tells it."""
    assert kmsg.parse_record(record) == kmsg.Record(text=text, caller=caller)


def test_whose_a_record_is() -> None:
    """A thread's number counts whole, interrupts are nobody's, and what does not tell is not taken for ours."""
    records = [
        kmsg.parse_record(b"4,1,2,-%s;overlayfs: x\n" % field) for field in (b",caller=T12", b",caller=C12", b"")
    ]
    assert [record.by_one_of({12, 7}) for record in records] == [True, False, False]
    assert not any(record.by_one_of({1, 2, 123}) for record in records)
    assert all(record.by_overlay() for record in records)
    assert not kmsg.parse_record(b"4,1,2,-;usb: overlayfs: x\n").by_overlay()


def image(directory: str, name: str = "image", size: int = 16 << 20) -> str:
    """A sparse file."""
    path = os.path.join(directory, name)
    with open(path, "xb") as file:
        file.truncate(size)
    return path


def backing_file(device: str) -> str | None:
    """What a loop device stands for, once udev and other onlookers have let it go."""
    path = f"/sys/block/{os.path.basename(device)}/loop/backing_file"
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\n")
    except OSError as error:
        # ENODEV: the file was there when it was opened, and its device was on its way out when it was read.
        if error.errno not in {errno.ENOENT, errno.ENODEV}:
            raise
        return None


def wait_until_free(device: str, path: str) -> bool:
    """Whether *device* stops standing for *path* some time."""
    return eventually(lambda: backing_file(device) != path)


@needs_loop
def test_device_goes_with_the_context(scratch: str) -> None:
    """Without a mount the device is free again when the context ends, whatever its size and access."""
    path = image(scratch)
    for read_only in (False, True):
        with loop.attach(path, read_only=read_only) as device:
            assert backing_file(device) == path
            with open(f"/sys/block/{os.path.basename(device)}/ro", encoding="ascii") as file:
                assert file.read().strip() == str(int(read_only))
            with open(f"/sys/block/{os.path.basename(device)}/size", encoding="ascii") as file:
                assert int(file.read()) * 512 == 16 << 20
        assert wait_until_free(device, path)


@needs_loop
@needs_fs("ext4")
def test_device_goes_with_its_mount(scratch: str) -> None:
    """Mounted inside the context it lives until the unmount, and no longer."""
    path, point = image(scratch), os.path.join(scratch, "point")
    os.mkdir(point)
    subprocess.run(["mkfs.ext4", "-q", path], check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    with loop.attach(path) as device:
        mount(device, point, "ext4")
    assert backing_file(device) == path
    assert os.path.isdir(os.path.join(point, "lost+found"))
    umount2(point)
    assert wait_until_free(device, path)


@needs_loop
def test_device_goes_with_a_killed_process(scratch: str) -> None:
    """SIGKILL between attaching and mounting leaves no device behind."""
    path = image(scratch)
    code = "import sys\nfrom ovlctl.kernel import loop\nheld = loop.attach(sys.argv[1])\ndevice = held.__enter__()"
    code += "\nopen(sys.argv[2], 'w').write(device)"
    with child(code, path, os.path.join(scratch, "device")) as pid:
        with open(os.path.join(scratch, "device"), encoding="ascii") as file:
            device = file.read()
        assert backing_file(device) == path
        os.kill(pid, 9)
    assert wait_until_free(device, path)


@needs_loop
def test_many_at_once(scratch: str) -> None:
    """Racing for free devices, everybody gets one of their own."""
    paths = [image(scratch, f"image{number}", 1 << 20) for number in range(12)]
    with ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        contexts = [loop.attach(path) for path in paths]
        devices = list(pool.map(stack.enter_context, contexts))
        assert len(set(devices)) == len(paths)
        assert [backing_file(device) for device in devices] == paths
    assert all(wait_until_free(device, path) for device, path in zip(devices, paths, strict=True))


@needs_loop
def test_missing_image(scratch: str) -> None:
    """A missing image is FileNotFoundError, and no device is taken."""
    with pytest.raises(FileNotFoundError), loop.attach(os.path.join(scratch, "missing")):
        pass
