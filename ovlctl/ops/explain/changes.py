"""What a change would do to the upper: for opening for writing, changing metadata, renaming and removing.

Nothing is tried out. Source: ovl_copy_up_flags() in fs/overlayfs/copy_up.c, ovl_rename() and ovl_do_remove() in dir.c,
ovl_nlink_start() in util.c; tests/ops/explain/test_changes.py compares every answer with what the kernel does then.
"""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ovlctl.ops.explain.copying import Move, move
from ovlctl.ops.explain.renaming import Renaming
from ovlctl.ops.explain.terms import Act, Data, Remark
from ovlctl.ops.explain.values import Cost
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.object_marks import whiteout
from ovlctl.overlay.options import Switch, Verity
from ovlctl.overlay.resolution import Outcome, Place, Rule
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.explain.file_systems import FileSystems
    from ovlctl.ops.reading import View
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.tree import Attributes

_OPENS_NO_LAYER = {Kind.FIFO, Kind.CHARACTER, Kind.BLOCK, Kind.SOCKET}


def costs(view: View, found: Resolution, file_systems: FileSystems) -> tuple[Cost, ...]:
    """What each change to *found* would cost, in the order of :class:`Act`; nothing when it does not exist."""
    if not found.exists:
        return ()
    changes = _Changes(view, found, file_systems)
    every = (changes.write(), changes.chmod(), changes.rename(), changes.unlink())
    return tuple(map(_over_a_border, every)) if _work_is_apart(view) else every


def _work_is_apart(view: View) -> bool:
    # Upper and work in two btrfs subvolumes: one file system and one mount, so that the kernel takes them.
    upper, work = view.layers.upper, view.subject.stack.work
    if upper is None or work is None:
        return False
    try:
        above = upper.tree.lstat("")
        return above is not None and above.dev != os.stat(work).st_dev
    except OSError:
        return False


def _over_a_border(cost: Cost) -> Cost:
    """*cost* where nothing can be moved from the work directory into the upper."""
    moves = cost.copies_object or cost.parents or Remark.LINKED_FROM_INDEX in cost.remarks
    if cost.errno or not (moves or (cost.act is Act.UNLINK and cost.whiteout)):
        return cost
    return Cost(act=cost.act, errno=errno.EXDEV, elsewhere_errno=errno.EXDEV, remarks=(Remark.WORK_ELSEWHERE,))


