"""The words after ``-o``: what mount(8) keeps for itself, what it passes on, and how overlayfs reads that.

mount(8) takes out the options that are its own or the VFS's and passes the rest to the kernel as one string. Its
quotation marks are no help: the kernel cuts the string at every comma without a backslash before it (ovl_next_opt in
fs/overlayfs/params.c), and takes a quotation mark for a part of the name.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ovlctl.errors import BadUsage, LowerdirMalformed, Note, OptionsTooLong, OptionUnknown, OvlError, literal
from ovlctl.kernel import probes
from ovlctl.kernel.probes import Answer
from ovlctl.overlay import live
from ovlctl.overlay.encode import MOUNT_DATA_MAX
from ovlctl.overlay.options import KEYS, Flag, Options
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Options that mount(8) turns into flags of mount(2) or keeps for itself (mount(8), "FILESYSTEM-INDEPENDENT").
_NOT_PASSED_ON_WORDS = """
ro rw suid nosuid dev nodev exec noexec sync async dirsync atime noatime diratime nodiratime relatime norelatime
strictatime nostrictatime lazytime nolazytime iversion noiversion mand nomand silent loud symfollow nosymfollow
remount bind rbind move private rprivate shared rshared slave rslave unbindable runbindable defaults auto noauto
user nouser users nousers owner noowner group nogroup nofail _netdev loop comment uhelper helper
"""
_NOT_PASSED_ON = frozenset(_NOT_PASSED_ON_WORDS.split())
_PREFIXES_NOT_PASSED_ON = ("x-", "X-", "comment=", "uhelper=", "helper=", "loop=", "ro=", "rw=")
#: Taken by the VFS or a security module wherever a string of options is.
_NOT_OVERLAYS = re.compile(r"(?:context|fscontext|defcontext|rootcontext|smackfs[a-z]*)=|seclabel$|source=")
_PATH_KEYS = ("lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir")
_KNOWN = {key.name: key for key in KEYS}
_SHOWN_MAX = 60
#: How many unknown options are looked into; the kernel stops at the first.
_UNKNOWN_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the words after ``-o`` mean; attributes as in :class:`~ovlctl.ops.why.values.Line`."""

    stack: Stack
    data: str
    read_only: bool
    makes_target: bool
    faults: tuple[OvlError, ...]
    cautions: tuple[Note, ...]


def parse(words: str) -> Words:
    """Read the options of an overlay as mount(8) and the kernel would.

    Args:
        words: Everything after ``-o``, as the shell passes it; several ``-o`` joined by commas.
    """
    given = [word for word in live.pieces(words, ",") if word]
    data = ",".join(word for word in given if not _kept_by_mount(word))
    reading = _Reading()
    if len(os.fsencode(data)) > MOUNT_DATA_MAX:
        reading.faults.append(_too_long(data))
    for word in live.pieces(data, ","):
        reading.take(word)
    flags = {word for word in given if word in {"ro", "rw"}}
    return Words(
        stack=reading.stack(),
        data=data,
        read_only="ro" in flags and "rw" not in flags,
        makes_target=any(word.partition("=")[0] in {"X-mount.mkdir", "x-mount.mkdir"} for word in given),
        faults=tuple(reading.faults),
        cautions=tuple(reading.cautions),
    )


def short(text: str) -> str:
    """*text* in literal form, cut where it would fill a line."""
    return literal(text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "...")


def _kept_by_mount(word: str) -> bool:
    return word in _NOT_PASSED_ON or word.startswith(_PREFIXES_NOT_PASSED_ON)


def _too_long(data: str) -> OvlError:
    raw = os.fsencode(data)
    kept = os.fsdecode(raw[:MOUNT_DATA_MAX])
    *_, last = live.pieces(kept, ",")
    left = _Reading()
    for word in live.pieces(kept, ","):
        left.take(word)
    # A name that is cut is another name; an option that is cut is none that the kernel knows.
    outcome = "refuses what is left" if left.faults else "takes what is left"
    where = f"within `{short(last.partition('=')[0])}`" if last else "between two options"
    return OptionsTooLong(
        f"the options have {len(raw)} bytes; mount(2) cuts them at {MOUNT_DATA_MAX} without a word, {where}, and the "
        f"kernel {outcome}",
        errno=errno.EINVAL if left.faults else None,
        hint="`ovlctl mount` with one `--lower` per layer has no such limit; or `cd` to the layers' common directory "
        "and give relative paths",
    )


