"""Marks in user.overlay.* instead of trusted.overlay.*."""

from __future__ import annotations

import os

import ovlctl
from tests import capabilities, trees


@capabilities.needs_root
@capabilities.needs_userxattr
def test_root_is_told_what_userxattr_ignores(scratch: str, state_dir: str) -> None:
    """With userxattr marks in trusted.overlay.* are ignored, and hidden files come back; without it nothing is said."""
    base = trees.make(scratch, {"a/d/": None, "b/d/hidden": "", "t/": None})
    os.setxattr(f"{base}/a/d", "trusted.overlay.opaque", b"y")
    stack = ovlctl.Stack([f"{base}/a", f"{base}/b"], options=ovlctl.Options(userxattr=ovlctl.Flag.YES))
    with ovlctl.mount(stack, f"{base}/t", name="x") as mounted:
        assert os.listdir(f"{base}/t/d") == ["hidden"]
        assert [note.paths for note in mounted.cautions] == [(f"{base}/a",)]
    with ovlctl.mount(ovlctl.Stack([f"{base}/a", f"{base}/b"]), f"{base}/t", name="x") as mounted:
        assert os.listdir(f"{base}/t/d") == []
        assert mounted.cautions == ()
