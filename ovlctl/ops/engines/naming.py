"""Stacks by the names that engines give them: ``docker:NAME``, ``podman:NAME``, ``containerd:[NAMESPACE/]KEY``.

A container that is mounted is the overlay that the kernel has, whatever the metadata say; one that is not, and an
image, are the layers that the store's metadata name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from ovlctl import errors
from ovlctl.engines import finding, places, stores
from ovlctl.engines.keepers import KEEPERS, Engine, keeper_of
from ovlctl.engines.values import Metacopy
from ovlctl.ops import discover
from ovlctl.ops.discover import Overlay, Standing
from ovlctl.ops.engines.live import Alive, Live
from ovlctl.ops.who.scene import Scene
from ovlctl.overlay import live
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ovlctl.engines.finding import Match
    from ovlctl.engines.values import Layer, Store

# As many troubles are told beside an error.
_NOTES = 3
# Where it is not `ENGINE stop`.
_ENDING = {Engine.BUILDAH: "buildah umount", Engine.CONTAINERD: "ctr tasks kill", Engine.CRI: "crictl stop"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a name of an engine means.

    Attributes:
        overlay: Mounted or kept in the store.
        root: Where its merged view can be reached; None when it is not mounted.
        label: The word, with the name in full.
    """

    overlay: Overlay
    root: str | None
    label: str


def everything(root: str | None = None) -> tuple[Store, ...]:
    """All stores of this machine, or below *root* or ``OVLCTL_ENGINE_ROOT``; there may be none."""
    return stores.read(places.places(frozenset(KEEPERS.values()), root=root, environment=os.environ).found)


def asked(every: Sequence[Store], engines: Collection[Engine], *, root: str | None = None) -> tuple[Store, ...]:
    """Of all stores, which were looked for in *root*, those of *engines*.

    Raises:
        EngineMissing: There is none.
    """
    found = tuple(store for store in every if store.engine in engines)
    if not found:
        raise places.none_found(engines, root=root, environment=os.environ)
    return found


def here(engines: Collection[Engine], root: str | None = None) -> tuple[Store, ...]:
    """:func:`everything` of *engines*.

    Docker's are read whether asked for or not: what it keeps in a containerd is not containerd's to tell of.
    """
    found = places.places({*engines, Engine.DOCKER}, root=root, environment=os.environ)
    return tuple(store for store in stores.read(found.found) if store.engine in engines)


def named(word: str) -> Named:
    """What *word* means: a container, or else an image.

    Raises:
        EngineMissing, ContainerMissing, NameAmbiguous: There is none, or there are several.
        StoreForbidden, StoreDamaged, StoreMisleads: Its store cannot be read, or not where it matters.
        PathMissing: A layer of it is not there.
    """
    engine = keeper_of(word)
    if engine is None:
        raise errors.ContainerMissing("{} names nothing of an engine", word)
    known = asked(here({engine}), {engine})
    try:
        match = finding.find(known, word.partition(":")[2])
        with Scene() as scene:
            return stack_of(match, Alive(scene))
    except (errors.ContainerMissing, errors.StoreDamaged) as error:
        raise founded(error, known) from None


def refuse(word: str) -> NoReturn:
    """Say that a container or an image is its engine's to end or to change.

    Raises:
        BadUsage: Always.
    """
    engine, _, name = word.partition(":")
    ending = _ENDING.get(Engine(engine), f"{engine} stop")
    raise errors.BadUsage(
        f"{{}} is {engine}'s, not for ovlctl to end or to change", word, name, hint=f"`{ending} {{1}}`"
    )


def stack_of(match: Match, alive: Alive) -> Named:
    """The stack of a container or an image that was found.

    Raises:
        StoreMisleads, StoreDamaged, PathMissing: One of its layers is not there, or no directory of the store.
    """
    store, chain, label = match.store, match.store.chain(match.top), match.label
    if match.container is not None and chain:
        mounted = alive.of_container(store, match.container)
        if mounted is not None and mounted.root is not None:
            return Named(overlay=_mounted(store, mounted), root=mounted.root, label=label)
    return Named(overlay=_stored(match, chain), root=None, label=label)


