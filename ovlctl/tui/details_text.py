"""The story of the chosen path, as lines of a pane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ovlctl.show.envelope import note_text
from ovlctl.show.explain import called, explanation_text
from ovlctl.show.explain_notes import notes
from ovlctl.tui.cells import folded
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.ops.explain import Explanation
    from ovlctl.overlay.layers import Role as LayerRole
    from ovlctl.tui.tree_lines import Line

# Lines of the layer that supplies the path begin with it.
_PROVIDER: Final = "> "
_DISAGREES: Final = "  KERNEL DISAGREES"


def details(
    explanation: Explanation, label: str, width: int, names: Mapping[tuple[LayerRole, int], str] | None = None
) -> list[Line]:
    """Everything that ``ovlctl explain`` says of a path, but for the path itself.

    Args:
        explanation: What was found.
        label: How the stack is called.
        width: Cells of a line.
        names: What layers are called, as for :func:`ovlctl.show.explain.called`.
    """
    width = max(20, width - 2)
    with called(names or {}):
        text = explanation_text(explanation, width=width).splitlines()[1:]
    warnings = [f"  {note_text(note)}" for note in notes([explanation], label)]
    lines = [*text, *(("", "warnings", *warnings) if warnings else ())]
    return [((f" {part}", _role(line)),) for line in lines for part in (folded(line, width) if line else [""])]


def _role(line: str) -> Role:
    if line.startswith(_DISAGREES):
        return Role.ODD
    if line.startswith(_PROVIDER):
        return Role.STRONG
    return Role.STRONG if line[:1].strip() else Role.TEXT
