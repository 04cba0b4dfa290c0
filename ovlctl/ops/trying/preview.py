"""What an action will do, worked out from the layers: nothing is done, and nothing is opened but layers.

Costs, refusals and renames are those of :mod:`ovlctl.ops.explain`; this puts them into steps. Permissions of whoever
asks, quotas and full disks are not looked at.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.explain.changes import costs
from ovlctl.ops.explain.file_systems import FileSystems
from ovlctl.ops.explain.terms import Act, Data, Remark
from ovlctl.ops.trying import steps
from ovlctl.ops.trying.calls import READ_BYTES, WRITE_BYTES, check
from ovlctl.ops.trying.sights import Data as FileData
from ovlctl.ops.trying.sights import numbers, parents, resolved, stands_in
from ovlctl.ops.trying.values import Action, Preview, Step, StepKind, upper_step
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.resolution import Outcome, Rule, Verdict
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.explain.values import Cost
    from ovlctl.ops.reading import View
    from ovlctl.ops.trying.values import Wish
    from ovlctl.overlay.resolution import Resolution

_ACTS = {
    Action.MODIFY: Act.WRITE,
    Action.CHMOD: Act.CHMOD,
    Action.RENAME: Act.RENAME,
    Action.DELETE: Act.UNLINK,
    Action.LINK: Act.CHMOD,  # metadata will do
}
_CLONED = {Answer.YES: True, Answer.NO: False, Answer.UNKNOWN: None}


def foretell(view: View, wish: Wish, own: View | None = None) -> Preview:
    """What *wish* will do on the stack *view*.

    Args:
        view: The stack that it will be done on.
        wish: Its paths are without slashes that say nothing.
        own: The user's stack with its own upper, when *view* is a scratch stack above that.

    Raises:
        BadUsage: The wish is not complete.
    """
    check(wish)
    return _Foretelling(view, wish, own).preview()


class _Foretelling:
    def __init__(self, view: View, wish: Wish, own: View | None) -> None:
        self.view, self.wish, self.own = view, wish, own
        self.path, self.to = wish.path, wish.to or ""
        self.number = numbers(view)
        found = view.resolver.resolve(self.path, complete=True)
        self.in_own = own is not None and found.exists and found.stack[0].layer is view.layers.lowers[0]
        self.found, self.meant = found, view
        if own is not None and self.in_own and found.stack[0].path == self.path:
            # There it is changed in place, and so it is here, by the copy that is put there before.
            there = own.resolver.resolve(self.path, complete=True)
            if there.exists and there.stack[0].layer.role is Role.UPPER:
                self.found, self.meant = there, own

    def preview(self) -> Preview:
        if self.wish.action is Action.READ:
            return self._reading()
        if self.wish.action in {Action.CREATE, Action.MKDIR}:
            number = self._obstacle(self.path)
            return self._told(None, number, self._making() if not number else ())
        cost = next((each for each in self._costs() if each.act is _ACTS[self.wish.action]), None)
        if cost is None:
            return self._told(None, self.found.errno or errno.ENOENT, ())
        if self.wish.action is Action.RENAME and self.to == self.path:
            return self._told(None, 0, ())  # one file under both names: rename(2) does nothing
        number = self._errno(cost)
        return self._told(cost, number, self._changing(cost) if not number else ())

    def _told(self, cost: Cost | None, number: int, told: Iterator[Step] | tuple[Step, ...]) -> Preview:
        every = (Step(kind=StepKind.REFUSED, path=self.path),) if number else tuple(told)
        return Preview(wish=self.wish, cost=cost, errno=number, steps=every, in_own_upper=self.in_own)

    def _reading(self) -> Preview:
        found = self.view.resolver.resolve(self.path)
        number = found.errno or found.data_errno
        if not found.exists and found.outcome is not Outcome.UNKNOWN:
            number = number or errno.ENOENT
        size = found.attributes.size if found.attributes is not None and not found.is_directory else 0
        evidence = steps.Evidence(errno=number, bytes=min(size, READ_BYTES), data_of=lambda _: FileData())
        told = () if found.outcome is Outcome.UNKNOWN else steps.of_reading(self.path, found, self.number, evidence)
        if found.kind not in {Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK}:
            told = tuple(step for step in told if step.kind is not StepKind.READ)
        return Preview(wish=self.wish, cost=None, errno=number, steps=told, in_own_upper=self.in_own)

    def _costs(self) -> tuple[Cost, ...]:
        return costs(self.meant, self.found, FileSystems(self.meant))

    def _errno(self, cost: Cost) -> int:
        action, kind = self.wish.action, self.found.kind
        if action is Action.MODIFY and kind is Kind.SYMLINK:
            return errno.ELOOP  # it is not followed
        if action is Action.CHMOD and kind is Kind.SYMLINK:
            return errno.EOPNOTSUPP
        if action is Action.LINK:
            return self._obstacle(self.to) or (errno.EPERM if kind is Kind.DIRECTORY else cost.errno)
        return self._errno_of_rename(cost) if action is Action.RENAME else cost.errno

    def _errno_of_rename(self, cost: Cost) -> int:
        # One in the other is looked at before anything else.
        if self.to.startswith(f"{self.path}/") and self.found.is_directory:
            return errno.EINVAL
        if self.path.startswith(f"{self.to}/"):
            return errno.ENOTEMPTY
        here = self.path.rpartition("/")[0] == self.to.rpartition("/")[0]
        return self._obstacle(self.to, replaces=True) or (cost.errno if here else cost.elsewhere_errno)

    def _obstacle(self, path: str, *, replaces: bool = False) -> int:
        """What the kernel answers to making *path*; 0 for nothing."""
        around = self.view.resolver.resolve(path.rpartition("/")[0])
        if not around.is_directory:
            return errno.ENOTDIR if around.exists else around.errno or errno.ENOENT
        there = self.view.resolver.resolve(path)
        if self.view.layers.upper is None and not there.exists:
            return errno.EROFS
        if not there.exists:
            return there.errno if there.errno not in {errno.ENOENT, 0} else 0
        return self._replacing(there) if replaces else errno.EEXIST

    def _replacing(self, there: Resolution) -> int:
        moved = self.found.is_directory
        if there.is_directory is not moved:
            return errno.EISDIR if there.is_directory else errno.ENOTDIR
        if not moved or self.to == self.path:
            return 0
        costs_of = costs(self.view, self.view.resolver.resolve(self.to, complete=True), FileSystems(self.view))
        return next((each.errno for each in costs_of if each.act is Act.UNLINK), 0)

    def _changing(self, cost: Cost) -> Iterator[Step]:
        action = self.wish.action
        if Remark.OPENS_NO_LAYER in cost.remarks:
            return
        if not (action is Action.DELETE and not cost.copies_object and Remark.LINKED_FROM_INDEX in cost.remarks):
            yield from self._parents(self.path, among=cost.parents)
        yield from self._coming(cost)
        in_upper = self.found.stack[0].layer.role is Role.UPPER and self.found.rule is not Rule.INDEXED
        if action is Action.MODIFY:
            size = 0 if self.found.attributes is None else self.found.attributes.size
            yield upper_step(StepKind.WRITTEN, self.path, bytes=min(WRITE_BYTES, size) or 1)
        elif action is Action.CHMOD:
            yield upper_step(StepKind.WRITTEN, self.path)
        elif action is Action.DELETE and in_upper:
            yield upper_step(StepKind.REMOVED, self.path)
        elif action in {Action.RENAME, Action.LINK}:
            yield from self._naming()
        if cost.whiteout and action in {Action.DELETE, Action.RENAME} and self.to != self.path:
            yield upper_step(StepKind.WHITEOUT, self.path, marks=(Mark.WHITEOUT,), only_here=self._stands_in())

    def _stands_in(self) -> bool:
        return self.own is not None and stands_in(self.view, self.path, self.view.layers.lowers[0])

    def _naming(self) -> Iterator[Step]:
        if self.to == self.path:
            return
        yield from self._parents(self.to)
        there = self.view.resolver.resolve(self.to)
        if there.exists and self._is_above(there):
            yield upper_step(StepKind.REMOVED, self.to)
        kind = StepKind.MOVED if self.wish.action is Action.RENAME else StepKind.LINKED
        yield upper_step(kind, self.to, source=0)

    def _coming(self, cost: Cost) -> Iterator[Step]:
        provider = self._provider()
        data = provider if self.found.data is None else self._numbered(self.found.data.layer)
        if cost.data is Data.METADATA:
            yield upper_step(StepKind.METADATA, self.path, source=provider, marks=(Mark.METACOPY,))
        elif cost.copies_object or cost.data in {Data.COPIED, Data.CLONED}:
            size = 0 if self.found.attributes is None else self.found.attributes.size
            moved = size if cost.data is Data.CLONED else cost.copies_bytes
            yield upper_step(
                StepKind.COPIED,
                self.path,
                source=data,
                bytes=(cost.at_most or 0) if moved is None else moved,
                cloned=_CLONED[cost.reflink],
            )
        elif Remark.LINKED_FROM_INDEX in cost.remarks and self.wish.action is not Action.DELETE:
            yield upper_step(StepKind.LINKED, self.path, source=0)

    def _making(self) -> Iterator[Step]:
        yield from self._parents(self.path)
        yield upper_step(StepKind.CREATED, self.path)

    def _parents(self, path: str, among: tuple[str, ...] | None = None) -> Iterator[Step]:
        found = resolved(self.view, parents(path))
        for each in parents(path):
            there = found[each]
            if self._is_above(there) or (among is not None and self.meant is self.view and each not in among):
                continue
            source = None if not there.stack else self.number.get(there.stack[0].layer)
            yield upper_step(StepKind.PARENT, each, source=source)

    def _is_above(self, found: Resolution) -> bool:
        """Whether it is in the upper, or will be by a copy of what the own upper has."""
        if not found.stack:
            return False
        layer = found.stack[0].layer
        return layer.role is Role.UPPER or (self.own is not None and layer is self.view.layers.lowers[0])

    def _provider(self) -> int | None:
        seen = (each for each in self.found.candidates if each.verdict in {Verdict.PROVIDES, Verdict.METADATA_ONLY})
        first = next(seen, None)
        return None if first is None else self._numbered(first.place.layer)

    def _numbered(self, layer: object) -> int | None:
        # The user's own stack lies one lower in the scratch stack.
        if self.meant is self.view:
            return next((number for each, number in self.number.items() if each is layer), None)
        there = next((number for each, number in numbers(self.meant).items() if each is layer), None)
        return None if there is None else there + 1