@dataclass
class _Reading:
    """The option string, word by word, as ovl_parse_param takes it."""

    lowers: list[str] = field(default_factory=list)
    data_only: list[str] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    faults: list[OvlError] = field(default_factory=list)
    cautions: list[Note] = field(default_factory=list)
    last_key: str = ""
    last_value: str = ""
    unknown: int = 0

    def stack(self) -> Stack:
        return Stack(
            self.lowers,
            data_only=self.data_only,
            upper=self.paths.get("upperdir"),
            work=self.paths.get("workdir"),
            options=self.options,
        )

    def take(self, word: str) -> None:
        """One word. The kernel skips what has no key."""
        key, equals, value = word.partition("=")
        if not key or _NOT_OVERLAYS.match(word):
            return
        if key in _PATH_KEYS:
            if value:
                self._path(key, value)
            elif key != "lowerdir":
                self.faults.append(_bad_value(key, value, "a directory"))
        elif key in _KNOWN or key == "nooverride_creds":
            self._option(key, value if equals else None)
        else:
            self._unknown(word, key)
        self.last_key, self.last_value = key, value

    def _path(self, key: str, value: str) -> None:
        if key == "lowerdir":
            if self.lowers or self.data_only:
                self.cautions.append(
                    Note("`lowerdir` is given more than once: the last one replaces what stood before")
                )
            faults = list(malformed(value))
            self.faults += faults
            shown = live.layers([f"lowerdir={value.strip(':') if faults else value}"])
            self.lowers, self.data_only = list(shown.lowers), list(shown.data_only)
        elif key == "lowerdir+":
            self.lowers.append(value)
        elif key == "datadir+":
            self.data_only.append(value)
        else:
            self.paths[key] = live.LiveStack.readings(value)[0]

    def _option(self, name: str, value: str | None) -> None:
        if name == "nooverride_creds":
            name, value = "override_creds", "no"
        elif _KNOWN[name].values is Flag:
            if value is not None:
                self.faults.append(
                    OptionUnknown(
                        f"`{name}` takes no value, and `{short(value)}` was given",
                        errno=errno.EINVAL,
                        hint=f"write `{name}` alone",
                    )
                )
                return
            value = "yes"
        try:
            self.options = self.options.with_value(name, value or "")
        except BadUsage:
            self.faults.append(_bad_value(name, value or "", " or ".join(_KNOWN[name].values)))

    def _unknown(self, word: str, key: str) -> None:
        self.unknown += 1
        if self.unknown > _UNKNOWN_MAX:
            return
        if "=" not in word and self.last_key in _PATH_KEYS and self._goes_on(word):
            self.faults.append(
                OptionUnknown(
                    f"the comma before `{short(word)}` ends the value of `{self.last_key}`, and the kernel takes "
                    f"`{short(word)}` for an option",
                    errno=errno.EINVAL,
                    hint="separate lowers by colons; a comma in a name is written `\\,` between single quotes",
                )
            )
            return
        value = word.partition("=")[2] if "=" in word else None
        if probes.option_known(key, value) is Answer.YES:
            return
        near = get_close_matches(key, [*_KNOWN, *_PATH_KEYS], n=1)
        self.faults.append(
            OptionUnknown(
                f"overlay has no option `{short(key)}`",
                errno=errno.EINVAL,
                kernel=(f"overlay: Unknown parameter '{key[:_SHOWN_MAX]}'",),
                hint=f"did you mean `{near[0]}`?" if near else f"leave out `{short(word)}`",
            )
        )

    def _goes_on(self, word: str) -> bool:
        """Whether *word* looks like a part of the path before it."""
        layer = self.last_value.rpartition(":")[2]
        return "/" in word or ":" in word or any(map(os.path.isdir, (word, f"{layer},{word}")))


def _bad_value(key: str, value: str, legal: str) -> OvlError:
    what = f"`{short(value)}`" if value else "no value"
    return OptionUnknown(
        f"`{key}` takes {legal}, and {what} was given",
        errno=errno.EINVAL,
        kernel=(f"overlay: Bad value for '{key}'",),
        hint=f"write `{key}=` followed by {legal}",
    )


def malformed(value: str) -> Iterator[OvlError]:
    """What the kernel has against a value of lowerdir, before it looks at any directory."""
    pieces = re.sub(r"\\.", "xx", value, flags=re.DOTALL)
    data = pieces.find("::")
    if pieces.startswith(":"):
        text = "the list of lowers begins with a colon"
    elif pieces.endswith(":"):
        text = "the list of lowers ends with a colon"
    elif ":::" in pieces:
        text = "the list of lowers has more than two colons in a row"
    elif data >= 0 and re.search(r"(?<!:):(?!:)", pieces[data + 2 :]):
        text = "an ordinary lower, after one colon, follows a data-only lower, which two colons announce"
    else:
        return
    yield LowerdirMalformed(
        f"{text}: `{short(value)}`",
        errno=errno.EINVAL,
        hint="write `lowerdir=TOP:BELOW:BOTTOM`, data-only lowers last as in `lowerdir=A:B::DATA`; a colon in a name "
        "is written `\\:` between single quotes",
    )
