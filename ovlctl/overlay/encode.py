"""A stack in the words of the kernel: one option string for mount(2), single settings for fsconfig(2).

The two ways escape paths differently, and one of them cuts silently; the rules were found by experiment:

=====================  ========================  ====================  ===================
path has               mount(2) ``lowerdir=``    mount(2) upper, work  fsconfig
=====================  ========================  ====================  ===================
colon                  backslash + colon         raw                   raw
backslash              two backslashes           two backslashes       raw for lowerdir+ and
                                                                       datadir+, two for upper
                                                                       and work; raw by fd
comma                  backslash + comma         backslash + comma     raw
anything else          raw                       raw                   raw
=====================  ========================  ====================  ===================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.mount import MAX_DATA
from ovlctl.overlay.options import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack

#: mount(2) copies one page of data and silently drops the rest; the last byte is its NUL.
MOUNT_DATA_MAX = MAX_DATA
#: fsconfig(2) takes strings of 255 bytes, longer ones are EINVAL without a message.
FSCONFIG_STRING_MAX = 255


def _as_given(path: str) -> str:
    return path


def mount_data(stack: Stack, told: Options, *, spell: Callable[[str], str] = _as_given) -> bytes:
    """The option string of mount(2) for *stack*.

    Args:
        stack: Its paths are used as they stand; resolve them first.
        told: The options as stated to the kernel.
        spell: How each path is written, for mounts relative to a directory.

    Returns:
        The bytes, of any length: whoever passes them on refuses more than :data:`MOUNT_DATA_MAX`.
    """
    lowers = ":".join(_escape(spell(path), "\\:,") for path in stack.lowers)
    data = "".join("::" + _escape(spell(path), "\\:,") for path in stack.data_only)
    words = [f"lowerdir={lowers}{data}"]
    if stack.upper is not None:
        words.append("upperdir=" + _escape(spell(stack.upper), "\\,"))
    if stack.work is not None:
        words.append("workdir=" + _escape(spell(stack.work), "\\,"))
    words.extend(option_words(told))
    return os.fsencode(",".join(words))


def _escape(path: str, special: str) -> str:
    return "".join("\\" + char if char in special else char for char in path)


def option_words(told: Options) -> Iterator[str]:
    """``key=value`` or ``flag`` for every option that has to be said."""
    for setting in option_settings(told):
        yield setting.key if setting.value is None else f"{setting.key}={setting.value}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One fsconfig(2) call that sets an option; without a value it is a flag."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class PathSetting:
    """One fsconfig(2) call that sets a path.

    Attributes:
        key: ``lowerdir+``, ``datadir+``, ``upperdir`` or ``workdir``.
        path: The path itself, as a file descriptor would be opened on it.
        text: The path as a string value must spell it.
    """

    key: str
    path: str
    text: str

    @property
    def fits(self) -> bool:
        """Whether the kernel takes :attr:`text`; longer ones need a file descriptor."""
        return len(os.fsencode(self.text)) <= FSCONFIG_STRING_MAX


def path_settings(stack: Stack) -> Iterator[PathSetting]:
    """The layers of *stack* in the only order that fsconfig takes: lowers, data-only lowers, upper, work."""
    for path in stack.lowers:
        yield PathSetting("lowerdir+", path, path)
    for path in stack.data_only:
        yield PathSetting("datadir+", path, path)
    # Unlike lowerdir+, these two still unescape backslashes (ovl_mount_dir calls ovl_unescape).
    if stack.upper is not None:
        yield PathSetting("upperdir", stack.upper, _escape(stack.upper, "\\"))
    if stack.work is not None:
        yield PathSetting("workdir", stack.work, _escape(stack.work, "\\"))


def option_settings(told: Options) -> Iterator[Setting]:
    """One setting for every option that has to be said."""
    for key, value in told.asked():
        if key.values is not Flag:
            yield Setting(key.name, str(value))
        elif value is Flag.YES:
            yield Setting(key.name)
        elif key.name == "override_creds":
            # The only flag that has a negative form; for the others absence is the negation.
            yield Setting("nooverride_creds")
