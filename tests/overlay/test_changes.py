"""Changes of layers by hand: two mounts, with and without the upper, compared path by path (law 2).

What the kernel itself writes is compared in ``machine``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings

from ovlctl.overlay.change import Change, ChangeKind, Field
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Layers
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from tests import capabilities
from tests.overlay.agreement import aliased
from tests.overlay.law import view, violations
from tests.overlay.made import Case, mounted, new_directory, resolving
from tests.overlay.test_fuzz import cases

if TYPE_CHECKING:
    from collections.abc import Iterator


EXAMPLES = int(os.environ.get("OVLCTL_RESOLVER_EXAMPLES", "300"))
ROOT = pytest.mark.skipif(not capabilities.root(), reason=f"needs root: {capabilities.root().reason}")


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
def test_sparse_files_and_many_links_take_no_time(room: str) -> None:
    """Equal content is proved without reading holes, and three thousand names of one file are names of the first."""
    with new_directory(room) as base:
        for layer in ("lower", "upper"):
            os.mkdir(f"{base}/{layer}")
            with open(f"{base}/{layer}/sparse", "wb") as new:
                new.truncate(1 << 60)
                new.seek(1 << 50)
                new.write(b"island")
        with open(f"{base}/upper/n", "wb"):
            pass
        for number in range(3000):
            os.link(f"{base}/upper/n", f"{base}/upper/n{number}")
        with resolving(Stack([f"{base}/lower"], upper=f"{base}/upper")) as above:
            below = Resolver(Layers(lowers=above.layers.lowers), above.following)
            found = [one for one in changes(above, below, content=True) if isinstance(one, Change)]
    sparse = found[-1]
    assert (sparse.path, sparse.proved, Field.CONTENT in sparse.fields) == ("sparse", True, False)
    assert {one.old_path for one in found if one.change is ChangeKind.LINKED} == {"n"}
    assert sum(one.change is ChangeKind.LINKED for one in found) == 3000
