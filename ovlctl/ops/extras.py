"""What is installed on request only."""

from __future__ import annotations

from importlib.util import find_spec

from ovlctl.errors import ExtraMissing, literal

_TUI = {"textual": "Textual", "numpy": "NumPy"}


def require(what: str, *libraries: str) -> None:
    """Make sure that libraries of the extra ``tui`` are there, without importing them.

    Args:
        what: Needs them, such as ``the explorer``.
        libraries: As they are imported: ``textual``, ``numpy``.

    Raises:
        ExtraMissing: One of them is not installed.
    """
    missing = [_TUI[library] for library in libraries if find_spec(library) is None]
    if missing:
        raise ExtraMissing(
            literal(f"{what} needs {' and '.join(missing)}, which ovlctl's extra `tui` installs"),
            hint="`pip install 'ovlctl[tui]'`",
        )
