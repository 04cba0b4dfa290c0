"""Changes against the kernel: two mounts, with and without the upper, compared path by path (law 2)."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ovlctl.overlay.change import Change
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Layers
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees
from tests.overlay.law import view, violations
from tests.overlay.made import Case, mounted, new_directory, resolving
from tests.overlay.test_fuzz import cases
from tests.overlay.test_kernel_made import ACTIONS, LOWERS, disk  # noqa: F401 -- a fixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


EXAMPLES = int(os.environ.get("OVLCTL_RESOLVER_EXAMPLES", "300"))
ROOT = pytest.mark.skipif(not capabilities.root(), reason=f"needs root: {capabilities.root().reason}")
_paths = st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=3).map("/".join)
_steps = st.lists(st.tuples(st.sampled_from(ACTIONS), _paths, _paths), max_size=12)


@contextmanager
def both(stack: Stack, base: str) -> Iterator[tuple[str, str]]:
    """*stack* mounted, and its lowers alone."""
    lowers = Stack(stack.lowers, data_only=stack.data_only, options=stack.options)
    with mounted(stack, f"{base}/all") as all_of_it, mounted(lowers, f"{base}/lowers") as below:
        yield all_of_it, below


def listed(stack: Stack, *, content: bool = True) -> list[Change]:
    """The changes of the upper of *stack*, all of which can be read."""
    with resolving(stack) as above:
        below = Resolver(Layers(lowers=above.layers.lowers, data=above.layers.data), above.following)
        found = [*changes(above, below, content=content)]
        assert [one for one in found if not isinstance(one, Change)] == []
        return [one for one in found if isinstance(one, Change)]


def aliased(resolver: Resolver) -> bool:
    """Whether two names lead to one object: what the kernel says of the one then depends on the other."""
    entries = [entry.resolution for entry in walk(resolver) if isinstance(entry, Entry)]
    places = [place for found in entries for place in found.stack]
    return len(places) != len(set(places))


@pytest.mark.parametrize("content", [True, False])
@settings(max_examples=EXAMPLES // 6, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=_steps,
    options=st.sampled_from(
        [
            Options(),
            Options(redirect_dir=RedirectDir.ON),
            Options(metacopy=Switch.ON),
            Options(metacopy=Switch.ON, index=Switch.ON),
            Options(index=Switch.ON),
        ]
    ),
)
def test_changes_are_what_differs(
    disk: str,  # noqa: F811 -- the fixture
    steps: list[tuple[Callable[[str, str], None], str, str]],
    options: Options,
    *,
    content: bool,
) -> None:
    """Whatever was done through a mount, path by path, with content read or judged by size and time."""
    with new_directory(disk) as base:
        lowers = [trees.make(f"{base}/lower{at}", layer) for at, layer in enumerate(LOWERS)]
        os.link(f"{lowers[0]}/b", f"{lowers[0]}/a/hard")
        trees.make(base, {"upper/": None, "work/": None})
        stack = Stack(lowers, upper=f"{base}/upper", work=f"{base}/work", options=options)
        with mounted(stack, f"{base}/merged") as point:
            for action, path, other in steps:
                # Whatever the kernel refuses, it refuses.
                with suppress(OSError):
                    action(os.path.join(point, path), os.path.join(point, other))
        found = listed(stack, content=content)
        with both(stack, base) as (above, below):
            assert list(violations(found, view(above), view(below))) == []


@ROOT
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_changes_of_layers_by_hand(room: str, case: Case) -> None:
    """The same for layers that the kernel would never write, where the mount can be walked at all."""
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
