"""What the kernel lacks, read from its refusal: before Linux 6.5 overlay looks at no option until it mounts."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import fscontext, namespaces
from ovlctl.kernel.namespaces import MountRight
from ovlctl.overlay.options import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import StrEnum

    from ovlctl.overlay.options import Key, Options
    from ovlctl.overlay.stack import Stack

_UNKNOWN = re.compile(r"(?:unrecognized mount option \"|Unknown parameter ')(\w+(?:=\w+)?)")


def option_unknown(key: Key, value: StrEnum, *kernel: str) -> errors.OptionUnknown:
    """This kernel's overlay does not know an option, or the value; *kernel* is what it said."""
    return errors.OptionUnknown(
        f"this kernel's overlay does not know `{key.shown(value)}` (in Linux since {key.since})",
        errno=errno.EINVAL,
        kernel=kernel,
        hint=f"leave out `--{key.name.replace('_', '-')}`",
    )


def lacking(stack: Stack, told: Options, words: Sequence[str]) -> errors.OvlError | None:
    """What made the kernel refuse with EINVAL and *words*, when it is that it does not know something of the stack.

    Args:
        stack: What was to be mounted; none of its paths is empty.
        told: The options that were stated.
        words: The kernel's, line by line.
    """
    if stack.data_only and any("empty lowerdir" in line for line in words):
        # Between the two colons, which mean something since 6.5 only.
        return errors.KernelLacks(
            "this kernel's overlay has no data-only lowers (Linux 6.5)",
            errno=errno.EINVAL,
            kernel=tuple(words),
            hint="give them as the last of the ordinary lowers: with metacopy=on their content is found there too, but "
            "their own names are seen",
        )
    unknown = {match[1] for line in words if (match := _UNKNOWN.search(line))}
    for key, value in told.asked():
        if value is not Flag.NO and not unknown.isdisjoint({key.name, key.shown(value)}):
            return option_unknown(key, value, *words)
    return None


def lacking_for_users(words: Sequence[str]) -> errors.KernelLacks | None:
    """What made the kernel refuse with EPERM, when it mounts other file systems in this user namespace, but no overlay.

    Args:
        words: The kernel's, line by line.
    """
    if namespaces.in_initial_user_namespace() or namespaces.may_mount() is not MountRight.YES or not _mounts_tmpfs():
        return None
    return errors.KernelLacks(
        "this kernel lets only root mount overlays: it has none in user namespaces (Linux 5.11)",
        errno=errno.EPERM,
        kernel=tuple(words),
        hint="run it as root, outside of user namespaces",
    )


def _mounts_tmpfs() -> bool:
    # By one that is nowhere.
    try:
        context = fscontext.fsopen("tmpfs")
    except (errors.KernelLacks, OSError):
        return False
    try:
        fscontext.fsconfig_create(context)
    except OSError:
        return False
    finally:
        os.close(context)
    return True
