"""A walk with what is hidden comes to every object of every layer."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings

from ovlctl.overlay.merged import Entry, walk
from tests.overlay.made import Case, new_directory, resolving
from tests.overlay.test_fuzz import EXAMPLES, cases

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer


@settings(max_examples=EXAMPLES // 6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_every_object_is_listed_once_where_it_lies(room: str, case: Case) -> None:
    """Whatever hides it, and whatever redirects to it, an object is a candidate of its own path, exactly once."""
    with new_directory(room) as base, resolving(case.write(base)) as resolver:
        seen = Counter(
            (candidate.place.layer, candidate.place.path)
            for entry in walk(resolver, hidden=True)
            if isinstance(entry, Entry)
            for candidate in entry.resolution.candidates
            if candidate.present and candidate.place.path == entry.resolution.path
        )
        there = Counter((layer, path) for layer in resolver.layers.merged for path in _everything(layer))
        assert seen == there


def _everything(layer: Layer) -> list[str]:
    found = []
    for directory, names, files in os.walk(layer.directory):
        found += [os.path.relpath(os.path.join(directory, name), layer.directory) for name in (*names, *files)]
    return found
