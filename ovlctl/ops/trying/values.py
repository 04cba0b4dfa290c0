"""What was wished, what was done, and what was seen before and after: pure values. Times are nanoseconds.

Law 5: everything in a :class:`Deed` was measured or read back on the real directories; what is only expected is in a
:class:`Preview`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.overlay.marks import Mark

if TYPE_CHECKING:
    from ovlctl.ops.explain.values import Cost
    from ovlctl.overlay.tree import Kind


class Action(StrEnum):
    """What can be tried on a path of a merged view.

    ``READ`` opens a file and reads it (a directory is listed, a symbolic link read). ``MODIFY`` opens a file for
    writing and writes over its first bytes what stands there already, at most 4096 of them (an empty file gets one
    byte). ``DELETE`` is unlink(2), of a directory rmdir(2). ``CREATE`` makes an empty file with O_EXCL, ``MKDIR`` a
    directory. ``CHMOD``, ``RENAME``, ``LINK`` are the system calls of those names.
    """

    READ = "read"
    MODIFY = "modify"
    DELETE = "delete"
    CREATE = "create"
    CHMOD = "chmod"
    RENAME = "rename"
    LINK = "link"
    MKDIR = "mkdir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One action.

    Attributes:
        path: From the root of the merged view.
        to: The new path, for RENAME and LINK.
        mode: The new permission bits, for CHMOD.
    """

    action: Action
    path: str
    to: str | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What lstat(2) says of one object.

    Attributes:
        blocks: Units of 512 bytes.
    """

    kind: Kind
    ino: int
    dev: int
    size: int
    blocks: int
    nlink: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSight:
    """What one layer has at a path.

    Attributes:
        layer: Its number in the ground.
        sight: None for nothing.
        path: Where in the layer, when a redirect leads to another place there; None for the same path.
        marks: On it, sorted; a whiteout of whichever kind is ``Mark.WHITEOUT``.
    """

    layer: int
    sight: Sight | None
    marks: tuple[Mark, ...] = ()
    path: str | None = None

    @property
    def is_whiteout(self) -> bool:
        """Whether it says that the name is gone."""
        return Mark.WHITEOUT in self.marks

    @property
    def has_object(self) -> bool:
        """Whether something is there that is no whiteout."""
        return self.sight is not None and not self.is_whiteout


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A path, at one moment: through the mount, and in each layer.

    Attributes:
        path: From the root of the merged view.
        merged: Through the mount; None when it is not there.
        layers: Of every layer that has something at the path, topmost first; the scratch upper always comes first.
    """

    path: str
    merged: Sight | None
    layers: tuple[LayerSight, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One system call of the action, made through the mount.

    Attributes:
        text: As strace(1) would write it, with the path's last component only, such as ``open("app.conf", O_WRONLY)``;
            the name in it is not escaped. Reads of one file count as one call.
        ns: How long it took.
        errno: 0 when it worked.
    """

    text: str
    ns: int
    errno: int = 0


class StepKind(StrEnum):
    """What happened, as found by comparing before with after on the real directories.

    ``LOOKED``: the lookup went through *layer* and found nothing, or a whiteout. ``FOUND``: *layer* has the object.
    ``READ``: its data were read there. ``PARENT``: a directory on the way came into the upper. ``COPIED``: the object
    came into the upper, with *bytes* of data. ``METADATA``: it came without data. ``WRITTEN``: it was changed in place,
    in the upper. ``CREATED``: something new is in the upper. ``WHITEOUT``: a whiteout is in the upper. ``REMOVED``: an
    object of the upper is gone. ``MOVED``: an object of the upper has another name. ``LINKED``: it has one name more.
    ``REFUSED``: the kernel said no; what it changed before that stands in the steps before.
    """

    LOOKED = "looked"
    FOUND = "found"
    READ = "read"
    PARENT = "parent"
    COPIED = "copied"
    METADATA = "metadata"
    WRITTEN = "written"
    CREATED = "created"
    WHITEOUT = "whiteout"
    REMOVED = "removed"
    MOVED = "moved"
    LINKED = "linked"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened.

    Attributes:
        path: In the merged view.
        source: The number of the layer that it came from; None when from nowhere.
        layer: The number of the layer where it happened, 0 = the scratch upper.
        bytes: Data that were copied, cloned, written or read.
        cloned: Whether COPIED data share their extents with the source; None when that cannot be told.
        marks: That the object in the upper has now; of LOOKED, ``whiteout`` where one ended the search.
        only_here: Whether only the scratch upper needs it: a whiteout that hides what the stack's own upper has, where
            the stack itself would keep none.
    """

    kind: StepKind
    path: str
    layer: int | None = None
    source: int | None = None
    bytes: int = 0
    cloned: bool | None = None
    marks: tuple[Mark, ...] = ()
    only_here: bool = False


def upper_step(
    kind: StepKind,
    path: str,
    *,
    source: int | None = None,
    bytes: int = 0,  # noqa: A002 -- the attribute's name
    cloned: bool | None = None,
    marks: tuple[Mark, ...] = (),
    only_here: bool = False,
) -> Step:
    """A step that happens in the scratch upper; arguments as the attributes of :class:`Step`."""
    return Step(
        kind=kind, path=path, layer=0, source=source, bytes=bytes, cloned=cloned, marks=marks, only_here=only_here
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the kernel will do, worked out from the layers; nothing was done yet.

    Attributes:
        wish: What is asked about.
        cost: From ``explain``; None for READ, and where nothing is there yet (CREATE, MKDIR).
        errno: What the kernel will answer; 0 when it will work, as far as the layers tell.
        steps: What will happen, in the same words as what then did; their figures are predictions.
        in_own_upper: Whether the object is in the upper of the stack itself, so that there it would be changed in
            place: on a scratch upper it is only as good as that when a copy of it could be put there before.
    """

    wish: Wish
    cost: Cost | None
    errno: int
    steps: tuple[Step, ...]
    in_own_upper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What was done, and what became of it.

    Attributes:
        wish: What was asked for.
        calls: The system calls, in order; after one that failed there is at most the close(2) of what was open.
        steps: What happened.
        before: The path (and after it :attr:`Wish.to`), just before.
        after: The same, just after.
        mixed: Whether the object was put into the scratch upper beforehand, because the stack's own upper has it.
        in_own_upper: Whether the stack's own upper has it. Where it could not be put there (not *mixed*: it is too
            large, or of a kind that this user cannot make), the stack itself would have changed it in place.
        live: Whether it was done on the real mount.
    """

    wish: Wish
    calls: tuple[Call, ...]
    steps: tuple[Step, ...]
    before: tuple[Moment, ...]
    after: tuple[Moment, ...]
    mixed: bool = False
    in_own_upper: bool = False
    live: bool = False

    @property
    def errno(self) -> int:
        """0 when all calls worked."""
        return next((call.errno for call in self.calls if call.errno), 0)

    @property
    def ns(self) -> int:
        """All calls together."""
        return sum(call.ns for call in self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundLayer:
    """A layer that a deed can speak of.

    Attributes:
        label: ``scratch upper``, or as the stack calls it: ``upper``, ``lower:0``, ``data:0``.
        directory: Where it is.
    """

    label: str
    directory: str


class Because(StrEnum):
    """Why the scratch mount has an option otherwise than the stack.

    ``IN_USE``: the stack's upper is in use by its own mount, and with the index the kernel takes no such lower.
    ``WITHOUT_ROOT``: it takes marks in trusted.*, which need root. ``KERNEL``: the kernel made it weaker than asked.
    """

    IN_USE = "in-use"
    WITHOUT_ROOT = "without-root"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An option that the scratch mount has otherwise than the stack.

    Attributes:
        option: Such as ``index``.
        asked: What the stack has.
        value: What the scratch mount has; None for unset.
    """

    option: str
    asked: str
    value: str | None
    because: Because


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Deeds that belong together, for a page to replay.

    Attributes:
        label: The stack that they were done on, or that of the example.
        example: Whether that is the built-in example, because the stack itself could not be mounted.
        because: Why so, in words, with paths that are not escaped; None when it is the stack itself.
        layers: What the numbers in the deeds mean.
        kernel: Its release.
        file_system: The type that the scratch upper is on.
        deeds: In the order in which they were done, each on a fresh scratch upper.
    """

    label: str
    example: bool
    because: str | None
    layers: tuple[GroundLayer, ...]
    kernel: str
    file_system: str
    deeds: tuple[Deed, ...]
