"""From the mount table back to a stack: what the kernel says is mounted.

Law: for every stack that was mounted, the lowers, data-only lowers, upper and work read here are the ones given,
byte for byte. One ambiguity is the kernel's own: ``upperdir`` and ``workdir`` come back escaped when they were given
as a string and raw when given as a file descriptor, so a path with a backslash has two readings
(:meth:`LiveStack.readings`); whoever can look at the file system picks the one that exists.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import BadUsage
from ovlctl.overlay.options import KEYS, Flag, Fsync, Options, RedirectDir, Switch, Uuid, Verity, Xino

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What an option is when the kernel does not show it: the overlay module's parameters.

    Source: show_options in fs/overlayfs/params.c leaves out every value that equals the module's default.
    """

    redirect_dir: RedirectDir = RedirectDir.FOLLOW
    index: Switch = Switch.OFF
    metacopy: Switch = Switch.OFF
    nfs_export: Switch = Switch.OFF
    xino: Xino = Xino.OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStack:
    """The layers of an overlay as the mount table shows them.

    Attributes:
        lowers: Topmost first.
        data_only: Data-only lowers.
        upper: As shown; see :meth:`readings`.
        work: As shown.
    """

    lowers: tuple[str, ...]
    data_only: tuple[str, ...]
    upper: str | None
    work: str | None

    @staticmethod
    def readings(shown: str) -> tuple[str, ...]:
        """What a shown ``upperdir`` or ``workdir`` can mean: given as a string, then given as a descriptor."""
        unescaped = _unescape(shown)
        return (unescaped,) if unescaped == shown else (unescaped, shown)


def layers(words: Iterable[str]) -> LiveStack:
    """Read the layers from the super block options of an overlay.

    Args:
        words: ``key=value`` and flags, with the octal escapes of mountinfo already undone.
    """
    lowers: list[str] = []
    data_only: list[str] = []
    paths: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key == "lowerdir":
            lowers, data_only = _split_lowerdir(value)
        elif key == "lowerdir+":
            lowers.append(value)
        elif key == "datadir+":
            data_only.append(value)
        elif key in {"upperdir", "workdir"}:
            paths[key] = value
    return LiveStack(
        lowers=tuple(lowers), data_only=tuple(data_only), upper=paths.get("upperdir"), work=paths.get("workdir")
    )


def effective(words: Iterable[str], defaults: Defaults) -> Options:
    """Read the options in force from the super block options of an overlay.

    None stands where the kernel never tells (override_creds). xino is shown only where layers are on several file
    systems, so that elsewhere the module's default stands for it.

    Args:
        words: As for :func:`layers`.
        defaults: The module's defaults at the time of the mount, as well as they are known now.
    """
    shown = {key: value for key, _, value in (word.partition("=") for word in words)}
    options = Options()
    for key in KEYS:
        if key.name in shown:
            # A value that only a newer kernel knows is as good as untold.
            with suppress(BadUsage):
                options = options.with_value(key.name, shown[key.name] or "yes")
    fsync = options.fsync or (Fsync.VOLATILE if options.volatile is Flag.YES else Fsync.AUTO)
    return Options(
        redirect_dir=options.redirect_dir or defaults.redirect_dir,
        # Without an upper the kernel drops index and shows nothing, whatever the default is.
        index=options.index or (defaults.index if "upperdir" in shown else Switch.OFF),
        metacopy=options.metacopy or defaults.metacopy,
        nfs_export=options.nfs_export or defaults.nfs_export,
        xino=options.xino or defaults.xino,
        uuid=options.uuid or Uuid.AUTO,
        userxattr=options.userxattr or Flag.NO,
        verity=options.verity or Verity.OFF,
        volatile=Flag.YES if fsync is Fsync.VOLATILE else Flag.NO,
        fsync=fsync,
        default_permissions=options.default_permissions or Flag.NO,
        override_creds=None,
    )


def _split_lowerdir(value: str) -> tuple[list[str], list[str]]:
    """Split a ``lowerdir`` value at its unescaped colons; after ``::`` come data-only lowers."""
    lists: tuple[list[str], list[str]] = ([], [])
    data = False
    for piece in pieces(value, ":"):
        if piece:
            lists[data].append(_unescape(piece))
        else:
            data = True
    return lists


def pieces(value: str, separator: str) -> Iterator[str]:
    """*value* cut at each *separator* that no backslash protects; escapes stay in the pieces."""
    start = position = 0
    while position < len(value):
        if value[position] == "\\":
            position += 2
            continue
        if value[position] == separator:
            yield value[start:position]
            start = position + 1
        position += 1
    yield value[start:]


def _unescape(text: str) -> str:
    chars = iter(text)
    # A lone backslash at the end stands for itself.
    return "".join(next(chars, char) if char == "\\" else char for char in chars)
