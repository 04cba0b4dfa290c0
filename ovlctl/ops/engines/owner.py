"""Whose directory, id or process is this."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.engines.values import State
from ovlctl.errors import Note
from ovlctl.ops import discover
from ovlctl.ops.engines.owning import Kind, Owner, User
from ovlctl.ops.engines.taking import bytes_of
from ovlctl.ops.engines.uses import Users, uses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.engines.values import Container, Image, Layer, Store
    from ovlctl.ops.engines.live import Alive, Live
    from ovlctl.ops.engines.searching import Lead, Search
    from ovlctl.ops.state import State as Records

_ALIVE = {State.RUNNING, State.PAUSED}


def owner(search: Search, word: str, *, records: Records | None = None, weigh: bool = True) -> Owner:
    """Whose *word* is.

    Args:
        search: Where to look.
        word: As for :meth:`ovlctl.ops.engines.searching.Search.lead`.
        records: Whose stacks count besides those of engines; None for none.
        weigh: Add up what its directory takes on disk.

    Raises:
        OwnerUnknown: Nothing that is known owns it.
        BadUsage, NameAmbiguous, PathMissing, AccessDenied: as :meth:`ovlctl.ops.engines.searching.Search.lead`.
    """
    lead = search.lead(word)
    if lead is not None:
        return _of_lead(lead, search.alive, weigh=weigh)
    if records is not None and (found := _of_stack(records, os.path.realpath(word))) is not None:
        return found
    raise errors.OwnerUnknown(
        "{} lies in no store of an engine and in no stack",
        word,
        hint="`ovlctl driver` lists the stores that are looked into, `ovlctl ls` the stacks",
    )


def _of_lead(lead: Lead, alive: Alive, *, weigh: bool) -> Owner:
    store, layer = lead.store, lead.layer
    users = Users() if layer is None else uses(store)[layer.id]
    container = lead.container or users.owner
    image = None if container is not None else (lead.image or _first(users.images, layer))
    live = None if container is None else alive.of_container(store, container)
    directory = store.root if layer is None else layer.directory
    kind, identity, name = _identity(store, layer, container, image)
    return Owner(
        engine=store.engine if container is None else container.engine,
        kind=kind,
        id=identity,
        name=name,
        pod=None if container is None else container.pod,
        image=None if container is None else (container.image_name or container.image),
        role=None if layer is None else layer.role,
        running=None if container is None else _running(container, live, alive),
        directory=directory,
        layer=None if layer is None else layer.id,
        size=bytes_of(directory) if weigh and layer is not None else None,
        users=tuple(_users(users)),
        evidence=(*_kernel(live), *lead.evidence, *_metadata(store, container, image)),
        troubles=store.troubles,
    )


def _identity(
    store: Store, layer: Layer | None, container: Container | None, image: Image | None
) -> tuple[Kind, str, str | None]:
    if container is not None:
        return Kind.CONTAINER, container.id, container.name
    if image is not None:
        return Kind.IMAGE, image.id, next(iter(image.names), None)
    if layer is not None:
        return Kind.LAYER, layer.id, None
    return Kind.STORE, store.root, None


def _first(images: tuple[Image, ...], layer: Layer | None) -> Image | None:
    """The image that a layer is of: one whose topmost it is before others, then one with a name before others."""
    return min(
        images,
        key=lambda image: (layer is None or image.layer != layer.id, not image.names, image.names, image.id),
        default=None,
    )


def _running(container: Container, live: Live | None, alive: Alive) -> bool | None:
    if live is not None and live.pids:
        return True
    hidden = not alive.whole or container.pid in alive.unreadable
    return None if container.state in _ALIVE and hidden else False


def _users(users: Users) -> Iterator[User]:
    for container in users.containers:
        yield User(kind=Kind.CONTAINER, id=container.id, name=container.name)
    for image in users.images:
        yield User(kind=Kind.IMAGE, id=image.id, name=next(iter(image.names), None))


def _kernel(live: Live | None) -> Iterator[Note]:
    if live is None:
        return
    yield Note(f"mount {live.mount.mount_id} at {{}} has it as its upper", (live.mount.mount_point,))
    if live.pids:
        some = ", ".join(map(str, live.pids[:4])) + (", ..." if len(live.pids) > 4 else "")  # noqa: PLR2004 -- a line
        yield Note(f"processes with their root directory there: {some}")


def _metadata(store: Store, container: Container | None, image: Image | None) -> Iterator[Note]:
    if container is not None:
        pid = "" if container.pid is None else f", process {container.pid}"
        yield Note(f"the metadata below {{}} have container {{}} as {container.state}{pid}", (store.root, container.id))
    elif image is not None:
        yield Note("the metadata below {} have it in image {}", (store.root, image.id))


def _of_stack(records: Records, path: str) -> Owner | None:
    for overlay in discover.overlays(records).overlays:
        for directory in (*overlay.stack.layers(), overlay.stack.work, overlay.target):
            if directory is not None and (path == directory or path.startswith(directory.rstrip("/") + "/")):
                name = overlay.name or overlay.target or directory
                return Owner(
                    engine=None,
                    kind=Kind.STACK,
                    id=name,
                    name=overlay.name,
                    directory=directory,
                    evidence=(Note(f"{{}} is of the stack {{}}, which is {overlay.standing}", (directory, name)),),
                )
    return None
