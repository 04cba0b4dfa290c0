"""One name looked up in one merged directory, as ovl_lookup() does it.

This follows fs/overlayfs/namei.c of Linux 6.18 (ovl_lookup_layers, ovl_lookup_layer, ovl_lookup_single) step by step,
because the corners are in the steps. What is worth knowing before reading:

- A layer's object is looked up under ``name``. A redirect found on the way changes that name for the layers *below* it.
  An absolute redirect also puts the lookup back onto the root's layers, since the parent's own may be fewer.
- Marks of an object in the last layer that could matter are not read at all (``last``): there is nothing below for them
  to hide or lead to. So a redirect with nofollow, or an invalid one, harms only where something could be below.
- Every component of an absolute redirect is looked up like an object of its own: a whiteout or a non-directory ends the
  lookup, and a redirect on an ancestor bends the path for the layers further down.
- The components of a redirect are never ``.``, ``..`` or empty: lookup_one() refuses those with EACCES.
- A regular file with ``metacopy`` goes on to the layers below until one has its data.

Older kernels differ in what a mark means: :mod:`ovlctl.overlay.habits`.

Law 1 of the design holds here or nowhere: for every stack, this lookup equals the kernel's.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import (
    Mark,
    Opaque,
    Prefix,
    RedirectForm,
    decode_metacopy,
    decode_opaque,
    decode_redirect,
    known_record,
)
from ovlctl.overlay.object_marks import whiteout
from ovlctl.overlay.refusals import RefusedError, UnreadableError
from ovlctl.overlay.resolution import Candidate, Place, Rule, Verdict
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from ovlctl.kernel.handles import FileHandle
    from ovlctl.overlay.index import Index
    from ovlctl.overlay.layers import Following, Layer
    from ovlctl.overlay.marks import Redirect
    from ovlctl.overlay.origins import Origins
    from ovlctl.overlay.tree import Attributes


@dataclass(slots=True)
class Found:
    """An object that a layer gives to a lookup."""

    place: Place
    attributes: Attributes
    redirect: Redirect | None = None


@dataclass(slots=True, kw_only=True)
class Lookup:
    """The state of one lookup: struct ovl_lookup_data and what it leaves behind.

    Attributes:
        parent: What the parent directory is made of, the upper's part first.
        roots: What the overlay's root is made of, lowers only.
        name: What is looked for in the next layer: one name, or a path from the root.
        data_layers: Whether the stack has data-only layers.
        origins: Those of the upper's objects.
        index: That of the upper; None when the mount uses none.
        traps: Directories that no lookup may come to, by device and inode number.
        verified: The upper's object is known to be a copy of the topmost lower one.
        stop: No layer further down counts.
        last: There is no layer further down.
        metacopy: The file seen last has no data of its own.
        absolute: The redirect read last is an absolute one.
        whiteout_layers: Lowers whose directory has ``opaque=x``.
        upper: The upper's object.
        found: The lowers' objects that are part of the result.
        candidates: What was looked at, and what became of it.
        certain: False once a mark could not be seen.
    """

    parent: tuple[Place, ...]
    roots: tuple[Place, ...]
    following: Following
    name: str
    data_layers: bool
    origins: Origins
    index: Index | None = None
    traps: frozenset[tuple[int, int]] = frozenset()
    verified: bool = False
    is_directory: bool = False
    opaque: bool = False
    whiteout_layers: list[Layer] = field(default_factory=list)
    stop: bool = False
    last: bool = False
    metacopy: bool = False
    digest: bool = False
    absolute: bool = False
    redirect: str | None = None
    upper: Found | None = None
    upper_metacopy: bool = False
    found: list[Found] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    certain: bool = True

    def run(self, start: int = 0) -> None:
        """Look the name up in the layers.

        Args:
            start: How many of the parent's layers are known not to have the name.

        Raises:
            RefusedError, UnreadableError: ``candidates`` says how far it came.
        """
        lowers = self.parent
        if lowers and lowers[0].layer.role is Role.UPPER:
            upper, lowers = lowers[0], lowers[1:]
            if start == 0:
                self.last = not self._checks_redirects and not lowers
                self._upper(upper)
                if self.redirect is not None and self.redirect.startswith("/"):
                    lowers = self.roots
            start = max(0, start - 1)
        self._lowers(lowers, start)
        self._check_following(beyond=self.data_are_beyond)
        if not self.data_are_beyond and (self.metacopy or (self.upper_metacopy and not self.found)):
            raise RefusedError(errno.EIO, Rule.METACOPY_WITHOUT_DATA)

    def indexed_upper(self, upper: Found) -> None:
        """Take *upper*, which the index gives for the lower that was found, for the upper's object.

        Raises:
            RefusedError, UnreadableError
        """
        value = self.mark(upper.place, Mark.REDIRECT)
        if value is not None:
            upper.redirect = decode_redirect(value)
            if upper.redirect.form is RedirectForm.INVALID:
                raise RefusedError(errno.EINVAL, Rule.REDIRECT_INVALID)
            if not self.following.redirects and self._has(Habit.REFUSES_FIRST):
                raise RefusedError(errno.EPERM, Rule.REDIRECT_NOT_FOLLOWED)
        self.upper, self.upper_metacopy = upper, self._has_metacopy(upper.place, upper.attributes)
        if self.upper_metacopy and not self.following.metacopy and self._has(Habit.REFUSES_FIRST):
            raise RefusedError(errno.EPERM, Rule.METACOPY_NOT_FOLLOWED)
        self.candidates.insert(
            0,
            Candidate(
                place=upper.place, verdict=Verdict.PROVIDES, attributes=upper.attributes, redirect=upper.redirect
            ),
        )

    @property
    def data_are_beyond(self) -> bool:
        """Whether the data of a file are to be looked for in the data-only layers, when it is opened."""
        return self.metacopy and bool(self.found) and self.data_layers and self.absolute

    @property
    def _checks_redirects(self) -> bool:
        return self.following.redirects or (self.data_layers and self._has(Habit.REFUSES_FIRST))

    def _upper(self, upper: Place) -> None:
        self.upper = self._layer(upper)
        if self.upper is not None:
            self._check_origin(self.upper)
            self.upper_metacopy = not self.is_directory and self.metacopy
            self._note(self.upper, Verdict.PROVIDES)

    def _check_origin(self, upper: Found) -> None:
        try:
            refused = self.origins.refused(upper.place, upper.attributes)
        except OSError as error:
            raise UnreadableError(upper.place, error.errno or 0) from error
        if refused:
            self._note(upper, Verdict.REFUSED)
            raise RefusedError(errno.EIO, Rule.ORIGIN_OTHER_KIND)

    def _lowers(self, lowers: tuple[Place, ...], index: int) -> None:
        while not self.stop and index < len(lowers):
            lower = lowers[index]
            self._check_following()
            if not self._checks_redirects:
                self.last = index == len(lowers) - 1
            elif self.is_directory or not self.data_layers:
                self.last = lower.layer is self.roots[-1].layer
            found = self._layer(lower)
            if found is not None:
                if self.index is not None and self.upper is not None and not self.found:
                    self.verified = self._verify(self.index, self.upper, found)
                    if self.is_directory and self.index.everything and not self.verified:
                        self._note(found, Verdict.NOT_ORIGIN)
                        return
                self._take(found)
                if self.redirect is not None and self.redirect.startswith("/") and lowers is not self.roots:
                    index = next(at for at, root in enumerate(self.roots) if root.layer is lower.layer)
                    lowers = self.roots
            index += 1

    def _take(self, found: Found) -> None:
        if self.metacopy and self.found:
            # Only the topmost metadata-only object of the lowers is kept.
            self._note(found, Verdict.METADATA_ONLY)
            return
        if self.upper is None and not self.found:
            verdict = Verdict.PROVIDES
        elif self.is_directory:
            verdict = Verdict.MERGED
        else:
            verdict = Verdict.METADATA_ONLY if self.metacopy else Verdict.DATA
        self._note(found, verdict)
        self.found.append(found)

    def _verify(self, index: Index, upper: Found, lower: Found) -> bool:
        # As ovl_verify_origin() does, where it is called.
        if self.is_directory and not index.everything:
            return False
        value = self.mark(upper.place, Mark.ORIGIN)
        if value is None:
            # A directory gets its missing origin now.
            return self.is_directory
        record = known_record(value)
        if record is not None and record.stands_for(self.handle(lower.place)):
            return True
        if not self.is_directory and index.origin(self, upper) is not None:
            self._note(lower, Verdict.NOT_ORIGIN)
            raise RefusedError(errno.ESTALE, Rule.ORIGIN_DIFFERS)
        return False

    def _check_following(self, *, beyond: bool = False) -> None:
        # As ovl_check_follow_redirect does. Older kernels ask only when a lower has something, but then also when what
        # is left is in data-only layers.
        if (self.metacopy or self.upper_metacopy) and not self.following.metacopy:
            rule = Rule.METACOPY_NOT_FOLLOWED
        elif self.redirect is not None and not self.following.redirects:
            rule = Rule.REDIRECT_NOT_FOLLOWED
        else:
            return
        if (beyond or not self.found) and self._has(Habit.REFUSES_FIRST) is beyond:
            return
        raise RefusedError(errno.EPERM, rule)

    def _layer(self, base: Place) -> Found | None:
        # As ovl_lookup_layer does.
        if not self.name.startswith("/"):
            return self._single(base, self.name, "", "")
        # Counting from the end, since what stands before can change.
        left = len(self.name) - 1
        here = base
        while True:
            cut = len(self.name) - left
            name, slash, after = self.name[cut:].partition("/")
            found = self._single(here, name, self.name[:cut], slash + after)
            if not slash or found is None:
                return found
            left -= len(name) + 1
            here = found.place

    def _single(self, base: Place, name: str, prefix: str, post: str) -> Found | None:
        # As ovl_lookup_single does; *prefix* and *post* are what stands around *name* in a path from the root.
        if name in {"", ".", ".."}:
            raise RefusedError(errno.EACCES, Rule.REDIRECT_REFUSED)
        place = Place(base.layer, join(base.path, name))
        attributes = self._lstat(place)
        if attributes is None:
            self._lose(place, Verdict.ABSENT)
            return None
        verdict = self._obstacle(place, attributes, end=not post)
        if verdict is not None:
            self.stop = True
            self._lose(place, verdict, attributes)
            return None
        found = Found(place, attributes)
        further = self._directory(found, end=not post) if attributes.kind is Kind.DIRECTORY else self._other(found)
        if further:
            self._follow(found, prefix, post)
        return found

    def _obstacle(self, place: Place, attributes: Attributes, *, end: bool) -> Verdict | None:
        # What ends the lookup without being part of it.
        if self._is_whiteout(place, attributes):
            self.opaque = True
            return Verdict.WHITEOUT
        if end and self.metacopy and attributes.kind is not Kind.FILE:
            return Verdict.NOT_FILE
        if attributes.kind is not Kind.DIRECTORY and (self.is_directory or not end):
            return Verdict.NOT_DIRECTORY
        return None

    def _other(self, found: Found) -> bool:
        # Whether the layers below have more of this object.
        self.metacopy = self._has_metacopy(found.place, found.attributes)
        self.stop = not self.metacopy
        return self.metacopy and not self.last

    def _directory(self, found: Found, *, end: bool) -> bool:
        if (found.attributes.dev, found.attributes.ino) in self.traps:
            self._note(found, Verdict.REFUSED)
            raise RefusedError(errno.ELOOP, Rule.OVERLAPPING)
        self.is_directory = self.is_directory or end
        if self.last:
            return False
        opaque = self.mark(found.place, Mark.OPAQUE)
        value = None if opaque is None else decode_opaque(opaque)
        if value is Opaque.YES:
            self.stop = True
            self.opaque = self.opaque or end
            return False
        holding = value is Opaque.WHITEOUTS and end and found.place.layer.role is not Role.UPPER
        if holding and self.following.xattr_whiteouts:
            self.whiteout_layers.append(found.place.layer)
        return True

    def _follow(self, found: Found, prefix: str, post: str) -> None:
        # As ovl_check_redirect does.
        self.absolute = False
        value = self.mark(found.place, Mark.REDIRECT)
        if value is None:
            return
        found.redirect = decode_redirect(value)
        if found.redirect.form is RedirectForm.INVALID:
            self._note(found, Verdict.REFUSED)
            raise RefusedError(errno.EINVAL, Rule.REDIRECT_INVALID)
        if found.redirect.form is RedirectForm.ABSOLUTE:
            # An opaque ancestor on the way here does not count: this says where to go on.
            self.absolute, self.stop = True, False
            self.redirect = found.redirect.target + post
        else:
            self.redirect = prefix + found.redirect.target + post
        self.name = self.redirect

    def _has_metacopy(self, place: Place, attributes: Attributes) -> bool:
        # As ovl_check_metacopy_xattr does.
        if attributes.kind is not Kind.FILE:
            return False
        value = self.mark(place, Mark.METACOPY)
        if value is None:
            return False
        metacopy = decode_metacopy(value)
        if not metacopy.valid and self._has(Habit.METACOPY_VALUES):
            self._lose(place, Verdict.REFUSED, attributes)
            raise RefusedError(errno.EIO, Rule.METACOPY_INVALID)
        if self.upper is None and not self.found:
            self.digest = bool(metacopy.algorithm)
        return True

    def _is_whiteout(self, place: Place, attributes: Attributes) -> bool:
        marked = False
        if attributes.kind is Kind.FILE and attributes.size == 0:
            marked = self.mark(place, Mark.WHITEOUT) is not None and self._has(Habit.XATTR_WHITEOUTS)
        return whiteout(attributes, marked=marked) is not None

    def _has(self, habit: Habit) -> bool:
        # Where that is not known: as the newest kernels have it, and not certain.
        answer = self.following.habits(habit)
        self.certain = self.certain and answer is not Answer.UNKNOWN
        return answer is not Answer.NO

    def _note(self, found: Found, verdict: Verdict) -> None:
        self.candidates.append(
            Candidate(place=found.place, verdict=verdict, attributes=found.attributes, redirect=found.redirect)
        )

    def _lose(self, place: Place, verdict: Verdict, attributes: Attributes | None = None) -> None:
        self.candidates.append(Candidate(place=place, verdict=verdict, attributes=attributes))

    # Reading, with troubles as UnreadableError.

    def _lstat(self, place: Place) -> Attributes | None:
        try:
            return place.layer.tree.lstat(place.path)
        except OSError as error:
            raise UnreadableError(place, error.errno or 0) from error

    def handle(self, place: Place) -> FileHandle | None:
        """What the file system calls an object; None where there are no handles. Raises UnreadableError."""
        try:
            return place.layer.tree.handle(place.path)
        except OSError as error:
            raise UnreadableError(place, error.errno or 0) from error

    def mark(self, place: Place, mark: Mark) -> bytes | None:
        """The value of a mark; None when it is not there, or cannot be seen. Raises UnreadableError."""
        tree, prefix = place.layer.tree, self.following.prefix
        if self.following.blind:
            return None
        if prefix is Prefix.TRUSTED and not tree.trusted:
            self.certain = False
            return None
        try:
            return tree.xattr(place.path, prefix + mark)
        except OSError as error:
            hidden = prefix is Prefix.USER and error.errno == errno.EACCES
            if hidden and mark is Mark.METACOPY and not self.following.privileged:
                # The mounter may not read it either, and takes it for absent.
                return None
            raise UnreadableError(place, error.errno or 0) from error
