"""After a mount: what the kernel really made of it, compared with what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.kernel import mounts
from ovlctl.ops.api import Api
from ovlctl.ops.defaults import module_defaults
from ovlctl.overlay.live import effective, layers
from ovlctl.overlay.options import Flag, Fsync, RedirectDir, Uuid, Xino

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import StrEnum

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.ladder import Taken
    from ovlctl.overlay.stack import Stack


def weaknesses(stack: Stack, taken: Taken, mount: Mount, *, one_fs: bool) -> Iterator[Note]:
    """Every way in which *mount* is less than what was asked, each as a sentence.

    Args:
        stack: What was asked.
        taken: How it was told.
        mount: What the kernel shows.
        one_fs: Whether all layers are on one file system, as seen before the mount: it may cover a layer.
    """
    live, options = layers(mount.options), effective(mount.options, module_defaults())
    if not stack.read_only and (mount.read_only or mount.sb_read_only):
        yield Note("the kernel mounted it read-only: it could not make the directory `work` in {}", (stack.work or "",))
    shown = (live.lowers, live.data_only)
    if taken.api is not Api.RELATIVE and shown != (stack.lowers, stack.data_only):
        yield Note(f"the kernel shows {len(live.lowers) + len(live.data_only)} lowers that are not the ones given")
    for key, told in taken.told.asked():
        granted = getattr(options, key.name)
        if key.name == "index" and stack.read_only and stack.options.index is None:
            # Stated because nfs_export implies it, and dropped because without an upper there is nothing to index.
            continue
        if granted not in _satisfying(key.name, told, stack=stack, one_fs=one_fs) and key.name != "override_creds":
            value = "off" if granted is None else granted
            yield Note(f"the kernel made {key.name}={value} of {key.name}={told}")


def suspects_sharing(taken: Taken) -> bool:
    """Whether the kernel said during the mount that some layer belongs to a live overlay too (ovl_report_in_use)."""
    return any("is in-use as upperdir/workdir" in line for line in taken.kernel)


def _satisfying(key: str, told: StrEnum, *, stack: Stack, one_fs: bool) -> set[StrEnum | None]:
    """The effective values of the option *key* that give at least what *told* asks for.

    By key, because values of different options can be equal: ``Xino.ON == Switch.ON``, both being strings.
    """
    enough: set[StrEnum | None] = {told}
    if told is Flag.NO:
        enough.add(None)
    elif key == "redirect_dir":
        if told is RedirectDir.OFF:
            # It means: follow or not as the module says, never create.
            enough |= {RedirectDir.FOLLOW, RedirectDir.NOFOLLOW}
        if stack.read_only and told is not RedirectDir.NOFOLLOW:
            # Nothing is ever renamed there, and `on` is how the kernel says follow.
            enough |= {RedirectDir.ON, RedirectDir.FOLLOW}
    elif key == "xino" and one_fs:
        # The kernel has nothing to do and shows nothing.
        enough |= set(Xino)
    elif told is Xino.AUTO:
        enough.add(Xino.ON)
    elif told is Uuid.AUTO:
        # auto is a wish.
        enough |= {Uuid.ON, Uuid.NULL}
    elif told is Fsync.AUTO:
        enough |= set(Fsync)
    return enough


def on_one_fs(stack: Stack) -> bool:
    """Whether all layers of *stack* are on one file system.

    Raises:
        OSError: when one cannot be looked at.
    """
    return len({mounts.mount_at(layer).dev for layer in stack.layers()}) == 1
