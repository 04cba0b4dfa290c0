"""``mount.ovlctl``: what mount(8) runs for ``mount -t ovlctl FILE#NAME TARGET`` and for such lines of fstab.

It has its own command line and its own exit statuses, both laid down in mount(8).
"""

from __future__ import annotations

import getopt
import os
import sys
from enum import IntEnum
from typing import TYPE_CHECKING

from ovlctl.cli.main import open_streams
from ovlctl.cli.output import warn
from ovlctl.cli.signals import Terminated, ending_signals
from ovlctl.errors import BadUsage, MissingCapability, OvlError, PermissionDeniedError, UsageError, literal, strerror
from ovlctl.show.errors import error_text, internal_text
from ovlctl.show.names import show_name
from ovlctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = "usage: mount.ovlctl FILE#NAME|DIR.mstack TARGET [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]"
_WORDS = 2


class Status(IntEnum):
    """Exit statuses of mount(8)."""

    FINE = 0
    USAGE = 1
    SYSTEM = 2
    BUG = 4
    INTERRUPTED = 8
    FAILED = 32


def entry() -> int:
    """The process ``mount.ovlctl``."""
    open_streams()
    return main(sys.argv[1:])


def main(argv: Sequence[str]) -> int:
    """Run the helper with *argv* and return its exit status; whatever goes wrong is told on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # Names that the locale cannot show must not end the program.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        with ending_signals():
            _run(argv)
    except OvlError as error:
        sys.stderr.write(f"{error_text(error)}\n")
        return Status.USAGE if isinstance(error, UsageError | PermissionDeniedError) else Status.FAILED
    except (KeyboardInterrupt, Terminated):
        return Status.INTERRUPTED
    except MemoryError:
        return Status.SYSTEM
    except Exception as error:
        if os.environ.get("OVLCTL_DEBUG"):
            raise
        sys.stderr.write(f"{internal_text(error)}\n")
        return Status.BUG
    return Status.FINE


def _run(argv: Sequence[str]) -> None:
    try:
        found, words = getopt.gnu_getopt(list(argv), "sfnvhVN:o:t:", ["help", "version"])
    except getopt.GetoptError as error:
        raise BadUsage(literal(error.msg), hint=literal(_USAGE)) from error
    given = dict(found)
    if "-h" in given or "--help" in given:
        sys.stdout.write(f"{_USAGE}\n")
        return
    if "-V" in given or "--version" in given:
        sys.stdout.write(f"mount.ovlctl {__version__}\n")
        return
    if len(words) != _WORDS:
        raise BadUsage(f"{len(words)} words given; expected what to mount, and where", hint=literal(_USAGE))
    kind = given.get("-t", "ovlctl")
    if kind.partition(".")[0] != "ovlctl":
        raise BadUsage(f"type `{literal(kind)}` is not mounted by mount.ovlctl")
    # Every -o counts, in order.
    options = ",".join(value for key, value in found if key == "-o")
    _mount(*words, options=options, given=given)


def _mount(spec: str, target: str, *, options: str, given: dict[str, str]) -> None:
    from ovlctl.ops.boot import mount_type, mount_words
    from ovlctl.ops.state import locate
    from ovlctl.show.stacks import mounted_text

    words = mount_words.parse(options, sloppy="-s" in given)
    if os.geteuid() != 0:
        # mount(8) gives root up for helpers, also where fstab says `user`.
        raise MissingCapability(
            "mount -t ovlctl needs root (CAP_SYS_ADMIN)", hint="without root use `ovlctl up` or `ovlctl mount`"
        )
    if "-N" in given:
        # Entering one changes the working directory.
        spec, target = os.path.abspath(spec), os.path.abspath(target)
        _enter(given["-N"])
    if words.remount:
        if "-f" not in given:
            mount_type.change(target, words)
        return
    state = locate()
    call = mount_type.asked(spec, target, words, state)
    if "-f" in given:
        mount_type.check(call, state)
        return
    done = mount_type.mount(call, state)
    warn(done.cautions)
    if "-v" in given:
        for overlay in done.mounted:
            sys.stdout.write(f"{mounted_text(overlay)}\n")
        if not done.mounted:
            sys.stdout.write(f"mount.ovlctl: {call.name} is mounted at {show_name(target)} already\n")


def _enter(namespace: str) -> None:
    """Go into the mount namespace of a process, or the one that a file stands for, as ``mount -N`` means."""
    from ovlctl.kernel.namespaces import CLONE, setns

    path = f"/proc/{namespace}/ns/mnt" if namespace.isdecimal() else namespace
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(handle, CLONE.NEWNS)
        finally:
            os.close(handle)
    except OSError as error:
        raise BadUsage(f"cannot enter the mount namespace {{}}: {strerror(error)}", path, errno=error.errno) from error