def checked(store: Store, chain: Sequence[Layer]) -> None:
    """Make sure that each layer is a directory of the store.

    Raises:
        StoreMisleads: One is a symbolic link, or behind one.
        PathMissing: One is not there.
        StoreDamaged: The lowest has a parent that the metadata do not know.
    """
    for layer in chain:
        if os.path.realpath(layer.diff) != layer.diff:
            raise errors.StoreMisleads(
                "the layer {} is a symbolic link or lies behind one, which no engine makes",
                layer.diff,
                hint="`ls -ld {}`",
            )
        if not os.path.isdir(layer.diff):
            raise errors.PathMissing(
                "the layer {} is not there, though the metadata of the store know it",
                layer.diff,
                hint="`ovlctl orphans` tells what else does not agree",
            )
    if (unfounded := unknown_below(store, chain)) is not None:
        raise unfounded


def unknown_below(store: Store, chain: Sequence[Layer]) -> errors.StoreDamaged | None:
    """What is wrong with a chain whose lowest layer has a parent that the metadata do not know."""
    if not chain or chain[-1].parent is None:
        return None
    return errors.StoreDamaged(
        "the layer {} stands on one that the metadata do not know: {}",
        chain[-1].directory,
        chain[-1].parent,
        hint=f"`ovlctl orphans {store.engine}`",
    )


def founded(error: errors.OvlError, known: Iterable[Store]) -> errors.OvlError:
    """*error*, which says that something is not in stores, where that may be because they could not be read.

    Of a store that may not be read it is that. Else what could not be read is told in notes.

    Args:
        error: Of what was looked for.
        known: Where.
    """
    troubles = [trouble for store in known for trouble in store.troubles]
    forbidden = next((each for each in troubles if isinstance(each, errors.StoreForbidden)), None)
    if forbidden is not None:
        return forbidden
    notes = list(dict.fromkeys(trouble.message(str) for trouble in troubles))
    for note in notes[:_NOTES]:
        error.add_note(f"not all could be read: {note}")
    if len(notes) > _NOTES:
        error.add_note(f"and {len(notes) - _NOTES} more; `ovlctl driver` tells them")
    return error


def _mounted(store: Store, mounted: Live) -> Overlay:
    # Paths of the table may be short links of the store, and relative to it.
    shown = live.layers(mounted.mount.options)
    overlay = discover.of_mount(mounted.mount, None)

    def real(path: str) -> str:
        return os.path.realpath(os.path.join(store.places, path))

    stack = Stack(
        map(real, shown.lowers),
        data_only=map(real, shown.data_only),
        upper=None if overlay.stack.upper is None else real(overlay.stack.upper),
        work=None if overlay.stack.work is None else real(overlay.stack.work),
    )
    return Overlay(
        standing=Standing.MOUNTED if mounted.here else Standing.ELSEWHERE,
        name=None,
        target=mounted.mount.mount_point if mounted.here else mounted.root,
        stack=stack,
        mount=mounted.mount,
        record=None,
        elsewhere=None if mounted.here or not mounted.namespace.tasks else mounted.namespace.tasks[0].pid,
    )


def _stored(match: Match, chain: Sequence[Layer]) -> Overlay:
    store = match.store
    if not chain:
        raise errors.ContainerMissing(
            "{} has no layers in the store {}", match.label, store.root, hint="an image that was not unpacked has none"
        )
    checked(store, chain)
    # A snapshot that can be written to is an upper, too, though no container has it.
    writable = match.image is None and chain[0].work is not None
    lowers = [layer.diff for layer in (chain[1:] if writable else chain)]
    # A container from nothing has no image, and so no lower.
    stack = Stack(
        lowers or [chain[0].diff],
        upper=chain[0].diff if writable and lowers else None,
        work=chain[0].work if writable and lowers else None,
        options=_options(store),
    )
    return Overlay(standing=Standing.STORED, name=None, target=None, stack=stack, mount=None, record=None)


def _options(store: Store) -> Options:
    options = Options(userxattr=Flag.YES if _rootless(store) else None)
    if store.metacopy is Metacopy.NONE:
        return options
    # On layers that have no metadata-only files it makes no difference. Only what is on for all is said to be on.
    redirect_dir = RedirectDir.ON if store.metacopy is Metacopy.ALL else None
    return replace(options, redirect_dir=redirect_dir, metacopy=Switch.ON)


def _rootless(store: Store) -> bool:
    return os.stat(store.root).st_uid != 0
