"""Why a path of a stack is what it is: every layer's part, the numbers it goes by, and what a change would cost.

Nothing is changed, and nothing outside the layers is opened: layers are read through the port in
:mod:`ovlctl.overlay.tree`, the merged view through its root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops.explain.changes import costs
from ovlctl.ops.explain.comparing import compare
from ovlctl.ops.explain.file_systems import FileSystems
from ovlctl.ops.explain.inodes import story
from ovlctl.ops.explain.looks import looks
from ovlctl.ops.explain.terms import Ground, Verdict
from ovlctl.ops.explain.users import users
from ovlctl.ops.explain.values import Explanation
from ovlctl.ops.explain.way import obstacle
from ovlctl.overlay.layers import Role
from ovlctl.overlay.resolution import Candidate, Outcome, Rule
from ovlctl.overlay.resolution import Verdict as Fate

if TYPE_CHECKING:
    from ovlctl.ops.reading import View
    from ovlctl.overlay.resolution import Resolution

__all__ = ["Explanation", "explain"]


def explain(view: View, path: str, *, who: bool = True) -> Explanation:
    """Everything about *path*.

    Law 1: the answer is the kernel's; where the stack is mounted that is checked, and the explanation says how it went.
    Law 5: what is not measured is predicted or unknown, and labelled so.

    Args:
        view: The stack, opened by :func:`ovlctl.ops.reading.opened`.
        path: From the root of the merged view; a leading slash changes nothing. Symbolic links on the way are not
            followed: the explanation says where they lead.
        who: Whether to look through all processes for those that would not see a change.

    Raises:
        OSError: The root of the topmost layer cannot be looked at.
    """
    found = _with_data(view.resolver.resolve(path, complete=True))
    word = compare(view, found)
    if word.ground is Ground.UNSEEN_MARKS:
        found = _doubted(found)
    seen = looks(view, found)
    file_systems = FileSystems(view)
    upper = None if view.layers.upper is None else file_systems.of(view.layers.upper)
    # What the mount shows counts as measured only where it is the object that was explained.
    measured = word.attributes if found.exists and word.verdict is not Verdict.DISAGREES else None
    return Explanation(
        path=found.path,
        resolution=found,
        layers=seen,
        obstacle=None if found.exists else obstacle(view.resolver, found.path),
        inode=story(view, found, seen, measured, file_systems),
        on_change=costs(view, found, file_systems),
        users=users(view, found, seen, measured, file_systems) if who else None,
        kernel=word,
        upper_fs=None if upper is None else upper.kind,
    )


def _with_data(found: Resolution) -> Resolution:
    # A lookup does not come to data-only layers; opening the file does.
    data = found.data
    if data is None or data.layer.role is not Role.DATA:
        return found
    seen = Candidate(place=data, verdict=Fate.DATA, attributes=data.layer.tree.lstat(data.path))
    return found._replace(candidates=(*found.candidates, seen))


def _doubted(found: Resolution) -> Resolution:
    # What the layers seem to say is not so: marks that cannot be seen decide.
    return found._replace(
        outcome=Outcome.UNKNOWN, rule=Rule.UNREADABLE, errno=0, stack=(), attributes=None, data=None, nlink=0
    )
