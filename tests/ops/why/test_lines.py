"""Mount commands and lines of mount tables: what is read out of them, and what is wrong with what they show."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ovlctl import errors
from ovlctl.errors import OvlError
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import why
from ovlctl.ops.why import Certainty, Kind, Verdict, command, tables, words
from ovlctl.overlay import encode
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.ops.test_error_rows import Scene

PATHS = st.binary(min_size=1, max_size=12).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)


@given(st.lists(PATHS, min_size=1, max_size=4), st.lists(PATHS, max_size=2), PATHS, PATHS)
def test_the_string_is_read_as_the_kernel_does(lowers: list[str], data: list[str], upper: str, work: str) -> None:
    """Whatever mount(2) is told by ovlctl's own encoder comes back out of the string, for names of any bytes."""
    stack = Stack(lowers, data_only=data, upper=upper, work=work)
    string = os.fsdecode(encode.mount_data(stack, stack.options))
    read = words.parse(string)
    assume(len(os.fsencode(string)) <= encode.MOUNT_DATA_MAX)
    assert read.faults == ()
    assert (read.stack.lowers, read.stack.data_only) == (stack.lowers, stack.data_only)
    assert (read.stack.upper, read.stack.work) == (upper, work)


@pytest.mark.parametrize(
    "argv",
    [
        "mount -t overlay overlay -o lowerdir=a:b,upperdir=u,workdir=w /m",
        "mount -toverlay -olowerdir=a:b -o upperdir=u,workdir=w overlay /m",
        "/usr/bin/mount --types overlay --options lowerdir=a:b,upperdir=u,workdir=w --source overlay --target /m",
        "mount --types=overlay --options=lowerdir=a:b,upperdir=u,workdir=w overlay /m",
        "sudo -n mount --no-mtab overlay /m -vt overlay -o defaults,nofail,x-x=y,lowerdir=a:b,upperdir=u,workdir=w",
        "env A=b mount -t overlay -o upperdir=u,workdir=w,lowerdir=b,lowerdir=a:b none -- /m",
        "-t overlay overlay -o lowerdir+=a,lowerdir+=b,upperdir=u,workdir=w /m",
        "LIBMOUNT_FORCE_MOUNT2=always doas mount -t overlay o -o lowerdir=a:b,upperdir=u,workdir=w,noatime /m",
    ],
)
def test_spellings_of_one_command(argv: str) -> None:
    """Every way to write one mount(8) command is read as the same mount."""
    line = command.parse(argv.split())
    assert line.faults == ()
    assert (line.stack.lowers, line.stack.upper, line.stack.work, line.target) == (("a", "b"), "u", "w", "/m")
    assert line.by_root == any(word in argv for word in ("sudo", "doas"))


@pytest.mark.parametrize(
    ("argv", "faults"),
    [
        ("mount -o lowerdir=a:b overlay /m", [errors.BadUsage]),
        ("mount -t overlayfs overlay -o lowerdir=a:b /m", [errors.BadUsage]),
        ("mount -t overlay -o lowerdir=a:b /m", [errors.BadUsage]),
        ("mount -t overlay -o lowerdir=a:b", [errors.BadUsage]),
        ("mount -t overlay overlay -o lowerdir=a:b upperdir=u workdir=w /m", [errors.BadUsage]),
        ("mount -t overlay overlay too many -o lowerdir=a:b /m", [errors.BadUsage]),
        ("mount -t overlay overlay -o lowerdir=a:b,uperdir=u /m", [errors.OptionUnknown]),
        ("mount -t overlay overlay -o lowerdir=a,/b /m", [errors.OptionUnknown]),
        ("mount -t overlay overlay -o lowerdir=a:b,index=yes /m", [errors.OptionUnknown]),
        ("mount -t overlay overlay -o lowerdir=a:b,index /m", [errors.OptionUnknown]),
        ("mount -t overlay overlay -o lowerdir=a:b,userxattr=on /m", [errors.OptionUnknown]),
        ("mount -t overlay overlay -o lowerdir=a:b,upperdir= /m", [errors.OptionUnknown]),
        ("mount -t overlay overlay -o lowerdir=:a:b /m", [errors.LowerdirMalformed]),
        ("mount -t overlay overlay -o lowerdir=a:b: /m", [errors.LowerdirMalformed]),
        ("mount -t overlay overlay -o lowerdir=a:::b /m", [errors.LowerdirMalformed]),
        ("mount -t overlay overlay -o lowerdir=a::b:c /m", [errors.LowerdirMalformed]),
    ],
)
def test_what_is_wrong_with_words(argv: str, faults: list[type[OvlError]]) -> None:
    """Slips of the pen are named by themselves, whatever the directories are."""
    found = command.parse(argv.split()).faults
    assert [type(each) for each in found] == faults
    assert all(each.hint() for each in found)


