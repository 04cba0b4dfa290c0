"""The kernel's own word beside ours: it agrees, it cannot be asked, or a layer was changed under the mount."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.mount import MNT, mount, umount2
from ovlctl.ops.explain import explain
from ovlctl.ops.explain.comparing import compare
from ovlctl.ops.explain.sight import see
from ovlctl.ops.explain.terms import Ground, Verdict
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.show.explain import explanation_text
from tests import capabilities, trees
from tests.ops.explain.mounts import fresh, viewing, viewing_directories
from tests.overlay.made import mounted, new_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.ops.explain.values import KernelWord
    from ovlctl.overlay.stack import Stack

pytestmark = capabilities.needs_root

LOWER = {"file": "lower", "gone": "x", "d/a": "1", "d/b": "2", "sub/x": "3"}


def _word(point: str, path: str) -> KernelWord:
    with viewing(point) as view:
        return compare(view, view.resolver.resolve(path, complete=True))


def _replace(path: str) -> None:
    with open(path + "~", "w", encoding="ascii") as file:
        file.write("replaced")
    os.rename(path + "~", path)


def _unlink_and_make(path: str) -> None:
    os.unlink(path)
    with open(path, "w", encoding="ascii") as file:
        file.write("other")


CHANGES: dict[str, tuple[str, Callable[[Stack], object], set[Ground]]] = {
    "lower file replaced": ("file", lambda stack: _replace(f"{stack.lowers[0]}/file"), {Ground.OTHER_OBJECT}),
    "lower file unlinked": ("file", lambda stack: os.unlink(f"{stack.lowers[0]}/file"), {Ground.OTHER_OUTCOME}),
    "lower file made anew": ("file", lambda stack: _unlink_and_make(f"{stack.lowers[0]}/file"), {Ground.OTHER_OBJECT}),
    "shadowed in the upper": (
        "file",
        lambda stack: trees.make(str(stack.upper), {"file": "upper"}),
        {Ground.OTHER_OBJECT},
    ),
    "new name after a failed lookup": (
        "absent",
        lambda stack: trees.make(stack.lowers[0], {"absent": "now here"}),
        {Ground.OTHER_OUTCOME},
    ),
    "directory renamed": (
        "d",
        lambda stack: os.rename(f"{stack.lowers[0]}/d", f"{stack.lowers[0]}/e"),
        {Ground.OTHER_OUTCOME},
    ),
    "whiteout put into the upper": (
        "file",
        lambda stack: os.mknod(f"{stack.upper}/file", 0o020000, 0),
        {Ground.OTHER_OUTCOME},
    ),
}


@capabilities.needs_overlay_handles
@pytest.mark.parametrize("case", CHANGES)
def test_a_layer_changed_under_the_mount(disk: str, case: str) -> None:
    """What the kernel remembers of layers that were changed since is not what they have: it disagrees, loudly."""
    path, change, grounds = CHANGES[case]
    with new_directory(disk) as base:
        stack = fresh(base, "a", [trees.make(f"{base}/lower", LOWER)], Options())
        with mounted(stack, f"{base}/merged") as point:
            # Held, so that nothing of it is dropped from the kernel's memory.
            held = os.open(f"{point}/{path}", os.O_PATH) if os.path.lexists(f"{point}/{path}") else -1
            assert _word(point, path).verdict is Verdict.AGREES
            change(stack)
            with viewing(point) as view:
                explanation = explain(view, path)
            if held >= 0:
                os.close(held)
            assert explanation.kernel.verdict is Verdict.DISAGREES, explanation.kernel
            assert explanation.kernel.ground in grounds
            # Nothing that the mount shows is passed off as a measurement of what the layers have.
            assert explanation.inode is None or explanation.inode.known != "measured"
            text = explanation_text(explanation)
            assert "KERNEL DISAGREES" in text
            assert "ovlctl refresh" in text
        with mounted(stack, f"{base}/merged") as point:
            assert _word(point, path).verdict is Verdict.AGREES


@capabilities.needs_overlay_handles
@pytest.mark.parametrize(
    "options", [Options(), Options(index=Switch.ON), Options(metacopy=Switch.ON)], ids=["default", "index", "metacopy"]
)
def test_it_agrees_after_every_change_through_the_mount(disk: str, options: Options) -> None:
    """What is changed through the mount is no disagreement, whatever the kernel remembers from before."""
    with new_directory(disk) as base:
        lower = trees.make(f"{base}/lower", {**LOWER, "link": "l"})
        os.link(f"{lower}/link", f"{lower}/link2")
        stack = fresh(base, "a", [lower], options)
        with mounted(stack, f"{base}/merged") as point:
            for name in ("file", "link", "d/a"):
                assert os.lstat(f"{point}/{name}")
            with open(f"{point}/file", "a", encoding="ascii") as file:
                file.write("more")
            with open(f"{point}/link", "a", encoding="ascii") as file:
                file.write("more")
            os.chmod(f"{point}/link2", 0o600)
            os.unlink(f"{point}/gone")
            os.rename(f"{point}/d/a", f"{point}/moved")
            os.rename(f"{point}/d/b", f"{point}/d/a")
            os.link(f"{point}/file", f"{point}/second")
            trees.make(point, {"gone": "again", "new/file": "n"})
            os.mkdir(f"{point}/empty")
            for path in (
                "",
                "file",
                "link",
                "link2",
                "gone",
                "d",
                "d/a",
                "d/b",
                "moved",
                "second",
                "new/file",
                "empty",
            ):
                word = _word(point, path)
                assert word.verdict is Verdict.AGREES, (path, word)
        with mounted(stack, f"{base}/merged") as point:
            for path in (
                "",
                "file",
                "link",
                "link2",
                "gone",
                "d",
                "d/a",
                "d/b",
                "moved",
                "second",
                "new/file",
                "empty",
            ):
                assert _word(point, path).verdict is Verdict.AGREES, path


@capabilities.needs_overlay_handles
def test_renamed_directories(disk: str) -> None:
    """A redirect is followed by both."""
    with new_directory(disk) as base:
        stack = fresh(base, "a", [trees.make(f"{base}/lower", LOWER)], Options(redirect_dir=RedirectDir.ON))
        with mounted(stack, f"{base}/merged") as point:
            os.rename(f"{point}/d", f"{point}/sub/new")
            for path in ("d", "sub/new", "sub/new/a", "sub/x"):
                assert _word(point, path).verdict is Verdict.AGREES, path


@capabilities.needs_overlay_handles
def test_a_file_that_grows(memory: str) -> None:
    """Somebody who writes all the time makes no disagreement."""
    with new_directory(memory) as base:
        stack = fresh(base, "a", [trees.make(f"{base}/lower", {"log": ""})], Options())
        with mounted(stack, f"{base}/merged") as point:
            done = threading.Event()

            def write() -> None:
                with open(f"{point}/log", "ab", buffering=0) as file:
                    while not done.is_set():
                        file.write(b"line\n")

            with open(f"{point}/log", "ab"):
                pass
            writer = threading.Thread(target=write)
            writer.start()
            try:
                words = [_word(point, "log") for _ in range(100)]
            finally:
                done.set()
                writer.join()
            assert {word.verdict for word in words} <= {Verdict.AGREES, Verdict.NOT_CHECKABLE}
            assert {word.ground for word in words} <= {Ground.HANDLE, Ground.CHANGING}


@capabilities.needs_overlay_handles
def test_what_cannot_be_checked(memory: str, ext4: str) -> None:
    """Not mounted, another mount on the path, a symbolic link on the way: each says why."""
    with new_directory(ext4) as base:
        lower = trees.make(f"{base}/lower", {**LOWER, "over/f": "hidden"})
        os.symlink("d", f"{lower}/way")
        stack = fresh(base, "a", [lower], Options())
        with viewing_directories(stack) as view:
            assert compare(view, view.resolver.resolve("file")).ground is Ground.NOT_MOUNTED
        with mounted(stack, f"{base}/merged") as point:
            mount("t", f"{point}/over", "tmpfs")
            try:
                assert _word(point, "over/f").ground is Ground.MOUNTED_OVER
                assert _word(point, "way/a").ground is Ground.THROUGH_LINK
                assert _word(point, "way").verdict is Verdict.AGREES
            finally:
                umount2(f"{point}/over", MNT(0))


def test_nothing_outside_is_looked_at(memory: str) -> None:
    """The look through the mount follows no symbolic link and leaves no mount, whatever the layers hold."""
    with new_directory(memory) as base:
        lower = trees.make(f"{base}/lower", {"d/f": "x"})
        os.symlink("/etc", f"{lower}/out")
        os.symlink("/etc/passwd", f"{lower}/passwd")
        stack = fresh(base, "a", [lower], Options())
        with mounted(stack, f"{base}/merged") as point:
            assert see(point, "out/passwd", stack.options).errno == errno.ELOOP
            sight = see(point, "passwd", stack.options)
            assert sight.attributes is not None
            assert sight.attributes.kind == "symlink"
            long = "d/" + "n" * 5000 + "/x"
            assert see(point, long, stack.options).errno == errno.ENAMETOOLONG
            with viewing(point) as view:
                assert explain(view, long).nowhere
