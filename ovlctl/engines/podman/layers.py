"""Layers of containers/storage: layers.json, and the directories that it tells of."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl.engines.entries import listed, short_link
from ovlctl.engines.files import misleads
from ovlctl.engines.ordering import distinct, lower_first
from ovlctl.engines.values import Layer, Metacopy, Role
from ovlctl.errors import OvlError, StoreDamaged, StoreForbidden, StoreMisleads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ovlctl.engines.entries import Entry
    from ovlctl.engines.files import Files
    from ovlctl.engines.gathering import Gathering

#: Where a driver keeps the layers; only overlay has more than the layer in the directory of one.
PLACES = {"overlay": "overlay", "vfs": "vfs/dir", "btrfs": "btrfs/subvolumes"}
_OVERLAY = "overlay"
LINKS = "overlay/l"
# drivers/overlay: short links, layers being unpacked, layers being removed, notes; and what probes leave when killed.
_RESERVED = frozenset({"l", "staging", "tempdirs", ".has-mount-program", "backingFsBlockDev", ".backingFsBlockDev"})
_FOUND_METACOPY = re.compile(r"metacopy\(.*\)-true", re.DOTALL)
_PROBE = re.compile(r"(?:compat|opaque-bug-check|metacopy-check|volatile-check)\d*", re.ASCII)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """Where containers/storage believes a layer to be mounted, and how often it was asked for."""

    path: str | None
    count: int


def mount_points(run: Files | None, driver: str, troubles: list[OvlError]) -> dict[str, MountPoint] | None:
    """What mountpoints.json says, by layer; None when there is none. The kernel knows better.

    Args:
        run: The run root; without one nothing is known.
        driver: The graph driver.
        troubles: Gets what could not be read.
    """
    name = f"{driver}-layers/mountpoints.json"
    try:
        if run is None or run.status(name) is None:
            return None
    except OvlError as error:
        troubles.append(error)
        return None
    entries = listed(run, name, troubles)
    found = {entry.text("id"): MountPoint(entry.text("path"), entry.number("count") or 0) for entry in entries}
    return {id_: point for id_, point in found.items() if id_ is not None}


def metacopy(run: Files | None, troubles: list[OvlError]) -> Metacopy:
    """Whether overlays were mounted with ``metacopy=on`` since the last boot, by default or because it was asked for.

    containers/storage tries that once for each set of mount options, and keeps the answer as the name of a file,
    ``metacopy(OPTIONS)-true``.

    Args:
        run: The run root; without one nothing is known.
        troubles: Gets what could not be read.
    """
    try:
        names = run.names(_OVERLAY) if run is not None and run.status(_OVERLAY) is not None else []
    except OvlError as error:
        troubles.append(error)
        return Metacopy.NONE
    return Metacopy.SOME if any(map(_FOUND_METACOPY.fullmatch, names)) else Metacopy.NONE


def reserved(gathering: Gathering, driver: str) -> frozenset[str]:
    """Names among the layers that are none: the driver's own, and those of its probes that are there."""
    if driver != _OVERLAY:
        return frozenset()
    names = gathering.one(PLACES[driver], gathering.files.names) or ()
    return _RESERVED.union(name for name in names if _PROBE.fullmatch(name))


def is_place(gathering: Gathering, driver: str) -> bool:
    """Whether the directory of the layers is one, or not there; else with a trouble."""
    there = gathering.is_place(PLACES[driver])
    if there and driver == _OVERLAY:
        gathering.is_place(LINKS)  # layers are told without their short links
    return there


def read(gathering: Gathering, run: Files | None, driver: str, roles: Mapping[str, Role]) -> tuple[Layer, ...]:
    """Every layer, lower ones before what lies on them.

    Args:
        gathering: The graph root, and what of it could not be read.
        run: The run root, which has the layers of a transient store.
        driver: The graph driver.
        roles: What layers are for that images and containers name; what lies below one is an image's.
    """
    told = gathering.troubles
    entries = _entries(gathering.files, run, driver, told)
    found = (_layer(gathering.files, driver, entry, place, told) for place, entry in entries)
    layers = distinct((layer for layer in found if layer is not None), gathering)
    return _with_roles(lower_first(layers, gathering), roles)


def _entries(files: Files, run: Files | None, driver: str, troubles: list[OvlError]) -> Iterator[tuple[str, Entry]]:
    for where in (files, run):
        for name in ("layers.json", "volatile-layers.json"):
            if where is not None:
                document = f"{driver}-layers/{name}"
                for entry in listed(where, document, troubles):
                    yield where.path(document), entry


def _layer(files: Files, driver: str, entry: Entry, document: str, troubles: list[OvlError]) -> Layer | None:
    id_ = entry.component("id")
    if id_ is None or (driver == _OVERLAY and id_ in _RESERVED):
        troubles.append(StoreDamaged("{} has a layer whose id is no name", document))
        return None
    name = f"{PLACES[driver]}/{id_}"
    size = entry.number("diff-size")
    overlay = driver == _OVERLAY
    try:
        link = _checked(files, name, overlay=overlay)
    except StoreMisleads as error:
        # What is behind it is not the layer: it is left out, and whatever lies on it ends there.
        troubles.append(error)
        return None
    except OvlError as error:
        # What may not be looked at may not be for all of them: that is said once.
        if not (isinstance(error, StoreForbidden) and any(isinstance(one, StoreForbidden) for one in troubles)):
            troubles.append(error)
        link = None
    return Layer(
        id=id_,
        name=id_,
        parent=entry.text("parent"),
        role=Role.OTHER,
        directory=files.path(name),
        diff=files.path(f"{name}/diff" if overlay else name),
        work=files.path(f"{name}/work") if overlay else None,
        merged=files.path(f"{name}/merged") if overlay else None,
        link=link,
        digest=entry.digest("diff-digest"),
        size=size if size is not None and size >= 0 else None,
        created_ns=entry.time_ns("created"),
        held=("incomplete",) if entry.entry("flags").flag("incomplete") else (),
    )


def _checked(files: Files, name: str, *, overlay: bool) -> str | None:
    # The short name of a layer that is a directory with directories, or is not there at all.
    for part in (name, *((f"{name}/diff", f"{name}/work", f"{name}/merged") if overlay else ())):
        status = files.status(part)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise misleads(files.path(part))
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise StoreMisleads("{} is no directory", files.path(part), hint="`ls -ld {}`")
    return short_link(files, name) if overlay else None


def _with_roles(layers: tuple[Layer, ...], roles: Mapping[str, Role]) -> tuple[Layer, ...]:
    # What lies below an image or a container is of an image; of what is both, a container's own comes first.
    by_id = {layer.id: layer for layer in layers}
    below: set[str] = set()
    for id_ in roles:
        parent = by_id[id_].parent if id_ in by_id else None
        while parent is not None and parent in by_id and parent not in below:
            below.add(parent)
            parent = by_id[parent].parent
    return tuple(
        replace(layer, role=roles.get(layer.id, Role.IMAGE if layer.id in below else Role.OTHER)) for layer in layers
    )


def roles_of(writable: Collection[str], images: Collection[str]) -> dict[str, Role]:
    """What layers are for: those of containers, and those that images name."""
    return {**dict.fromkeys(images, Role.IMAGE), **dict.fromkeys(writable, Role.WRITABLE)}
