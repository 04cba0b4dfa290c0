"""Formats that other programs take: git apply, rsync and patch make the merged view of the lower one."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovlctl.ops import diffing, reading
from ovlctl.ops.diffing.patch import Patch
from ovlctl.ops.diffing.rsync import rsync_filter
from ovlctl.ops.reading.troubles import Troubles
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests import capabilities, trees
from tests.overlay.actions import ACTIONS, do
from tests.overlay.law import view
from tests.overlay.made import mounted, new_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.diffing import Pair
    from tests.overlay.made import Seen

ROOT = capabilities.needs_root
EXAMPLES = int(os.environ.get("OVLCTL_RESOLVER_EXAMPLES", "300")) // 10
STRANGE = os.fsdecode(b'na\nme "\\*?[\t\x1b\xff\xc3\xa9 ')
LOWER = {
    "a/a": "1\n2\n3\n",
    "a/b/c": b"\0binary" * 40,
    "b": "no end of line",
    "c/a/b": "6",
    "c/b": "",
    f"a/{STRANGE}": "x\r\ny\n",
    "c/c/empty/": None,
}
_paths = st.lists(st.sampled_from(("a", "b", "c", STRANGE)), min_size=1, max_size=3).map("/".join)
_steps = st.lists(st.tuples(st.sampled_from(ACTIONS), _paths, _paths), max_size=10)
_options = st.sampled_from([Options(), Options(redirect_dir=RedirectDir.ON), Options(metacopy=Switch.ON)])
_PLAIN = {Kind.FILE, Kind.SYMLINK}
Steps = list[tuple["Callable[[str, str], None]", str, str]]


@contextmanager
def changed(base: str, steps: Steps, options: Options) -> Iterator[tuple[Pair, str, str]]:
    """A stack that *steps* were done to: its views, where it is mounted, and a copy of its lower."""
    trees.make(base, {"upper/": None, "work/": None})
    lower = trees.make(f"{base}/lower", LOWER)
    subprocess.run(["cp", "-a", lower, f"{base}/copy"], check=True)
    stack = Stack([lower], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        do(point, steps)
    with mounted(stack, f"{base}/merged") as point, reading.opened(reading.of_directories(stack)) as opened:
        yield diffing.of_stack(opened), point, f"{base}/copy"


@ROOT
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_steps, options=_options)
def test_git_applies_the_patch(room: str, steps: Steps, options: Options) -> None:
    """``git apply`` of the patch on a copy of the lower gives the files and links of the merged view."""
    with new_directory(room) as base, changed(base, steps, options) as (pair, merged, copy):
        troubles = Troubles()
        patch = b"".join(Patch(pair, troubles).pieces(diffing.diff(pair, troubles, content=True, renames=False)))
        assert not troubles.any
        if patch:
            environment = {**os.environ, "GIT_CEILING_DIRECTORIES": base, "GIT_CONFIG_GLOBAL": "/dev/null"}
            apply = ["git", "apply", "--whitespace=nowarn", "-"]
            done = subprocess.run(apply, input=patch, cwd=copy, env=environment, capture_output=True, check=False)
            assert done.returncode == 0, (done.stderr, patch)
        assert _as_git_sees(copy) == _as_git_sees(merged), patch


def _as_git_sees(point: str) -> dict[str, tuple[object, ...]]:
    return {
        path: (seen.kind, seen.content, seen.target, seen.kind is Kind.FILE and bool(seen.mode & 0o100))
        for path, seen in view(point).items()
        if seen.kind in _PLAIN
    }


@ROOT
@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_steps, options=_options)
def test_rsync_transfers_what_the_filter_lets_through(room: str, steps: Steps, options: Options) -> None:
    """A transfer through the filter, with deletions, makes a copy of the lower equal to the merged view."""
    with new_directory(room) as base, changed(base, steps, options) as (pair, merged, copy):
        troubles = Troubles()
        with open(f"{base}/rules", "wb") as rules:
            rules.writelines(rsync_filter(diffing.diff(pair, troubles, content=True, renames=False)))
        flags = ["-aHAX", "-I", "--delete", f"--filter=merge {base}/rules"]
        done = subprocess.run(["rsync", *flags, f"{merged}/", f"{copy}/"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert _as_rsync_copies(copy) == _as_rsync_copies(merged)


def _as_rsync_copies(point: str) -> dict[str, Seen]:
    # Merged directories have one link, and of some objects rsync leaves the time alone.
    return {
        path: seen if seen.kind is Kind.FILE else replace(seen, nlink=0, mtime_ns=0)
        for path, seen in view(point).items()
    }
