"""How the engines of this machine, or of another one's disk, store layers, and whether that will do."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.engines import places, stores
from ovlctl.engines.docker import store as docker_store
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Metacopy, Store, StoreKind
from ovlctl.errors import OvlError, StoreForbidden
from ovlctl.kernel import mounts
from ovlctl.kernel.bootcache import Answer as Tried
from ovlctl.kernel.idmap import Kind, outside, overflow
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops import doctor
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.doctor.values import Ability
from ovlctl.ops.engines.asking import Reply, replies
from ovlctl.ops.engines.drivers import Driver, InForce, LeftBehind
from ovlctl.ops.engines.live import Alive
from ovlctl.ops.engines.taking import bytes_of, is_real
from ovlctl.ops.engines.verdicts import OVERLAY_DRIVERS, Facts, verdict
from ovlctl.ops.who.scene import Scene
from ovlctl.overlay import live
from ovlctl.overlay.options import RedirectDir, Switch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ovlctl.engines.places import Place
    from ovlctl.ops.doctor.values import DirectoryReport
    from ovlctl.ops.engines.live import Live

# Shown by every overlay, and no matter of a verdict.
_VOLATILE = frozenset({"volatile", "fsync=volatile"})
_PATHS = ("lowerdir", "upperdir", "workdir", "datadir")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    # All that is known of one engine with one data root.
    engine: Engine
    root: str | None
    place: Place | None
    stores: tuple[Store, ...]
    reply: Reply | None
    others: tuple[str, ...] = ()
    troubles: tuple[OvlError, ...] = ()


def drivers(
    engines: Collection[Engine], *, root: str | None = None, environment: Mapping[str, str] = os.environ
) -> tuple[tuple[Driver, ...], tuple[OvlError, ...]]:
    """Every engine that is found, and the configuration files that could not be read.

    Args:
        engines: Which; of none all.
        root: As for :func:`ovlctl.engines.places.places`; directories are tried only on this machine.
        environment: Of the command, which says where daemons listen.
    """
    found = places.places(engines, root=root, environment=environment)
    every = stores.read(found.found)
    asked = replies(engines, environment)
    known = list(_engines(found.found, every, asked, elsewhere=root is not None))
    with Scene() as scene:
        alive = Alive(scene)
    reports = _reports([each.root for each in known if each.root is not None and _is_here(each, alive)])
    return tuple(_driver(each, alive, reports.get(each.root or "")) for each in known), found.troubles


def _is_here(known: _Engine, alive: Alive) -> bool:
    """Whether its data root is this machine's, and not another one's disk, which nobody may write to."""
    return (known.place is not None and known.place.alive) or any(alive.has(store) for store in known.stores)


def _engines(
    found: Sequence[Place], every: Sequence[Store], asked: Sequence[Reply], *, elsewhere: bool
) -> Iterator[_Engine]:
    left = list(asked)
    for place in found:
        mine = tuple(store for store in every if store.engine is place.engine and store.root == place.root)
        reply = next((each for each in left if each.is_of(place)), None)
        if reply is not None:
            left.remove(reply)
        others, troubles = _others(place)
        yield _Engine(
            engine=place.engine,
            root=place.root,
            place=place,
            stores=mine,
            reply=reply,
            others=others,
            troubles=troubles,
        )
    for reply in left:
        # A daemon elsewhere, or one whose store may not be read; a default address that nobody uses is nothing.
        if not elsewhere and (reply.answer is not None or reply.endpoint.found != "default"):
            root = None if reply.answer is None else reply.answer.root
            yield _Engine(engine=reply.endpoint.engine, root=root, place=None, stores=(), reply=reply)


def _reports(roots: Sequence[str]) -> dict[str, DirectoryReport]:
    """What can be tried in data roots; nothing of one where this user can make nothing."""
    mine = [root for root in roots if os.access(root, os.W_OK | os.X_OK, effective_ids=True)]
    with suppress(OvlError):
        return dict(zip(mine, doctor.diagnose(mine).directories, strict=True)) if mine else {}
    return {}


def _driver(known: _Engine, alive: Alive, report: DirectoryReport | None) -> Driver:
    answer = None if known.reply is None else known.reply.answer
    active = _active(known)
    name = _name(known, active)
    mounted = [] if active is None else _mounted(active, alive)
    here = _is_here(known, alive)
    metacopy = None
    if name in OVERLAY_DRIVERS:
        all_of_it = active is not None and active.metacopy is Metacopy.ALL
        metacopy = all_of_it or _metacopy(mounted, here=here)
    native = None
    if name in OVERLAY_DRIVERS and here:
        native = module_defaults().redirect_dir is not RedirectDir.ON and not metacopy
    rootless = _rootless(known)
    left_behind = tuple(_left_behind(known, active, name))
    in_force = _in_force(mounted)
    kind = answer.kind if answer is not None and answer.kind is not None else (active.kind if active else None)
    images = sum(len(store.images) for store in known.stores)
    native = _either(None if answer is None else answer.native_diff, native)
    return Driver(
        engine=known.engine,
        endpoint=None if known.reply is None else known.reply.endpoint,
        reachable=None if known.reply is None else answer is not None,
        silence=None if known.reply is None else known.reply.silence,
        version=None if answer is None else answer.version,
        driver=name,
        kind=kind,
        root=known.root,
        backing_fs=_backing(active, known.root) or (answer.backing_fs if answer is not None else None),
        supports_d_type=_either(_tried(report, Ability.D_TYPE), None if answer is None else answer.supports_d_type),
        native_diff=native,
        metacopy=_either(None if answer is None else answer.metacopy, metacopy),
        userxattr=_either(_userxattr(mounted), rootless),
        rootless=_either(rootless, None if answer is None else answer.rootless),
        mounted=len(mounted),
        in_force=in_force,
        layers=_count(known, () if active is None else active.layers),
        images=_count(known, () if active is None else active.images),
        containers=_count(known, () if active is None else active.containers),
        left_behind=left_behind,
        verdict=verdict(
            Facts(
                engine=known.engine,
                driver=name,
                kind=kind,
                root=known.root,
                report=report,
                native_diff=native,
                metacopy=metacopy,
                rootless=rootless,
                volatile=0 if active is None else _volatile(active, alive),
                trouble=None if answer is None else answer.trouble,
                left_behind=left_behind,
                images=images,
            )
        ),
        troubles=(*known.troubles, *(trouble for store in known.stores for trouble in store.troubles)),
    )


def _either(*answers: bool | None) -> bool | None:
    """The first that is known."""
    return next((each for each in answers if each is not None), None)


def _active(known: _Engine) -> Store | None:
    """The store in use: the one that the daemon names, else the one that was written to last."""
    answer = None if known.reply is None else known.reply.answer
    if answer is not None and answer.kind is not None:
        return next((store for store in known.stores if store.kind is answer.kind), None)
    return max(
        known.stores, key=lambda store: max((layer.created_ns or 0 for layer in store.layers), default=0), default=None
    )


def _count(known: _Engine, found: Sequence[object]) -> int | None:
    """How many there are; None where a store may not be read, or none was looked into."""
    closed = any(isinstance(trouble, StoreForbidden) for store in known.stores for trouble in store.troubles)
    return None if not found and (closed or known.place is None) else len(found)


def _name(known: _Engine, active: Store | None) -> str | None:
    if known.reply is not None and known.reply.answer is not None and known.reply.answer.driver is not None:
        return known.reply.answer.driver
    if active is not None:
        return active.driver
    return known.others[0] if len(known.others) == 1 else None


def _others(place: Place) -> tuple[tuple[str, ...], tuple[OvlError, ...]]:
    """Names of the drivers that have data in a data root of Docker, or why they cannot be told."""
    try:
        return (docker_store.drivers(place) if place.engine is Engine.DOCKER else ()), ()
    except OvlError as error:
        return (), (error,)
    except OSError:  # what the stores of the place say, too
        return (), ()


def _left_behind(known: _Engine, active: Store | None, name: str | None) -> Iterator[LeftBehind]:
    for store in known.stores:
        if store is not active and store.layers:
            yield LeftBehind(
                driver=store.driver,
                kind=store.kind,
                directory=store.places,
                layers=len(store.layers),
                bytes=bytes_of(store.places),
            )
    told = {name, *(store.driver for store in known.stores)}
    for other in known.others:
        directory = os.path.join(known.root or "", other)
        if other in told or not is_real(directory):
            continue
        with suppress(OSError):
            yield LeftBehind(
                driver=other,
                kind=StoreKind.GRAPH_DRIVER,
                directory=directory,
                layers=len(os.listdir(directory)),
                bytes=bytes_of(directory),
            )


def _mounted(store: Store, alive: Alive) -> list[Live]:
    return [each for layer in store.layers if layer.work is not None and (each := alive.of(store, layer)) is not None]


def _volatile(store: Store, alive: Alive) -> int:
    """How many containers are mounted so that nothing is synchronised; buildah's always are, and may be lost."""
    found = [alive.of_container(store, each) for each in store.containers if each.engine is not Engine.BUILDAH]
    return sum(bool(_VOLATILE & {*each.mount.options}) for each in found if each is not None)


