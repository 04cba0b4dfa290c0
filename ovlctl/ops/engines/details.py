"""A container or an image of an engine with its layers, whichever way the engine keeps them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.engines import finding
from ovlctl.engines.keepers import KEEPERS, keeper_of
from ovlctl.engines.values import Role
from ovlctl.errors import ContainerMissing, StoreForbidden
from ovlctl.ops.engines import asking, naming
from ovlctl.ops.engines.drivers import Detail, DetailLayer
from ovlctl.ops.engines.live import Alive
from ovlctl.ops.engines.taking import bytes_of
from ovlctl.ops.who.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ovlctl.engines.daemons import Inspected
    from ovlctl.engines.finding import Match
    from ovlctl.engines.keepers import Engine
    from ovlctl.engines.values import Image, Layer, Store


def find(ref: str, *, container: bool, root: str | None = None, environment: Mapping[str, str] = os.environ) -> Detail:
    """The container, or the image, that *ref* names: of any engine, or of the one that it names with ``ENGINE:``.

    Where the store may not be read, the engine's daemon is asked.

    Raises:
        EngineMissing, ContainerMissing, NameAmbiguous: There is none, or there are several.
        StoreForbidden, EngineSilent: The store may not be read, and no daemon told it either.
    """
    engine = keeper_of(ref)
    name = ref if engine is None else ref.partition(":")[2]
    engines = frozenset(KEEPERS.values()) if engine is None else frozenset({engine})
    known = naming.asked(naming.here(engines, root), engines, root=root)
    try:
        match = finding.find(known, name, container=container)
    except ContainerMissing as error:
        why = naming.founded(error, known)
        told = None
        if isinstance(why, StoreForbidden):
            told = asking.inspected(engines, name, container=container, environment=environment)
        if told is None:
            raise why from None
        return _told(told, ref, container=container)
    with Scene() as scene:
        return detail(match, Alive(scene), ref=ref)


def _told(told: tuple[Engine, Inspected], ref: str, *, container: bool) -> Detail:
    """What a daemon says, without a look at the disk: sizes and commands are not known."""
    engine, inspected = told
    graph = inspected.graph
    shown = () if graph is None else tuple(filter(None, (graph.upper, *graph.lowers)))
    digests = (*reversed(inspected.digests),)
    return Detail(
        engine=engine,
        ref=ref,
        container=container,
        id=inspected.id,
        name=inspected.name,
        driver=inspected.driver or "",
        layers=tuple(
            DetailLayer(
                directory=directory,
                digest=digests[at] if not container and len(digests) == len(shown) else None,
                bytes=None,
                recorded=None,
                created_by=None,
                role=None,
            )
            for at, directory in enumerate(shown)
        ),
        lowers=() if graph is None else graph.lowers,
        upper=None if graph is None else graph.upper,
        work=None if graph is None else graph.work,
        merged=None if graph is None else graph.merged,
        mounted=inspected.pid is not None,
        by_daemon=True,
    )


def detail(match: Match, alive: Alive, *, ref: str) -> Detail:
    """What a container or an image that was found is made of.

    Args:
        match: It.
        alive: What is mounted.
        ref: What was asked for.
    """
    store, chain = match.store, match.store.chain(match.top)
    container = match.container
    image = match.image or _image(store, None if container is None else container.image)
    live = None if container is None else alive.of_container(store, container)
    top = chain[0] if chain else None
    merged = None if top is None else top.merged
    if container is not None:
        merged = container.merged or merged
    if merged is None and live is not None:
        merged = live.mount.mount_point
    what = container or match.image
    return Detail(
        engine=store.engine if container is None else container.engine,
        ref=ref,
        container=container is not None,
        id="" if what is None else what.id,
        name=_name(match),
        driver=store.driver,
        layers=tuple(_layers(chain, image)),
        lowers=tuple(layer.diff for layer in chain[1:]),
        upper=None if top is None else top.diff,
        work=None if top is None else top.work,
        merged=merged,
        mounted=live is not None,
        reached=None if live is None else live.root,
        troubles=(*store.troubles, *filter(None, (naming.unknown_below(store, chain),))),
    )


def _name(match: Match) -> str | None:
    if match.container is not None:
        return match.container.name
    return next(iter(match.image.names), None) if match.image is not None else None


def _image(store: Store, identity: str | None) -> Image | None:
    return next((image for image in store.images if image.id == identity), None)


def _layers(chain: Sequence[Layer], image: Image | None) -> list[DetailLayer]:
    made = {} if image is None else _commands(chain, image)
    return [
        DetailLayer(
            directory=layer.diff,
            digest=layer.digest,
            bytes=bytes_of(layer.diff),
            recorded=layer.size,
            created_by=made.get(layer.id),
            role=layer.role,
        )
        for layer in chain
    ]


def _commands(chain: Sequence[Layer], image: Image) -> dict[str, str]:
    """The command that made each layer, by its id; nothing where history and layers do not agree, as after a squash."""
    steps = [step.created_by for step in image.steps if not step.empty]
    of_image = [layer for layer in reversed(chain) if layer.role not in {Role.WRITABLE, Role.INIT}]
    if len(steps) != len(of_image):
        return {}
    return {layer.id: step for layer, step in zip(of_image, steps, strict=True)}
