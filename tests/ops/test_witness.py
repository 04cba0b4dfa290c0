"""The kernel as a witness: what it names, and when it must not be asked."""

from __future__ import annotations

import os

from ovlctl.ops.reading import witness
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests import capabilities, trees
from tests.overlay.made import mounted


@capabilities.needs_root
def test_asking_changes_nothing_where_it_is_said_to_be_harmless(scratch: str) -> None:
    """With nfs_export the kernel copies a directory up to name it, which is why it is not asked about directories then.

    Everything else may be asked about, with any option.
    """
    trees.make(scratch, {"one/a/": None, "two/a/b/c/f": "x"})
    for nfs_export in Switch:
        options, base = Options(nfs_export=nfs_export), f"{scratch}/{nfs_export}"
        trees.make(base, {"upper/": None, "work/": None})
        stack = Stack([f"{scratch}/one", f"{scratch}/two"], upper=f"{base}/upper", work=f"{base}/work", options=options)
        with mounted(stack, f"{base}/merged") as point:
            for path, kind in (("", Kind.DIRECTORY), ("a/b/c/f", Kind.FILE), ("a/b/c", Kind.DIRECTORY)):
                assert witness.record_of(os.path.join(point, path)) is not None
                untouched = os.listdir(f"{base}/upper") == []
                assert untouched is (witness.harmless(options, kind) or path == "")
