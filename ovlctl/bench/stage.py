"""One overlay of the benchmark: mounted with a fresh upper, its effective options read back, and gone again."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.bench.terms import Settings
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.kernel.mounts import mount_at
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.ladder import mount_stack
from ovlctl.ops.readback import on_one_fs, weaknesses
from ovlctl.ops.workspace import remove_tree
from ovlctl.overlay import live
from ovlctl.overlay.options import Flag, Fsync, Options, Switch
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A mounted overlay.

    Attributes:
        merged: The mount point.
        upper: Its upper.
        effective: The options as the kernel shows them.
        weaker: What the kernel made weaker than asked, as sentences.
    """

    merged: str
    upper: str
    effective: Options
    weaker: tuple[str, ...]

    @property
    def xattr_prefix(self) -> str:
        """What its marks start with."""
        return "user.overlay." if self.effective.userxattr is Flag.YES else "trusted.overlay."

    @property
    def metacopy(self) -> bool:
        """Whether metadata is copied up without data."""
        return self.effective.metacopy is Switch.ON

    @property
    def index(self) -> bool:
        """Whether hard links are kept together."""
        return self.effective.index is Switch.ON

    @property
    def syncs(self) -> bool:
        """Whether fsync(2) through the overlay reaches the upper."""
        return self.effective.fsync is not Fsync.VOLATILE


@contextmanager
def fresh(lowers: Sequence[str], base: str, options: Options) -> Iterator[Stage]:
    """Mount *lowers* with a new upper below the new directory *base*, which is removed afterwards.

    Raises:
        KernelRefused, MissingCapability and others of :func:`ovlctl.ops.ladder.mount_stack`.
    """
    for name in ("", "upper", "work", "merged"):
        os.mkdir(os.path.join(base, name), 0o755)
    try:
        with mounted(lowers, base, options) as stage:
            yield stage
    finally:
        remove_tree(base)


@contextmanager
def mounted(lowers: Sequence[str], base: str, options: Options) -> Iterator[Stage]:
    """Mount *lowers* with the upper, work and merged that *base* holds; unmounted afterwards."""
    upper, work, merged = (os.path.join(base, name) for name in ("upper", "work", "merged"))
    stack = Stack(lowers, upper=upper, work=work, options=options)
    one_fs = on_one_fs(stack)
    taken = mount_stack(stack, merged)
    try:
        found = mount_at(merged)
        effective = live.effective(found.options, module_defaults())
        weaker = tuple(note.text() for note in weaknesses(stack, taken, found, one_fs=one_fs))
        yield Stage(merged=merged, upper=upper, effective=effective, weaker=weaker)
    finally:
        # Detached, because nobody else can see into this namespace, and an exception may hold a file open.
        umount2(merged, MNT.DETACH)


def shown(options: Options) -> Settings:
    """Effective options as settings; what the kernel does not tell is left out."""
    return Settings(tuple((key.name, str(value)) for key, value in options.asked()))
