"""Hard links under index=on: every name is the upper's file, as the kernel has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.resolution import Rule
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees
from tests.overlay.agreement import disagreements
from tests.overlay.made import mounted, resolving

if TYPE_CHECKING:
    from tests.conftest import MakeFs

ROOT = pytest.mark.skipif(not capabilities.root(), reason=f"needs root: {capabilities.root().reason}")


@ROOT
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
@pytest.mark.parametrize("metacopy", [Switch.OFF, Switch.ON])
def test_names_of_a_copied_up_link(make_fs: MakeFs, kind: str, metacopy: Switch) -> None:
    """A lower name whose other name was changed has the change, its link count, and the index as its provider."""
    base = make_fs(kind)
    trees.make(base, {"lower/a": "old", "lower/d/z": "alone", "upper/": None, "work/": None})
    for name in ("b", "c", "d/e"):
        os.link(f"{base}/lower/a", f"{base}/lower/{name}")
    os.link(f"{base}/lower/d/z", f"{base}/lower/y")
    options = Options(index=Switch.ON, metacopy=metacopy)
    stack = Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        os.chmod(f"{point}/y", 0o600)
        with open(f"{point}/a", "a", encoding="utf-8") as changed:
            changed.write(" and new")
        os.unlink(f"{point}/c")
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        found = resolver.resolve("d/e")
        assert found.rule is Rule.INDEXED
        assert found.nlink == os.lstat(f"{point}/d/e").st_nlink == 3
        assert found.data == found.stack[0]
        assert list(disagreements(resolver, point, ["a", "b", "c", "d", "e", "y", "z"], None)) == []
