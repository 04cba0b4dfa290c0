"""Whose something is: pure values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.engines.keepers import Engine
    from ovlctl.engines.values import Pod, Role
    from ovlctl.errors import Note, OvlError


class Kind(StrEnum):
    """What owns it.

    LAYER: a layer that neither a container nor an image uses. STORE: an engine itself, as what lies beside its layers.
    STACK: a stack that is no engine's.
    """

    CONTAINER = "container"
    IMAGE = "image"
    LAYER = "layer"
    STORE = "store"
    STACK = "stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A container or an image that uses a layer.

    Attributes:
        kind: Which of the two.
        id: Its id.
        name: What people call it; None for an image without a name.
    """

    kind: Kind
    id: str
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose something is.

    Attributes:
        engine: Whose store it is in; None for a stack that is no engine's.
        kind: What owns it.
        id: The id of the container, the image or the layer; the name of a stack.
        name: What people call it.
        pod: The container is in.
        image: The reference, or else the id, of the container's image.
        role: What the layer is for; None where there is none.
        running: Whether a process has the container's root directory as its own; None where that cannot be told.
        directory: The layer's directory, or that of the store.
        layer: The id of the layer.
        size: Bytes that *directory* takes on disk; None where it was not looked at or could not be read.
        users: Everybody who uses the layer, the owner among them.
        evidence: What says so, the kernel's word first.
        troubles: What could not be read of the store that it is in.
    """

    engine: Engine | None
    kind: Kind
    id: str
    name: str | None
    pod: Pod | None = None
    image: str | None = None
    role: Role | None = None
    running: bool | None = None
    directory: str | None = None
    layer: str | None = None
    size: int | None = None
    users: tuple[User, ...] = ()
    evidence: tuple[Note, ...] = ()
    troubles: tuple[OvlError, ...] = ()
