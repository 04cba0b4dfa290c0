"""Who holds a mount or a layer: processes, copies in other namespaces, overlays on top, and what ends each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.ops import discover
from ovlctl.ops.discover import Overlay, Standing
from ovlctl.ops.state import State, locate
from ovlctl.ops.who.asking import about_layer, about_mount
from ovlctl.ops.who.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Collection

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.who.answer import Answer


def who(
    word: str | os.PathLike[str],
    *,
    layer: bool = False,
    state_dir: str | State | None = None,
    but_not: Collection[int] = (),
    moved: bool = False,
) -> Answer:
    """Find out who holds a mount or a layer. Nothing is ended, and nothing changed.

    Args:
        word: A stack's name, a mount point, a path inside an overlay, or a directory on no overlay, which is taken as
            a layer. A stack that is not mounted is asked about by its upper or, without one, its topmost lower.
        layer: Take *word* as a layer whatever it lies on.
        state_dir: Where ovlctl keeps its records.
        but_not: Processes that do not count, such as the caller.
        moved: Whether this process moved itself to where the mounts are: commands then say how to get there.

    Raises:
        StackNotFound, PathMissing: When *word* names nothing.
        AccessDenied: When it may not be looked at.
    """
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    text = os.fspath(word)
    overlay = None if layer else _overlay(state, text)
    found = discover.overlays(state).overlays
    names = {each.mount.mount_id: each.name for each in found if each.mount is not None and each.name is not None}
    with Scene(frozenset(but_not), moved=moved) as scene:
        if overlay is None:
            return about_layer(scene, _real(text), None, names)
        mount = overlay.mount or _elsewhere(scene, overlay)
        if mount is not None:
            return about_mount(scene, mount, overlay.name, names)
        return about_layer(scene, _layer_of(overlay), overlay.name, names)


def _overlay(state: State, word: str) -> Overlay | None:
    try:
        return discover.find(state, word)
    except errors.NotAnOverlay:
        return None


def _real(path: str) -> str:
    try:
        return os.path.realpath(path, strict=True)
    except PermissionError as error:
        raise errors.AccessDenied(f"cannot look at {{}}: {strerror(error)}", path, errno=error.errno) from error
    except (OSError, ValueError) as error:
        raise errors.PathMissing("{} does not exist", path, hint="check the name") from error


def _elsewhere(scene: Scene, overlay: Overlay) -> Mount | None:
    if overlay.standing is not Standing.ELSEWHERE or overlay.record is None:
        return None
    wanted = (overlay.record.namespace, overlay.record.source)
    return next((mount for space, mount in scene.mounts() if (space.inode, mount.source) == wanted), None)


def _layer_of(overlay: Overlay) -> str:
    stack = overlay.stack
    return _real(stack.upper or stack.lowers[0])
