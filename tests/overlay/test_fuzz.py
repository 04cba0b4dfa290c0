"""Resolver and kernel agree on stacks made by chance."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, stated
from ovlctl.overlay.resolution import Outcome, Resolution, Rule
from ovlctl.overlay.tree import Kind
from tests import capabilities
from tests.overlay.agreement import aliased, disagreements
from tests.overlay.made import Case, Made, mounted, new_directory, resolving

# A long run: OVLCTL_RESOLVER_EXAMPLES=20000 pytest tests/overlay/test_fuzz.py, four minutes.
EXAMPLES = int(os.environ.get("OVLCTL_RESOLVER_EXAMPLES", "300"))
NAMES = ("a", "b", "c")
_paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
_redirects = st.one_of(
    st.sampled_from(NAMES).map(os.fsencode),
    _paths.map(lambda path: os.fsencode("/" + path)),
    st.sampled_from([b"../a", b"", b"/", b"//a", b"/a/", b".", b"..", b"/a/..", b"/./b", b"a\0b", b"\0", b"missing"]),
)
_marks = st.fixed_dictionaries(
    {},
    optional={
        "opaque": st.sampled_from([b"y", b"y", b"x", b"yes", b""]),
        "redirect": _redirects,
        "whiteout": st.sampled_from([b"", b"y"]),
        "metacopy": st.sampled_from([b"", b"", b"\0\4\0\0", b"\0"]),
        "impure": st.just(b"y"),
        "origin": st.sampled_from([b"", b"junk"]),
        "nlink": st.sampled_from([b"U+0", b"L-1", b"?"]),
        "protattr": st.sampled_from([b"i", b"?"]),
        "overlay.opaque": st.just(b"y"),
        "overlay.overlay.whiteout": st.just(b""),
    },
)
_modes = st.sampled_from([0o644, 0o600, 0o4755, 0])
_xattrs = st.fixed_dictionaries({}, optional={"user.plain": st.binary(max_size=4)})
_few_marks: st.SearchStrategy[dict[str, bytes]] = st.one_of(st.just({}), _marks)
_directories = st.builds(
    Made, kind=st.just(Kind.DIRECTORY), mode=st.sampled_from([0o755, 0o700, 0o1777]), marks=_few_marks
)
_files = st.builds(
    Made, mode=_modes, content=st.sampled_from([b"", b"", b"x", b"content"]), marks=_few_marks, xattrs=_xattrs
)
_metacopies = st.builds(
    Made,
    content=st.just(b"12345"),
    marks=st.fixed_dictionaries({"metacopy": st.just(b"")}, optional={"redirect": _redirects}),
)
_redirected = st.builds(
    Made, kind=st.just(Kind.DIRECTORY), mode=st.just(0o755), marks=st.fixed_dictionaries({"redirect": _redirects})
)
_others = st.sampled_from(
    [
        Made(kind=Kind.CHARACTER, mode=0),
        Made(kind=Kind.CHARACTER, mode=0),
        Made(kind=Kind.CHARACTER, mode=0o600, rdev=os.makedev(1, 3)),
        Made(kind=Kind.BLOCK, mode=0o600, rdev=0),
        Made(kind=Kind.FIFO, mode=0o644),
        Made(kind=Kind.SOCKET, mode=0o644),
        Made(kind=Kind.SYMLINK, mode=0o777, target="/etc"),
    ]
)
_objects = st.one_of(_directories, _directories, _files, _metacopies, _redirected, _others)


@st.composite
def layers(draw: st.DrawFn) -> dict[str, Made]:
    """A layer: only directories have something below them."""
    layer: dict[str, Made] = {}
    for path in draw(st.lists(_paths, max_size=9, unique=True)):
        parts = path.split("/")
        above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if any(parent in layer and layer[parent].kind is not Kind.DIRECTORY for parent in above):
            continue
        made = draw(_directories if any(other.startswith(path + "/") for other in layer) else _objects)
        layer[path] = made
        for parent in above:
            layer.setdefault(parent, draw(_directories))
    if draw(st.booleans()):
        layer[""] = draw(_directories)
    return layer


_options = st.sampled_from(
    [
        Options(redirect_dir=RedirectDir.ON),
        Options(redirect_dir=RedirectDir.FOLLOW),
        Options(redirect_dir=RedirectDir.NOFOLLOW),
        Options(metacopy=Switch.ON),
        Options(metacopy=Switch.ON),
        *([Options(userxattr=Flag.YES)] if capabilities.userxattr() else []),
        Options(index=Switch.ON, metacopy=Switch.ON),
        Options(nfs_export=Switch.ON, redirect_dir=RedirectDir.ON),
    ]
)
_no_data = st.just(())
_data = _no_data | st.lists(layers(), max_size=2).map(tuple) if capabilities.data_only() else _no_data


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A stack that can be mounted, by this kernel."""
    options = draw(_options)
    upper = draw(st.none() | layers())
    lowers = draw(st.lists(layers(), min_size=2 if upper is None else 1, max_size=5))
    return Case(lowers=tuple(lowers), upper=upper, data=draw(_data), options=options)


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(case=cases())
def test_resolver_equals_kernel(room: str, case: Case) -> None:
    """Law 1: names, errno, types, modes, sizes, content, attributes and providers, for any stack."""
    with new_directory(room) as base:
        stack = case.write(base)
        # An upper with an index cannot be mounted twice.
        indexed = case.upper is not None and stated(case.options, trusted_xattrs=True).index is Switch.ON
        again = None if indexed else stack
        with resolving(stack) as resolver:
            assume(not indexed or not aliased(resolver))
            with mounted(stack, f"{base}/merged") as point:
                assert list(disagreements(resolver, point, NAMES, again)) == []


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases(), path=_paths)
def test_trees_in_memory_resolve_alike(room: str, case: Case, path: str) -> None:
    """The resolver says the same of layers on disk and of the same layers in memory, and shows every layer."""
    with new_directory(room) as base, resolving(case.write(base)) as on_disk:
        found = on_disk.resolve(path, complete=True)
        again = case.in_memory().resolve(path, complete=True)
        assert _outline(again) == _outline(found)
        if found.rule is not Rule.ROOT and found.outcome is not Outcome.REFUSED:
            assert {candidate.place.layer for candidate in found.candidates} == set(on_disk.layers.merged)


def _outline(found: Resolution) -> tuple[object, ...]:
    return (
        found.outcome,
        found.rule,
        found.errno,
        found.kind,
        found.data_errno,
        [(place.layer.role, place.layer.index, place.path) for place in found.stack],
        [(seen.place.layer.role, seen.place.layer.index, seen.place.path, seen.verdict) for seen in found.candidates],
    )
