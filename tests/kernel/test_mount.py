"""mount(2), umount2(2) and the descriptor-based API, against the mount table."""

from __future__ import annotations

import errno
import os

import pytest

from ovlctl.errors import KernelLacks, OptionsTooLong
from ovlctl.kernel import fscontext, mountinfo
from ovlctl.kernel.fscontext import MOVE_MOUNT, OPEN_TREE, Level, Message
from ovlctl.kernel.libc import AT_FDCWD, AT_RECURSIVE
from ovlctl.kernel.mount import MAX_DATA, MNT, MS, mount, umount2
from ovlctl.kernel.mount_attr import MOUNT_ATTR
from tests.capabilities import needs_asked_options, needs_mount_setattr, needs_mounting, needs_overlay
from tests.kernel import overlays


def info(point: str) -> mountinfo.MountInfo:
    """The topmost mount at *point*."""
    return [entry for entry in mountinfo.read() if entry.mount_point == point][-1]


@needs_mounting
def test_mount_and_umount(scratch: str) -> None:
    """What is asked for stands in the table; after umount2 it does not."""
    mount("here", scratch, "tmpfs", MS.NODEV | MS.NOSUID, b"size=64k")
    found = info(scratch)
    assert (found.fs_type, found.source) == ("tmpfs", "here")
    assert {"nodev", "nosuid"} <= set(found.mount_options)
    umount2(scratch, MNT.UMOUNT_NOFOLLOW)
    assert scratch not in {entry.mount_point for entry in mountinfo.read()}


@needs_mounting
def test_errors_keep_the_paths(scratch: str) -> None:
    """The target is the file name, the source of a bind mount the second."""
    with pytest.raises(OSError, match="Invalid argument") as caught:
        umount2(scratch)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, scratch)
    with pytest.raises(FileNotFoundError) as missing:
        mount("/no-such-source", scratch, None, MS.BIND)
    assert (missing.value.filename, missing.value.filename2) == (scratch, "/no-such-source")


def test_long_data_never_reaches_the_kernel() -> None:
    """More than 4095 bytes are refused before the call: even a target that does not exist is not looked at."""
    with pytest.raises(OptionsTooLong):
        mount("x", "/no-such-target", "overlay", MS(0), b"x" * (MAX_DATA + 1))
    with pytest.raises(ValueError, match="null"):
        mount("x", "/no-such-target", "overlay", MS(0), b"lowerdir=a\0b")


@needs_overlay
def test_descriptor_api(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From fsopen to move_mount a mount is made; open_tree copies it."""
    monkeypatch.chdir(scratch)  # a value has 255 bytes
    *_, merged, copy = overlays.directories(scratch, "lower", "other", "merged", "copy")
    overlays.configured(merged, ("source", "me"), ("lowerdir", "lower:other"))
    assert info(merged).fs_type == "overlay"
    assert info(merged).source == "me"
    tree = fscontext.open_tree(AT_FDCWD, merged, OPEN_TREE.CLONE)
    try:
        assert not os.get_inheritable(tree)
        fscontext.move_mount(tree, "", AT_FDCWD, copy, MOVE_MOUNT.F_EMPTY_PATH)
    finally:
        os.close(tree)
    assert info(copy).dev == info(merged).dev


@needs_mount_setattr
def test_attributes_of_one_mount(scratch: str) -> None:
    """mount_setattr sets and clears them, at one place and not at another where the same is mounted."""
    one, other = overlays.directories(scratch, "one", "other")
    mount("t", one, "tmpfs")
    mount(one, other, None, MS.BIND)
    fscontext.mount_setattr(AT_FDCWD, other, AT_RECURSIVE, attr_set=MOUNT_ATTR.NOEXEC | MOUNT_ATTR.NODEV)
    assert {"noexec", "nodev"} <= set(info(other).mount_options)
    fscontext.mount_setattr(AT_FDCWD, other, attr_clr=MOUNT_ATTR.NOEXEC)
    assert "noexec" not in info(other).mount_options
    assert "noexec" not in info(one).mount_options


@needs_asked_options
def test_messages_are_read_one_by_one(scratch: str) -> None:
    """The kernel's words come in order, taken apart, and only once."""
    context = fscontext.fsopen("overlay")
    try:
        for key in ("first_nonsense", "second_nonsense"):
            with pytest.raises(OSError, match="Invalid"):
                fscontext.fsconfig_set_flag(context, key)
        said = fscontext.messages(context)
        assert fscontext.messages(context) == ()
    finally:
        os.close(context)
    assert [message.level for message in said] == [Level.ERROR, Level.ERROR]
    assert [message.origin for message in said] == ["overlay", "overlay"]
    assert "first_nonsense" in said[0].text
    assert "second_nonsense" in said[1].text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            b"e overlay: Unknown parameter 'x'\n",
            Message(level=Level.ERROR, origin="overlay", text="Unknown parameter 'x'"),
        ),
        (b"w xfs: a: b", Message(level=Level.WARNING, origin="xfs", text="a: b")),
        (b"i no origin: here", Message(level=Level.INFO, origin="", text="no origin: here")),
        (b"plain", Message(level=Level.INFO, origin="", text="plain")),
        (b"e overlay: \xff", Message(level=Level.ERROR, origin="overlay", text="\udcff")),
    ],
)
def test_parse_message(raw: bytes, expected: Message) -> None:
    """Level and origin are taken off; the text stays as it is."""
    assert fscontext.parse_message(raw) == expected


@needs_overlay
def test_string_limit_is_the_kernels(scratch: str) -> None:
    """A value of 255 bytes passes, one of 256 does not and the kernel says nothing about it; a descriptor does."""
    deep = scratch
    while len(os.fsencode(deep)) < 256:
        deep = os.path.join(deep, "d" * min(200, 256 - len(os.fsencode(deep))))
    os.makedirs(deep)
    context = fscontext.fsopen("overlay")
    try:
        with pytest.raises(OSError, match="Invalid") as caught:
            fscontext.fsconfig_set_string(context, "lowerdir+", deep[:256])
        assert caught.value.filename == deep[:256]
        assert fscontext.messages(context) == ()
    finally:
        os.close(context)


@needs_overlay
def test_unknown_file_system() -> None:
    """Fsopen of nonsense is ENODEV."""
    try:
        with pytest.raises(OSError, match="No such device") as caught:
            fscontext.fsopen("ovlctl-no-such-fs")
    except KernelLacks as error:
        pytest.skip(str(error))
    assert caught.value.errno == errno.ENODEV
