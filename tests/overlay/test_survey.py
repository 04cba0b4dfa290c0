"""What becomes of every object of every layer: nothing is left out, and nothing that is needed is called hidden."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings

from ovlctl.overlay.change import Change, ChangeKind
from ovlctl.overlay.changes import changes
from ovlctl.overlay.fates import Fate, Spot
from ovlctl.overlay.layers import Layers
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.options import Options, RedirectDir
from ovlctl.overlay.resolution import Place, Verdict
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.survey import Survey
from ovlctl.overlay.tree import Kind, join
from tests import trees
from tests.overlay import actions, made
from tests.overlay.made import Case, Made, Seen, mounted, new_directory, resolving, seen
from tests.overlay.test_fuzz import EXAMPLES, NAMES, cases

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.marks import Mark
    from ovlctl.overlay.tree import Attributes


@dataclass
class Notes:
    """A register that writes everything down."""

    fates: dict[Place, Fate] = field(default_factory=dict)
    kinds: dict[Place, Kind] = field(default_factory=dict)
    troubles: list[tuple[Place, int]] = field(default_factory=list)
    begun: set[Place] = field(default_factory=set)

    def begin(self, spot: Spot) -> None:
        """Note that a directory is listed."""
        place = Place(spot.layer, spot.path)
        spot.fresh = place not in self.begun
        self.begun.add(place)

    def enter(self, spot: Spot, name: str, attributes: Attributes, fate: Fate) -> None:
        """Note the best fate."""
        place = Place(spot.layer, join(spot.path, name) if name else spot.path)
        self.fates[place] = min(fate, self.fates.get(place, fate))
        self.kinds[place] = attributes.kind

    def mark(self, spot: Spot, mark: Mark) -> None:
        """Marks are counted elsewhere."""

    def trouble(self, place: Place, number: int) -> None:
        """Note the place."""
        self.troubles.append((place, number))


def surveyed(resolver: Resolver) -> Notes:
    """Everything in the layers of *resolver*."""
    notes = Notes()
    Survey(resolver, notes).run()
    return notes


def _everything(layer: Layer) -> Iterator[Place]:
    for directory, names, files in os.walk(layer.directory):
        at = os.path.relpath(directory, layer.directory)
        path = "" if at == "." else at
        yield Place(layer, path)
        for name in files:
            yield Place(layer, join(path, name))
        for name in names:
            if os.path.islink(os.path.join(directory, name)):
                yield Place(layer, join(path, name))


def _needed(resolver: Resolver) -> set[Place]:
    # By the other walk: all that is behind a name which exists, and the directories on the way to what is elsewhere.
    places = set(resolver.root().stack)
    for entry in walk(resolver):
        if isinstance(entry, Entry) and entry.resolution.exists:
            found = entry.resolution
            places.update(found.stack, () if found.data is None else (found.data,))
            places.update(each.place for each in found.candidates if each.verdict is Verdict.METADATA_ONLY)
    for place in list(places):
        parts = place.path.split("/")
        places.update(Place(place.layer, "/".join(parts[:depth])) for depth in range(len(parts)))
    return places


@settings(max_examples=EXAMPLES // 3, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_every_object_has_a_fate_and_it_is_the_resolvers(room: str, case: Case) -> None:
    """Each object is entered, and is VISIBLE exactly when the resolver needs it."""
    with new_directory(room) as base, resolving(case.write(base)) as resolver:
        notes = surveyed(resolver)
        layers = (*resolver.layers.merged, *resolver.layers.data)
        assert set(notes.fates) == {place for layer in layers for place in _everything(layer)}
        assert notes.troubles == []
        visible = {place for place, fate in notes.fates.items() if fate is Fate.VISIBLE}
        assert visible == _needed(resolver)


@settings(max_examples=EXAMPLES // 3, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_what_a_mount_gives_to_read_is_visible(room: str, case: Case) -> None:
    """With other content in every file: the content seen through a mount is that of the files that are VISIBLE."""
    case = replace(
        case,
        lowers=tuple(_marked(f"lower{at}", layer) for at, layer in enumerate(case.lowers)),
        data=tuple(_marked(f"data{at}", layer) for at, layer in enumerate(case.data)),
        upper=None if case.upper is None else _marked("upper", case.upper),
    )
    with new_directory(room) as base:
        stack = case.write(base)
        with resolving(stack) as resolver:
            fates = surveyed(resolver).fates
        with mounted(stack, f"{base}/merged") as point:
            view = _view(point)
        shown = {here.content for here in view.values() if here.content}
        visible = {content for place, fate in fates.items() if fate is Fate.VISIBLE and (content := _own(place))}
        assert shown <= visible
        # Two names of one lower directory cannot both be looked up while the first is remembered.
        if not {here.errno for here in view.values()} & {errno.ESTALE, errno.ELOOP}:
            assert shown == visible


def test_a_view_of_endless_paths_is_walked_in_the_steps_of_its_layers(room: str) -> None:
    """Two redirects in each of 60 layers make 2**60 paths, to what there is once."""
    layer = {f"d/{name}": made.directory(redirect=b"/d") for name in "ab"}
    case = Case(lowers=(*[layer] * 60, {"d/file": made.file(b"x")}), options=Options(redirect_dir=RedirectDir.FOLLOW))
    with new_directory(room) as base, resolving(case.write(base)) as resolver:
        assert resolver.resolve("d/" + "a/b/" * 30 + "file").exists
        fates = surveyed(resolver).fates
    assert set(fates.values()) == {Fate.VISIBLE}
    assert len(fates) == 60 * 4 + 3


def _marked(name: str, layer: Mapping[str, Made]) -> dict[str, Made]:
    return {
        path: replace(each, content=os.fsencode(f"{name}/{path}")) if _has_data(each) else each
        for path, each in layer.items()
    }


def _has_data(thing: Made) -> bool:
    return thing.kind is Kind.FILE and bool(thing.content) and "metacopy" not in thing.marks


def _own(place: Place) -> bytes:
    # The content that the test gave to a file; nothing for all else.
    path = os.path.join(place.layer.directory, place.path)
    if not os.path.isfile(path) or os.path.islink(path):
        return b""
    with open(path, "rb") as file:
        content = file.read()
    return content if os.fsencode(os.path.basename(place.layer.directory)) == content.partition(b"/")[0] else b""


_DISPENSABLE = {Fate.SHADOWED, *(fate for fate in Fate if fate.hidden and fate is not Fate.REFUSED)}


@settings(max_examples=EXAMPLES // 3, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_without_what_is_hidden_the_same_is_seen(room: str, case: Case) -> None:
    """A mount of the layers without all that is called shadowed, hidden or unused shows the same as before."""
    with new_directory(room) as base:
        stack = case.write(base)
        with mounted(stack, f"{base}/merged") as point:
            before = _view(point)
        with resolving(stack) as resolver:
            fates = surveyed(resolver).fates
        _remove(fates, _DISPENSABLE)
        with mounted(stack, f"{base}/merged") as point:
            after = _view(point)
        # A name that is refused because of something below it, such as an invalid redirect, may well be there then.
        refused = {path for path, here in before.items() if here.errno}
        seen_before = {path for path in after if refused.isdisjoint(_upwards(path))}
        assert {path: after[path] for path in seen_before} == {path: before[path] for path in before.keys() - refused}


def _uncovers(place: Place, other: Place, fates: Mapping[Place, Fate]) -> bool:
    below = other.path == place.path and other.layer.index > place.layer.index
    return below and fates[other] is Fate.VISIBLE and os.path.isdir(os.path.join(other.layer.directory, other.path))


def _upwards(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}


@settings(max_examples=EXAMPLES // 6, suppress_health_check=[HealthCheck.too_slow])
@given(steps=actions.steps, options=actions.options)
def test_without_what_is_unchanged_the_same_is_seen(
    room: str, steps: list[tuple[Callable[[str, str], None], str, str]], options: Options
) -> None:
    """The same of uppers that the kernel wrote, without what was copied up and equals what it hides, too."""
    with new_directory(room) as base:
        lowers = [trees.make(f"{base}/lower{at}", layer) for at, layer in enumerate(actions.LOWERS)]
        os.link(f"{lowers[0]}/b", f"{lowers[0]}/a/hard")
        trees.make(base, {"upper/": None, "work/": None})
        stack = Stack(lowers, upper=f"{base}/upper", work=f"{base}/work", options=options)
        with mounted(stack, f"{base}/merged") as point:
            actions.do(point, steps)
            for path in ("a/a", "a/b/c"):
                # Opened to be written, and not written.
                with suppress(OSError):
                    os.close(os.open(os.path.join(point, path), os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
        with mounted(stack, f"{base}/merged") as point:
            before = _view(point)
        with resolving(stack) as resolver:
            lowers_alone = Resolver(Layers(lowers=resolver.layers.lowers), resolver.following)
            unchanged = {
                change.path
                for change in changes(resolver, lowers_alone, content=True)
                if isinstance(change, Change) and change.change is ChangeKind.UNCHANGED
            }
            notes = Notes()
            Survey(resolver, notes, unchanged=unchanged).run()
            called = {place.path for place, fate in notes.fates.items() if fate is Fate.UNCHANGED}
            assert called == unchanged
            _remove(notes.fates, {*_DISPENSABLE, Fate.UNCHANGED})
        with mounted(stack, f"{base}/merged") as point:
            assert _view(point) == before


def _remove(fates: Mapping[Place, Fate], dispensable: Collection[Fate]) -> None:
    gone: set[Place] = set()
    for place in sorted(fates, key=lambda place: place.path.count("/")):
        above = Place(place.layer, place.path.rpartition("/")[0])
        # A whiteout in what goes, goes with it; the root of a layer has to be there. A file that keeps a directory,
        # which is seen by way of a redirect, from being seen here too, is needed: no kernel writes such layers.
        wanted = fates[place] in dispensable and not any(_uncovers(place, other, fates) for other in fates)
        if place.path and (wanted or (fates[place] is Fate.WHITEOUT and above in gone)):
            gone.add(place)
    for place in sorted(gone, key=lambda place: -place.path.count("/")):
        path = os.path.join(place.layer.directory, place.path)
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)


def _view(point: str) -> dict[str, Seen]:
    # Names are asked for, not listed: whether readdir(3) gives one that is refused depends on what it marked before.
    found: dict[str, Seen] = {}
    pending = [""]
    while pending:
        path = pending.pop()
        here = seen(os.path.join(point, path))
        if here.errno not in {errno.ENOENT, errno.ENOTDIR}:
            # With a name that is hidden a link goes, and its directory was changed.
            found[path] = replace(here, nlink=0, mtime_ns=0 if here.kind is Kind.DIRECTORY else here.mtime_ns)
        if here.kind is Kind.DIRECTORY:
            pending += [join(path, name) for name in NAMES]
    return found
