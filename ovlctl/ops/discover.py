"""Every overlay that is there, and which one a word means.

The kernel's mount table is the truth about what is mounted; records and kept uppers are labels on it. This is the
one place where a STACK argument is resolved.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.engines.keepers import keeper_of
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import mounts, namespaces
from ovlctl.ops import keeping, records
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.state import locate
from ovlctl.overlay import live
from ovlctl.overlay.live import LiveStack
from ovlctl.overlay.options import Options
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.records import Record
    from ovlctl.ops.state import State


#: How often everything is looked at when it changes meanwhile, as it does beside a remount.
_LOOKS = 5


class Standing(StrEnum):
    """How a stack stands.

    MOUNTED: in this mount namespace. ELSEWHERE: a record whose mount is in another one. STALE: a record without its
    mount. KEPT: not mounted, but ovlctl keeps its upper. STORED: not mounted, but in the store of an engine.
    """

    MOUNTED = "mounted"
    ELSEWHERE = "elsewhere"
    STALE = "stale"
    KEPT = "kept"
    STORED = "stored"


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """One overlay, mounted or remembered.

    Attributes:
        standing: Whether it is mounted.
        name: ovlctl's name for it; None for other people's mounts.
        target: Its mount point; None for a kept upper.
        stack: Its layers; the options are those asked for, as far as ovlctl knows them.
        mount: Its entry in the mount table.
        record: ovlctl's record of it.
        elsewhere: A process in the mount namespace where it is, for one that is mounted elsewhere.
    """

    standing: Standing
    name: str | None
    target: str | None
    stack: Stack
    mount: Mount | None
    record: Record | None
    elsewhere: int | None = None

    @cached_property
    def effective(self) -> Options | None:
        """The options in force; None when it is not mounted."""
        return None if self.mount is None else live.effective(self.mount.options, module_defaults())

    @property
    def managed(self) -> bool:
        """Whether ovlctl mounted it."""
        return self.record is not None

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through it."""
        return self.stack.read_only or (self.mount is not None and (self.mount.read_only or self.mount.sb_read_only))

    @property
    def rootless(self) -> bool:
        """Whether it lives, or lived, in a user namespace other than the initial one, as far as that can be seen."""
        if namespaces.in_initial_user_namespace():
            return self.mount is None and os.geteuid() != 0
        # Mounts made outside are seen inside, too; those made inside by ovlctl, or to any use, have userxattr.
        return self.mount is None or self.record is not None or "userxattr" in self.mount.options


@dataclass(frozen=True, slots=True)
class Found:
    """All overlays, and what could not be read."""

    overlays: tuple[Overlay, ...]
    warnings: tuple[Note, ...]


def overlays(state: State | None = None) -> Found:
    """Every overlay of this mount namespace, then stale records, then kept uppers.

    Args:
        state: Whose records are the labels; None takes the user's own.

    Raises:
        StateUnsafe, StateUnusable: when the state directory cannot be trusted or read.
    """
    state = state or locate()
    state.check()
    found, without, warnings = _compared(state)
    found.extend(map(_unmounted, without))
    matched = {overlay.name for overlay in found}
    for path in state.discarded():
        text = "{} is left of a discard that was interrupted; the next `ovlctl umount` removes it"
        warnings.append(Note(text, (path,)))
    for name in state.kept_names():
        if name not in matched:
            try:
                found.extend(_kept(state, name))
            except errors.RecordDamaged as error:
                warnings.append(error.note)
    return Found(tuple(found), tuple(warnings))


def _compared(state: State) -> tuple[list[Overlay], list[Record], list[Note]]:
    """What is mounted, the records of what is not, and what could not be read."""
    looks = 0
    while True:
        known, warnings = _records(state)
        found = list(_mounted(known))
        matched = {overlay.name for overlay in found}
        without = [record for record in known if record.name not in matched]
        looks += 1
        if looks == _LOOKS or not any(map(_stands, without)):
            return found, without, warnings


