"""What is installed on request only."""

from __future__ import annotations

from importlib.util import find_spec

from ovlctl.errors import ExtraMissing, literal

_EXTRAS = {
    "textual": ("Textual", "tui"),
    "numpy": ("NumPy", "tui"),
    "docker": ("the Docker SDK for Python", "engines"),
}


def require(what: str, *libraries: str) -> None:
    """Make sure that libraries of one extra are there, without importing them.

    Args:
        what: Needs them, such as ``the explorer``.
        libraries: As they are imported: ``textual``, ``numpy``, ``docker``.

    Raises:
        ExtraMissing: One of them is not installed.
    """
    missing = [_EXTRAS[library] for library in libraries if find_spec(library) is None]
    if missing:
        names, extra = " and ".join(name for name, _ in missing), missing[0][1]
        raise ExtraMissing(
            literal(f"{what} needs {names}, which ovlctl's extra `{extra}` installs"),
            hint=f"`pip install 'ovlctl[{extra}]'`",
        )
