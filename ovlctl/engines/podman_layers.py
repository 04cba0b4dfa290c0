"""Layers of containers/storage: layers.json, and the directories that it tells of."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.engines.entries import is_component, listed
from ovlctl.engines.values import Layer, Role
from ovlctl.errors import OvlError, StoreDamaged, StoreMisleads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ovlctl.engines.entries import Entry
    from ovlctl.engines.files import Files

#: Where a driver keeps the layers; only overlay has more than the layer in the directory of one.
PLACES = {"overlay": "overlay", "vfs": "vfs/dir", "btrfs": "btrfs/subvolumes"}
_OVERLAY = "overlay"
# drivers/overlay: short links, layers being unpacked, layers being removed, notes; and what probes leave when killed.
_RESERVED = frozenset({"l", "staging", "tempdirs", ".has-mount-program", "backingFsBlockDev", ".backingFsBlockDev"})
_PROBE = re.compile(r"(?:compat|opaque-bug-check|metacopy-check|volatile-check)\d*", re.ASCII)


def reserved(files: Files, driver: str, troubles: list[OvlError]) -> frozenset[str]:
    """Names among the layers that are none: the driver's own, and those of its probes that are there."""
    if driver != _OVERLAY:
        return frozenset()
    try:
        names = files.names(PLACES[driver])
    except OvlError as error:
        troubles.append(error)
        return _RESERVED
    return _RESERVED.union(name for name in names if _PROBE.fullmatch(name))


def read(
    files: Files, run: Files | None, driver: str, roles: Mapping[str, Role], troubles: list[OvlError]
) -> tuple[Layer, ...]:
    """Every layer, lower ones before what lies on them.

    Args:
        files: The graph root.
        run: The run root, which has the layers of a transient store.
        driver: The graph driver.
        roles: What layers are for that images and containers name; what lies below one is an image's.
        troubles: Gets what could not be read.
    """
    found: dict[str, Layer] = {}
    for place, entry in _entries(files, run, driver, troubles):
        layer = _layer(files, driver, entry, place, troubles)
        if layer is None:
            continue
        if layer.id in found:
            troubles.append(StoreDamaged("{} has layer {} twice", place, layer.id))
        found.setdefault(layer.id, layer)
    return tuple(_in_order(_with_roles(found, roles)))


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
        troubles.append(StoreDamaged("{} has a layer whose id is none: {}", document, str(entry.values.get("id"))))
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
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise StoreMisleads("{} is no directory", files.path(part), hint="`ls -ld {}`")
    if not overlay:
        return None
    try:
        link = files.text(f"{name}/link")
    except FileNotFoundError:
        return None
    if not is_component(link):
        raise StoreDamaged("{} holds no name of a short link", files.path(f"{name}/link"))
    return link


def _with_roles(layers: dict[str, Layer], roles: Mapping[str, Role]) -> dict[str, Layer]:
    # A layer below an image's or a container's is an image's; the one of a container is its own, whatever is on it.
    below: set[str] = set()
    for id_ in roles:
        parent = layers[id_].parent if id_ in layers else None
        while parent is not None and parent in layers and parent not in below:
            below.add(parent)
            parent = layers[parent].parent
    return {
        id_: replace(layer, role=roles.get(id_, Role.IMAGE if id_ in below else Role.OTHER))
        for id_, layer in layers.items()
    }


def _in_order(layers: Mapping[str, Layer]) -> Iterator[Layer]:
    told: set[str] = set()
    for id_ in layers:
        chain: list[Layer] = []
        at: str | None = id_
        while at is not None and at in layers and at not in told:
            told.add(at)  # also ends a circle
            chain.append(layers[at])
            at = layers[at].parent
        yield from reversed(chain)


def roles_of(writable: Collection[str], images: Collection[str]) -> dict[str, Role]:
    """What layers are for: those of containers, and those that images name."""
    return {**dict.fromkeys(images, Role.IMAGE), **dict.fromkeys(writable, Role.WRITABLE)}
