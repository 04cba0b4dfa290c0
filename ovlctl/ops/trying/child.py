"""The process that has the scratch mount: alone in a private mount namespace, serving orders.

Whatever ends it, its mount ends with it, because nobody else is in its namespace. It ends when the pipe ends, or at the
latest a moment after the process that started it, even in the middle of a copy-up.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import KernelLacks, OvlError, literal, strerror
from ovlctl.kernel import idmap, namespaces
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.kernel.pidfd import pidfd_open
from ovlctl.ops import frames, reading
from ovlctl.ops.trying import ground, protocol
from ovlctl.ops.trying.doing import Ids, do, stage_subject
from ovlctl.ops.trying.mixing import Mixer, TooMuch, whole
from ovlctl.ops.workspace import remove_tree
from ovlctl.overlay.options import Flag, Switch

if TYPE_CHECKING:
    from ovlctl.ops.trying.values import Deed, Difference, Wish
    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack

_GRACE_SECONDS = 2.0


class _Ground:
    """The scratch mount.

    Args:
        begin: The order.
        ids: What ids are called by whoever asks.
    """

    def __init__(self, begin: protocol.Begin, ids: Ids) -> None:
        self.begin, self.ids = begin, ids
        self.trusted = namespaces.in_initial_user_namespace()
        self.count = 0
        self.base = ""
        self.root = -1
        self.effective: Options
        self.stack: Stack
        self.asked, self.lost = ground.options_for(begin.options, trusted=self.trusted)
        self.differences: tuple[Difference, ...] = ()
        self.fresh()

    def ready(self) -> protocol.Ready:
        return protocol.Ready(
            stack=self.stack, options=self.effective, trusted=self.trusted, differences=self.differences
        )

    def fresh(self) -> None:
        """Another scratch upper in place of the one there is."""
        old = self.base
        self.let_go()
        if old:
            remove_tree(old)
        self.count += 1
        self.base = os.path.join(self.begin.scratch, str(self.count))
        ground.make_directories(self.base, self.begin.stack.layers()[0])
        self.stack = ground.scratch_stack(self.begin.stack, self.base, self.asked)
        self.take()

    def take(self) -> None:
        """Mount what is there."""
        merged = os.path.join(self.base, "merged")
        if self.asked.volatile is Flag.YES:
            # It has the mark of a mount that never synced, which no other mount may follow.
            remove_tree(os.path.join(self.base, "work", "work"))
        self.stack, self.effective, more = ground.mount(self.stack, merged)
        self.asked = self.stack.options
        self.differences = tuple(dict.fromkeys((*self.lost, *self.differences, *more)))
        self.root = os.open(merged, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def let_go(self) -> None:
        """Unmount."""
        if self.root != -1:
            os.close(self.root)
            self.root = -1
            umount2(os.path.join(self.base, "merged"), MNT(0))

    def do(self, wish: Wish) -> Deed:
        """Do it, on a scratch upper that has what the own upper has of it."""
        subject = stage_subject("", self.stack, self.effective, trusted=self.trusted)
        mixed = in_own = False
        stand_ins = frozenset[str]()
        if self.begin.stack.upper is not None:
            with reading.opened(subject) as view:
                index = self.effective.index is Switch.ON
                mixer = Mixer(view, self.stack.upper or "", os.path.join(self.base, "aside"), index=index)
                every = tuple(path for path in (wish.path, wish.to) if path)
                in_own = any(map(mixer.has, every))
                stand_ins = frozenset(filter(mixer.stands_in, every))
                mixed = self._mix(mixer, wish)
        deed = do(subject, self.root, wish, ids=self.ids, stand_ins=stand_ins)
        return replace(deed, mixed=mixed, in_own_upper=in_own)

    def _mix(self, mixer: Mixer, wish: Wish) -> bool:
        needed = mixer.needed(wish)
        if not needed:
            return False
        self.let_go()  # names that come up behind a mount's back would not be seen
        mixed = False
        try:
            for path in needed:
                mixer.copy(path, whole=whole(wish, path))
                mixed = mixed or path in {wish.path, wish.to}
        except (TooMuch, OSError):
            mixed = False
        finally:
            self.take()
        return mixed


def main() -> int:
    """Serve orders from standard input; answers go to standard output."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the whole group may get it; the other process decides
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing that is printed gets between the frames
    parent = _parent()
    begin: protocol.Begin | None = frames.receive(0)
    if begin is None:
        return 1
    try:
        ids = _enter()
        _watch(parent)  # a thread: the user namespace had to be entered first
        os.umask(0o022)
        if begin.hidden is not None:
            with suppress(OSError):
                # The copy of it in this namespace would keep it alive when it is unmounted elsewhere.
                umount2(begin.hidden, MNT.DETACH | MNT.UMOUNT_NOFOLLOW)
        made = _Ground(begin, ids)
    except (OvlError, OSError) as error:
        with suppress(BrokenPipeError):
            frames.send(answers, protocol.Failed(error=_told(error)))
        remove_tree(begin.scratch)
        return 1
    try:
        frames.send(answers, made.ready())
        while isinstance(order := frames.receive(0), protocol.Do | protocol.Reset):
            frames.send(answers, _answer(made, order))
    except BrokenPipeError:
        pass
    finally:
        with suppress(OSError):
            made.let_go()
        remove_tree(begin.scratch)
    return 0


def _answer(made: _Ground, order: protocol.Order) -> protocol.Answer:
    try:
        if isinstance(order, protocol.Do):
            return protocol.Done(deed=made.do(order.wish))
        made.fresh()
        return made.ready()
    except (OvlError, OSError) as error:
        return protocol.Failed(error=_told(error))


def _told(error: OvlError | OSError) -> OvlError:
    if isinstance(error, OvlError):
        return error
    where = error.filename if isinstance(error.filename, str) else ""
    return errors.KernelRefused(
        f"the scratch upper cannot be worked on: {{}}: {literal(strerror(error))}", where, errno=error.errno
    )


def _enter() -> Ids:
    """Move to namespaces of its own."""
    if namespaces.may_mount():
        namespaces.enter_private_mounts()
        return Ids()
    namespaces.enter_user_namespace()
    return Ids(uids=idmap.extents(idmap.Kind.UID), gids=idmap.extents(idmap.Kind.GID))


def _parent() -> int | None:
    with suppress(KernelLacks):
        return pidfd_open(os.getppid())
    return None


def _watch(parent: int | None) -> None:
    """End this process soon after *parent*, whatever it is doing then; left-over directories are swept by the next."""
    if parent is None:
        return

    def wait() -> None:
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        poll.poll()
        time.sleep(_GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
