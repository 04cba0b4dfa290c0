"""Units, lines of fstab and stack directories as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.names import json_path, show_argument, show_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.boot.units import Unit
    from ovlctl.ops.sets.mstack import Export


def units_text(units: Sequence[Unit], directory: str) -> str:
    """The unit files one after the other, each under its name when there are several, as ``systemctl cat`` shows them.

    They are meant for systemd, so their names stand as they are; :mod:`ovlctl.ops.boot.systemd_words` lets nothing pass
    that breaks a line.
    """
    if len(units) == 1:
        return units[0].text
    return "\n".join(f"# {directory}/{unit.name}\n{unit.text}" for unit in units)


def units_json(units: Sequence[Unit], *, paths: Sequence[str], written: bool) -> dict[str, Any]:
    """What ``unit`` made; *paths* is empty when nothing was asked to be written."""
    return {
        "written": written,
        "units": [
            {
                "name": unit.name,
                "text": unit.text,
                "stacks": list(unit.stacks),
                **json_path("target", unit.target),
                **json_path("path", paths[at] if paths else None),
            }
            for at, unit in enumerate(units)
        ],
    }


def enabling_text(units: Sequence[Unit], *, user: bool) -> str:
    """The command that lets the written *units* come with the next boot, and now."""
    manager = "systemctl --user" if user else "systemctl"
    names = " ".join(show_argument(unit.name) for unit in units)
    return f"{manager} daemon-reload && {manager} enable --now {names}"


def exported_json(export: Export, *, done: bool) -> dict[str, Any]:
    """What ``export-mstack`` did, or with *done* False would do."""
    return {
        "dry_run": not done,
        **json_path("path", export.path),
        "entries": [{"name": name, **json_path("layer", place)} for name, place in export.links],
        "steps": [step.text(show_argument) for step in export.describe()],
    }


def exported_text(export: Export) -> str:
    """What ``export-mstack`` says when it is done, topmost layer first."""
    lines = [f"wrote {show_name(export.path)}"]
    lines += [f"  {name}  {show_name(place)}" for name, place in reversed(export.links)]
    return "\n".join(lines)
