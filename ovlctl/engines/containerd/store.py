"""containerd's store, read from its root: images, containers, and the snapshots of each overlay snapshotter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ovlctl.engines.containerd import databases as containerd_databases
from ovlctl.engines.containerd.images import CONTENT, ContentStore
from ovlctl.engines.containerd.layers import Snapshots
from ovlctl.engines.containerd.tasks import Tasks
from ovlctl.engines.files import Files
from ovlctl.engines.gathering import Gathering
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Container, Image, Pod, Store, StoreKind
from ovlctl.oci.blobs import is_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ovlctl.engines.containerd.databases import Databases
    from ovlctl.engines.containerd.images import Unpackable
    from ovlctl.engines.containerd.records import ContainerRecord, ImageRecord, Namespace
    from ovlctl.engines.places import Place

_NAME = "nerdctl/name"
_CRI_KIND = "io.cri-containerd.kind"
_CRI_CONTAINER = "io.kubernetes.container.name"
_CRI_POD = "io.kubernetes.pod."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    # An image as its namespace has it: all names of one target.
    namespace: Namespace
    records: Sequence[ImageRecord]
    image: Unpackable | None


def read(place: Place) -> tuple[Store, ...]:
    """The stores below a containerd's root, one for each snapshotter that is used or is an overlay; none without one.

    Snapshotters that are no overlays have images and containers, and no layers. With Docker's images in containerd the
    namespace ``moby`` is in it, as any other; :func:`ovlctl.engines.docker.moby.read` tells of it as Docker does.

    Raises:
        OSError: The root cannot be opened.
    """
    with Files(place.root) as files:
        gathering = Gathering(files)
        databases = containerd_databases.read(gathering)
        if databases is None:
            return ()
        known = _images(gathering, databases)
        digests = {
            chain: digest
            for one in known
            if one.image is not None
            for chain, digest in zip(one.image.chains, one.image.diff_ids, strict=True)
        }
        with Tasks(place.run, gathering) as tasks:
            stores: list[Store] = []
            for name in (*databases.stored, *databases.others):
                snapshots = Snapshots(databases=databases, snapshotter=name, digests=digests)
                stores.append(_store(gathering, tasks, snapshots, known, first=not stores))
                gathering.troubles.clear()
    return tuple(stores)


def _images(gathering: Gathering, databases: Databases) -> list[_Known]:
    content = ContentStore(gathering.files)
    known: list[_Known] = []
    for namespace in databases.namespaces:
        keys = {snapshot.key for of in namespace.snapshots.values() for snapshot in of}
        targets: dict[str, list[ImageRecord]] = {}
        for record in namespace.images:
            targets.setdefault(record.digest, []).append(record)
        for target, records in targets.items():
            read_it = partial(content.image, media_type=records[0].media_type, unpacked=keys)
            known.append(_Known(namespace=namespace, records=records, image=gathering.one(target, read_it)))
    return known


def _store(gathering: Gathering, tasks: Tasks, snapshots: Snapshots, known: Sequence[_Known], *, first: bool) -> Store:
    driver = snapshots.snapshotter
    targets = {(one.namespace.name, record.name): one for one in known for record in one.records}
    layers = snapshots.layers(gathering)
    containers = tuple(
        _container(tasks, snapshots, namespace, record, targets)
        for namespace in snapshots.databases.namespaces
        for record in namespace.containers
        # One of Docker with a graph driver names no snapshotter.
        if record.snapshotter == driver or (first and not record.snapshotter)
    )
    images = [_image(one, snapshots) for one in known if first or _is_unpacked(one, driver)]
    return Store(
        engine=Engine.CONTAINERD,
        kind=StoreKind.SNAPSHOTTER,
        driver=driver,
        root=gathering.files.root,
        places=gathering.files.path(snapshots.places),
        layers=layers,
        images=tuple(images),
        containers=containers,
        packed=(gathering.files.path(CONTENT),),
        troubles=tuple(gathering.troubles),
    )


def _is_unpacked(one: _Known, snapshotter: str) -> bool:
    top = one.image.top if one.image is not None else None
    return any(snapshot.key == top for snapshot in one.namespace.snapshots.get(snapshotter, ()))


def _image(one: _Known, snapshots: Snapshots) -> Image:
    top = one.image.top if one.image is not None else None
    created = one.image.created_ns if one.image is not None else None
    return Image(
        id=one.records[0].digest,
        # CRI gives every image the digest of its configuration as another name.
        names=tuple(sorted(record.name for record in one.records if not is_digest(record.name))),
        layer=snapshots.id(one.namespace.name, top) if top is not None else None,
        steps=one.image.steps if one.image is not None else (),
        namespace=one.namespace.name,
        created_ns=created if created is not None else one.records[0].created_ns,
        size=one.image.size if one.image is not None else None,
    )


def _container(
    tasks: Tasks,
    snapshots: Snapshots,
    namespace: Namespace,
    record: ContainerRecord,
    targets: Mapping[tuple[str, str], _Known],
) -> Container:
    labels = record.labels
    image = targets.get((namespace.name, record.image))
    task = tasks.of(namespace.name, record.id)
    name = labels.get(_NAME) or labels.get(_CRI_CONTAINER) or labels.get(f"{_CRI_POD}name")
    uid = labels.get(f"{_CRI_POD}uid")
    return Container(
        engine=Engine.CRI if _CRI_KIND in labels else Engine.CONTAINERD,
        id=record.id,
        name=name or record.id,
        image=image.records[0].digest if image is not None else None,
        image_name=record.image or None,
        layer=snapshots.id(namespace.name, record.key) if record.key else None,
        state=task.state,
        pid=task.pid,
        pod=Pod(id=uid, name=labels.get(f"{_CRI_POD}name"), namespace=labels.get(f"{_CRI_POD}namespace"))
        if uid
        else None,
        namespace=namespace.name,
        merged=task.merged,
        created_ns=record.created_ns,
    )
