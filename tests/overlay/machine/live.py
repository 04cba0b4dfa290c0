"""A stack on disk that is mounted, changed, mounted again."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.errors import KernelRefused
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.ops.ladder import mount_stack
from ovlctl.overlay.options import Flag, Switch
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests.overlay.law import view
from tests.overlay.made import mounted, resolving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.options import Options
    from ovlctl.overlay.resolver import Resolver
    from tests.overlay.law import View
    from tests.overlay.machine.layers import Lower


class Live:
    """A mounted stack with a new upper.

    Args:
        upper_disk: Where the upper and the work directory go.
        lowers: Topmost first, each with where it goes.
        options: Of the mount.

    Attributes:
        point: Where it is mounted.
        stack: Its directories.
    """

    def __init__(self, upper_disk: str, lowers: list[tuple[Lower, str]], options: Options) -> None:
        self._base = tempfile.mkdtemp(dir=upper_disk)
        self._elsewhere = [tempfile.mkdtemp(dir=disk) for _, disk in lowers]
        self._uppers = 0
        self._below: View | None = None
        self.point = f"{self._base}/merged"
        os.mkdir(self.point)
        written = [lower.write(f"{base}/lower") for base, (lower, _) in zip(self._elsewhere, lowers, strict=True)]
        self.stack = Stack(written, options=options)
        self._new_upper()
        mount_stack(self.stack, self.point)

    def close(self) -> None:
        """Unmount it and remove everything."""
        if os.path.ismount(self.point):
            umount2(self.point, MNT(0))
        for base in (self._base, *self._elsewhere):
            shutil.rmtree(base)

    def again(self) -> None:
        """Unmount it, and mount it once more."""
        umount2(self.point, MNT(0))
        try:
            mount_stack(self.stack, self.point)
        except KernelRefused as refusal:
            # The index has an entry without an origin, which only regular files and directories can have: ENODATA.
            if refusal.errno != errno.ENODATA or self.options.userxattr is not Flag.YES:
                raise
            self._without_index()
            mount_stack(self.stack, self.point)

    def bury(self) -> None:
        """Make the upper the topmost lower, below a new one, as whoever commits a container does."""
        umount2(self.point, MNT(0))
        self._below = None
        assert self.stack.upper is not None
        self.stack = Stack((self.stack.upper, *self.stack.lowers), options=self.options)
        self._new_upper()
        mount_stack(self.stack, self.point)

    @property
    def options(self) -> Options:
        """Of the mount."""
        return self.stack.options

    def path(self, inside: str) -> str:
        """Where *inside* is."""
        return f"{self.point}/{inside}" if inside else self.point

    def objects(self) -> dict[str, Kind]:
        """What is in it, as the kernel has it."""
        found = {"": Kind.DIRECTORY}
        pending = [""]
        while pending:
            directory = pending.pop()
            with os.scandir(self.path(directory)) as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}" if directory else entry.name
                    found[path] = Kind.of(entry.stat(follow_symlinks=False).st_mode)
                    if found[path] is Kind.DIRECTORY:
                        pending.append(path)
        return found

    @contextmanager
    def resolver(self) -> Iterator[Resolver]:
        """What the model says of it."""
        with resolving(self.stack) as resolver:
            yield resolver

    def below(self) -> View:
        """What a mount of the lowers alone shows; nobody changes them."""
        if self._below is None:
            with self._lowers_alone() as point:
                self._below = view(point)
        return self._below

    @contextmanager
    def _lowers_alone(self) -> Iterator[str]:
        lowers = self.stack.lowers
        if len(lowers) == 1:
            # The kernel wants two.
            empty = f"{self._elsewhere[0]}/empty"
            os.makedirs(empty, exist_ok=True)
            lowers = (*lowers, empty)
        options = replace(self.options, index=Switch.OFF, nfs_export=Switch.OFF)
        with mounted(Stack(lowers, options=options), f"{self._base}/below") as point:
            yield point

    def _new_upper(self) -> None:
        self._uppers += 1
        upper, work = f"{self._base}/upper{self._uppers}", f"{self._base}/work{self._uppers}"
        os.mkdir(upper)
        os.mkdir(work)
        self.stack = Stack(self.stack.lowers, upper=upper, work=work, options=self.options)

    def _without_index(self) -> None:
        # What the kernel advises.
        shutil.rmtree(f"{self.stack.work}/index")
        options = replace(self.options, index=Switch.OFF, nfs_export=Switch.OFF)
        self.stack = Stack(self.stack.lowers, upper=self.stack.upper, work=self.stack.work, options=options)
