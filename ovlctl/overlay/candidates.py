"""The layers that a lookup did not come to: what they have at the path, and why it is not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def with_hidden(found: Resolution, place: Place) -> Resolution:
    """*found* with a candidate for an object that its parent directory leaves out."""
    if any(candidate.place == place for candidate in found.candidates):
        return found
    return found._replace(candidates=(*found.candidates, look(place, Verdict.PARENT_HIDDEN)))


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
    if found.is_directory and found.opaque:
        return Verdict.BEHIND_OPAQUE
    return Verdict.SHADOWED
