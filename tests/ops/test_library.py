"""The verbs that read, from Python, on a real mount."""

from __future__ import annotations

import os

import ovlctl
from ovlctl.overlay.merged import Entry
from tests import capabilities, trees

ROOT = capabilities.needs_root


@ROOT
def test_read_and_ask(scratch: str, state_dir: str) -> None:
    """A mounted stack by its name, and the same by its directories: provider, listing, changes and sizes."""
    trees.make(scratch, {"top/a": "1", "base/a": "22", "base/d/b": "333", "m/": None})
    stack = ovlctl.Stack([f"{scratch}/top", f"{scratch}/base"])
    with ovlctl.mount(stack, f"{scratch}/m", name="web", allocate=ovlctl.KeptUpper(), discard=True) as mounted:
        with open(f"{scratch}/m/d/b", "a", encoding="utf-8") as changed:
            changed.write("4")
        os.unlink(f"{scratch}/m/a")
        whole = mounted.overlay.stack
        for named in ("web", f"{scratch}/m", whole):
            with ovlctl.read(named) as view:
                told = ovlctl.explain(view, "d/b")
                assert told.resolution.stack[0].layer.directory == whole.upper
                entries = [each for each in ovlctl.tree(view) if isinstance(each, Entry)]
                assert [each.resolution.path for each in entries if each.resolution.exists] == ["d", "d/b"]
                changes = [each for each in ovlctl.diff(view) if isinstance(each, ovlctl.Change)]
                assert [(each.path, each.change) for each in changes] == [
                    ("a", ovlctl.ChangeKind.DELETED),
                    ("d/b", ovlctl.ChangeKind.MODIFIED),
                ]
                (replaced,) = ovlctl.diff(view, layer="0")
                assert isinstance(replaced, ovlctl.Change)
                assert replaced.path == "a"
                assert list(ovlctl.diff(view, view)) == []
        assert ovlctl.du("web").stacks == ("web",)
