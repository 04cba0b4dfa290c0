"""What a stack file declares, as values; nothing here looks at the machine.

A layer is a directory, or another stack of the same file: its merged view, or its lowers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.overlay.options import Options

if TYPE_CHECKING:
    from ovlctl.errors import Note
    from ovlctl.ops.keeping import KeptUpper, TmpfsUpper


@dataclass(frozen=True, slots=True)
class Directory:
    """A layer that is a directory.

    Attributes:
        path: Absolute; variables and ``~`` replaced, relative ones joined to the file's directory.
    """

    path: str


@dataclass(frozen=True, slots=True)
class MergedOf:
    """A layer that is the merged view of another stack of the file, which has to be mounted first."""

    name: str


@dataclass(frozen=True, slots=True)
class LayersOf:
    """The lowers of another stack of the file, in their order, without its upper, which may be written to."""

    name: str


Layer = Directory | MergedOf | LayersOf


@dataclass(frozen=True, slots=True)
class GivenUpper:
    """An upper and a work directory that exist.

    Attributes:
        upper: Absolute path.
        work: Absolute path.
    """

    upper: str
    work: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One stack of a stack file.

    Attributes:
        name: Its name, unique in the file and among the user's mounts.
        lowers: Topmost first.
        data_only: Data-only lowers.
        upper: What is written to: given, kept by ovlctl, in memory, or None for a read-only stack.
        target: Absolute path of the mount point; None lets ovlctl make one.
        options: As asked.
        allow_weaker: Accept a mount that is weaker than asked.
    """

    name: str
    lowers: tuple[Layer, ...]
    data_only: tuple[Layer, ...] = ()
    upper: GivenUpper | KeptUpper | TmpfsUpper | None
    target: str | None = None
    options: Options = field(default_factory=Options)
    allow_weaker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile:
    """A stack file.

    Attributes:
        path: Absolute, without symbolic links.
        stacks: As they stand in the file.
        remarks: What is worth saying when they are mounted.
    """

    path: str
    stacks: tuple[Declared, ...]
    remarks: tuple[Note, ...] = ()
