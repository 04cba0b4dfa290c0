"""Containers of Docker: ``containers/ID/config.v2.json``, the same with its own store and with containerd's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ovlctl.engines.documents import digest, mapping, nanoseconds, text, whole
from ovlctl.engines.gathering import Gathering
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Container, Pod, State
from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.engines.files import Files
    from ovlctl.errors import OvlError

_CONTAINERS = "containers"
# What the kubelet puts on containers; with Docker they come by cri-dockerd, or once by dockershim.
_POD = "io.kubernetes.pod."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A container, and what keeps its layers.

    Attributes:
        driver: Docker's graph driver, or containerd's snapshotter (``overlayfs``); None where it is not written down.
        container: Without its layer and where it is mounted: the store of *driver* knows.
    """

    driver: str | None
    container: Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """All that are recorded below a data root; one trouble for each that could not be read."""

    all: tuple[Recorded, ...]
    troubles: tuple[OvlError, ...]

    def of(self, driver: str) -> tuple[Container, ...]:
        """Those that *driver* keeps the layers of."""
        return tuple(recorded.container for recorded in self.all if recorded.driver == driver)


def containers(files: Files) -> Containers:
    """What Docker recorded of its containers, of every driver.

    Args:
        files: Its data root.
    """
    gathering = Gathering(files)
    read = partial(_container, files)
    found = [gathering.one(f"{_CONTAINERS}/{name}", read) for name in gathering.names(_CONTAINERS)]
    return Containers(all=tuple(one for one in found if one is not None), troubles=tuple(gathering.troubles))


def _container(files: Files, at: str) -> Recorded:
    name = f"{at}/config.v2.json"
    document = mapping(files.json(name))
    id_ = at.rpartition("/")[2]
    if document.get("ID") != id_:
        raise StoreDamaged("{} is not about the container that it is kept for", files.path(name))
    configuration, recorded = mapping(document.get("Config")), mapping(document.get("State"))
    standing = state(recorded)
    container = Container(
        engine=Engine.DOCKER,
        id=id_,
        name=(text(document.get("Name")) or id_).removeprefix("/") or id_,
        image=digest(document.get("Image")),
        image_name=text(configuration.get("Image")),
        state=standing,
        pid=(whole(recorded.get("Pid")) or None) if standing in {State.RUNNING, State.PAUSED} else None,
        pod=_pod(mapping(configuration.get("Labels"))),
        created_ns=nanoseconds(document.get("Created")),
    )
    return Recorded(driver=text(document.get("Driver")), container=container)


def state(recorded: Mapping[str, Any]) -> State:
    """How a container stands, from the State that Docker records and ``inspect`` prints.

    One that Docker is about to start again counts as stopped: it has no process meanwhile.
    """
    running = recorded.get("Running")
    if not isinstance(running, bool):
        return State.UNKNOWN
    if running and recorded.get("Restarting") is not True:
        return State.PAUSED if recorded.get("Paused") is True else State.RUNNING
    never = nanoseconds(recorded.get("StartedAt")) is None and recorded.get("Dead") is not True
    return State.CREATED if never and not running else State.STOPPED


def _pod(labels: Mapping[str, Any]) -> Pod | None:
    uid = text(labels.get(f"{_POD}uid"))
    if uid is None:
        return None
    return Pod(id=uid, name=text(labels.get(f"{_POD}name")), namespace=text(labels.get(f"{_POD}namespace")))
