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
