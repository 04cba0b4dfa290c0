"""Why a mount failed, or would: from a command, a line of a mount table or fstab, or a pasted text to its cause."""

from __future__ import annotations

from ovlctl.ops.why.pages import Page, page, pages
from ovlctl.ops.why.text import explain as explain_text
from ovlctl.ops.why.values import Candidate, Certainty, Explanation, Finding, Kind, Line, Verdict

__all__ = [
    "Candidate",
    "Certainty",
    "Explanation",
    "Finding",
    "Kind",
    "Line",
    "Page",
    "Verdict",
    "explain_command",
    "explain_mount",
    "explain_text",
    "page",
    "pages",
]


def explain_command(argv: list[str]) -> Explanation:
    """What would become of a mount(8) command here and now.

    Args:
        argv: Its words; sudo, env and the word ``mount`` may stand before its options.

    Raises:
        NotAnOverlay: when it mounts something else.
        BadUsage: when it is no command.
    """
    from ovlctl.ops.why import command, machine

    return machine.explain(command.parse(argv))


def explain_mount(path: str) -> Explanation:
    """What is wrong with the overlay that is mounted at *path* or above it.

    Raises:
        NotAnOverlay: when that is none.
        PathMissing, NotADirectory, AccessDenied: when *path* cannot be looked at.
    """
    from ovlctl.errors import NotAnOverlay
    from ovlctl.kernel import mounts
    from ovlctl.ops.preflight.places import translated
    from ovlctl.ops.why import mounted
    from ovlctl.ops.why.tables import Entry

    try:
        mount = mounts.mount_at(path)
    except OSError as error:
        raise translated(error, path) from error
    if mount.fs_type != "overlay":
        raise NotAnOverlay(
            "{} lies on {}, which is no overlay",
            path,
            mount.fs_type,
            hint="`ovlctl ls` lists the overlays; `ovlctl why -` reads a text",
        )
    read_only = mount.read_only or mount.sb_read_only
    return mounted.explain(Entry(target=mount.mount_point, read_only=read_only, options=mount.options))
