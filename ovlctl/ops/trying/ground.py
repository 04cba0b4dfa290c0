"""The scratch stack: what is mounted to try things on, and with which options."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mountinfo, mounts, namespaces, xattr
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.ladder import mount_stack
from ovlctl.ops.readback import on_one_fs
from ovlctl.ops.reading.layer_names import LayerName
from ovlctl.ops.trying.values import Because, Difference, GroundLayer
from ovlctl.overlay import live
from ovlctl.overlay.layers import Role
from ovlctl.overlay.options import Flag, Fsync, Options, RedirectDir, Switch, Verity
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What an option may fall back to when the kernel drops it.
_COMPARED = ("redirect_dir", "index", "metacopy", "nfs_export", "userxattr")
SCRATCH_UPPER = "scratch upper"


def scratch_stack(stack: Stack, base: str, options: Options) -> Stack:
    """The stack to be mounted: all layers of *stack*, its upper the topmost lower, below a new upper in *base*."""
    own = () if stack.upper is None else (stack.upper,)
    return Stack(
        (*own, *stack.lowers),
        data_only=stack.data_only,
        upper=os.path.join(base, "upper"),
        work=os.path.join(base, "work"),
        options=options,
    )


def check_layers(stack: Stack) -> None:
    """See to it that this user can mount the layers of *stack*, where the kernel would only say EINVAL.

    Raises:
        AccessDenied: One may not be read.
        LowerHoldsMounts: It takes a new user namespace, and something is mounted below one.
    """
    for layer in stack.layers():
        if not os.access(layer, os.R_OK | os.X_OK, effective_ids=True):
            raise errors.AccessDenied(
                "the layer {} may not be read by this user, and so cannot be mounted", layer, hint="try it as root"
            )
    if namespaces.may_mount():
        return
    points = [found.mount_point for found in mountinfo.read("self")]
    for layer in stack.layers():
        inside = os.path.realpath(layer).rstrip("/") + "/"
        held = next((point for point in points if point != "/" and point.startswith(inside)), None)
        if held is not None:
            raise errors.LowerHoldsMounts(
                "{} has mounts below it, such as {}, and without root the kernel takes no such layer",
                layer,
                held,
                hint="try it as root, or name a directory without mounts",
            )


def ground_of(stack: Stack, upper: str | None) -> tuple[GroundLayer, ...]:
    """What the numbers in a deed mean: *upper* first, when there is one, then every layer of *stack* by its name."""
    above = () if upper is None else (GroundLayer(label=SCRATCH_UPPER, directory=upper),)
    return (*above, *_named(stack))


def _named(stack: Stack) -> Iterator[GroundLayer]:
    if stack.upper is not None:
        yield GroundLayer(label=str(LayerName(Role.UPPER, 0)), directory=stack.upper)
    for role, directories in ((Role.LOWER, stack.lowers), (Role.DATA, stack.data_only)):
        for index, directory in enumerate(directories):
            yield GroundLayer(label=str(LayerName(role, index)), directory=directory)


def make_directories(base: str, top: str) -> None:
    """Make *base* with an upper, a work directory, a mount point and a directory to prepare things in.

    The root of the upper is like that of *top*, because it is what the root of the merged view shows.
    """
    for name in ("", "upper", "work", "merged", "aside"):
        os.mkdir(os.path.join(base, name), 0o700)
    upper, seen = os.path.join(base, "upper"), os.stat(top)
    with suppress(PermissionError, OSError):
        os.chown(upper, seen.st_uid, seen.st_gid)
    for name in xattr.names(top):
        value = None if ".overlay." in name else xattr.get(top, name)
        if value is not None:
            with suppress(OSError):
                xattr.set(upper, name, value)
    os.chmod(upper, seen.st_mode & 0o7777)
    os.utime(upper, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def options_for(asked: Options, *, trusted: bool) -> tuple[Options, tuple[Difference, ...]]:
    """What to ask the kernel for, so that the scratch mount is like one with *asked*.

    Args:
        asked: In force on the stack, or as it would be mounted.
        trusted: Whether this process may use marks in trusted.*.
    """
    options = replace(
        asked,
        uuid=None,
        override_creds=None,
        fsync=Fsync.STRICT if asked.fsync is Fsync.STRICT else None,
        volatile=Flag.YES if Flag.YES is asked.volatile or asked.fsync is Fsync.VOLATILE else None,
        verity=None if asked.verity is Verity.OFF else asked.verity,
        nfs_export=None if asked.nfs_export is Switch.OFF else asked.nfs_export,
    )
    if trusted:
        return options, ()
    without = replace(options, userxattr=Flag.YES, redirect_dir=RedirectDir.NOFOLLOW, metacopy=Switch.OFF, verity=None)
    follows = asked.userxattr is not Flag.YES
    lost = [
        Difference(option=key, asked=str(was), value=None if now is None else str(now), because=Because.WITHOUT_ROOT)
        for key in ("userxattr", "redirect_dir", "metacopy", "verity")
        if (was := getattr(options, key)) is not None and was != (now := getattr(without, key)) and follows
    ]
    return without, tuple(lost)


def mount(stack: Stack, target: str) -> tuple[Stack, Options, tuple[Difference, ...]]:
    """Mount *stack* at *target*; without the index when the kernel takes no layer in use with it.

    Returns:
        The stack as it was mounted, the options in force, and what is otherwise than asked.

    Raises:
        UpperFileSystemPoor: It can be mounted read-only only.
        OvlError: As :func:`ovlctl.ops.ladder.mount_stack`.
    """
    differences: tuple[Difference, ...] = ()
    one_fs = on_one_fs(stack)
    try:
        taken = mount_stack(stack, target, source="ovlctl-try")
    except errors.UpperInUse:
        if stack.options.index is not Switch.ON and stack.options.nfs_export is not Switch.ON:
            raise
        stack, differences = _without_index(stack)
        taken = mount_stack(stack, target, source="ovlctl-try")
    found = mounts.mount_at(target)
    effective = live.effective(found.options, module_defaults())
    if found.read_only or found.sb_read_only:
        umount2(target, MNT.DETACH)
        raise errors.UpperFileSystemPoor(
            "the kernel mounts {} read-only: it cannot hold an upper", stack.upper or "", hint="`--dir DIR`"
        )
    compared = (*_COMPARED, *(() if one_fs else ("xino",)))
    weaker = [
        Difference(option=key, asked=str(was), value=None if now is None else str(now), because=Because.KERNEL)
        for key in compared
        if (was := getattr(taken.told, key)) is not None and was != (now := getattr(effective, key))
        if not _as_good(was, now)
    ]
    return stack, effective, (*differences, *weaker)


def _as_good(was: object, now: object) -> bool:
    # off is shown as what it means, and a flag that is not set as nothing.
    if was is Flag.NO:
        return now in {None, Flag.NO}
    return was is RedirectDir.OFF and now in {RedirectDir.FOLLOW, RedirectDir.NOFOLLOW}


def _without_index(stack: Stack) -> tuple[Stack, tuple[Difference, ...]]:
    options = replace(stack.options, index=Switch.OFF, nfs_export=None)
    lost = tuple(
        Difference(option=key, asked=str(Switch.ON), value=str(Switch.OFF), because=Because.IN_USE)
        for key in ("index", "nfs_export")
        if getattr(stack.options, key) is Switch.ON
    )
    again = Stack(stack.lowers, data_only=stack.data_only, upper=stack.upper, work=stack.work, options=options)
    return again, lost
