"""What happened, worked out from what there was before and after. Nothing here touches a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.ops.trying.sights import Whence, is_file, watched
from ovlctl.ops.trying.values import Action, LayerSight, Step, StepKind, Wish, upper_step
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.resolution import Verdict
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ovlctl.ops.trying.sights import Data, Seen
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution

_BLOCK = 512
#: Largest block of a file system: a write of less may unshare all of a clone that is not larger.
_LARGEST_BLOCK = 64 << 10
_FINDS = {Verdict.PROVIDES, Verdict.MERGED, Verdict.METADATA_ONLY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a deed besides.

    Attributes:
        errno: Of the first call that failed; 0 when none did.
        bytes: Read or written.
        data_of: What data the upper's file at a path has now.
        data: What a file had before it was written; None when nothing was.
        stand_ins: Paths at which a whiteout hides nothing but what the stack's own upper has.
    """

    errno: int
    bytes: int
    data_of: Callable[[str], Data]
    data: int | None = None
    stand_ins: frozenset[str] = frozenset()


def of_change(wish: Wish, before: Seen, after: Seen, evidence: Evidence) -> tuple[Step, ...]:
    """The steps of every action but READ, in the order in which the kernel takes them."""
    return tuple(_Change(wish, before, after, evidence).steps())


def of_reading(path: str, found: Resolution, numbers: Mapping[Layer, int], evidence: Evidence) -> tuple[Step, ...]:
    """The steps of READ.

    Args:
        path: What was read.
        found: The way of the lookup.
        numbers: Of the layers.
        evidence: Of the deed.
    """
    return tuple(_reading(path, found, numbers, evidence))


def _reading(path: str, found: Resolution, numbers: Mapping[Layer, int], evidence: Evidence) -> Iterator[Step]:
    for seen in found.candidates:
        number = numbers.get(seen.place.layer)
        if seen.verdict in _FINDS:
            yield Step(kind=StepKind.FOUND, path=path, layer=number)
        elif seen.verdict in {Verdict.ABSENT, Verdict.WHITEOUT}:
            marks = (Mark.WHITEOUT,) if seen.verdict is Verdict.WHITEOUT else ()
            yield Step(kind=StepKind.LOOKED, path=path, layer=number, marks=marks)
    if evidence.errno:
        yield Step(kind=StepKind.REFUSED, path=path)
    elif found.is_directory:
        for place in found.stack:
            yield Step(kind=StepKind.READ, path=path, layer=numbers.get(place.layer))
    else:
        place = found.data or found.stack[0]
        yield Step(kind=StepKind.READ, path=path, layer=numbers.get(place.layer), bytes=evidence.bytes)


