"""What the API of Docker says, which Podman's compatible one says as well: documents become values.

A document may be of any version, or of nobody in his right mind: what is not of the type it has to be is unknown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ovlctl.engines.daemons import Answer, Graph, Inspected
from ovlctl.engines.docker.containers import state
from ovlctl.engines.documents import digest, mapping, sequence, text, truth, whole
from ovlctl.engines.values import StoreKind
from ovlctl.errors import EngineSilent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.engines.daemons import Endpoint

_SNAPSHOTTER = "io.containerd.snapshotter.v1"
_HEX = re.compile(r"[0-9a-f]{64}")


def answer(endpoint: Endpoint, info: object, version: object) -> Answer:
    """What ``/info`` and ``/version`` say.

    Raises:
        EngineSilent: They say neither a version nor a driver.
    """
    said = mapping(info)
    status = _status(said)
    driver = text(said.get("Driver"))
    number = text(said.get("ServerVersion")) or text(mapping(version).get("Version"))
    if driver is None and number is None:
        raise EngineSilent("{} answers, but not as an engine does", endpoint.address)
    kind = StoreKind.SNAPSHOTTER if status.get("driver-type") == _SNAPSHOTTER else StoreKind.GRAPH_DRIVER
    options = [text(option) or "" for option in sequence(said.get("SecurityOptions"))]
    # Podman says so besides; Docker in this way only.
    rootless = truth(said.get("Rootless")) or "name=rootless" in options
    return Answer(
        endpoint=endpoint,
        version=number,
        driver=driver,
        kind=kind if driver is not None else None,
        root=text(said.get("DockerRootDir")),
        backing_fs=text(status.get("Backing Filesystem")),
        supports_d_type=truth(status.get("Supports d_type")),
        native_diff=truth(status.get("Native Overlay Diff")),
        metacopy=truth(status.get("Using metacopy")),
        userxattr=truth(status.get("userxattr")),
        rootless=rootless if "SecurityOptions" in said or "Rootless" in said else None,
    )


def _status(info: Mapping[str, Any]) -> Mapping[str, Any]:
    pairs = [pair for pair in sequence(info.get("DriverStatus")) if isinstance(pair, list) and len(pair) == 2]  # noqa: PLR2004 - pairs
    return {name: value for name, value in pairs if isinstance(name, str)}


def container(endpoint: Endpoint, document: object) -> Inspected:
    """What ``/containers/NAME/json`` says.

    Raises:
        EngineSilent: It is not about a container.
    """
    said = mapping(document)
    id_ = text(said.get("Id"))
    if id_ is None or not _HEX.fullmatch(id_):
        raise EngineSilent("{} describes something else than a container", endpoint.address)
    standing = mapping(said.get("State"))
    snapshot = mapping(mapping(mapping(said.get("Storage")).get("RootFS")).get("Snapshot"))  # since Docker 29
    return Inspected(
        id=id_,
        name=(text(said.get("Name")) or id_).removeprefix("/"),
        driver=text(mapping(said.get("GraphDriver")).get("Name"))
        or text(snapshot.get("Name"))
        or text(said.get("Driver")),
        graph=_graph(said),
        image=digest(said.get("Image")),
        pid=whole(standing.get("Pid")) or None,
        state=state(standing),
    )


def image(endpoint: Endpoint, document: object) -> Inspected:
    """What ``/images/NAME/json`` says.

    Raises:
        EngineSilent: It is not about an image.
    """
    said = mapping(document)
    id_ = digest(said.get("Id"))
    if id_ is None:
        raise EngineSilent("{} describes something else than an image", endpoint.address)
    names = [*sequence(said.get("RepoTags")), *sequence(said.get("RepoDigests"))]
    layers = map(digest, sequence(mapping(said.get("RootFS")).get("Layers")))
    return Inspected(
        id=id_,
        name=next(filter(None, map(text, names)), id_),
        driver=text(mapping(said.get("GraphDriver")).get("Name")),
        graph=_graph(said),
        digests=tuple(layer for layer in layers if layer is not None),
    )


def _graph(document: Mapping[str, Any]) -> Graph | None:
    data = mapping(mapping(document.get("GraphDriver")).get("Data"))
    lower, upper, work, merged = (text(data.get(f"{word}Dir")) for word in ("Lower", "Upper", "Work", "Merged"))
    if upper is None:
        return None
    return Graph(lowers=tuple(lower.split(":")) if lower else (), upper=upper, work=work, merged=merged)
