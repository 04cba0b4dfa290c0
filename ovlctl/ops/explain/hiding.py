"""Which directory on the way keeps a layer out of sight, and what does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops.explain.values import Hider
from ovlctl.overlay.resolution import Verdict
from ovlctl.overlay.tree import join

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Candidate, Resolution
    from ovlctl.overlay.resolver import Resolver

_IN_VIEW = {Verdict.PROVIDES, Verdict.MERGED}


class Hiding:
    """What keeps layers out of sight at one path; each directory on the way is looked at once, and only when asked.

    Args:
        resolver: The stack's.
        path: From the root of the merged view.
    """

    def __init__(self, resolver: Resolver, path: str) -> None:
        self._resolver = resolver
        self._path = path
        self._way: list[Resolution] | None = None

    def of(self, layer: Layer) -> Hider | None:
        """The first directory on the way that *layer* has and that is no part of the view; None when there is none."""
        for found in self._on_the_way():
            own = [at for at, seen in enumerate(found.candidates) if seen.place.layer is layer and seen.present]
            if not own:
                return None
            if not any(found.candidates[at].verdict in _IN_VIEW for at in own):
                above = _stopper(found.candidates[: own[0]])
                verdict = found.candidates[own[0]].verdict
                return None if above is None else Hider(path=found.path, verdict=verdict, by=above.place)
        return None

    def _on_the_way(self) -> list[Resolution]:
        if self._way is None:
            self._way, here = [], ""
            for name in self._path.split("/")[:-1]:
                here = join(here, name)
                self._way.append(self._resolver.resolve(here, complete=True))
        return self._way


def _stopper(candidates: tuple[Candidate, ...]) -> Candidate | None:
    # The lowest of those above that is there: the lookup came no further.
    return next((seen for seen in reversed(candidates) if seen.present), None)