def find(state: State, word: str, *, inside: bool = True) -> Overlay:
    """The overlay that *word* names.

    A stack's name, a mount point, ``FILE.toml#NAME`` for a stack of a stack file, ``FILE.toml`` when that declares one
    only, ``DIR.mstack``, ``docker:NAME`` and its like, or a path inside a mounted overlay.

    Where several are mounted on one point, the last one is meant, as it is the one that is seen.

    Args:
        state: Whose names count.
        word: A name when it has no slash and some stack has that name, else a path.
        inside: Whether a path inside an overlay names it; for what ends or changes a stack it does not.

    Raises:
        BadUsage: when *word* is empty.
        StackNotFound: when nothing has this name.
        NotAnOverlay: when *word* is a path that lies on no overlay.
        StackUndeclared: when a stack file declares no such stack; also what reading one raises.
        OvlError: of a container or an image as :func:`ovlctl.ops.engines.naming.named`.
    """
    if not word or "\0" in word:
        raise errors.BadUsage("a stack's name or path is empty", hint="`ovlctl ls` lists all stacks")
    if keeper_of(word) is not None:
        from ovlctl.ops.engines import naming

        return naming.named(word).overlay if inside else naming.refuse(word)
    state.check()
    if (live := _mounted_as(state, word)) is not None:
        return live
    every = overlays(state).overlays
    named = [overlay for overlay in every if overlay.name == word] if "/" not in word else []
    if named:
        return named[-1]
    try:
        path = os.path.realpath(word)
    except OSError as error:
        # A working directory that was removed.
        raise errors.PathMissing(f"{{}} leads nowhere: {strerror(error)}", word, errno=error.errno) from error
    there = [overlay for overlay in every if overlay.target == path]
    there.sort(key=lambda overlay: overlay.standing is Standing.MOUNTED)
    if there:
        return there[-1]
    if (declared := in_file(word)) is not None:
        return _of_file(every, *declared)
    if not os.path.exists(path):
        image = word.startswith("oci:")
        hint = "an image is no mount: `ovlctl tree {}` and its like read it" if image else "`ovlctl ls` lists all"
        raise errors.StackNotFound("no stack is named {}", word, hint=hint)
    overlay = _containing(path, every)
    if not inside:
        raise errors.StackNotFound(
            "{} only lies inside the overlay mounted at {}",
            path,
            overlay.target or "",
            hint="name that one: `ovlctl umount {1}`",
        )
    return overlay


def independent(state: State, word: str) -> str:
    """*word*, which means the same to :func:`find` in any working directory: a name as it is, a path absolute.

    Raises:
        StateUnusable: when the names cannot be read.
    """
    named = "/" not in word and word in {*records.names(state), *state.kept_names()}
    if named or not (os.path.lexists(word) or os.path.lexists(word.partition("#")[0])):
        return word
    try:
        return os.path.abspath(word)
    except FileNotFoundError:
        # A working directory that was removed.
        return word


def _mounted_as(state: State, name: str) -> Overlay | None:
    """The mounted overlay that has this name, without a look at all the others; None says nothing."""
    try:
        record = records.read(state, name) if "/" not in name else None
        mount = None if record is None else mounts.mount_at(record.target)
    except (OSError, errors.RecordDamaged):
        return None
    if record is None or mount is None or not _is_of(mount, record):
        return None
    return of_mount(mount, record)


def in_file(word: str) -> tuple[str, str | None] | None:
    """The stack file and the stack's name in it that *word* gives; None when it gives no file."""
    path, _, name = word.rpartition("#")
    if path.endswith(".toml") or (path.endswith(".mstack") and os.path.isdir(path)):
        return path, name
    if (word.endswith(".toml") and os.path.isfile(word)) or (word.endswith(".mstack") and os.path.isdir(word)):
        return word, None
    return None


def _of_file(every: tuple[Overlay, ...], path: str, name: str | None) -> Overlay:
    """The stack *name* of a stack file, mounted, remembered or kept; None is the only one it declares."""
    from ovlctl.ops import sets
    from ovlctl.ops.sets.graph import declared

    file = sets.load(path)
    if name is None and len(file.stacks) > 1:
        some = ", ".join(stack.name for stack in file.stacks[:8])
        raise errors.BadUsage(
            f"{{}} declares {len(file.stacks)} stacks", path, hint=f"`{{}}#NAME` names one of them: {some}"
        )
    origin, name = file.path, file.stacks[0].name if name is None else name
    ours = [each for each in every if each.name == name and (each.record is None or each.record.origin == origin)]
    if ours:
        # Mounted from it, if only before it was changed.
        return ours[-1]
    declared(file, name)
    raise errors.StackNotFound(
        f"the stack {name} of {{}} is not mounted", path, hint=f"`ovlctl up {{}} {name}` mounts it"
    )


