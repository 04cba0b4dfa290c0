"""Paths that people give, in the merged view or in one layer, and what it means that nothing is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops.reading.layer_names import name_of
from ovlctl.ops.reading.rules import RULES
from ovlctl.overlay.resolution import Outcome, Rule

if TYPE_CHECKING:
    from ovlctl.ops.reading import Subject
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution


def plain(path: str) -> str:
    """*path*, from the root of the merged view or of a layer, without slashes that say nothing and without ``.``.

    Raises:
        BadUsage: It holds ``..``.
    """
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise errors.BadUsage(
            "{} has a component `..`", path, hint="give the path from the root of the merged view, or of the layer"
        )
    return "/".join(names)


def not_in_layer(path: str, layer: Layer) -> errors.PathNotInStack:
    """The error for a *path* that one layer does not have."""
    return errors.PathNotInStack(
        f"the layer {name_of(layer)}, {{1}}, has nothing at {{0}}",
        path,
        layer.directory,
        hint="a layer is looked into as it is: nothing below it counts, and no redirect is followed",
    )


def missing(found: Resolution) -> bool:
    """Whether nothing is there, rather than something that the kernel refuses or nobody can know."""
    return found.outcome is Outcome.ABSENT or found.rule in {Rule.PARENT_NOT_DIRECTORY, Rule.NAME_TOO_LONG}


def not_seen(found: Resolution, subject: Subject) -> errors.OvlError:
    """The error for a path that the merged view does not give.

    Args:
        found: ABSENT, REFUSED or UNKNOWN.
        subject: The stack.
    """
    path = found.path
    if found.outcome is Outcome.UNKNOWN:
        lost = found.unreadable[0]
        return errors.AccessDenied(
            f"what the merged view has at {{}} is not known: {{}} in {name_of(lost.place.layer)} cannot be read",
            path,
            lost.place.path,
            errno=lost.errno or None,
            hint="ask as root",
        )
    # Directories that were given one by one have no name to be called by.
    stack, paths = ("STACK", (path,)) if subject.overlay is None else ("{1}", (path, subject.label))
    why = f"`ovlctl explain {stack} {{0}}` says why"
    if not missing(found):
        return errors.ContentUnreadable(
            f"the kernel refuses to look up {{0}}: {RULES[found.rule]}", *paths, hint=why, errno=found.errno
        )
    meant = _inside(path, subject.root)
    if meant is not None:
        paths, why = (path, meant), "paths count from the root of the merged view: `{1}`"
    return errors.PathNotInStack(
        f"the merged view has nothing at {{0}}: {RULES[found.rule]}", *paths, hint=why, errno=found.errno
    )


def _inside(path: str, root: str | None) -> str | None:
    # What *path* is in the merged view, if it was meant from the root of this system.
    prefix = f"{(root or '').strip('/')}/"
    return path.removeprefix(prefix) if prefix != "/" and path.startswith(prefix) else None
