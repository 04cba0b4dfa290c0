"""Containers of containers/storage, which Podman, buildah and CRI-O share.

Who made one is told by what it left: CRI-O and Podman write metadata of different forms into containers.json,
libpod has a record of Podman's, and buildah writes a file of its own, which `podman commit` writes, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ovlctl.engines.entries import Entry, image_id, listed
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Container, Pod, State
from ovlctl.errors import OvlError, StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.engines.files import Files
    from ovlctl.engines.podman.layers import MountPoint
    from ovlctl.engines.podman.libpod import Record

# Of the runtime specification; "stopping" is CRI-O's.
_STATUS = {
    "creating": State.CREATED,
    "created": State.CREATED,
    "running": State.RUNNING,
    "stopping": State.RUNNING,
    "paused": State.PAUSED,
    "stopped": State.STOPPED,
}


class Reader:
    """Reads the containers of one graph driver.

    Args:
        files: The graph root.
        run: The run root, which has the containers of a transient store.
        driver: The graph driver.
        records: What libpod has, by id.
        mounted: Where layers are mounted, by id.
        troubles: Gets what could not be read.
    """

    def __init__(
        self,
        files: Files,
        run: Files | None,
        driver: str,
        *,
        records: Mapping[str, Record],
        mounted: Mapping[str, MountPoint],
        troubles: list[OvlError],
    ) -> None:
        self._files = files
        self._run = run
        self._driver = driver
        self._records = records
        self._troubles = troubles
        self._mounted = mounted
        self._sandboxes: dict[str, Pod] = {}

    def read(self) -> tuple[Container, ...]:
        """Every container that has a layer in this store."""
        entries: dict[str, tuple[Entry, Entry]] = {}
        for document, entry in self._entries():
            id_ = entry.component("id")
            if id_ is None:
                self._troubles.append(StoreDamaged("{} has a container whose id is no name", document))
            elif id_ in entries:
                self._troubles.append(StoreDamaged("{} has container {} twice", document, id_))
            else:
                entries[id_] = entry, self._metadata(document, id_, entry)
        self._sandboxes = dict(found for _, metadata in entries.values() if (found := _sandbox(metadata)) is not None)
        return tuple(self._container(id_, entry, metadata) for id_, (entry, metadata) in entries.items())

    def _entries(self) -> Iterator[tuple[str, Entry]]:
        for where in (self._files, self._run):
            for name in ("containers.json", "volatile-containers.json"):
                if where is not None:
                    document = f"{self._driver}-containers/{name}"
                    for entry in listed(where, document, self._troubles):
                        yield where.path(document), entry

    def _metadata(self, document: str, id_: str, entry: Entry) -> Entry:
        text = entry.text("metadata")
        if text is None:
            return Entry(None)
        try:
            return Entry(json.loads(text))
        except (ValueError, RecursionError):
            self._troubles.append(StoreDamaged("{} has metadata of container {} that are no JSON", document, id_))
            return Entry(None)

    def _container(self, id_: str, entry: Entry, metadata: Entry) -> Container:
        layer = entry.text("layer")
        if metadata.text("pod-id") is not None:
            return self._of_cri(id_, entry, metadata)
        record = self._records.get(id_)
        buildah = self._buildah(id_) if record is None and metadata.text("name") is None else Entry(None)
        name = (record.name if record else None) or metadata.text("name") or next(iter(entry.texts("names")), id_)
        image = image_id(entry.text("image")) or image_id(buildah.text("image-id"))
        return Container(
            engine=Engine.BUILDAH if buildah.values else Engine.PODMAN,
            id=id_,
            name=name,
            image=image,
            image_name=(record.image_name if record else None) or metadata.text("image-name") or buildah.text("image"),
            layer=layer,
            state=record.state if record else State.UNKNOWN,
            pid=record.pid if record else None,
            pod=record.pod if record else None,
            merged=self._merged(layer),
            created_ns=(record.created_ns if record else None) or entry.time_ns("created"),
        )

    def _of_cri(self, id_: str, entry: Entry, metadata: Entry) -> Container:
        state = self._document(f"{self._driver}-containers/{id_}/userdata/state.json")
        layer = entry.text("layer")
        pid = state.number("pid")
        now = _STATUS.get(state.text("status") or "", State.UNKNOWN)
        pod = metadata.text("pod-id") or id_
        return Container(
            engine=Engine.CRI,
            id=id_,
            name=metadata.text("metadata-name") or metadata.text("name") or next(iter(entry.texts("names")), id_),
            image=image_id(entry.text("image")),
            image_name=metadata.text("image-name"),
            layer=layer,
            state=now,
            pid=pid if pid is not None and pid > 0 and now in {State.RUNNING, State.PAUSED} else None,
            pod=self._sandboxes.get(pod) or Pod(id=pod, name=metadata.text("pod-name")),
            merged=self._merged(layer),
            created_ns=entry.time_ns("created"),
        )

    def _buildah(self, id_: str) -> Entry:
        return self._document(f"{self._driver}-containers/{id_}/userdata/buildah.json")

    def _document(self, name: str) -> Entry:
        try:
            return Entry(self._files.json(name))
        except FileNotFoundError:
            return Entry(None)
        except OvlError as error:
            self._troubles.append(error)
            return Entry(None)

    def _merged(self, layer: str | None) -> str | None:
        # The path may be that of a symbolic link to the root, so only its end tells whether it is the layer's own.
        point = self._mounted.get(layer or "")
        path = point.path if point is not None else None
        own = f"/{self._driver}/{layer}/merged"
        return path if path is not None and path.startswith("/") and not path.endswith(own) else None


def _sandbox(metadata: Entry) -> tuple[str, Pod] | None:
    # The metadata of the container that stands for a pod, with its uid; others have the id of that container only.
    pod = metadata.text("pod-id")
    if pod is None or not (metadata.flag("pod") or metadata.text("namespace")):
        return None
    name, namespace = metadata.text("metadata-name"), metadata.text("namespace")
    return pod, Pod(id=metadata.text("uid") or pod, name=name, namespace=namespace)


def without_layer(records: Mapping[str, Record], known: set[str]) -> Iterator[Container]:
    """Containers that libpod has and the store does not: those whose root is a directory of the user's.

    Args:
        records: What libpod has, by id.
        known: Ids of the store's.
    """
    for id_, record in records.items():
        if id_ not in known:
            yield Container(
                engine=Engine.PODMAN,
                id=id_,
                name=record.name or id_,
                image=record.image,
                image_name=record.image_name,
                state=record.state,
                pid=record.pid,
                pod=record.pod,
                merged=record.mounted or record.rootfs,
                created_ns=record.created_ns,
            )
