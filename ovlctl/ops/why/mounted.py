"""A mount that is there already: why it is read-only, what is weaker than asked, which layers are gone."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, OvlError
from ovlctl.kernel import mounts, namespaces
from ovlctl.ops import readback
from ovlctl.ops.api import Api
from ovlctl.ops.ladder import Taken
from ovlctl.ops.preflight.places import translated
from ovlctl.ops.why import machine
from ovlctl.ops.why.values import Certainty, Explanation, Finding, Kind, Line
from ovlctl.overlay import live
from ovlctl.overlay.live import LiveStack
from ovlctl.overlay.options import Flag, Options
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.why.tables import Entry


def explain(entry: Entry) -> Explanation:
    """What is wrong with a mounted overlay, as far as its line and its layers tell here and now."""
    shown = live.layers(entry.options)
    upper, work = _existing_reading(shown.upper), _existing_reading(shown.work)
    stack = Stack(shown.lowers, data_only=shown.data_only, upper=upper, work=work, options=_options(entry))
    line = Line(stack=stack, target=entry.target, data=",".join(entry.options), read_only=entry.read_only)
    if not machine.layers_here(stack) and all(map(os.path.isabs, stack.layers())):
        return Explanation(
            kind=Kind.MOUNTED,
            line=line,
            findings=(),
            cautions=(*_cautions(entry, stack, explained=False), machine.NOT_HERE),
            here=False,
        )
    problems = [*_gone(stack), *_read_only(entry, stack), *_shared(entry, upper)]
    return Explanation(
        kind=Kind.MOUNTED,
        line=line,
        findings=tuple(Finding(error=each, certainty=Certainty.CERTAIN) for each in problems),
        cautions=tuple(_cautions(entry, stack, explained=bool(problems))),
    )


def weaker(line: Line) -> Iterator[OvlError]:
    """Everything that the mount at the target of *line* has less of than *line* asks for."""
    if line.target is None:
        return
    try:
        mount = mounts.mount_at(line.target)
        if mount.fs_type != "overlay" or mount.mount_point != os.path.realpath(line.target):
            return
        one_fs = readback.on_one_fs(line.stack)
    except OSError:
        return
    taken = Taken(api=Api.MOUNT, reason="", told=line.stack.options, kernel=())
    for note in readback.weaknesses(line.stack, taken, mount, one_fs=one_fs):
        yield errors.WeakerThanAsked(
            note.template,
            *note.paths,
            hint="the reason stands in the kernel's log of that moment: `dmesg | grep overlay`; then unmount and mount "
            "again",
        )


def _options(entry: Entry) -> Options:
    """The options that the line shows, nothing added."""
    options = Options()
    for word in entry.options:
        key, _, value = word.partition("=")
        if key in {name.name for name, _ in options.items()}:
            try:
                options = options.with_value(key, value or "yes")
            except errors.BadUsage:
                # A value of a newer kernel.
                continue
    return options


def _existing_reading(shown: str | None) -> str | None:
    if shown is None:
        return None
    readings = LiveStack.readings(shown)
    return next((path for path in readings if os.path.isdir(path)), readings[0])


def _gone(stack: Stack) -> Iterator[OvlError]:
    for path in (*stack.layers(), *(() if stack.work is None else (stack.work,))):
        if not os.path.isabs(path):
            continue
        try:
            os.stat(path)
        except OSError as error:
            if error.errno == errno.ENOENT:
                yield errors.PathMissing(
                    "the layer {} of the mount is not there any more, or is seen in another mount namespace only",
                    path,
                    errno=error.errno,
                    hint="`ovlctl who {0}` looks in the other namespaces; the mount itself keeps the directory alive",
                )
            else:
                yield translated(error, path)
        except ValueError:
            continue


def _read_only(entry: Entry, stack: Stack) -> Iterator[OvlError]:
    if not entry.read_only or stack.upper is None or stack.work is None or not os.path.isdir(stack.work):
        return
    inner = os.path.join(stack.work, "work")
    try:
        mount = mounts.mount_at(stack.work)
    except OSError:
        return
    if mount.read_only or mount.sb_read_only:
        yield errors.UpperReadOnly(
            "it is read-only, as the file system under its upper {} (mounted at {}) is",
            stack.upper,
            mount.mount_point,
            errno=errno.EROFS,
            hint="`mount -o remount,rw {1}`, then unmount and mount the overlay again",
        )
    elif not os.path.isdir(inner):
        yield errors.UpperFileSystemPoor(
            "it is read-only, as the kernel could not make {}; it says so in its log and in no errno",
            inner,
            hint="take a work directory on ext4, xfs, btrfs or tmpfs, and mount again",
        )
    elif _holds_old_trees(inner):
        yield errors.WorkTreeTooDeep(
            "it is read-only, as the kernel could not clean {}, which holds a deep tree",
            inner,
            errno=errno.ENOTEMPTY,
            hint="unmount, look at what it holds, `rm -r {}`, and mount again",
        )


def _holds_old_trees(path: str) -> bool:
    try:
        return any(name != "incompat" and os.path.isdir(os.path.join(path, name)) for name in os.listdir(path))
    except OSError:
        return False


def _shared(entry: Entry, upper: str | None) -> Iterator[OvlError]:
    """Other overlays of this namespace that write to the same upper."""
    if upper is None or not os.path.isabs(upper):
        return
    mine = {mount.dev for mount in mounts.mounts("overlay") if mount.mount_point == entry.target}
    for mount in mounts.mounts("overlay"):
        if mount.dev not in mine and mine and _writes_to(mount, upper):
            yield errors.UpperInUse(
                "its upper {} is also the upper of the overlay mounted at {}; both views are undefined",
                upper,
                mount.mount_point,
                hint="`umount {1}`, and give each overlay an upper of its own",
            )


def _writes_to(mount: Mount, upper: str) -> bool:
    shown = live.layers(mount.options).upper
    for path in LiveStack.readings(shown) if shown is not None else ():
        try:
            if os.path.samefile(path, upper):
                return True
        except (OSError, ValueError):
            continue
    return False


def _cautions(entry: Entry, stack: Stack, *, explained: bool) -> Iterator[Note]:
    if entry.read_only:
        if stack.upper is None:
            yield Note("it is read-only because it has no upper; a writable one needs `upperdir=U,workdir=W`")
        elif not explained:
            yield Note(
                "it has an upper and is read-only: `ro` was asked for, or it was remounted so; "
                "`mount -o remount,rw {}` makes it writable again",
                (entry.target,),
            )
    relative = next((path for path in stack.layers() if not os.path.isabs(path)), None)
    if relative is not None:
        yield Note(
            "{} is relative to the directory the mount was made from, which no table records: the layer cannot be "
            "looked at",
            (relative,),
        )
    if stack.options.volatile is Flag.YES or "fsync=volatile" in entry.options:
        yield Note("it is volatile: after a crash upper and work have to be thrown away")
    if "uuid=null" in entry.options and "userxattr" not in entry.options and stack.upper is not None:
        where = "this user namespace" if not namespaces.in_initial_user_namespace() else "the upper's file system"
        yield Note(
            f"it shows uuid=null: the upper is older than the option, or {where} lets it write no trusted xattrs"
        )