def _in_force(mounted: Sequence[Live]) -> tuple[InForce, ...]:
    words = Counter(
        word
        for each in mounted
        for word in each.mount.options
        if not word.partition("=")[0].rstrip("+").startswith(_PATHS)
    )
    return tuple(InForce(option=word, mounts=count) for word, count in sorted(words.items()))


def _metacopy(mounted: Sequence[Live], *, here: bool) -> bool | None:
    if mounted:
        return any(live.effective(each.mount.options, module_defaults()).metacopy is Switch.ON for each in mounted)
    return module_defaults().metacopy is Switch.ON if here else None


def _userxattr(mounted: Sequence[Live]) -> bool | None:
    return any("userxattr" in each.mount.options for each in mounted) if mounted else None


def _rootless(known: _Engine) -> bool | None:
    with suppress(OSError):
        owner = os.stat(known.root or "").st_uid
        # Root of a user namespace, as in `podman unshare`, is somebody else outside; all it does not know are nobody.
        known_here = in_initial_user_namespace() or owner != overflow(Kind.UID)
        return outside(Kind.UID, owner) != 0 if known_here else None
    return None


def _backing(active: Store | None, root: str | None) -> str | None:
    directory = active.places if active is not None else root
    with suppress(OSError):
        return None if directory is None else mounts.mount_at(directory).fs_type
    return None


def _tried(report: DirectoryReport | None, ability: Ability) -> bool | None:
    answers = {} if report is None else {each.ability: each.answer for each in report.findings}
    return {Tried.YES: True, Tried.NO: False}.get(answers.get(ability, Tried.UNKNOWN))
