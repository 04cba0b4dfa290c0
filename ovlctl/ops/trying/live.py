"""The same actions on the real mount of a stack: what is done there stays done."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mounts
from ovlctl.kernel.openat2 import open_far_beneath
from ovlctl.ops import reading
from ovlctl.ops.trying.calls import check
from ovlctl.ops.trying.doing import do
from ovlctl.ops.trying.ground import ground_of
from ovlctl.ops.trying.preview import foretell
from ovlctl.ops.trying.stage import plain_wish
from ovlctl.ops.trying.values import Action

if TYPE_CHECKING:
    from ovlctl.ops.reading import Subject
    from ovlctl.ops.trying.values import Deed, Difference, GroundLayer, Preview, Wish


class Live:
    """Actions on a mounted stack, for whoever has confirmed them.

    Args:
        subject: A stack that is mounted where this process can reach it.

    Attributes:
        subject: As given.
        ground: What the numbers of layers in deeds mean; 0 is its upper, where it has one.
        file_system: The type that its topmost layer is on.
        differences: None: it is the stack itself.

    Raises:
        NotMountedHere: It is not mounted.
    """

    differences: tuple[Difference, ...] = ()

    def __init__(self, subject: Subject) -> None:
        if subject.root is None:
            raise errors.NotMountedHere(
                "{} is not mounted here, so that nothing can be done on its mount",
                subject.label,
                hint="leave out `--live` to try it on a scratch upper",
            )
        self.subject = subject
        self.ground: tuple[GroundLayer, ...] = ground_of(subject.stack, None)
        self.file_system = mounts.mount_at(subject.stack.layers()[0]).fs_type
        self._root = subject.root

    def preview(self, wish: Wish) -> Preview:
        """What *wish* will do. Raises as :meth:`ovlctl.ops.trying.stage.Stage.preview`."""
        with reading.opened(self.subject) as view:
            return foretell(view, plain_wish(wish))

    def do(self, wish: Wish) -> Deed:
        """Do what *wish* says, on the real mount.

        Nothing that is there is replaced by a rename.

        Raises:
            DestinationTaken: The new name of a rename is taken.
            BadUsage, NotAFile: It is nothing that is done here.
        """
        wish = plain_wish(wish)
        check(wish)
        root = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if wish.action is Action.RENAME:
                self._check_free(root, wish.to or "")
            return replace(do(self.subject, root, wish), live=True)
        finally:
            os.close(root)

    def _check_free(self, root: int, path: str) -> None:
        try:
            os.close(open_far_beneath(root, path, os.O_PATH | os.O_NOFOLLOW))
        except OSError:
            return  # nothing is there, or the rename itself says what is wrong with the way
        raise errors.DestinationTaken(
            "{} exists, and a rename would replace it", path, hint="remove it first, or try it without `--live`"
        )