class _Change:
    def __init__(self, wish: Wish, before: Seen, after: Seen, evidence: Evidence) -> None:
        self.wish, self.before, self.after, self.evidence = wish, before, after, evidence
        self.to = wish.to if wish.action in {Action.RENAME, Action.LINK} and wish.to else None
        self.done = evidence.errno == 0

    def steps(self) -> Iterator[Step]:
        path = self.wish.path
        # A rename brings the object into the upper under its old name, and what is seen later has the new one.
        renamed = self.wish.action is Action.RENAME and self.done
        yield from self._parents(path)
        yield from self._came(path, (self.to or path) if renamed else path)
        if self.to is not None:
            yield from self._parents(self.to)
        yield from self._did()
        for each in filter(None, (path, self.to)):
            if self.after.upper[each].is_whiteout and not self.before.upper[each].is_whiteout:
                only_here = each in self.evidence.stand_ins
                yield upper_step(StepKind.WHITEOUT, each, marks=self.after.upper[each].marks, only_here=only_here)
        if not self.done:
            yield Step(kind=StepKind.REFUSED, path=path)

    def _did(self) -> Iterator[Step]:
        path, action = self.wish.path, self.wish.action
        now = self.after.upper[path]
        if action is Action.MODIFY and self.evidence.bytes and now.has_object:
            yield upper_step(StepKind.WRITTEN, path, bytes=self.evidence.bytes, marks=now.marks)
        elif action is Action.CHMOD and self.done and now.has_object:
            yield upper_step(StepKind.WRITTEN, path, marks=now.marks)
        elif action in {Action.CREATE, Action.MKDIR} and now.has_object and not self.before.upper[path].has_object:
            yield upper_step(StepKind.CREATED, path, marks=now.marks)
        elif action is Action.DELETE and self.before.upper[path].has_object and not now.has_object:
            yield upper_step(StepKind.REMOVED, path)
        elif self.to is not None and self.done:
            yield from self._named(self.to)

    def _named(self, to: str) -> Iterator[Step]:
        old, new = self.before.upper[to], self.after.upper[to]
        if _ino(old) == _ino(new):
            return  # two names of one file: rename(2) does nothing
        if old.has_object:
            yield upper_step(StepKind.REMOVED, to)
        if new.has_object:
            kind = StepKind.MOVED if self.wish.action is Action.RENAME else StepKind.LINKED
            yield upper_step(kind, to, source=0, marks=new.marks)

    def _parents(self, path: str) -> Iterator[Step]:
        for each in watched(path)[:-1]:
            now = self.after.upper[each]
            if now.has_object and not self.before.upper[each].has_object:
                source = self._whence(each).provider
                yield upper_step(StepKind.PARENT, each, source=source, marks=now.marks)

    def _came(self, path: str, now_at: str) -> Iterator[Step]:
        """How the object at *path* came into the upper, where it is at *now_at*."""
        if self.wish.action in {Action.CREATE, Action.MKDIR}:
            return
        old, new = self.before.upper[path], self.after.upper[now_at]
        whence = self._whence(path)
        if not old.has_object and new.has_object and whence.provider not in {None, 0}:
            yield self._copied(path, now_at, new, whence)
        elif not old.has_object and new.has_object and whence.provider == 0:
            yield upper_step(StepKind.LINKED, path, source=0, marks=new.marks)  # from the index
        elif Mark.METACOPY in old.marks and new.has_object and Mark.METACOPY not in new.marks:
            yield self._copied(path, now_at, new, whence)
        elif not new.has_object:
            yield from self._indexed(path, whence)

    def _copied(self, path: str, now_at: str, new: LayerSight, whence: Whence) -> Step:
        if Mark.METACOPY in new.marks:
            return upper_step(StepKind.METADATA, path, source=whence.provider, marks=new.marks)
        source = whence.provider if whence.data is None else whence.data
        if not is_file(new.sight):
            return upper_step(StepKind.COPIED, path, source=source, cloned=False, marks=new.marks)
        found = self.evidence.data_of(now_at)
        size = found.bytes if self.evidence.data is None else self.evidence.data
        return upper_step(StepKind.COPIED, path, source=source, bytes=size, cloned=self._cloned(found), marks=new.marks)

    def _cloned(self, found: Data) -> bool | None:
        # What was written since has blocks of its own.
        if found.can_be_shared and self.wish.action is Action.MODIFY and found.bytes <= _LARGEST_BLOCK:
            return True if found.shared else None
        return found.shared

    def _indexed(self, path: str, whence: Whence) -> Iterator[Step]:
        """What came into the index and nowhere else: the file of a name that was removed."""
        for name, new in self.after.index.items():
            if name in self.before.index or not new.has_object or new.sight is None:
                continue
            metadata = Mark.METACOPY in new.marks
            size = min(new.sight.size, new.sight.blocks * _BLOCK) if new.sight.kind is Kind.FILE else 0
            yield upper_step(
                StepKind.METADATA if metadata else StepKind.COPIED,
                path,
                source=whence.provider,
                bytes=0 if metadata else size,
                cloned=None if size else False,
                marks=new.marks,
            )

    def _whence(self, path: str) -> Whence:
        return self.before.whence.get(path, Whence())


def _ino(seen: LayerSight) -> int | None:
    return None if seen.sight is None or seen.is_whiteout else seen.sight.ino
