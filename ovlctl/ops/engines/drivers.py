"""How engines store layers: pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.engines.daemons import Endpoint
    from ovlctl.engines.keepers import Engine
    from ovlctl.engines.values import Role, StoreKind
    from ovlctl.errors import Note, OvlError


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a storage driver will do.

    Attributes:
        ok: For production; None where too little is known.
        text: Why, in a sentence.
        hints: What to change, and what that costs.
    """

    ok: bool | None
    text: Note
    hints: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """Data of a store that the engine does not use.

    Attributes:
        driver: The graph driver's or snapshotter's name.
        kind: How it keeps layers.
        directory: Where they are.
        layers: How many.
        bytes: What they take on disk; None where that could not be read.
    """

    driver: str
    kind: StoreKind | None
    directory: str
    layers: int
    bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """An option that overlays of a store really have, from the mount table: ``volatile``, ``fsync=strict``."""

    option: str
    mounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """An engine and how it stores layers; None is unknown.

    Attributes:
        engine: The engine.
        endpoint: Where its daemon was asked, or would be.
        reachable: Whether it answered; None where it was not asked, as for another machine's disk.
        silence: Why it did not answer.
        version: Of the daemon.
        driver: The graph driver's or snapshotter's name.
        kind: How it keeps layers.
        root: Its data root.
        backing_fs: The file system below *root*, by the kernel's name.
        supports_d_type: Whether directories there tell the types of names, tried.
        native_diff: Whether the engine takes an upper for the changes of a layer, instead of comparing trees.
        metacopy: Whether its overlays copy up metadata alone where that is enough.
        userxattr: Whether its overlays keep marks in user attributes.
        rootless: Whether it runs without root.
        mounted: How many of its containers are mounted.
        in_force: Options of these mounts that matter to what a crash leaves.
        layers, images, containers: How many there are; None where its store may not be read, or is not known.
        left_behind: Data of stores that are not in use.
        verdict: Whether it will do.
        troubles: What could not be read.
    """

    engine: Engine
    endpoint: Endpoint | None
    reachable: bool | None
    silence: OvlError | None
    version: str | None
    driver: str | None
    kind: StoreKind | None
    root: str | None
    backing_fs: str | None
    supports_d_type: bool | None
    native_diff: bool | None
    metacopy: bool | None
    userxattr: bool | None
    rootless: bool | None
    mounted: int
    in_force: tuple[InForce, ...]
    layers: int | None
    images: int | None
    containers: int | None
    left_behind: tuple[LeftBehind, ...]
    verdict: Verdict
    troubles: tuple[OvlError, ...] = ()

    @property
    def named(self) -> bool:
        """Whether somebody named its daemon, so that its silence is worth a word."""
        return self.endpoint is not None and self.endpoint.found != "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailLayer:
    """A layer of a container or an image.

    Attributes:
        directory: The layer itself.
        digest: Of its archive, not compressed; None for one that was not made from an archive.
        bytes: On disk, measured; None where it could not be read.
        recorded: Bytes of its files, as the engine wrote down.
        created_by: The command that made it, as the image tells.
        role: What it is for; None where only a daemon told of it.
    """

    directory: str
    digest: str | None
    bytes: int | None
    recorded: int | None
    created_by: str | None
    role: Role | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A container or an image with its layers.

    Attributes:
        engine: Whose.
        ref: What it was asked for as.
        container: Whether it is a container.
        id: Its id.
        name: What people call it.
        driver: The graph driver's or snapshotter's name.
        layers: Topmost first.
        lowers: Their directories as the mount has them, topmost first.
        upper, work, merged: Of a container; of an image where the engine would have them.
        mounted: Whether it is mounted now.
        reached: Where its merged view can be reached from here, when it is mounted; in another mount namespace that is
            not *merged*.
        by_daemon: Whether the engine's daemon told it, as the store may not be read.
        troubles: What of its store could not be read.
    """

    engine: Engine
    ref: str
    container: bool
    id: str
    name: str | None
    driver: str
    layers: tuple[DetailLayer, ...]
    lowers: tuple[str, ...]
    upper: str | None
    work: str | None
    merged: str | None
    mounted: bool
    reached: str | None = None
    by_daemon: bool = False
    troubles: tuple[OvlError, ...] = ()
