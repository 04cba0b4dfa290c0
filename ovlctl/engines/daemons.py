"""What the daemon of an engine answers: pure values. They are labels, as the metadata on disk are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.engines.keepers import Engine
    from ovlctl.engines.values import State, StoreKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """What a connection over TLS needs: paths of PEM files, None for those that there are not.

    Attributes:
        ca: Whose signature the daemon's certificate has to have; else that of an authority the system knows.
        cert: The client's own.
        key: Of *cert*.
        verify: Whether the daemon's certificate is looked at.
    """

    ca: str | None
    cert: str | None
    key: str | None
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a daemon may be reached.

    Attributes:
        engine: Whose it is.
        address: ``unix:///run/docker.sock``, ``tcp://HOST:PORT``, ``ssh://...``; of containerd the path of its socket.
            Empty when what *found* names says no address: it is not there, or damaged.
        found: How: ``DOCKER_HOST``, ``context NAME``, ``default``, ``rootless``, the command line of a daemon.
        context: The Docker context, or the connection of Podman, that it is of.
        certificates: For TLS; None for a plain connection.
    """

    engine: Engine
    address: str
    found: str
    context: str | None = None
    certificates: Certificates | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a daemon says of itself; None is unknown, as an engine that does not say so leaves it.

    Attributes:
        endpoint: It was asked at.
        version: Of the engine.
        driver: The graph driver or snapshotter that is in use.
        kind: How it keeps layers.
        root: Its data root, where it tells.
        backing_fs: The engine's word for the file system below: ``extfs``, ``xfs``.
        supports_d_type, native_diff, metacopy, userxattr: As the engine found out when it began.
        rootless: Whether it runs without root.
        trouble: Its own words for why the driver that it takes when nothing is said cannot be used.
    """

    endpoint: Endpoint
    version: str | None
    driver: str | None
    kind: StoreKind | None
    root: str | None
    backing_fs: str | None = None
    supports_d_type: bool | None = None
    native_diff: bool | None = None
    metacopy: bool | None = None
    userxattr: bool | None = None
    rootless: bool | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What ``inspect`` calls GraphDriver.Data: lowers topmost first; None for what is not said."""

    lowers: tuple[str, ...]
    upper: str | None
    work: str | None
    merged: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A container or an image, as a daemon describes it.

    Attributes:
        id: Its id; of an image with ``sha256:``.
        name: What people call it; a reference of an image.
        driver: The graph driver's or snapshotter's name.
        graph: Where its layers are; None with a snapshotter.
        image: Of a container the id of its image.
        pid: Of a container that runs, its first process.
        state: Of a container.
        digests: Of an image, those of its layers, lowest first.
    """

    id: str
    name: str
    driver: str | None
    graph: Graph | None
    image: str | None = None
    pid: int | None = None
    state: State | None = None
    digests: tuple[str, ...] = ()