@pytest.mark.parametrize(
    ("argv", "cause"),
    [
        ("mount --bind a b", errors.NotAnOverlay),
        ("mount -R a b", errors.NotAnOverlay),
        ("mount --make-rprivate /", errors.NotAnOverlay),
        ("mount -a", errors.NotAnOverlay),
        ("mount -t ext4 /dev/sda1 /m", errors.NotAnOverlay),
        ("mount -t fuse.fuse-overlayfs overlay /m -o lowerdir=a", errors.NotAnOverlay),
        ("fuse-overlayfs -o lowerdir=a,upperdir=u,workdir=w /m", errors.NotAnOverlay),
        ("ls -l", errors.NotAnOverlay),
        ("mount -o remount,index=on /m", errors.BadUsage),
        ("mount -t", errors.BadUsage),
        ("mount --frobnicate", errors.BadUsage),
        ("sudo", errors.BadUsage),
    ],
)
def test_other_commands(argv: str, cause: type[OvlError]) -> None:
    """What is no mount of an overlay is said to be none, with what to do instead."""
    with pytest.raises(OvlError) as caught:
        command.parse(argv.split())
    assert type(caught.value) is cause
    assert caught.value.hint()


@capabilities.needs_overlay
def test_wrong_words_are_wrong_for_the_kernel(scene: Scene) -> None:
    """What test_what_is_wrong_with_words calls a fault of options, the kernel refuses."""
    os.chdir(scene.base)
    for name in "abc":
        scene.dir(name)
    for bad in ("uperdir=u", "index=yes", "index", "userxattr=on", "upperdir="):
        with pytest.raises(OSError, match="Invalid argument"):
            mount("o", scene.dir("t"), "overlay", MS.RDONLY, f"lowerdir=a:b,{bad}".encode())
    for bad in (":a:b", "a:b:", "a:::b", "a::b:c"):
        with pytest.raises(OSError, match="Invalid argument"):
            mount("o", scene.dir("t"), "overlay", MS.RDONLY, f"lowerdir={bad}".encode())
    os.chdir("/")


