"""What of engines' stores belongs to nobody: directories, metadata, mount tables and processes held against each other.

It only tells. An engine may be at work meanwhile, so what is told was found twice: before and after the stores were
read anew. Where some metadata cannot be read, nothing is called unknown or unused for their lack.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.engines.docker import moby
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Role, State
from ovlctl.errors import Note
from ovlctl.ops.engines import naming
from ovlctl.ops.engines.live import Alive
from ovlctl.ops.engines.removing import command
from ovlctl.ops.engines.taking import bytes_of, is_real
from ovlctl.ops.engines.uses import uses
from ovlctl.ops.who.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ovlctl.engines.values import Container, Layer, Store
    from ovlctl.errors import OvlError
    from ovlctl.ops.engines.live import Live
    from ovlctl.ops.engines.uses import Users

_ALIVE = {State.RUNNING, State.PAUSED}
# How long an engine needs between a directory and its metadata when it makes a container; for a layer that is pulled
# or built it may be minutes.
_PAUSE_S = 1.0
_YOUNG_NS = 600 * 10**9
_YOUNG = Note("it is young: an engine that pulls or builds just now may be making it")


class What(StrEnum):
    """What is wrong with it.

    UNKNOWN_DIRECTORY: no metadata know it. MISSING_DIRECTORY: metadata know it, and it is not there. UNUSED_LAYER: no
    image, no container and no other layer uses it. DEAD_CONTAINER: recorded as running, and no process is in it.
    LEAKED_MOUNT: mounted for no container that runs. DANGLING_LINK: a short link to no layer.
    """

    UNKNOWN_DIRECTORY = "unknown-directory"
    MISSING_DIRECTORY = "missing-directory"
    UNUSED_LAYER = "unused-layer"
    DEAD_CONTAINER = "dead-container"
    LEAKED_MOUNT = "leaked-mount"
    DANGLING_LINK = "dangling-link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """Something that belongs to nobody.

    Attributes:
        engine: In whose store.
        what: What is wrong.
        id: What it is called there.
        directory: Where it is: its directory, its mount point, the link.
        since_ns: When it was made or last changed, since the epoch; None where that is not known.
        bytes: What it takes on disk; None where that is not known.
        evidence: What says so.
        remove: The engine's own command that removes it; None where it has none.
        stopped: Whether the engine should be stopped before.
    """

    engine: Engine
    what: What
    id: str
    directory: str
    since_ns: int | None = None
    bytes: int | None = None
    evidence: tuple[Note, ...] = ()
    remove: tuple[str, ...] | None = None
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """What :func:`orphans` found.

    Attributes:
        found: Sorted by engine, kind and id.
        troubles: What could not be read.
        withheld: Stores, by their roots, of which not all could be told therefore.
        whole: Whether every mount table could be read.
        now_ns: When, since the epoch.
    """

    found: tuple[Orphan, ...]
    troubles: tuple[OvlError, ...]
    withheld: tuple[str, ...]
    whole: bool
    now_ns: int

    @property
    def partial(self) -> bool:
        """Whether something could not be told."""
        return bool(self.troubles or self.withheld) or not self.whole


def orphans(look: Callable[[], Sequence[Store]], engines: Collection[Engine], *, root: str | None = None) -> Orphans:
    """Find what belongs to nobody in stores of *engines*. Nothing is changed.

    Args:
        look: Reads all stores, anew with every call: those of other engines say what is theirs.
        engines: Whose are told.
        root: What *look* looks in.

    Raises:
        EngineMissing: They have no store.
    """
    stores, found, whole = _found(look, engines, root)
    if found:
        # Twice, because what an engine is about to make has a directory before it has metadata, and what it is about to
        # remove has none after.
        if any(map(_is_young, found.values())):
            time.sleep(_PAUSE_S)
        stores, again, whole = _found(look, engines, root)
        found = {key: again[key] for key in found.keys() & again.keys()}
    ordered = sorted(
        found.values(), key=lambda each: (each.engine, list(What).index(each.what), each.id, each.directory)
    )
    return Orphans(
        found=tuple(_weighed(each) for each in ordered),
        troubles=tuple(trouble for store in stores for trouble in store.troubles),
        withheld=tuple(sorted({store.root for store in stores if store.troubles or _of_unseen_docker(store, stores)})),
        whole=whole,
        now_ns=time.time_ns(),
    )


def _found(
    look: Callable[[], Sequence[Store]], engines: Collection[Engine], root: str | None
) -> tuple[Sequence[Store], dict[tuple[What, str, str], Orphan], bool]:
    stores = look()
    with Scene() as scene:
        alive = Alive(scene)
        every = [orphan for group in _groups(stores) for orphan in _of_group(group, engines, alive, scene)]
    found = {(each.what, each.id, each.directory): each for each in every}
    return naming.asked(stores, engines, root=root), found, alive.whole


def _is_young(orphan: Orphan) -> bool:
    return orphan.since_ns is not None and time.time_ns() - orphan.since_ns < _YOUNG_NS


def _groups(stores: Sequence[Store]) -> Iterable[list[Store]]:
    """Stores by the directory that they share: Docker's and others' snapshots lie side by side in one containerd."""
    groups: dict[str, list[Store]] = {}
    for store in stores:
        groups.setdefault(store.places, []).append(store)
    return groups.values()


def _of_group(group: list[Store], engines: Collection[Engine], alive: Alive, scene: Scene) -> Iterator[Orphan]:
    # What Docker has in a containerd is Docker's to tell of, which may not have been found.
    told = [moby.without(store) if _of_unseen_docker(store, group) else store for store in group]
    told = [store for store in told if store.engine in engines]
    complete = not any(store.troubles for store in group)
    used = [(store, uses(store)) for store in told]
    for store, users in used:
        yield from _missing(store, users)
        if alive.whole and alive.has(store):
            yield from _dead(store, alive)
        if complete:
            yield from _unused(store, users, alive)
    # A directory of nobody's is the engine's that makes directories there.
    keeper = next((store for store in group if store.engine is Engine.CONTAINERD), group[0])
    if complete and keeper.engine in engines:
        known = {layer.name for store in group for layer in store.layers}
        yield from _unknown(keeper, known.union(*(store.reserved for store in group)))
        yield from _dangling(keeper)
    if complete and alive.whole:
        yield from _leaked(group, used, alive, scene)


def _of_unseen_docker(store: Store, stores: Sequence[Store]) -> bool:
    """Whether a containerd has things of a Docker that is not among *stores*."""
    seen = any(other.engine is Engine.DOCKER and other.places == store.places for other in stores)
    return store.engine is Engine.CONTAINERD and not seen and moby.without(store).layers != store.layers


def _unknown(store: Store, known: frozenset[str] | set[str]) -> Iterator[Orphan]:
    if not is_real(store.places):
        return
    with suppress(OSError), os.scandir(store.places) as entries:
        for entry in entries:
            if entry.name in known or not entry.is_dir(follow_symlinks=False):
                continue
            removing = entry.name.endswith("-removing") and store.engine is Engine.DOCKER
            words = "an interrupted removal left it" if removing else "no metadata of the store know it"
            with suppress(FileNotFoundError):
                orphan = Orphan(
                    engine=store.engine,
                    what=What.UNKNOWN_DIRECTORY,
                    id=entry.name,
                    directory=entry.path,
                    since_ns=entry.stat(follow_symlinks=False).st_mtime_ns,
                    evidence=(Note(words),),
                    remove=("rm", "-r", "--", entry.path),
                    stopped=True,
                )
                yield replace(orphan, evidence=(*orphan.evidence, _YOUNG)) if _is_young(orphan) else orphan


def _missing(store: Store, users: Mapping[str, Users]) -> Iterator[Orphan]:
    for layer in store.layers:
        with suppress(OSError):
            if stat.S_ISDIR(os.lstat(layer.diff).st_mode):
                continue
        whose = users[layer.id].owner
        images = users[layer.id].images
        yield Orphan(
            engine=store.engine,
            what=What.MISSING_DIRECTORY,
            id=layer.id,
            directory=layer.directory,
            since_ns=layer.created_ns,
            evidence=(Note("the metadata below {} know it, and {} is no directory", (store.root, layer.diff)),),
            remove=command(
                store, container=whose, image=None if whose is not None or not images else images[0], layer=layer
            ),
        )


def _dead(store: Store, alive: Alive) -> Iterator[Orphan]:
    for container in store.containers:
        if container.state not in _ALIVE or container.pid in alive.unreadable:
            continue
        layer = store.by_id.get(container.layer or "")
        live = alive.of_container(store, container)
        if live is not None and live.pids:
            continue
        pid = "no process" if container.pid is None else f"process {container.pid}"
        gone = "there is none" if container.pid is None else "its root directory is not there"
        yield Orphan(
            engine=container.engine,
            what=What.DEAD_CONTAINER,
            id=container.id,
            directory=store.root if layer is None else layer.directory,
            since_ns=container.created_ns,
            evidence=(
                Note(f"the metadata below {{}} have it as {container.state}, with {pid}", (store.root,)),
                Note(f"no process has its root directory as its own ({gone})"),
            ),
            remove=command(store, container=container),
        )


def _unused(store: Store, users: Mapping[str, Users], alive: Alive) -> Iterator[Orphan]:
    for identity, who in users.items():
        layer = store.by_id[identity]
        if who.any or layer.role is Role.BUILD_CACHE:
            continue
        live = alive.of(store, layer)
        if live is not None and live.pids:
            continue
        held = tuple(Note("it is held: {}", (words,)) for words in layer.held)
        yield Orphan(
            engine=store.engine,
            what=What.UNUSED_LAYER,
            id=layer.id,
            directory=layer.directory,
            since_ns=layer.created_ns,
            evidence=(Note("no image, no container and no other layer uses it"), *held),
            remove=command(store, layer=layer),
        )


def _dangling(store: Store) -> Iterator[Orphan]:
    if store.links is None or not is_real(store.links):
        return
    links = {layer.link for layer in store.layers}
    with suppress(OSError), os.scandir(store.links) as entries:
        for entry in entries:
            if entry.name in links or not entry.is_symlink():
                continue
            target = os.readlink(entry.path)
            if any(part in store.by_name for part in target.split("/")):
                # The link of a layer whose directory is gone, which is told as that.
                continue
            yield Orphan(
                engine=store.engine,
                what=What.DANGLING_LINK,
                id=entry.name,
                directory=entry.path,
                since_ns=entry.stat(follow_symlinks=False).st_mtime_ns,
                bytes=0,
                evidence=(Note("it leads to {}, and no layer has this name", (target,)),),
                remove=("rm", "--", entry.path),
            )


def _leaked(
    group: list[Store], used: list[tuple[Store, Mapping[str, Users]]], alive: Alive, scene: Scene
) -> Iterator[Orphan]:
    known = {layer.directory for store in group for layer in store.layers}
    owners = {layer.directory: (store, layer, users[layer.id]) for store, users in used for layer in store.layers}
    places = group[0].places
    for live in alive.overlays:
        if live.upper is None or live.pids:
            continue
        place = os.path.normpath(os.path.join(places, live.upper))
        if not place.startswith(places + "/"):
            continue
        directory = os.path.join(places, os.path.relpath(place, places).partition("/")[0])
        found = owners.get(directory)
        if found is None and (directory in known or not used):
            continue
        reason = _reason(*found) if found is not None else Note("no metadata know {}", (directory,))
        if reason is not None:
            yield Orphan(
                engine=group[0].engine if found is None else found[0].engine,
                what=What.LEAKED_MOUNT,
                id=os.path.basename(directory),
                directory=live.mount.mount_point,
                bytes=0,
                evidence=(reason, _mounted(live)),
                remove=scene.unmounting(live.namespace, live.mount),
            )


def _reason(store: Store, layer: Layer, users: Users) -> Note | None:
    """Why a mount without processes is leaked; None where it need not be."""
    if layer.role is Role.BUILD_CACHE or layer.mounts or _is_alive(users.owner):
        return None
    if users.owner is None:
        return Note("{} is no container's", (layer.id,))
    return Note(f"the metadata below {{}} have its container {{}} as {users.owner.state}", (store.root, users.owner.id))


def _is_alive(container: Container | None) -> bool:
    # One that is recorded as running and does not is told as that.
    return container is not None and container.state in _ALIVE


def _mounted(live: Live) -> Note:
    where = "here" if live.here else f"in the mount namespace {live.namespace.inode}"
    return Note(
        f"mount {live.mount.mount_id} {where} has {{}} as its upper, and no process its root directory in it",
        (live.upper or "",),
    )


def _weighed(orphan: Orphan) -> Orphan:
    if orphan.bytes is not None or orphan.what is What.MISSING_DIRECTORY:
        return orphan
    return replace(orphan, bytes=bytes_of(orphan.directory))
