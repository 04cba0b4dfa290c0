"""A stack with an upper that was used: changed, removed, replaced, renamed and new objects of every kind."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ovlctl.kernel.mounts import mount_at
from ovlctl.ops import discover, reading
from ovlctl.ops.trying.live import Live
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.overlay.made import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.trying.values import Deed, Preview, Step

OPTIONS = {
    "default": Options(),
    "redirect_dir": Options(redirect_dir=RedirectDir.ON),
    "metacopy": Options(metacopy=Switch.ON),
    "index": Options(index=Switch.ON),
    "userxattr": Options(userxattr=Flag.YES),
}
LOWER_FILES = (
    "low", "both", "gone", "changed", "hard", "dir/lf", "dir/sub/x", "opaque/inner", "renamed/inner", "merged/a",
    "lower dir/f", "mixed dir/a",
)  # fmt: skip
PATHS = (
    *LOWER_FILES, "dir", "dir/sub", "dir/new", "opaque", "opaque/new", "renamed", "renamed2", "renamed2/inner",
    "lower dir", "empty", "mixed dir", "mixed dir/own", "merged", "pure", "pure dir", "pure dir/in", "pure dir/in/f",
    "pure empty", "pure link", "pure fifo", "link", "fifo", "nothing", "no dir/x", "pure/x",
)  # fmt: skip


def used(base: str, options: Options) -> Stack:
    """Such a stack below the new directory *base*; it is not mounted any more."""
    lower = trees.make(f"{base}/l0", dict.fromkeys(LOWER_FILES, "x" * 5000) | {"empty/": None})
    os.link(f"{lower}/hard", f"{lower}/hard2")
    os.symlink("low", f"{lower}/link")
    os.mkfifo(f"{lower}/fifo")
    trees.make(base, {"l1/both": "below", "l1/dir/": None, "u/": None, "w/": None})
    stack = Stack([lower, f"{base}/l1"], upper=f"{base}/u", work=f"{base}/w", options=options)
    with mounted(stack, f"{base}/m") as point:
        with open(f"{point}/changed", "a", encoding="ascii") as file:
            file.write("more")
        os.unlink(f"{point}/gone")
        os.unlink(f"{point}/merged/a")
        shutil.rmtree(f"{point}/opaque")
        trees.make(
            point,
            {
                "pure": "p" * 3000,
                "pure dir/in/f": "1",
                "pure empty/": None,
                "opaque/new": "q",
                "mixed dir/own": "o",
                "dir/new": "n",
            },
        )
        os.symlink("x", f"{point}/pure link")
        os.mkfifo(f"{point}/pure fifo")
        os.chmod(f"{point}/dir/lf", 0o600)
        with suppress(OSError):  # EXDEV without redirect_dir
            os.rename(f"{point}/renamed", f"{point}/renamed2")
    return stack


@contextmanager
def copied(stack: Stack, base: str) -> Iterator[Live]:
    """A copy of *stack* with its upper, mounted, for as long as the block runs."""
    assert stack.upper is not None
    subprocess.run(["cp", "-a", stack.upper, f"{base}/copy-u"], check=True)
    os.mkdir(f"{base}/copy-w")
    copy = Stack(stack.lowers, upper=f"{base}/copy-u", work=f"{base}/copy-w", options=stack.options)
    try:
        with mounted(copy, f"{base}/copy-m") as point:
            yield live(point)
    finally:
        shutil.rmtree(f"{base}/copy-u")
        shutil.rmtree(f"{base}/copy-w")


def live(point: str) -> Live:
    """Actions on what is mounted at *point*."""
    return Live(reading.of_overlay(discover.of_mount(mount_at(point), None)))


def kinds(told: Deed | Preview) -> list[tuple[str, str]]:
    """The steps that the stack itself has, too."""
    return [(step.kind, step.path) for step in told.steps if _counts(step)]


def _counts(step: Step) -> bool:
    return not step.only_here
