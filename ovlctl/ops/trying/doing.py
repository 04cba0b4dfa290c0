"""One action on one mount: looked at before, done call by call, looked at after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.ops import reading
from ovlctl.ops.defaults import following
from ovlctl.ops.reading import Subject
from ovlctl.ops.trying import steps
from ovlctl.ops.trying.calls import perform
from ovlctl.ops.trying.sights import Witness, numbers
from ovlctl.ops.trying.values import Action, Deed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.kernel.idmap import Extent
    from ovlctl.ops.trying.values import Wish
    from ovlctl.overlay.options import Options
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """How ids of this user namespace are called in the one above; empty when it is the same."""

    uids: Sequence[Extent] = ()
    gids: Sequence[Extent] = ()

    def uid(self, number: int) -> int:
        """A user id."""
        return _outside(self.uids, number)

    def gid(self, number: int) -> int:
        """A group id."""
        return _outside(self.gids, number)


def stage_subject(label: str, stack: Stack, options: Options, *, trusted: bool) -> Subject:
    """The scratch stack as it can be read by its directories.

    Args:
        label: How to call it.
        stack: Its directories.
        options: In force on its mount.
        trusted: Whether whoever mounted it could read marks in trusted.*.
    """
    return Subject(label=label, stack=stack, options=options, following=following(options, trusted=trusted))


def do(
    subject: Subject, root: int, wish: Wish, *, ids: Ids | None = None, stand_ins: frozenset[str] = frozenset()
) -> Deed:
    """Do what *wish* says, and find out what became of it.

    Args:
        subject: The stack, for its layers.
        root: A descriptor of the root of its mount.
        wish: What to do; its paths are without slashes that say nothing.
        ids: What to call ids.
        stand_ins: See :class:`~ovlctl.ops.trying.steps.Evidence`.

    Raises:
        OvlError: As :func:`ovlctl.ops.trying.calls.perform` and :func:`ovlctl.ops.reading.opened`; nothing was done.
    """
    ids = ids or Ids()
    paths = tuple(path for path in (wish.path, _to(wish)) if path is not None)
    found: Resolution | None = None
    with reading.opened(subject) as view:
        before = Witness(view, root, uid=ids.uid, gid=ids.gid).look(*paths)
        by_number = numbers(view)
        if wish.action is Action.READ:
            found = view.resolver.resolve(wish.path)
    performed = perform(root, wish)
    with reading.opened(subject) as view:
        witness = Witness(view, root, uid=ids.uid, gid=ids.gid)
        after = witness.look(*paths)
        evidence = steps.Evidence(
            errno=next((call.errno for call in performed.calls if call.errno), 0),
            bytes=performed.bytes,
            data_of=witness.data_of,
            data=performed.data,
            stand_ins=stand_ins,
        )
        told = (
            steps.of_change(wish, before, after, evidence)
            if found is None
            else steps.of_reading(wish.path, found, by_number, evidence)
        )
    return Deed(wish=wish, calls=performed.calls, steps=told, before=before.moments, after=after.moments)


def _to(wish: Wish) -> str | None:
    return wish.to if wish.action in {Action.RENAME, Action.LINK} else None


def _outside(extents: Sequence[Extent], number: int) -> int:
    for extent in extents:
        if extent.inside <= number < extent.inside + extent.count:
            return number - extent.inside + extent.outside
    return number