def printed(*argv: str) -> str:
    """What a program prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def shown_everywhere(target: str) -> dict[str, str]:
    """One mount as every table and tool shows it."""
    with open("/proc/self/mountinfo") as file:
        (info,) = (line for line in file if f" {target} " in line)
    with open("/proc/mounts") as file:
        (proc,) = (line for line in file if f" {target} " in line)
    return {
        "mountinfo": info,
        "/proc/mounts": proc,
        "findmnt": printed("findmnt", target),
        "findmnt -n": printed("findmnt", "-n", target),
        "findmnt -P": printed("findmnt", "-P", target),
        "findmnt -r": printed("findmnt", "-r", target),
        "findmnt -J": printed("findmnt", "-J", target),
        "mount": "".join(line for line in printed("mount").splitlines(keepends=True) if f" {target} " in line),
    }


@capabilities.needs_overlay
def test_every_table_shows_the_same(scene: Scene) -> None:
    """A mount is read the same from mountinfo, /proc/mounts, findmnt in each form and mount; nothing is wrong."""
    stack = scene.stack()
    target = scene.overlay("t", stack)
    for name, text in shown_everywhere(target).items():
        found = why.explain_text(text)
        assert found.kind is Kind.MOUNTED, name
        assert found.findings == (), name
        assert found.line is not None
        assert (found.line.stack.lowers, found.line.stack.upper, found.line.target) == (
            stack.lowers,
            stack.upper,
            target,
        ), name


@capabilities.needs_overlay
def test_names_with_spaces(scene: Scene) -> None:
    """The octal escapes of the kernel and the hexadecimal ones of findmnt are undone."""
    stack = Stack([scene.dir("l 1"), scene.dir("l:2")], upper=scene.dir("u\t"), work=scene.dir("w"))
    target = scene.overlay("t t", stack)
    (own,) = (each for each in mounts.mounts("overlay") if each.mount_point == target)
    with open("/proc/self/mountinfo") as file:
        (info,) = (line for line in file if line.startswith(f"{own.mount_id} "))
    escaped = target.replace(" ", "\\040")
    with open("/proc/mounts") as file:
        (proc,) = (line for line in file if f" {escaped} " in line)
    for text in (info, proc, printed("findmnt", "-r", target), printed("findmnt", "-J", target)):
        line = why.explain_text(text).line
        assert line is not None
        assert (line.stack.lowers, line.stack.upper, line.target) == (stack.lowers, stack.upper, target)


@capabilities.needs_overlay
@pytest.mark.parametrize(
    ("break_it", "causes"),
    [
        pytest.param("lower", [errors.PathMissing], id="a lower is gone"),
        pytest.param("work", [errors.WorkTreeTooDeep], id="work could not be cleaned"),
        pytest.param("shared", [errors.UpperInUse], id="two overlays on one upper"),
        pytest.param("ro", [], id="no upper"),
    ],
)
def test_what_is_wrong_with_a_mount(scene: Scene, break_it: str, causes: Sequence[type[OvlError]]) -> None:
    """A layer that is gone, a read-only mount with its reason, and a shared upper are found from the line."""
    if break_it == "work":
        trees.make(scene.dir("w"), {"work/#1/a/b/c/": None})
    target = scene.overlay("t", scene.lower_only() if break_it == "ro" else scene.stack())
    if break_it == "lower":
        os.rmdir(os.path.join(scene.base, "l2"))
    if break_it == "shared":
        scene.overlay("other", scene.with_paths(work=scene.dir("w2")))
    for text in shown_everywhere(target).values():
        found = why.explain_text(text)
        assert [type(each.error) for each in found.findings] == causes
        assert bool(found.cautions) == (break_it == "ro")
    assert [type(each.error) for each in why.explain_mount(target).findings] == causes


@capabilities.needs_overlay
def test_fstab(scene: Scene) -> None:
    """A line of fstab is what its mount command would be; mounted already, it is compared with what is mounted."""
    stack = scene.stack()
    target = scene.dir("t t")
    fields = os.fsdecode(encode.mount_data(stack, stack.options))
    escaped = target.replace(" ", "\\040")
    text = f"overlay {escaped} overlay noauto,{fields} 0 0"
    assert tables.fstab(text) == tables.Fstab(target=target, options=f"noauto,{fields}")
    sound = why.explain_text(text)
    assert (sound.kind, sound.findings) == (Kind.FSTAB, ())
    scene.overlay("t t", stack)
    again = why.explain_text(text)
    assert again.findings == ()
    assert any("mounted at" in note.text() for note in again.cautions)
    if capabilities.root():
        weaker = why.explain_text(text.replace("noauto", "metacopy=on")).findings
        assert {type(each.error) for each in weaker} == {errors.WeakerThanAsked}
        assert any("metacopy=off" in each.error.message() for each in weaker)


@pytest.mark.parametrize(
    "text",
    [
        "$ sudo mount -t overlay overlay -o lowerdir=/nowhere/a,upperdir=/nowhere/u /nowhere/m 2>&1 | tee log",
        "root@host:~# mount -t overlay overlay -o lowerdir=/nowhere/a,upperdir=/nowhere/u /nowhere/m; echo $?",
        "sudo mount -t overlay overlay \\\n  -o lowerdir=/nowhere/a,upperdir=/nowhere/u \\\n  /nowhere/m",
        "+ mount overlay /nowhere/m --types overlay --options lowerdir=/nowhere/a,upperdir=/nowhere/u && ls",
    ],
)
def test_a_command_within_a_terminals_text(text: str) -> None:
    """Prompts, sudo, continued lines, redirections and what follows are no part of the mount."""
    found = why.explain_text(text)
    assert (found.kind, [type(each.error) for each in found.findings]) == (Kind.COMMAND, [errors.UpperWithoutWork])
    assert found.line is not None
    assert found.line.target == "/nowhere/m"


def test_many_mounts_of_findmnt() -> None:
    """More than one mount in one paste is a text; findmnt -J may nest them."""
    one = '{"target":"/m1","source":"o","fstype":"overlay","options":"rw,lowerdir=/nowhere/a"'
    two = '{"target":"/m2","source":"o","fstype":"overlay","options":"rw,lowerdir=/nowhere/b"}'
    found = why.explain_text(f'{{"filesystems":[{one},"children":[{two}]}}]}}')
    assert (found.kind, found.findings) == (Kind.TEXT, ())
    assert len(found.cautions) == 2


def test_a_line_of_another_machine() -> None:
    """Where none of the layers is here, the words alone are judged, and it is said so."""
    found = why.explain_text("mount -t overlay overlay -o lowerdir=/nowhere/a,upperdir=/nowhere/u /nowhere/m")
    assert (found.here, [type(each.error) for each in found.findings]) == (False, [errors.UpperWithoutWork])
    assert any("none of its layers" in note.text() for note in found.cautions)


@capabilities.needs_overlay
def test_a_newer_mount(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """With mount(8) 2.39 or newer a value of more than 255 bytes is refused: the version is asked of the program."""
    trees.make(
        scene.dir("bin"),
        {"mount": "#!/bin/sh\necho 'mount from util-linux 2.40.2 (libmount 2.40.2: btrfs, namespaces)'\n"},
    )
    os.chmod(os.path.join(scene.base, "bin", "mount"), 0o755)
    lowers = [scene.dir(f"{number:0100d}") for number in range(3)]
    argv = ["mount", "-t", "overlay", "overlay", "-o", "lowerdir=" + ":".join(lowers), scene.dir("t")]
    mine = [each.error for each in why.explain_command(argv).findings]
    monkeypatch.setenv("PATH", scene.dir("bin") + os.pathsep + os.environ["PATH"])
    found = why.explain_command(argv).findings
    assert [type(each.error) for each in found if each.verdict is Verdict.REFUSES][-1:] == [errors.OptionsTooLong]
    assert len(found) >= len(mine)


@capabilities.needs_overlay
@pytest.mark.parametrize("shift", range(10))
def test_what_a_cut_string_would_mount(scene: Scene, shift: int) -> None:
    """An option string of more than 4095 bytes is cut by the kernel, which then mounts or refuses as `why` says."""
    target = scene.dir("t")
    lowers = f"lowerdir={scene.dir('l1' + 'x' * shift)}:{scene.dir('l2')}"
    data = lowers + ",xino=off" * 500 + ",bogus=1"
    found = why.explain_command(["mount", "-t", "overlay", "o", "-o", data, target]).findings
    assert type(found[0].error) is errors.OptionsTooLong
    try:
        mount("o", target, "overlay", MS.RDONLY, data.encode()[: encode.MOUNT_DATA_MAX])
    except OSError:
        assert found[0].verdict is Verdict.REFUSES
    else:
        umount2(target)
        assert found[0].verdict is Verdict.MOUNTS


@capabilities.needs_overlay
def test_an_engines_message_on_the_machine_it_is_about(scene: Scene) -> None:
    """Where the engine's store is here, its layers are looked at: a guess becomes a cause."""
    store = scene.dir("overlay2")
    trees.make(
        store, {"id/diff/": None, "id/merged/": None, "base/diff/": None, "l/": None, "id/lower": "l/SHORT:l/GONE"}
    )
    os.symlink("../base/diff", f"{store}/l/SHORT")
    place = scene.mount("other", scene.dir("overlay2/id/work"), "tmpfs")
    text = f"Error response from daemon: error creating overlay mount to {store}/id/merged: invalid argument"
    causes = [type(each.error) for each in why.explain_text(text).findings]
    assert causes == [errors.PathMissing]
    os.symlink("../base/diff", f"{store}/l/GONE")
    assert {type(each.error) for each in why.explain_text(text).findings} == {
        errors.WorkOnOtherMount,
        errors.LayerTwice,
    }
    assert place


