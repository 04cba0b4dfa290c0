"""What must hold of a live stack at any moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.overlay.merged import Entry, walk
from tests.overlay.agreement import difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.resolver import Resolver
    from tests.overlay.machine.live import Live


def broken(live: Live) -> list[str]:
    """One line for each law that does not hold."""
    with live.resolver() as resolver:
        return list(_walks_differ(resolver, live.point))


def _walks_differ(resolver: Resolver, point: str) -> Iterator[str]:
    # Law 1: a walk of the model is a walk of the mount.
    listed: dict[str, set[str]] = {"": set()}
    for entry in walk(resolver):
        if not isinstance(entry, Entry):
            yield f"unreadable: {entry}"
            continue
        found = entry.resolution
        if entry.listed:
            listed[found.path.rpartition("/")[0]].add(found.name)
        if found.is_directory:
            listed[found.path] = set()
        if wrong := difference(resolver, found, point, live=True):
            yield f"{found.path!r} ({found.rule}): {wrong}"
    for directory, expected in listed.items():
        shown = set(os.listdir(os.path.join(point, directory)))
        if shown != expected:
            yield f"listing {directory!r}: kernel {sorted(shown)}, ours {sorted(expected)}"
