"""What this kernel cannot do with a stack: unknown options, refused file systems, nesting, missing file handles."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import handles, mounts, namespaces, probes
from ovlctl.kernel.namespaces import MountRight
from ovlctl.kernel.probes import Answer
from ovlctl.ops.lacking import option_unknown
from ovlctl.ops.relative import layers_of
from ovlctl.overlay.options import Flag
from ovlctl.overlay.rules import needs_handles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.kernel.bootcache import Ask
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.preflight.places import Place
    from ovlctl.overlay.options import Options

#: An overlay may stand on overlays, but not on overlays that do so themselves (FILESYSTEM_MAX_STACK_DEPTH).
_MAX_DEPTH = 2
#: The kernel counts these as stacked too deep already (s_stack_depth in fs/proc/root.c and fs/hugetlbfs/inode.c).
_REFUSED = frozenset({"proc", "hugetlbfs"})


def ability() -> Iterator[errors.OvlError]:
    """Whether this process may mount an overlay at all."""
    if probes.overlay_present() is Answer.NO:
        yield errors.OverlayMissing(
            "this kernel has no overlay file system, or its module is not loaded",
            errno=errno.ENODEV,
            hint="`modprobe overlay` as root",
        )
    right = namespaces.may_mount()
    if right is MountRight.FOREIGN_NAMESPACE:
        yield errors.MissingCapability(
            "this mount namespace belongs to another user namespace, in which CAP_SYS_ADMIN is missing",
            errno=errno.EPERM,
            hint="make a mount namespace too: `unshare -Urm` instead of `unshare -Ur`; from Python, call "
            "`ovlctl.ops.rootless.ensure()` first",
        )
    elif right is not MountRight.YES:
        yield errors.MissingCapability(
            "mounting needs CAP_SYS_ADMIN, which this process does not have",
            errno=errno.EPERM,
            hint="the command `ovlctl mount` works without root; a program calls `ovlctl.ops.rootless.ensure()` first",
        )


def unknown_options(asked: Options, ask: Ask) -> Iterator[errors.OvlError]:
    """Every option that was asked for and that this kernel does not know, found by asking it without mounting.

    A kernel that looks at no option before it mounts tells then: :func:`ovlctl.ops.lacking.lacking`.
    """
    for key, value in asked.asked():
        if value is Flag.NO:
            continue
        argument = None if value is Flag.YES else str(value)
        if ask(f"option {key.shown(value)}", partial(probes.option_known, key.name, argument)) is Answer.NO:
            yield option_unknown(key, value)


def refused_file_systems(layers: Sequence[Place]) -> Iterator[errors.OvlError]:
    """Every layer on a file system that is never taken as a layer."""
    for layer in layers:
        if layer.mount.fs_type in _REFUSED:
            yield errors.LayerFileSystemRefused(
                f"{{}} lies on {errors.literal(layer.mount.fs_type)}, which overlayfs does not take as a layer",
                layer.path,
                errno=errno.EINVAL,
                hint="use a directory on another file system",
            )


def nesting(layers: Sequence[Place]) -> Iterator[errors.OvlError]:
    """Every layer that would make an overlay on an overlay on an overlay."""
    depths: dict[int, int] = {}
    for layer in layers:
        if layer.mount.fs_type != "overlay":
            continue
        depth = depths.setdefault(layer.mount.mount_id, _depth(layer.mount, _MAX_DEPTH))
        if depth >= _MAX_DEPTH:
            yield errors.StackTooDeep(
                "{} lies on the overlay mounted at {}, which stands on an overlay itself; two levels are the limit",
                layer.path,
                layer.mount.mount_point,
                errno=errno.EINVAL,
                hint="name that overlay's own layers as lowers instead of its merged view",
            )


def _depth(mount: Mount, levels: int) -> int:
    """How many overlays stand on each other below and at *mount*, counted up to *levels*."""
    if mount.fs_type != "overlay":
        return 0
    if levels == 1:
        return 1
    below = 0
    # An upper is on no overlay.
    for path in layers_of(mount)[0]:
        try:
            below = max(below, _depth(mounts.mount_at(path), levels - 1))
        except OSError:
            continue
    return 1 + below


def missing_handles(layers: Sequence[Place], told: Options) -> Iterator[errors.OvlError]:
    """Options that the kernel would drop because a layer's file system gives no file handles."""
    wanted = needs_handles(told)
    if not wanted:
        return
    tried: set[tuple[int, int]] = set()
    for layer in layers:
        if layer.mount.dev in tried:
            continue
        tried.add(layer.mount.dev)
        if not handles.has_handles(layer.path):
            names = " and ".join(wanted)
            kind = errors.literal(layer.mount.fs_type)
            yield errors.LayerWithoutHandles(
                f"{kind} under {{}} gives no file handles, without which the kernel drops {names}",
                layer.path,
                errno=errno.EOPNOTSUPP,
                hint="leave the option out, or accept its loss with `--allow-weaker`",
            )