@capabilities.needs_overlay
def test_the_file_system_under_a_path_settles_a_guess(scene: Scene) -> None:
    """`not supported as upperdir` of a path on an overlay here is no guess any more; elsewhere it stays one."""
    merged = scene.overlay("m", scene.stack())
    text = "overlayfs: filesystem on '{}' not supported as upperdir"
    (sure,) = why.explain_text(text.format(f"{merged}/check-overlayfs-support867371572/upper")).findings
    assert (type(sure.error), sure.certainty) == (errors.UpperOnOverlay, Certainty.CERTAIN)
    assert sure.error.paths[1] == merged
    (guess,) = why.explain_text(text.format(f"{scene.base}/upper")).findings
    assert guess.certainty is Certainty.LIKELY


@capabilities.needs_overlay
def test_what_works_and_surprises(scene: Scene) -> None:
    """An upper inside a lower and a mount inside a lower are no problem for a mount, and are said."""
    lower = scene.dir("l1")
    scene.mount("sub", scene.dir("l1/sub"), "tmpfs")
    stack = Stack([lower], upper=scene.dir("l1/u"), work=scene.dir("l1/w"))
    words_of = os.fsdecode(encode.mount_data(stack, stack.options))
    found = why.explain_command(["mount", "-t", "overlay", "o", "-o", words_of, scene.dir("t")])
    assert found.findings == ()
    said = " ".join(note.text() for note in found.cautions)
    assert "ELOOP" in said
    assert "is mounted inside the lower" in said