def on_overlay(path: str) -> bool:
    """Whether *path* lies on an overlay; False also where it cannot be reached."""
    try:
        return mounts.mount_at(path).fs_type == "overlay"
    except OSError:
        return False


def _containing(path: str, every: tuple[Overlay, ...]) -> Overlay:
    try:
        mount = mounts.mount_at(path)
    except OSError as error:
        raise errors.AccessDenied(f"cannot look at {{}}: {strerror(error)}", path, errno=error.errno) from error
    for overlay in every:
        if overlay.mount is not None and overlay.mount.mount_id == mount.mount_id:
            return overlay
    raise errors.NotAnOverlay(
        f"{{}} lies on {literal(mount.fs_type)}, not on an overlay", path, hint="`ovlctl ls` lists all overlays"
    )


def _is_of(mount: Mount, record: Record) -> bool:
    if mount.source != record.source or mount.mount_point != record.target:
        return False
    # In the middle of a remount it is the old mount, the new one or one that stands in.
    if record.phase is records.Phase.REMOUNTING:
        return True
    # A record cut short by a crash knows no id yet; source and target then have to do.
    return None in {record.mount_id, mount.unique_id} or record.mount_id == mount.unique_id


def _records(state: State) -> tuple[list[Record], list[Note]]:
    found: list[Record] = []
    warnings: list[Note] = []
    for name in records.names(state):
        try:
            record = records.read(state, name)
        except errors.RecordDamaged as error:
            warnings.append(error.note)
        else:
            if record is not None:
                found.append(record)
    return found, warnings


def _mounted(known: list[Record]) -> Iterator[Overlay]:
    """What is mounted here; of the several mounts that a remount has, the one that is seen stands for the stack."""
    table = mounts.mounts("overlay")
    covered = {(mount.parent_id, mount.source, mount.mount_point) for mount in table}
    sources = {record.source for record in known}
    for mount in table:
        record = next((record for record in known if _is_of(mount, record)), None)
        unsettled = mount.source in sources if record is None else record.phase is records.Phase.REMOUNTING
        if not (unsettled and (mount.mount_id, mount.source, mount.mount_point) in covered):
            yield of_mount(mount, record)


def _stands(record: Record) -> bool:
    """Whether the stack of *record* is seen at its target, under whatever number."""
    with suppress(OSError):
        mount = mounts.mount_at(record.target)
        return (mount.source, mount.mount_point) == (record.source, record.target)
    return False


def of_mount(mount: Mount, record: Record | None) -> Overlay:
    """The overlay that *mount* is."""
    shown = live.layers(mount.options)
    asked = Options() if record is None else record.stack.options
    return Overlay(
        standing=Standing.MOUNTED,
        name=None if record is None else record.name,
        target=mount.mount_point,
        stack=_stack(shown, record, asked),
        mount=mount,
        record=record,
    )


def _stack(shown: LiveStack, record: Record | None, asked: Options) -> Stack:
    # Paths that were given relative to a directory are shown so; only the record knows which directory it was.
    if record is not None and not all(map(os.path.isabs, (*shown.lowers, *shown.data_only))):
        return record.stack
    return Stack(
        shown.lowers,
        data_only=shown.data_only,
        upper=_reading(shown.upper, None if record is None else record.stack.upper),
        work=_reading(shown.work, None if record is None else record.stack.work),
        options=asked,
    )


def _reading(shown: str | None, recorded: str | None) -> str | None:
    if shown is None:
        return None
    readings = LiveStack.readings(shown)
    if recorded in readings:
        return recorded
    return next(filter(os.path.isdir, readings), readings[0])


def _unmounted(record: Record) -> Overlay:
    elsewhere = None
    if record.boot == records.boot_id() and record.namespace != namespaces.mount_namespace_id():
        for each in mounts.mounts_of_all_namespaces("overlay"):
            if (each.namespace, each.mount.source) == (record.namespace, record.source):
                elsewhere = each.pid
    return Overlay(
        standing=Standing.STALE if elsewhere is None else Standing.ELSEWHERE,
        name=record.name,
        target=record.target,
        stack=record.stack,
        mount=None,
        record=record,
        elsewhere=elsewhere,
    )


def _kept(state: State, name: str) -> Iterator[Overlay]:
    stack = keeping.read(state, name)
    if stack is not None:
        yield Overlay(standing=Standing.KEPT, name=name, target=None, stack=stack, mount=None, record=None)
