"""Changes of layers by hand: two mounts, with and without the upper, compared path by path (law 2).

What the kernel itself writes is compared in ``machine``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, assume, given, settings

from ovlctl.overlay.change import Change, ChangeKind, Field
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Layers
from ovlctl.overlay.options import Options, RedirectDir
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees
from tests.overlay.agreement import aliased
from tests.overlay.law import view, violations
from tests.overlay.made import Case, directory, file, mounted, new_directory, resolving, whiteout
from tests.overlay.test_fuzz import cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeFs

EXAMPLES = int(os.environ.get("OVLCTL_RESOLVER_EXAMPLES", "150"))
ROOT = capabilities.needs_root


@contextmanager
def both(stack: Stack, base: str) -> Iterator[tuple[str, str]]:
    """*stack* mounted, and its lowers alone."""
    lowers = Stack(stack.lowers, data_only=stack.data_only, options=stack.options)
    with mounted(stack, f"{base}/all") as all_of_it, mounted(lowers, f"{base}/lowers") as below:
        yield all_of_it, below


@ROOT
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_changes_of_layers_by_hand(room: str, case: Case) -> None:
    """Of layers that the kernel would never write, too, where the mount can be walked at all."""
    upper, lowers = case.upper or case.lowers[0], case.lowers
    # Without an upper the kernel wants two lowers.
    case = replace(case, upper=upper, lowers=lowers if len(lowers) > 1 else (*lowers, {}))
    with new_directory(room) as base:
        stack = case.write(base)
        with resolving(stack) as above:
            below = Resolver(Layers(lowers=above.layers.lowers, data=above.layers.data), above.following)
            assume(not aliased(above) and not aliased(below))
            found = [*changes(above, below, content=True)]
        assume(all(isinstance(one, Change) for one in found))
        with both(stack, base) as (one, other):
            assert list(violations([each for each in found if isinstance(each, Change)], view(one), view(other))) == []


@ROOT
def test_many_names_of_one_file(room: str) -> None:
    """Three thousand new names of one file are names of the first, and that is found out once."""
    with new_directory(room) as base:
        trees.make(base, {"lower/": None, "upper/n": ""})
        for number in range(3000):
            os.link(f"{base}/upper/n", f"{base}/upper/n{number}")
        with resolving(Stack([f"{base}/lower"], upper=f"{base}/upper")) as above:
            below = Resolver(Layers(lowers=above.layers.lowers), above.following)
            found = [one for one in changes(above, below) if isinstance(one, Change)]
    assert {one.old_path for one in found if one.change is ChangeKind.LINKED} == {"n"}
    assert sum(one.change is ChangeKind.LINKED for one in found) == 3000


@capabilities.needs_fs("xfs")
def test_holes_are_passed_over_and_data_in_them_found(make_fs: MakeFs) -> None:
    """Two holes of 8 EiB are compared at once; one byte of either, anywhere in them, is a difference."""
    root = make_fs("xfs")
    for layer in ("upper", "lower"):
        os.mkdir(f"{root}/{layer}")
        for name in ("same", "above", "below"):
            with open(f"{root}/{layer}/{name}", "wb") as file:
                file.truncate((1 << 63) - 4096)
                if name != "same" and layer == ("upper" if name == "above" else "lower"):
                    file.seek(1 << 40)
                    file.write(b"x")
    with resolving(Stack([f"{root}/lower"], upper=f"{root}/upper")) as above:
        below = Resolver(Layers(lowers=above.layers.lowers), above.following)
        found = [one for one in changes(above, below, content=True) if isinstance(one, Change)]
    assert {one.path: (Field.CONTENT in one.fields, one.proved) for one in found} == {
        "same": (False, True),
        "above": (True, True),
        "below": (True, True),
    }


@ROOT
def test_what_vanished_deeper_explains_no_time(room: str) -> None:
    """A renamed directory of another time is said to be so, though something is gone from below a name in it."""
    lower = {"from/a": file(b"seen"), "to/a/gone": file(), "to": directory()}
    upper = {"from": whiteout(), "to": directory(redirect=b"/from")}
    case = Case(lowers=({}, lower), upper=upper, options=Options(redirect_dir=RedirectDir.FOLLOW))
    with new_directory(room) as base:
        stack = case.write(base)
        os.utime(f"{base}/upper/to", ns=(0, 5))
        with resolving(stack) as above:
            below = Resolver(Layers(lowers=above.layers.lowers), above.following)
            found = [one for one in changes(above, below) if isinstance(one, Change)]
        with both(stack, base) as (one, other):
            assert list(violations(found, view(one), view(other))) == []
    told = {change.path: (change.change, change.fields) for change in found}
    assert told["to"] == (ChangeKind.RENAMED, (Field.TIMES,))
    assert told["to/a/gone"] == (ChangeKind.DELETED, ())
