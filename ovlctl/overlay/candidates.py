"""The layers that a lookup did not come to: what they have at the path, and why it is not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.overlay.layers import Role
from ovlctl.overlay.resolution import Candidate, Place, Resolution, Verdict
from ovlctl.overlay.tree import join

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layers


def others(found: Resolution, directory: Resolution, layers: Layers) -> Resolution:
    """*found* with a candidate for every layer of the merge, topmost first.

    Layers that belong to the parent directory are looked at where the parent has its part; all others at the plain
    path, where they would count if nothing above hid their parent.

    Args:
        found: From a lookup of a name in *directory*.
        directory: The parent; anything that exists (or does not) when the path leads through a non-directory.
        layers: The stack's.
    """
    seen: dict[int, list[Candidate]] = {}
    for candidate in found.candidates:
        seen.setdefault(id(candidate.place.layer), []).append(candidate)
    parents = {id(place.layer): place for place in directory.stack} if directory.is_directory else {}
    verdict, every = why_lost(found), seen.pop(id(layers.index), [])
    for layer in layers.merged:
        parent = parents.get(id(layer))
        if id(layer) in seen:
            every.extend(seen.pop(id(layer)))
            if parent is not None:
                every.extend(_redirected_away(every, Place(layer, join(parent.path, found.name))))
        elif parent is not None:
            every.append(look(Place(layer, join(parent.path, found.name)), verdict))
        else:
            every.append(look(Place(layer, found.path), Verdict.PARENT_HIDDEN))
    return found._replace(candidates=tuple(every))


def also(found: Resolution, places: list[tuple[Place, bool]]) -> Resolution:
    """*found* with a candidate for each of *places* that the lookup did not come to, topmost first.

    Args:
        found: From a lookup.
        places: Objects of its name; whether the parent directory leaves them out.
    """
    known = {candidate.place for candidate in found.candidates}
    if all(place in known for place, _ in places):
        return found
    layers = {id(place.layer) for place in known}
    verdict, more = why_lost(found), list[Candidate]()
    for place, left_out in places:
        if place not in known:
            redirected = Verdict.REDIRECTED_AWAY if id(place.layer) in layers else verdict
            more.append(look(place, Verdict.PARENT_HIDDEN if left_out else redirected))
    return found._replace(candidates=tuple(sorted((*found.candidates, *more), key=_depth)))


def _depth(candidate: Candidate) -> int:
    layer = candidate.place.layer
    return -1 if layer.role is Role.UPPER else layer.index


def _redirected_away(every: list[Candidate], place: Place) -> list[Candidate]:
    if any(candidate.place == place for candidate in every):
        return []
    candidate = look(place, Verdict.REDIRECTED_AWAY)
    return [] if candidate.verdict is Verdict.ABSENT else [candidate]


def look(place: Place, verdict: Verdict) -> Candidate:
    """What a layer has at *place*, with *verdict* when it has something."""
    try:
        attributes = place.layer.tree.lstat(place.path)
    except NotADirectoryError:
        attributes = None
    except OSError:
        return Candidate(place=place, verdict=Verdict.UNREADABLE)
    return Candidate(place=place, verdict=Verdict.ABSENT if attributes is None else verdict, attributes=attributes)


def why_lost(found: Resolution) -> Verdict:
    """Why layers below the ones looked at do not count."""
    for candidate in reversed(found.candidates):
        if candidate.verdict is Verdict.WHITEOUT:
            return Verdict.WHITED_OUT
        if candidate.verdict is Verdict.NOT_DIRECTORY:
            return Verdict.BEHIND_NOT_DIRECTORY
        if candidate.verdict is Verdict.NOT_ORIGIN:
            return Verdict.NOT_ORIGIN
    if found.is_directory and found.opaque:
        return Verdict.BEHIND_OPAQUE
    return Verdict.SHADOWED
