"""The layers of a stack, opened for reading."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.habits import Habit, not_known
from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, Verity, Xino
from ovlctl.overlay.real_tree import Descriptors, RealTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.habits import Habits
    from ovlctl.overlay.stack import Stack
    from ovlctl.overlay.tree import Tree


class Role(StrEnum):
    """What a layer is in its stack."""

    UPPER = "upper"
    LOWER = "lower"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One layer of an open stack; two layers are the same when they are the same object.

    Attributes:
        index: Counts lowers, and data-only lowers, from 0 = topmost; 0 for the upper.
        directory: Where it is, for people to read; nothing opens this path again.
        tree: What is in it.
        identity: What tells it from all others, without a look into it, where it is a layer of an image; None for a
            directory, which goes by its inode number.
    """

    role: Role
    index: int
    directory: str
    tree: Tree
    identity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The layers of a stack, topmost first.

    Attributes:
        index: The directory WORK/index, seen as a part of the upper: copied-up hard links by the handle of their lower.
            None when the mount does not use one, or is yet to make it.
        traps: The device and inode number of the upper and of what overlayfs works in: a lower that holds them gives
            ELOOP there.
    """

    upper: Layer | None = None
    lowers: tuple[Layer, ...]
    data: tuple[Layer, ...] = ()
    index: Layer | None = None
    traps: frozenset[tuple[int, int]] = frozenset()

    @property
    def merged(self) -> tuple[Layer, ...]:
        """Every layer whose names are seen: the upper and the lowers."""
        return self.lowers if self.upper is None else (self.upper, *self.lowers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """The settings of a mount that lookups depend on.

    Attributes:
        prefix: Where marks are kept.
        blind: Whether the mounter could not read trusted marks, as in a user namespace without userxattr: then none
            of them counts, and only device whiteouts do.
        redirects: Whether redirects are followed; if not, a name whose lookup needs one is EPERM.
        metacopy: Whether metadata-only files are followed; if not, they are EPERM.
        xino: Whether inode numbers of several file systems are made unique: readdir(3) then looks every name up.
        verity_required: Whether a metadata-only file must carry a digest for its data to be opened.
        index: Whether the index of an upper counts, and the origin of a metadata-only file must be what is below it.
        verify_lower: Whether a directory of the upper merges with nothing but its origin (nfs_export).
        privileged: Whether the mounter could read every mark, whoever the file belongs to.
        habits: How the kernel reads marks that others read differently.
    """

    prefix: Prefix = Prefix.TRUSTED
    blind: bool = False
    redirects: bool = True
    metacopy: bool = False
    xino: bool = False
    verity_required: bool = False
    index: bool = False
    verify_lower: bool = False
    privileged: bool = True
    habits: Habits = not_known

    @property
    def xattr_whiteouts(self) -> bool:
        """Whether an empty file with the mark ``whiteout`` is one, and ``opaque=x`` says that a directory has such."""
        return self.habits(Habit.XATTR_WHITEOUTS) is not Answer.NO

    @classmethod
    def of(
        cls,
        options: Options,
        *,
        always_follow: bool = True,
        trusted: bool = True,
        habits: Habits = not_known,
    ) -> Self:
        """What *options*, as stated to the kernel or read back from it, make of lookups.

        Args:
            options: From :func:`~ovlctl.overlay.options.stated` or :func:`~ovlctl.overlay.live.effective`.
            always_follow: The module parameter redirect_always_follow, which decides what redirect_dir=off means.
            trusted: Whether the mounter had CAP_SYS_ADMIN in the initial user namespace.
            habits: See there.
        """
        metacopy = options.metacopy is Switch.ON
        user = options.userxattr is Flag.YES
        # ovl_fs_params_verify(): userxattr drops both, metacopy switches redirects on unless they are set.
        off = RedirectDir.FOLLOW if always_follow else RedirectDir.NOFOLLOW
        redirect = options.redirect_dir or (RedirectDir.ON if metacopy else off)
        if redirect is RedirectDir.OFF:
            redirect = off
        return cls(
            prefix=Prefix.USER if user else Prefix.TRUSTED,
            blind=not user and not trusted,
            redirects=not user and trusted and redirect is not RedirectDir.NOFOLLOW,
            metacopy=not user and trusted and metacopy,
            xino=options.xino in {Xino.ON, Xino.AUTO},
            verity_required=options.verity is Verity.REQUIRE,
            index=options.index is Switch.ON,
            verify_lower=options.index is Switch.ON and options.nfs_export is Switch.ON,
            privileged=trusted,
            habits=habits,
        )


@contextmanager
def open_layers(stack: Stack, *, index: bool = False) -> Iterator[Layers]:
    """Open every layer of *stack* once, for as long as the block runs.

    Takes one descriptor per layer and some 64 more.

    Args:
        stack: Its directories; the options do not matter here.
        index: Whether the mount has index=on; the index is opened too then, when there is one.

    Raises:
        OSError: A layer cannot be opened; its path is the error's file name.
    """
    shared = Descriptors()
    with ExitStack() as closing:

        def layer(role: Role, index: int, directory: str) -> Layer:
            tree = closing.enter_context(RealTree(directory, shared))
            return Layer(role=role, index=index, directory=directory, tree=tree)

        indexes = f"{stack.work}/index" if index and stack.upper is not None and stack.work is not None else ""
        within = [stack.work, f"{stack.work}/work", f"{stack.work}/index"] if stack.work is not None else []
        yield Layers(
            index=layer(Role.UPPER, 0, indexes) if indexes and os.path.isdir(indexes) else None,
            upper=None if stack.upper is None else layer(Role.UPPER, 0, stack.upper),
            lowers=tuple(layer(Role.LOWER, index, path) for index, path in enumerate(stack.lowers)),
            data=tuple(layer(Role.DATA, index, path) for index, path in enumerate(stack.data_only)),
            traps=frozenset(_identities([stack.upper, *within] if stack.upper is not None else [])),
        )


def _identities(directories: list[str]) -> Iterator[tuple[int, int]]:
    for directory in directories:
        # What does not exist yet, or cannot be reached, is in nobody's way.
        with suppress(OSError):
            status = os.stat(directory)
            yield status.st_dev, status.st_ino
