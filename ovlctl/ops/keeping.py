"""The directories that ovlctl makes for a stack: an upper that is kept, a tmpfs for one, a mount point.

All of a stack lies in one directory, so that it can be found, listed and moved aside as a whole; a small file in it
says which lowers the upper was made over.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel import mounts
from ovlctl.ops.records import open_plain, source_of, stack_from_json, stack_to_json
from ovlctl.overlay.options import Flag, RedirectDir, Switch

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.state import State
    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack


#: Options that leave marks in an upper which later mounts have to understand, and values of them that leave none.
_LASTING = frozenset({"redirect_dir", "metacopy", "userxattr"})
_NOTHING = frozenset({Switch.OFF, RedirectDir.FOLLOW, RedirectDir.NOFOLLOW, Flag.NO})


@dataclass(frozen=True, slots=True)
class KeptUpper:
    """Make an upper in the state directory and keep it after the mount has ended."""


@dataclass(frozen=True, slots=True)
class TmpfsUpper:
    """Make an upper in memory.

    Attributes:
        size: Its size in bytes; None is the kernel's default of half the memory.
    """

    size: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a stack's own directory are."""

    base: str
    in_memory: bool

    @property
    def tmpfs(self) -> str:
        """Mount point of the tmpfs."""
        return os.path.join(self.base, "tmpfs")

    @property
    def upper(self) -> str:
        """The upper."""
        return os.path.join(self.tmpfs if self.in_memory else self.base, "upper")

    @property
    def work(self) -> str:
        """Its work directory."""
        return os.path.join(self.tmpfs if self.in_memory else self.base, "work")

    @property
    def merged(self) -> str:
        """The mount point, when no target was given."""
        return os.path.join(self.base, "merged")

    @property
    def note(self) -> str:
        """The file that says which lowers the upper belongs to."""
        return os.path.join(self.base, "stack.json")

    def mounted_tmpfs(self) -> Mount | None:
        """The tmpfs that ovlctl mounted here for this stack, or None; another one is not ours."""
        source = source_of(os.path.basename(self.base))
        for mount in mounts.mounts("tmpfs"):
            if mount.mount_point == self.tmpfs and mount.source == source:
                return mount
        return None


def layout(state: State, name: str, *, in_memory: bool) -> Layout:
    """Where the directories of the stack *name* are or would be."""
    return Layout(state.stack_dir(name, volatile=in_memory), in_memory)


def existing(state: State, name: str) -> Layout | None:
    """The layout of the stack *name* that holds an upper now, or None; an upper in memory ends with its tmpfs."""
    for in_memory in (False, True):
        found = layout(state, name, in_memory=in_memory)
        if os.path.exists(found.note) and not (in_memory and found.mounted_tmpfs() is None):
            return found
    return None


def read(state: State, name: str) -> Stack | None:
    """The stack whose upper is kept under *name*, or None when none is.

    Raises:
        RecordDamaged: when its file cannot be understood.
    """
    found = existing(state, name)
    if found is None:
        return None
    try:
        with open_plain(found.note) as file:
            return stack_from_json(json.load(file))
    except OSError as error:
        raise errors.RecordDamaged(f"{{}} cannot be read: {strerror(error)}", found.note) from error
    except (ValueError, KeyError, TypeError, errors.BadUsage) as error:
        raise errors.RecordDamaged("{} cannot be understood; the upper beside it is untouched", found.note) from error


def text(stack: Stack) -> str:
    """What the file of a kept upper holds."""
    return json.dumps(stack_to_json(stack), indent=1) + "\n"


def check_same(name: str, kept: Stack, wanted: Stack, *, rebase: bool = False) -> None:
    """Refuse to put a kept upper over other lowers than its own, or to read its marks otherwise than it was written.

    Args:
        name: Under which it is kept.
        kept: The stack that it was written in.
        wanted: The stack that it is to be used in.
        rebase: Other lowers are meant; they are refused only where marks in the upper are bound to its own.

    Raises:
        KeptUpperDiffers: when they differ.
    """
    before, now = kept.options, wanted.options
    lost = [
        key.name
        for key, value in before.asked()
        if key.name in _LASTING and value not in _NOTHING and getattr(now, key.name) is not value
    ]
    if lost:
        words = " ".join(f"--{key.replace('_', '-')} {getattr(before, key)}".removesuffix(" yes") for key in lost)
        raise errors.KeptUpperDiffers(
            f"the upper kept as {name} was written with {' and '.join(lost)}, without which it is read wrongly",
            kept.upper or "",
            hint=f"add `{words}`, or end the old one: `ovlctl umount {name} --discard`",
        )
    if (kept.lowers, kept.data_only) == (wanted.lowers, wanted.data_only) or (rebase and not binding(before)):
        return
    raise errors.KeptUpperDiffers(
        f"the upper kept as {name} was made over other lowers (topmost {{}}, now {{}})",
        kept.lowers[0],
        wanted.lowers[0],
        hint=f"choose another `--name`, or end the old one: `ovlctl umount {name} --discard`",
    )


def binding(options: Options) -> tuple[str, ...]:
    """Those of *options* that let an upper hold marks which mean something over its own lowers only.

    Source: "Changes to underlying filesystems" in Documentation/filesystems/overlayfs.rst.
    """
    switches = {"index": options.index, "metacopy": options.metacopy, "nfs_export": options.nfs_export}
    on = [name for name, value in switches.items() if value is Switch.ON]
    on += ["redirect_dir"] if options.redirect_dir is RedirectDir.ON else []
    return tuple(f"{name}=on" for name in on)
