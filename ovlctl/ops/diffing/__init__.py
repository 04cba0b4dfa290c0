"""What a stack's upper changes, what one of its lowers changes, or how two stacks differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.discover import Standing
from ovlctl.ops.reading.layer_names import find
from ovlctl.overlay.change import Change
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Role
from ovlctl.overlay.options import RedirectDir

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ovlctl.ops.reading import Subject, View
    from ovlctl.ops.reading.layer_names import LayerName
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.change import ChangeKind
    from ovlctl.overlay.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Pair:
    """Two views: *above* is what there is now, *below* what it is compared with.

    Attributes:
        redirects: Whether renaming a directory leaves a redirect, so that a layer alone does not say what is in it.
    """

    above: Resolver
    below: Resolver
    redirects: bool = False

    @property
    def certain(self) -> bool:
        """Whether every mark that counts can be seen."""
        return self.above.certain and self.below.certain


def of_stack(view: View, layer: LayerName | None = None) -> Pair:
    """A stack and what it is without its upper; or without all that is above *layer*, with and without that one.

    Args:
        view: The stack.
        layer: The layer whose changes are asked for; None is the upper.

    Raises:
        NothingAbove: The stack has no upper.
        LayerMissing: It has no such layer, or nothing below it that it could change.
    """
    if layer is None or layer.role is Role.UPPER:
        below = view.below
        if below is None:
            raise errors.NothingAbove(
                "{} has no upper: nothing says what was changed",
                view.subject.label,
                hint="`--layer 0` says what the topmost lower changes of those below it",
            )
        return Pair(view.resolver, below, redirects=_redirects(view.subject))
    if layer.role is Role.DATA:
        raise errors.LayerMissing(
            f"the layer `{layer}` changes nothing: files lead to it and no names", hint="give a lower"
        )
    index = find(view.layers, layer).index
    above, below = view.from_lower(index), view.from_lower(index + 1)
    if above is None or below is None:
        raise errors.LayerMissing(
            f"the layer `{layer}` is the lowest: there is nothing below it that it could change",
            hint=f"`ovlctl tree --layer {layer}` lists what is in it",
        )
    return Pair(above, below, redirects=_redirects(view.subject))


def _redirects(subject: Subject) -> bool:
    overlay = subject.overlay
    if overlay is not None and overlay.standing is Standing.STORED:
        # Where its configuration says nothing, the engine that keeps it would leave this to the kernel.
        return (overlay.stack.options.redirect_dir or module_defaults().redirect_dir) is RedirectDir.ON
    return subject.options.redirect_dir is RedirectDir.ON


def of_two(older: View, newer: View) -> Pair:
    """How *newer* differs from *older*, path by path."""
    return Pair(newer.resolver, older.resolver)


def diff(
    pair: Pair,
    troubles: Troubles,
    *,
    content: bool = False,
    renames: bool = True,
    paths: Iterable[str] = ("",),
    only: Collection[ChangeKind] = (),
) -> Iterator[Change]:
    """The changes of *pair* in the order of :mod:`ovlctl.overlay.changes`.

    Args:
        pair: What is compared.
        troubles: Takes what could not be read.
        content: Read files whose size and time do not tell whether they are equal.
        renames: Tell renamed objects as such; else they are added where they are now.
        paths: Only what is at or below one of these.
        only: These changes only; empty for all.
    """
    for found in changes(pair.above, pair.below, content=content, renames=renames, paths=paths):
        if not isinstance(found, Change):
            troubles.add(found)
        elif not only or found.change in only:
            yield found
