"""What a store takes on disk, and who holds it.

The data root is walked once. What is mounted on the way is not looked into: merged views would be counted again. An
inode that has names in several layers counts for the first that is met, and an extent that files share for one of them.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ovlctl.engines.values import Role
from ovlctl.errors import StoreForbidden, strerror
from ovlctl.ops.du.ledger import Ledger, Source
from ovlctl.ops.du.sums import Sums
from ovlctl.ops.du.values import Part, Trouble
from ovlctl.ops.engines import naming
from ovlctl.ops.engines.holdings import Beside, HeldLayer, Holder, Holdings
from ovlctl.ops.engines.taking import is_real
from ovlctl.ops.engines.uses import chain_in, own_layers, uses
from ovlctl.ops.engines.walking import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from ovlctl.engines.keepers import Engine
    from ovlctl.engines.values import Container, Image, Layer, Pod, Store
    from ovlctl.errors import OvlError
    from ovlctl.ops.engines.uses import Users

_VOLUMES = "volumes"
# What lies among the layers and is none; no layer is called so.
_AROUND = "/"
_Bytes = dict[str, int]


def weigh_all(engines: Collection[Engine], root: str | None) -> tuple[tuple[Holdings, ...], tuple[OvlError, ...]]:
    """The holdings of every store of *engines*, and why others could not be read.

    Raises:
        EngineMissing: There is no store.
    """
    found: list[Holdings] = []
    silent: list[OvlError] = []
    every = naming.everything(root)
    for store in naming.asked(every, engines, root=root):
        beside = [other for other in every if other is not store and other.places == store.places]
        try:
            found.append(weigh(store, others=frozenset(layer.name for other in beside for layer in other.layers)))
        except OSError as error:
            why = f"{{}} cannot be read: {strerror(error)}"
            unknown = StoreForbidden(why, store.root, errno=error.errno, hint="ask as root")
            silent.extend(store.troubles or (unknown,))  # they have said it
    return tuple(found), tuple(silent)


def weigh(store: Store, *, others: frozenset[str] = frozenset()) -> Holdings:
    """Add up what *store* takes on disk. It is only read.

    Args:
        store: It.
        others: Names of layers in the same directory that are another store's: these are left out.

    Raises:
        OSError: Its data root, or the directory of its layers, cannot be opened.
    """
    ledger, sums = _weighed(store, others)
    bytes_of = {layer.id: sums[layer.name] for layer in store.layers}
    users = uses(store)
    nobody = [store.by_id[identity] for identity, who in users.items() if not _holders(who)]
    cached = sum(bytes_of[layer.id] for layer in nobody if layer.role is Role.BUILD_CACHE)
    beside = {Beside.UNUSED: sum(bytes_of[layer.id] for layer in nobody) - cached, Beside.BUILD_CACHE: cached}
    beside |= {kind: sums[kind] for kind in Beside if kind not in beside}
    return Holdings(
        engine=store.engine,
        driver=store.driver,
        root=store.root,
        containers=_sorted(_container(store, each, users, bytes_of) for each in store.containers),
        images=_sorted(_image(store, each, users, bytes_of) for each in store.images),
        pods=_sorted(_pods(store, users, bytes_of)),
        layers=tuple(sorted(_layers(store, users, bytes_of), key=lambda each: (-each.bytes, each.id))),
        shared=sum(bytes_of[identity] for identity, who in users.items() if _holders(who) > 1),
        beside=tuple(beside.items()),
        total=sum(sums.values()),
        troubles=store.troubles,
        unread=tuple(_unread(store, ledger)),
    )


def _weighed(store: Store, others: frozenset[str]) -> tuple[Ledger, _Bytes]:
    """The bytes of each layer, by the name of its directory, and of each :class:`Beside`."""
    ledger = Ledger()
    # What can be read from where: paths of what cannot are told from there.
    bases: dict[str, str] = dict.fromkeys((*(layer.name for layer in store.layers), _AROUND), store.places)
    bases.update(dict.fromkeys(Beside, store.root))
    bases |= {Beside.UNKNOWN: store.places, Beside.PACKED: next(iter(store.packed), store.root)}
    keys = list(bases)
    numbers = {key: number for number, key in enumerate(keys)}
    for base in bases.values():
        ledger.sources.append(Source(part=Part.LOWER, index=0, directory=base, stacks=[]))
    known = {layer.name for layer in store.layers}

    def of_layers(name: str) -> int | None:
        if name in others:
            return None
        if name in known:
            return numbers[name]
        return numbers[_AROUND if not name or name in store.reserved else Beside.UNKNOWN]

    def of_root(name: str) -> int:
        return numbers[Beside.VOLUMES if name == _VOLUMES else Beside.REST]

    # Before its first layer a store may be without a directory for them; one with troubles has lost it.
    with suppress(*() if store.troubles else (FileNotFoundError,)):
        _walk_own(ledger, store.places, of_layers)
    for directory in store.packed:
        with suppress(FileNotFoundError):
            _walk_own(ledger, directory, lambda _: numbers[Beside.PACKED])
    # What was entered already is not entered again.
    walk(ledger, store.root, of_root)
    ledger.close()
    sums = dict(zip(keys, (each.bytes for each in Sums(ledger).directories()), strict=True))
    sums[Beside.REST] += sums.pop(_AROUND)
    return ledger, sums


def _unread(store: Store, ledger: Ledger) -> Iterator[Trouble]:
    told = {path for trouble in store.troubles for path in trouble.paths}
    for each in ledger.troubles():
        if os.path.join(each.directory, each.path).rstrip("/") not in told and not _is_kernels(store, each):
            yield each


def _is_kernels(store: Store, unread: Trouble) -> bool:
    # The kernel makes the directory in a work directory so that nobody may read it; it leaves nothing in there.
    name, _, path = unread.path.partition("/")
    return (
        unread.errno == errno.EACCES
        and (unread.directory, path) == (store.places, "work/work")
        and name in store.by_name
    )


def _walk_own(ledger: Ledger, directory: str, source_of: Callable[[str], int | None]) -> None:
    # What lies behind a link is not the store's; the link is told by whoever reads the store.
    if is_real(directory):
        walk(ledger, directory, source_of)


def _holders(users: Users) -> int:
    """How many containers and images hold a layer."""
    return len(users.images) + len(users.containers)


def _sorted(holders: Iterable[Holder]) -> tuple[Holder, ...]:
    return tuple(sorted(holders, key=lambda each: (-each.exclusive, -each.shared, each.name or "", each.id)))


def _container(store: Store, container: Container, users: Mapping[str, Users], bytes_of: _Bytes) -> Holder:
    chain = chain_in(store, container.layer)
    exclusive, shared = _split(chain, users, bytes_of)
    return Holder(
        id=container.id,
        name=container.name,
        pod=container.pod,
        own=sum(bytes_of[layer.id] for layer in own_layers(store, container)),
        exclusive=exclusive,
        shared=shared,
        layers=len(chain),
    )


def _image(store: Store, image: Image, users: Mapping[str, Users], bytes_of: _Bytes) -> Holder:
    chain = chain_in(store, image.layer)
    exclusive, shared = _split(chain, users, bytes_of)
    name = next(iter(image.names), None)
    return Holder(id=image.id, name=name, pod=None, own=0, exclusive=exclusive, shared=shared, layers=len(chain))


def _split(chain: Collection[Layer], users: Mapping[str, Users], bytes_of: _Bytes) -> tuple[int, int]:
    """The bytes of layers that one alone holds, and of the others."""
    exclusive = sum(bytes_of[layer.id] for layer in chain if _holders(users[layer.id]) == 1)
    return exclusive, sum(bytes_of[layer.id] for layer in chain) - exclusive


def _pods(store: Store, users: Mapping[str, Users], bytes_of: _Bytes) -> Iterator[Holder]:
    pods: dict[str, list[Container]] = {}
    known: dict[str, Pod] = {}
    for container in store.containers:
        if container.pod is not None:
            pods.setdefault(container.pod.id, []).append(container)
            known[container.pod.id] = container.pod
    for identity, members in pods.items():
        chain = {layer.id: layer for each in members for layer in chain_in(store, each.layer)}
        mine = {each.id for each in members}
        exclusive = {
            layer.id
            for layer in chain.values()
            if not users[layer.id].images and {each.id for each in users[layer.id].containers} <= mine
        }
        yield Holder(
            id=identity,
            name=known[identity].name,
            pod=known[identity],
            own=sum(bytes_of[layer.id] for each in members for layer in own_layers(store, each)),
            exclusive=sum(map(bytes_of.__getitem__, exclusive)),
            shared=sum(bytes_of[each] for each in chain.keys() - exclusive),
            layers=len(chain),
        )


def _layers(store: Store, users: Mapping[str, Users], bytes_of: _Bytes) -> Iterator[HeldLayer]:
    for layer in store.layers:
        who = users[layer.id]
        yield HeldLayer(
            id=layer.id,
            directory=layer.directory,
            role=layer.role,
            bytes=bytes_of[layer.id],
            images=len(who.images),
            containers=len(who.containers),
        )
