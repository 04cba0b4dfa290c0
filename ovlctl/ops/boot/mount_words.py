"""The option string that mount(8) hands to a helper, as values.

Source: mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS and EXTERNAL HELPERS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal
from ovlctl.kernel.mount_attr import MOUNT_ATTR
from ovlctl.overlay.options import KEYS, Flag, Options

if TYPE_CHECKING:
    from collections.abc import Iterator

#: MOUNT_ATTR__ATIME of linux/mount.h: the ways to keep access times are one number, not flags.
_ATIME = MOUNT_ATTR(0x70)
_NOTHING = MOUNT_ATTR(0)
#: What each word sets, and what it clears.
_ATTRIBUTES = {
    "ro": (MOUNT_ATTR.RDONLY, _NOTHING),
    "rw": (_NOTHING, MOUNT_ATTR.RDONLY),
    "nosuid": (MOUNT_ATTR.NOSUID, _NOTHING),
    "suid": (_NOTHING, MOUNT_ATTR.NOSUID),
    "nodev": (MOUNT_ATTR.NODEV, _NOTHING),
    "dev": (_NOTHING, MOUNT_ATTR.NODEV),
    "noexec": (MOUNT_ATTR.NOEXEC, _NOTHING),
    "exec": (_NOTHING, MOUNT_ATTR.NOEXEC),
    "noatime": (MOUNT_ATTR.NOATIME, _ATIME),
    "strictatime": (MOUNT_ATTR.STRICTATIME, _ATIME),
    "relatime": (_NOTHING, _ATIME),
    "atime": (_NOTHING, _ATIME),
    "norelatime": (_NOTHING, _NOTHING),
    "nostrictatime": (_NOTHING, _NOTHING),
    "nodiratime": (MOUNT_ATTR.NODIRATIME, _NOTHING),
    "diratime": (_NOTHING, MOUNT_ATTR.NODIRATIME),
    "nosymfollow": (MOUNT_ATTR.NOSYMFOLLOW, _NOTHING),
    "symfollow": (_NOTHING, MOUNT_ATTR.NOSYMFOLLOW),
}
#: What mount -o remount resets when it is not said.
_RESET = (
    MOUNT_ATTR.RDONLY
    | MOUNT_ATTR.NOSUID
    | MOUNT_ATTR.NODEV
    | MOUNT_ATTR.NOEXEC
    | MOUNT_ATTR.NODIRATIME
    | MOUNT_ATTR.NOSYMFOLLOW
)
#: What is for mount(8), systemd and fstab, or is how things are anyway.
_NOT_FOR_US = frozenset(
    {
        *("defaults", "async", "auto", "noauto", "nofail", "_netdev", "nomand", "nolazytime", "loud", "silent"),
        *("user", "nouser", "users", "nousers", "owner", "noowner", "group", "nogroup"),
    }
)
_NOT_FOR_US_EITHER = ("x-", "X-", "comment=", "helper=", "uhelper=")
_LAYERS = frozenset({"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"})
#: Up to the next comma that is not within double quotes; quotes hold commas and are no part of the value.
_WORD = re.compile(r'(?:"[^"]*"|[^,"])+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What an option string asks for.

    Attributes:
        overlay: Options of the overlay; they win over those of the stack file.
        attr_set: Attributes of the mount to set.
        attr_clr: Those to clear.
        remount: Change what is mounted there instead of mounting.
    """

    overlay: Options
    attr_set: MOUNT_ATTR
    attr_clr: MOUNT_ATTR
    remount: bool

    def changes(self) -> bool:
        """Whether a fresh mount has to get attributes."""
        return self.attr_set != _NOTHING


def parse(text: str, *, sloppy: bool = False) -> Words:
    """Read the option string *text*.

    Args:
        text: As after ``-o``; of words that exclude each other the last one counts.
        sloppy: Skip what is unknown (``-s``).

    Raises:
        BadUsage: for an unknown option, a bad value, an open quote, or a layer, which only the stack file names.
    """
    overlay, remount = Options(), False
    attr_set = attr_clr = _NOTHING
    for word in _words(text):
        key, equals, value = word.partition("=")
        if word in _ATTRIBUTES:
            more, less = _ATTRIBUTES[word]
            attr_set = (attr_set & ~less) | more
            attr_clr = (attr_clr & ~more) | less
        elif word == "remount":
            remount = True
        elif word in _NOT_FOR_US or word.startswith(_NOT_FOR_US_EITHER):
            continue
        elif key in _LAYERS:
            raise errors.BadUsage(
                f"option `{literal(key)}` names layers, which the stack file does", hint="change the stack file"
            )
        elif (changed := _overlay(overlay, key, value if equals else None)) is not None:
            overlay = changed
        elif not sloppy:
            raise errors.BadUsage(
                f"unknown mount option `{literal(word)}`", hint="`mount -s` skips what is unknown; see mount(8)"
            )
    if remount:
        attr_clr |= (_RESET | _ATIME) & ~attr_set
    return Words(overlay=overlay, attr_set=attr_set, attr_clr=attr_clr, remount=remount)


def _words(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        if text[at] == ",":
            at += 1
            continue
        match = _WORD.match(text, at)
        if match is None:
            raise errors.BadUsage("a quote in the mount options is never closed")
        at = match.end()
        if at < len(text) and text[at] != ",":
            raise errors.BadUsage("a quote in the mount options is never closed")
        yield match.group().replace('"', "")


def _overlay(options: Options, key: str, value: str | None) -> Options | None:
    """*options* with an option of the overlay, or None when it has no such one."""
    kinds = {each.name: each.values for each in KEYS}
    if value is None and key == "nooverride_creds":
        return options.with_value("override_creds", Flag.NO)
    if key not in kinds:
        return None
    if value is None:
        if kinds[key] is not Flag:
            raise errors.BadUsage(f"mount option `{literal(key)}` needs a value")
        return options.with_value(key, Flag.YES)
    return options.with_value(key, value)
