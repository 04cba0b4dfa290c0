"""What a kernel lacks that refused a mount: before 6.5 it can be asked only by mounting, and answers in its log."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import fscontext, namespaces
from ovlctl.kernel.namespaces import MountRight
from ovlctl.ops.preflight.kernel_limits import unknown_option

if TYPE_CHECKING:
    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack

_UNRECOGNIZED = re.compile(r'unrecognized mount option "(\w+)(?:=\w+)?" or missing value')
_EMPTY = "empty lowerdir"


def lacking(stack: Stack, told: Options, error: OSError, words: tuple[str, ...]) -> errors.OvlError | None:
    """What this kernel lacks for a mount that it refused; None when it is not known that it lacks anything.

    Args:
        stack: What was to be mounted.
        told: The options stated to the kernel.
        error: Its answer.
        words: What it said, line by line.
    """
    if error.errno == errno.EPERM and _refuses_overlays_alone():
        return errors.KernelLacks(
            "this kernel lets only root mount overlays: it has none in user namespaces (Linux 5.11)",
            errno=error.errno,
            kernel=words,
            hint="run it as root, outside of user namespaces",
        )
    if error.errno != errno.EINVAL:
        return None
    unknown = {match[1] for line in words if (match := _UNRECOGNIZED.search(line))}
    for key, value in told.asked():
        if key.name in unknown:
            return unknown_option(key, value)
    # It takes the `::` before a data-only lower for an empty name between two colons.
    if stack.data_only and any(_EMPTY in line for line in words):
        return errors.KernelLacks(
            "this kernel's overlay has no data-only lowers (Linux 6.5)",
            errno=error.errno,
            kernel=words,
            hint="leave out `--data-only`",
        )
    return None


def _refuses_overlays_alone() -> bool:
    """Whether this is a user namespace in which other file systems may be mounted; tried by one that is nowhere."""
    if namespaces.in_initial_user_namespace() or namespaces.may_mount() is not MountRight.YES:
        return False
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
