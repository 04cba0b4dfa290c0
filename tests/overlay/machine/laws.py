"""What must hold of a live stack at any moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.ops import reading
from ovlctl.ops.explain.comparing import compare
from ovlctl.ops.explain.terms import Ground, Verdict
from ovlctl.overlay.change import Change
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Layers
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.options import stated
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.tree import Kind, join
from tests.overlay.agreement import difference, foretold
from tests.overlay.law import violations
from tests.overlay.machine.layers import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.resolution import Resolution
    from tests.overlay.law import View
    from tests.overlay.machine.live import Live

# Why explain may say that it does not know, although nobody is at work.
_DOUBTS = {Ground.CHANGING, Ground.NOT_REACHABLE, Ground.NO_HANDLES}


def broken(live: Live, *, content: bool) -> list[str]:
    """One line for each law that does not hold.

    Args:
        live: The stack.
        content: Whether the changes are to be told by reading files; else a walk with what is hidden is looked at too.
    """
    with live.resolver() as resolver:
        walked = list(walk(resolver))
        found = [entry for entry in walked if isinstance(entry, Entry)]
        wrong = [f"unreadable: {one}" for one in walked if not isinstance(one, Entry)]
        wrong += _walks_differ(resolver, found, live.point)
        # What the mount shows was just found to be this.
        there = [resolver.root(), *(entry.resolution for entry in found if entry.resolution.exists)]
        above = {one.path: foretold(one, resolver.following.prefix) for one in there}
        if not all(entry.resolution.certain for entry in found):
            # What a file counts that can have no marks only the mount knows, which the changes do not ask.
            return wrong
        wrong += _said_to_disagree(live, resolver, found) if content else _hidden_walk_differs(resolver, found)
        return wrong or list(_changes_are_wrong(resolver, above, live.below(), content=content))


def _walks_differ(resolver: Resolver, entries: list[Entry], point: str) -> Iterator[str]:
    # Law 1: a walk of the model is a walk of the mount, and what the one does not find the other does not.
    directories: dict[str, tuple[Resolution, set[str]]] = {"": (resolver.root(), set())}
    for entry in entries:
        found = entry.resolution
        if entry.listed:
            directories[found.path.rpartition("/")[0]][1].add(found.name)
        if found.is_directory:
            directories[found.path] = (found, set())
    every = [resolver.root(), *(entry.resolution for entry in entries)]
    for directory, listed in directories.values():
        every += [resolver.child(directory, name) for name in NAMES if name not in listed]
        shown = set(os.listdir(os.path.join(point, directory.path)))
        if shown != listed:
            yield f"listing {directory.path!r}: kernel {sorted(shown)}, ours {sorted(listed)}"
    for found in every:
        if wrong := difference(resolver, found, point, live=True):
            yield f"{found.path!r} ({found.rule}): {wrong}"


def _said_to_disagree(live: Live, resolver: Resolver, entries: list[Entry]) -> Iterator[str]:
    # Nobody changed a layer under this mount, so that explain must never say so.
    told = stated(live.options, trusted_xattrs=True)
    subject = reading.Subject(label="", stack=live.stack, options=told, following=resolver.following, root=live.point)
    view = reading.View(subject=subject, layers=resolver.layers, resolver=resolver)
    for entry in entries:
        found = resolver.resolve(entry.resolution.path, complete=True)
        said = compare(view, found)
        if said.verdict is Verdict.DISAGREES or (found.certain and said.ground in _DOUBTS):
            yield f"{found.path!r} ({found.rule}): explain says {said}"


def _hidden_walk_differs(resolver: Resolver, entries: list[Entry]) -> Iterator[str]:
    # A walk with what is hidden shows every object of every layer, and what is there as the plain walk does.
    every = [entry for entry in walk(resolver, hidden=True) if isinstance(entry, Entry)]
    plain = [(entry.resolution.path, entry.listed, entry.resolution.stack) for entry in entries]
    there = [
        (entry.resolution.path, entry.listed, entry.resolution.stack) for entry in every if entry.resolution.exists
    ]
    if plain != there:
        yield f"a walk with hidden entries shows {there}, one without {plain}"
    shown = {(id(place.layer), place.path) for entry in every for place in entry.resolution.stack}
    shown |= {(id(one.place.layer), one.place.path) for entry in every for one in entry.resolution.candidates}
    for layer in resolver.layers.merged:
        waiting = [""]
        while waiting:
            directory = waiting.pop()
            for child in layer.tree.scandir(directory):
                path = join(directory, child.name)
                if (id(layer), path) not in shown:
                    yield f"{path!r} of {layer.role} {layer.index} is not shown"
                elif child.kind is Kind.DIRECTORY:
                    waiting.append(path)


def _changes_are_wrong(resolver: Resolver, above: View, below: View, *, content: bool) -> Iterator[str]:
    # Law 2: what is listed is what differs from the lowers alone.
    layers = resolver.layers
    lowers = Resolver(Layers(lowers=layers.lowers), resolver.following)
    found = list(changes(resolver, lowers, content=content))
    yield from (f"unreadable: {one}" for one in found if not isinstance(one, Change))
    yield from violations([one for one in found if isinstance(one, Change)], above, below)
