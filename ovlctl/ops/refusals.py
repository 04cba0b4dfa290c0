"""What the kernel lacks, read from its refusal: before Linux 6.5 overlay looks at no option until it mounts."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.overlay.options import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import StrEnum

    from ovlctl.overlay.options import Key, Options
    from ovlctl.overlay.stack import Stack

_UNKNOWN = re.compile(r"(?:unrecognized mount option \"|Unknown parameter ')(\w+(?:=\w+)?)")


def spelled(key: Key, value: StrEnum) -> str:
    """An option as the kernel takes it."""
    return key.name if value is Flag.YES else f"{key.name}={value}"


def option_unknown(key: Key, value: StrEnum, *kernel: str) -> errors.OptionUnknown:
    """This kernel's overlay does not know an option, or the value; *kernel* is what it said."""
    return errors.OptionUnknown(
        f"this kernel's overlay does not know `{spelled(key, value)}` (in Linux since {key.since})",
        errno=errno.EINVAL,
        kernel=kernel,
        hint=f"leave out `--{key.name.replace('_', '-')}`",
    )


def lacking(stack: Stack, told: Options, words: Sequence[str]) -> errors.OvlError | None:
    """What made the kernel refuse with *words*, when it is that it does not know something of the stack.

    Args:
        stack: What was to be mounted; none of its paths is empty.
        told: The options that were stated.
        words: The kernel's, line by line.
    """
    if stack.data_only and any("empty lowerdir" in line for line in words):
        # Between the two colons, which mean something since 6.5 only.
        return errors.KernelLacks(
            "this kernel's overlay takes no data-only lowers (Linux 6.5)",
            errno=errno.EINVAL,
            kernel=tuple(words),
            hint="give them as the last of the ordinary lowers: with metacopy=on their content is found there too, but "
            "their own names are seen",
        )
    unknown = {match[1] for line in words if (match := _UNKNOWN.search(line))}
    for key, value in told.asked():
        if value is not Flag.NO and not unknown.isdisjoint({key.name, spelled(key, value)}):
            return option_unknown(key, value, *words)
    return None