class _Changes:
    """The changes to one object."""

    def __init__(self, view: View, found: Resolution, file_systems: FileSystems) -> None:
        assert found.attributes is not None, "it exists"  # noqa: S101 -- for the type checker
        self.view, self.found, self.file_systems = view, found, file_systems
        self.attributes = found.attributes
        self.kind = found.attributes.kind
        self.options = view.subject.options
        self.provided_by_upper = found.stack[0].layer.role is Role.UPPER
        #: The object is in the upper, and under this name.
        self.in_upper = self.provided_by_upper and found.rule is not Rule.INDEXED
        overlay = view.subject.overlay
        self.read_only = view.layers.upper is None or (overlay is not None and overlay.read_only)

    def write(self) -> Cost:
        if self.kind is Kind.DIRECTORY:
            return Cost(act=Act.WRITE, errno=errno.EISDIR, remarks=(Remark.IS_DIRECTORY,))
        if self.kind is Kind.SYMLINK:
            return Cost(act=Act.WRITE, remarks=(Remark.FOLLOWS_LINK,))
        if self.kind in _OPENS_NO_LAYER:
            number = errno.ENXIO if self.kind is Kind.SOCKET else 0
            return Cost(act=Act.WRITE, errno=number, remarks=(Remark.OPENS_NO_LAYER,))
        if (refused := self._refused(Act.WRITE)) is not None:
            return refused
        return self._copied_up(Act.WRITE, full=True)

    def chmod(self) -> Cost:
        if (refused := self._refused(Act.CHMOD)) is not None:
            return refused
        remarks = (Remark.COPIES_LINK,) if self.kind is Kind.SYMLINK else ()
        return self._copied_up(Act.CHMOD, full=False, remarks=remarks)

    def rename(self) -> Cost:
        if (refused := self._refused(Act.RENAME)) is not None:
            return refused
        if not self.found.path:
            return Cost(act=Act.RENAME, errno=errno.EBUSY, remarks=(Remark.IS_ROOT,))
        moving = Renaming(self.view, self.found, metadata_only=self._stays_metadata_only)
        if moving.refused_whole:
            # Said before anything is copied up: ovl_can_move().
            return Cost(
                act=Act.RENAME,
                errno=errno.EXDEV,
                elsewhere_errno=errno.EXDEV,
                remarks=(Remark.NEEDS_REDIRECT_DIR,),
            )
        here, elsewhere = moving.errnos()
        remarks = (Remark.REDIRECT_TOO_LONG,) if elsewhere else ()
        cost = self._copied_up(Act.RENAME, full=False, remarks=remarks)
        if cost.errno:
            return cost
        return _with(cost, errno=here, elsewhere_errno=elsewhere, whiteout=not here and self._lower_positive)

    def unlink(self) -> Cost:
        if (refused := self._refused(Act.UNLINK)) is not None:
            return refused
        if not self.found.path:
            return Cost(act=Act.UNLINK, errno=errno.EBUSY, remarks=(Remark.IS_ROOT,))
        if self.kind is Kind.DIRECTORY:
            try:
                if self._has_entries():
                    return Cost(act=Act.UNLINK, errno=errno.ENOTEMPTY, remarks=(Remark.NOT_EMPTY,))
            except OSError:
                return Cost(act=Act.UNLINK, parents=self._parents, remarks=(Remark.PERHAPS_NOT_EMPTY,))
        if self._needs_index and not self.in_upper:
            # As ovl_nlink_start() does: the index counts the names, so that there must be an entry.
            cost = self._copied_up(Act.UNLINK, full=False, remarks=(Remark.COPIED_FOR_THE_INDEX,))
        else:
            cost = Cost(act=Act.UNLINK, parents=self._parents)
        return cost if cost.errno else _with(cost, whiteout=self._lower_positive)

    def _refused(self, act: Act) -> Cost | None:
        if not self.read_only:
            return None
        return Cost(act=act, errno=errno.EROFS, elsewhere_errno=errno.EROFS, remarks=(Remark.READ_ONLY,))

    def _copied_up(self, act: Act, *, full: bool, remarks: tuple[Remark, ...] = ()) -> Cost:
        """What brings the object into the upper, with its data where *full* or where metadata alone will not do."""
        if self.found.data_errno:
            return Cost(act=act, errno=self.found.data_errno, remarks=(Remark.NO_DATA,))
        cost = Cost(act=act, remarks=remarks)
        return self._completed(cost, full=full) if self.provided_by_upper else self._from_lower(cost, full=full)

    def _completed(self, cost: Cost, *, full: bool) -> Cost:
        # Of what is in the upper already, if only without its data or under another name.
        needs_data = full and self._is_metadata_only
        if not self.in_upper:
            cost = _with(cost, parents=self._parents, remarks=(*cost.remarks, Remark.LINKED_FROM_INDEX))
        else:
            said = Remark.DATA_ONLY_MISSING if needs_data else Remark.IN_UPPER
            cost = _with(cost, remarks=(*cost.remarks, said))
        return self._moved(cost) if needs_data else cost

    def _from_lower(self, cost: Cost, *, full: bool) -> Cost:
        remarks = cost.remarks
        if self.kind is not Kind.DIRECTORY and self.attributes.nlink > 1 and not self._needs_index:
            remarks = (*remarks, Remark.BREAKS_LINK)
        cost = _with(cost, copies_object=True, parents=self._parents, remarks=remarks)
        if self.kind is not Kind.FILE or self.found.data is None:
            return cost
        if full:
            return self._moved(cost)
        if self._metadata_will_do:
            return _with(cost, data=Data.METADATA)
        off = self.options.metacopy is not Switch.ON
        return self._moved(_with(cost, remarks=(*remarks, Remark.WITHOUT_METACOPY)) if off else cost)

    @property
    def _is_metadata_only(self) -> bool:
        return self.kind is Kind.FILE and self.found.data not in {self.found.stack[0], None}

    def _moved(self, cost: Cost) -> Cost:
        found = self._move
        if found is None:
            return cost
        remarks = cost.remarks if found.copies_bytes is not None else (*cost.remarks, Remark.UNREADABLE)
        return _with(
            cost,
            data=found.data,
            copies_bytes=found.copies_bytes,
            at_most=found.at_most,
            reflink=found.reflink,
            remarks=remarks,
        )

    @cached_property
    def _move(self) -> Move | None:
        upper = self.view.layers.upper
        if self.found.data is None or upper is None:
            return None
        return move(self.found.data, self.attributes.size, upper, self.file_systems)

    @property
    def _metadata_will_do(self) -> bool:
        # As ovl_need_meta_copy_up() does.
        if self.options.metacopy is not Switch.ON:
            return False
        if self.options.verity is not Verity.REQUIRE:
            return True
        return self._move is not None and self._move.has_digest is True

    @property
    def _stays_metadata_only(self) -> bool:
        """Whether the file is, or would be, in the upper without its data when it is renamed."""
        if self.provided_by_upper:
            return self._is_metadata_only
        return self.kind is Kind.FILE and self._metadata_will_do

    @property
    def _needs_index(self) -> bool:
        # As ovl_need_index() does, of an object of a lower.
        if self.options.nfs_export is Switch.ON:
            return not self.provided_by_upper or self.found.rule is Rule.INDEXED
        linked = self.kind is not Kind.DIRECTORY and self.attributes.nlink > 1
        return self.file_systems.index and (linked or self.found.rule is Rule.INDEXED)

    @cached_property
    def _parents(self) -> tuple[str, ...]:
        """The directories on the way that the upper does not have yet, topmost first."""
        return tuple(path for path in self._above() if not _in_upper(self.view.resolver.resolve(path)))

    def _above(self) -> Iterator[str]:
        here = ""
        for name in self.found.path.split("/")[:-1]:
            here = join(here, name)
            yield here

    @cached_property
    def _lower_positive(self) -> bool:
        """Whether a name below would come to light, so that a whiteout has to stay: ovl_lower_positive()."""
        if not self.provided_by_upper:
            return True
        parent = self.view.resolver.resolve(self.found.path.rpartition("/")[0])
        for place in parent.stack:
            if place.layer.role is Role.UPPER:
                continue
            there = Place(place.layer, join(place.path, self.found.name))
            try:
                attributes = there.layer.tree.lstat(there.path)
                if attributes is not None:
                    return whiteout(attributes, marked=self._is_marked(there, attributes)) is None
            except OSError:
                return True  # so does the kernel, where it cannot look
        return False

    def _is_marked(self, place: Place, attributes: Attributes) -> bool:
        if attributes.kind is not Kind.FILE or attributes.size or not self._has_mark(place, Mark.WHITEOUT):
            return False
        return self.view.subject.following.xattr_whiteouts

    def _has_mark(self, place: Place, mark: Mark) -> bool:
        following = self.view.subject.following
        return not following.blind and place.layer.tree.xattr(place.path, following.prefix + mark) is not None

    def _has_entries(self) -> bool:
        """Whether a name keeps the directory from being removed: ovl_check_empty_dir(), or the upper's own rmdir(2)."""
        pure = self.provided_by_upper and len(self.found.stack) == 1 and not self._lower_positive
        every = pure and not self._has_mark(self.found.stack[0], Mark.ORIGIN)
        for place in self.found.stack:
            for child in place.layer.tree.scandir(place.path):
                if every or self.view.resolver.child(self.found, child.name).outcome is not Outcome.ABSENT:
                    return True
        return False


def _in_upper(directory: Resolution) -> bool:
    return bool(directory.stack) and directory.stack[0].layer.role is Role.UPPER


def _with(cost: Cost, **changed: object) -> Cost:
    return replace(cost, **changed)  # type: ignore[arg-type]
