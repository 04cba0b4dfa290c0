"""Who holds what of a store on disk: pure values. Sizes are bytes on disk, every inode and every shared extent once.

A layer is exclusively somebody's when nobody else uses it: those bytes are what removing him frees. What several use
is shared. Law: exclusive bytes of every container and image, shared bytes, and what nobody holds add up to what the
store takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.engines.keepers import Engine
    from ovlctl.engines.values import Pod, Role
    from ovlctl.errors import OvlError
    from ovlctl.ops.du.values import Trouble


class Beside(StrEnum):
    """What of a store no container and no image holds.

    UNUSED: layers that nothing uses. BUILD_CACHE: layers that a builder keeps. UNKNOWN: directories among the layers
    that no metadata know. PACKED: packed layers that images were unpacked from. VOLUMES: named volumes. REST: all else
    below the data root, such as metadata and logs.
    """

    UNUSED = "unused"
    BUILD_CACHE = "build-cache"
    UNKNOWN = "unknown"
    PACKED = "packed"
    VOLUMES = "volumes"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A container, an image or a pod.

    Attributes:
        id: Its id.
        name: What people call it; None for an image without a name.
        pod: The pod that a container is in.
        own: Bytes that it wrote: in the writable layers of a container or of a pod's; 0 for an image.
        exclusive: Bytes in layers that nobody else uses, *own* among them.
        shared: Bytes in its layers that somebody else uses, too.
        layers: How many layers it has.
    """

    id: str
    name: str | None
    pod: Pod | None
    own: int
    exclusive: int
    shared: int
    layers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLayer:
    """A layer.

    Attributes:
        id: Its id.
        directory: Where it is.
        role: What it is for.
        bytes: All that belongs to it.
        images, containers: How many use it.
    """

    id: str
    directory: str
    role: Role
    bytes: int
    images: int
    containers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a store takes on disk, and who holds it.

    Attributes:
        engine: Whose store it is.
        driver: Its driver.
        root: Its data root.
        containers, images, pods: Holders, those with the most exclusive bytes first.
        layers: Every layer, the largest first.
        shared: Bytes in layers that several hold, once.
        beside: What nobody holds.
        total: Everything.
        troubles: Of the metadata.
        unread: What could not be read on the way, at most a thousand.
    """

    engine: Engine
    driver: str
    root: str
    containers: tuple[Holder, ...]
    images: tuple[Holder, ...]
    pods: tuple[Holder, ...]
    layers: tuple[HeldLayer, ...]
    shared: int
    beside: tuple[tuple[Beside, int], ...]
    total: int
    troubles: tuple[OvlError, ...]
    unread: tuple[Trouble, ...]

    @property
    def partial(self) -> bool:
        """Whether something could not be told."""
        return bool(self.troubles or self.unread)
