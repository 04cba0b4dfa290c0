"""Which object of which layer a path of the merged view is, found out without mounting anything.

Law 1: the resolver equals the kernel. For every stack whose layers are not being changed, what :meth:`Resolver.resolve`
says of a path is what lstat(2), read(2) and listxattr(2) through a fresh mount of that stack say: the same objects
exist, with the same type, mode, owner, size, content and attributes, and what does not exist gives the same errno.
Law 5: what could not be read is said to be unknown (``Outcome.UNKNOWN``), and an answer that depends on marks that this
process cannot see is not ``certain``; nothing is guessed.

What the law leaves out, because the kernel's own answer depends on what it looked up before: two names that lead to one
lower object (a redirect whose old place is still visible, two redirects to one place, copied ``origin`` marks) share an
inode while one of them is in the cache, and the later one gets the merge of the earlier, ELOOP or ESTALE.
With index=on and userxattr, special files and symbolic links have no place for the marks that the index rests on: what
their link count is only the mount knows that copied them up, and there is no other, since the next one is refused
(ENODATA). Such an answer is not ``certain``. Kernels differ in what marks mean to them:
``Following.habits`` says how, and where that is not known, an answer that depends on it is not ``certain``. Only an
``origin`` that leads to an object of another kind is taken as the newest kernels do where a mount could not be tried,
or handles not opened. The uuid in a record is not compared.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.candidates import others
from ovlctl.overlay.datalayers import find_data
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.index import Index, merged_nlink
from ovlctl.overlay.lookup import Found, Lookup
from ovlctl.overlay.marks import Mark, Opaque, Prefix, decode_opaque
from ovlctl.overlay.origins import Origins
from ovlctl.overlay.refusals import RefusedError, UnreadableError
from ovlctl.overlay.resolution import Candidate, Identity, Outcome, Place, Resolution, Rule, Unreadable, Verdict
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from ovlctl.overlay.index import Indexed
    from ovlctl.overlay.layers import Following, Layers
    from ovlctl.overlay.tree import Attributes

_NAME_MAX = 255
_KEPT_DIRECTORIES = 256


class Resolver:
    """Answers for one stack; directories that were resolved are kept, so that a walk looks up each name once.

    Args:
        layers: Open for as long as the resolver is used.
        following: The settings of the mount.

    Attributes:
        counting: The marks on a file that make the layers below count.
        origins: What the upper's objects were copied up from, where the kernel minds.
    """

    def __init__(self, layers: Layers, following: Following) -> None:
        self.layers = layers
        self.following = following
        self.counting = frozenset(following.prefix + mark for mark in (Mark.METACOPY, Mark.WHITEOUT))
        self._kept: OrderedDict[str, Resolution] = OrderedDict()
        self._roots = tuple(Place(layer, "") for layer in layers.lowers)
        self._root: Resolution | None = None
        self._one_device: bool | None = None
        self._index = None
        self.origins = Origins(layers, following)
        if following.index and layers.upper is not None:
            self._index = Index(layers.index, layers.lowers, everything=following.verify_lower)

    def root(self) -> Resolution:
        """The root directory: every layer's root, whatever marks they have.

        Raises:
            OSError: The topmost layer's root cannot be looked at.
        """
        if self._root is None:
            places = tuple(Place(layer, "") for layer in self.layers.merged)
            attributes = [place.layer.tree.lstat("") for place in places]
            marked = frozenset(place.layer for place in self._roots[:-1] if self._has_whiteout_marks(place))
            verdicts = (Verdict.PROVIDES, *(Verdict.MERGED for _ in places[1:]))
            self._root = Resolution(
                path="",
                outcome=Outcome.PRESENT,
                rule=Rule.ROOT,
                stack=places,
                attributes=attributes[0],
                nlink=1 if len(places) > 1 else 0 if attributes[0] is None else attributes[0].nlink,
                candidates=tuple(
                    Candidate(place=place, verdict=verdict, attributes=found)
                    for place, verdict, found in zip(places, verdicts, attributes, strict=True)
                ),
                has_whiteout_marks=bool(marked),
                whiteout_layers=marked,
                certain=self.certain,
            )
        return self._root

    @property
    def one_device(self) -> bool:
        """Whether all layers are on one file system, as far as the numbers of their devices tell."""
        if self._one_device is None:
            every = (*self.layers.merged, *self.layers.data)
            devices = {found.dev for layer in every if (found := layer.tree.lstat("")) is not None}
            self._one_device = len(devices) == 1
        return self._one_device

    @property
    def sees_all_marks(self) -> bool:
        """Whether an object's own marks tell if anything else counts: they can be seen, and there is no index."""
        return self.certain and not self.following.blind and self._index is None

    @property
    def certain(self) -> bool:
        """Whether every mark of this stack can be seen: False for an ordinary user, unless the stack has userxattr."""
        if self.following.blind or self.following.prefix is Prefix.USER:
            return True
        return all(layer.tree.trusted for layer in self.layers.merged)

    def resolve(self, path: str, *, complete: bool = False) -> Resolution:
        """Resolve *path* from the root on.

        Symbolic links on the way are not followed: a path through one is ENOTDIR.

        Args:
            path: From the overlay's root; leading, trailing and doubled slashes do not matter. ``..`` is just a name
                that does not exist.
            complete: Look into every layer, also those the kernel no longer looks into, for ``candidates``.
        """
        here = self.root()
        names = [name for name in path.split("/") if name not in {"", "."}]
        if not complete and (kept := self._kept.get("/".join(names))) is not None:
            return kept
        for name in names[:-1]:
            here = self._directory(here, name)
            if not here.is_directory:
                return self._below(here, "/".join(names), complete=complete)
        return self.child(here, names[-1], complete=complete) if names else here

    def child(self, directory: Resolution, name: str, *, start: int = 0, complete: bool = False) -> Resolution:
        """Look *name* up in a directory that was resolved before.

        Args:
            directory: A directory that exists.
            name: One component.
            start: How many layers of ``directory.stack`` are known not to have it; they are not asked again.
            complete: As for :meth:`resolve`.
        """
        path = join(directory.path, name)
        # A character has four bytes at the most.
        if len(name) * 4 > _NAME_MAX and len(os.fsencode(name)) > _NAME_MAX:
            return self._plain(path, Rule.NAME_TOO_LONG, errno.ENAMETOOLONG)
        if name == "..":
            return self._plain(path, Rule.NOWHERE, errno.ENOENT)
        if not complete and (unmarked := self._unmarked(directory, path, name, start)) is not None:
            return unmarked
        lookup = Lookup(
            parent=directory.stack,
            roots=self._roots,
            following=self.following,
            name=name,
            data_layers=bool(self.layers.data),
            origins=self.origins,
            index=self._index,
            traps=self.layers.traps,
        )
        try:
            lookup.run(start)
            found = self._finished(path, lookup, directory)
        except RefusedError as refusal:
            found = Resolution(
                path=path,
                outcome=Outcome.REFUSED,
                rule=refusal.rule,
                errno=refusal.errno,
                candidates=tuple(lookup.candidates),
                opaque=lookup.opaque,
                certain=lookup.certain and directory.certain,
            )
        except UnreadableError as trouble:
            lost = Candidate(place=trouble.place, verdict=Verdict.UNREADABLE)
            found = Resolution(
                path=path,
                outcome=Outcome.UNKNOWN,
                rule=Rule.UNREADABLE,
                candidates=(*lookup.candidates, lost),
                unreadable=(Unreadable(place=trouble.place, errno=trouble.errno),),
                certain=False,
            )
        return others(found, directory, self.layers) if complete else found

    def _unmarked(self, directory: Resolution, path: str, name: str, start: int) -> Resolution | None:
        """A file or symbolic link without a mark that counts, in the first layer that has the name; else None.

        Most names are that, and nothing below counts then: a lookup comes to the same, and takes three times as long.
        """
        if self._index is not None or name in {"", "."}:
            return None
        certain, candidates = directory.certain, []
        place: Place | None = None
        attributes: Attributes | None = None
        try:
            for base in directory.stack[start:]:
                place = Place(base.layer, path if base.path == directory.path else join(base.path, name))
                attributes = base.layer.tree.lstat(place.path)
                if attributes is not None:
                    break
                candidates.append(Candidate(place, Verdict.ABSENT))
            if place is None or attributes is None:
                return None
            kind, tree = attributes.kind, place.layer.tree
            if (kind is not Kind.FILE and kind is not Kind.SYMLINK) or self.origins.refused(place, attributes):
                return None
            if kind is Kind.FILE and not self.following.blind:
                if self.following.prefix is Prefix.TRUSTED and not tree.trusted:
                    certain = False
                elif (names := tree.xattr_names(place.path)) and not self.counting.isdisjoint(names):
                    return None
        except OSError:
            return None
        candidates.append(Candidate(place, Verdict.PROVIDES, attributes))
        return Resolution(
            path=path,
            outcome=Outcome.PRESENT,
            rule=Rule.TOPMOST,
            stack=(place,),
            attributes=attributes,
            nlink=attributes.nlink,
            candidates=tuple(candidates),
            data=place if kind is Kind.FILE else None,
            whiteout_layers=directory.whiteout_layers,
            certain=certain,
        )

    def keep(self, directory: Resolution) -> None:
        """Remember a directory, for paths below it."""
        self._kept[directory.path] = directory
        if len(self._kept) > _KEPT_DIRECTORIES:
            self._kept.popitem(last=False)

    def _directory(self, parent: Resolution, name: str) -> Resolution:
        path = join(parent.path, name)
        if (kept := self._kept.get(path)) is not None:
            self._kept.move_to_end(path)
            return kept
        found = self.child(parent, name)
        self.keep(found)
        return found

    def _finished(self, path: str, lookup: Lookup, directory: Resolution) -> Resolution:
        indexed = None if self._index is None else self._index.consult(lookup)
        of_index = indexed is not None and lookup.upper is None
        if indexed is not None and of_index:
            # A lower file that has another name which was copied up is that file.
            lookup.indexed_upper(indexed.entry)
        objects = [lookup.upper, *lookup.found] if lookup.upper is not None else list(lookup.found)
        certain = directory.certain and lookup.certain
        candidates = tuple(lookup.candidates)
        if not objects:
            gone = lookup.opaque or any(seen.verdict is Verdict.WHITEOUT for seen in candidates)
            return Resolution(
                path=path,
                outcome=Outcome.ABSENT,
                rule=Rule.WHITEOUT if gone else Rule.NOWHERE,
                errno=errno.ENOENT,
                candidates=candidates,
                opaque=gone,
                certain=certain,
            )
        # With nfs_export a directory of the upper is what its lower is only when the index says so.
        by_upper = self.following.verify_lower and indexed is None
        lineage = _lineage(lookup, directory, by_upper=by_upper) if lookup.is_directory else ()
        data, data_errno, unreadable = self._data(lookup, objects)
        nlink, counted = self._nlink(lookup, objects, indexed)
        top = objects[0]
        places = tuple(found.place for found in objects)
        if not lookup.is_directory:
            # Metadata-only objects between the first and the data are of no consequence.
            places = places[:1] if data is None or data == places[0] else (places[0], data)
        return Resolution(
            path=path,
            outcome=Outcome.PRESENT,
            rule=Rule.INDEXED if of_index else _rule(lookup, len(objects)),
            stack=places,
            attributes=top.attributes,
            nlink=nlink,
            candidates=candidates,
            data=data,
            data_errno=data_errno,
            opaque=lookup.opaque,
            has_whiteout_marks=bool(lookup.whiteout_layers),
            whiteout_layers=directory.whiteout_layers.union(lookup.whiteout_layers),
            lineage=lineage,
            unreadable=unreadable,
            certain=certain and counted and not unreadable and not self._unmarkable(lookup),
            indexed=indexed is not None,
        )

    def _nlink(self, lookup: Lookup, objects: list[Found], indexed: Indexed | None) -> tuple[int, bool]:
        """The link count, and whether it is certain."""
        top = objects[0]
        own = top.attributes.nlink
        if lookup.is_directory:
            return (1 if len(objects) > 1 else own), True
        if indexed is None:
            return own, True
        marks = self.following.habits(Habit.LINK_MARKS)
        if indexed.lower_nlink == 1 and marks is Answer.NO:
            return own, True
        marked = merged_nlink(lookup.mark(top.place, Mark.NLINK), own, indexed.lower_nlink)
        return marked, marked == own or indexed.lower_nlink > 1 or marks is Answer.YES

    def _unmarkable(self, lookup: Lookup) -> bool:
        # Whether the index holds a file that can have none of its marks.
        return (
            self._index is not None
            and self.following.prefix is Prefix.USER
            and lookup.upper is not None
            and lookup.upper.attributes.kind not in {Kind.FILE, Kind.DIRECTORY}
            and (lookup.upper.attributes.nlink > 1 or lookup.upper.place.layer is self.layers.index)
        )

    def _data(self, lookup: Lookup, objects: list[Found]) -> tuple[Place | None, int, tuple[Unreadable, ...]]:
        if objects[0].attributes.kind is not Kind.FILE:
            return None, 0, ()
        own_data = not lookup.upper_metacopy if lookup.upper is not None else len(objects) == 1 and not lookup.metacopy
        if own_data:
            return objects[0].place, 0, ()
        if self.following.verity_required and not lookup.digest:
            return None, errno.EIO, ()
        if not lookup.data_are_beyond:
            return objects[-1].place, 0, ()
        assert lookup.redirect is not None, "data_are_beyond says so"  # noqa: S101 -- for the type checker
        try:
            return *find_data(self.layers.data, lookup.redirect), ()
        except OSError as error:
            trouble = Unreadable(place=Place(self.layers.data[0], lookup.redirect.strip("/")), errno=error.errno or 0)
            return None, 0, (trouble,)

    def _below(self, parent: Resolution, path: str, *, complete: bool) -> Resolution:
        """What is asked for below something that is no directory."""
        if parent.exists:
            return self._plain(path, Rule.PARENT_NOT_DIRECTORY, errno.ENOTDIR, parent, complete=complete)
        if parent.outcome is Outcome.ABSENT:
            return self._plain(path, Rule.PARENT_ABSENT, errno.ENOENT, parent, complete=complete)
        return Resolution(
            path=path,
            outcome=parent.outcome,
            rule=parent.rule,
            errno=parent.errno,
            candidates=parent.candidates,
            unreadable=parent.unreadable,
            certain=parent.certain,
        )

    def _plain(
        self, path: str, rule: Rule, number: int, parent: Resolution | None = None, *, complete: bool = False
    ) -> Resolution:
        outcome = Outcome.ABSENT if number == errno.ENOENT else Outcome.REFUSED
        certain = self.certain if parent is None else parent.certain
        found = Resolution(path=path, outcome=outcome, rule=rule, errno=number, certain=certain)
        return others(found, parent or self.root(), self.layers) if complete else found

    def _has_whiteout_marks(self, place: Place) -> bool:
        if self.following.blind:
            return False
        try:
            value = place.layer.tree.xattr("", self.following.prefix + Mark.OPAQUE)
        except OSError:
            return False
        if value is None or decode_opaque(value) is not Opaque.WHITEOUTS:
            return False
        return self.following.xattr_whiteouts


def _lineage(lookup: Lookup, directory: Resolution, *, by_upper: bool) -> tuple[Identity, ...]:
    key = lookup.found[0] if lookup.found and (lookup.upper is None or not by_upper) else lookup.upper
    assert key is not None, "a directory was found"  # noqa: S101 -- for the type checker
    own = Identity(key.place, lookup.upper is not None)
    for above in directory.lineage:
        if above.place == own.place:
            # One inode for a directory and one above it: ovl_verify_inode() compares the upper parts, and without any
            # it is d_splice_alias() that sees the loop.
            uppers = own.with_upper or above.with_upper
            raise RefusedError(errno.ESTALE if uppers else errno.ELOOP, Rule.REDIRECT_LOOP)
    return (*directory.lineage, own)


def _rule(lookup: Lookup, objects: int) -> Rule:
    if lookup.redirect is not None and lookup.is_directory and objects > 1:
        return Rule.REDIRECTED
    if lookup.is_directory:
        return Rule.MERGED if objects > 1 else Rule.OPAQUE if lookup.opaque else Rule.TOPMOST
    if objects > 1 or lookup.metacopy:
        return Rule.METACOPY
    return Rule.TOPMOST
