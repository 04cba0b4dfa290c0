"""Every command as one row: what the list of commands shows before any of them is imported.

A row is only a promise. A test imports each one and compares its help with the first line of the function's
docstring.
"""

from __future__ import annotations

from dataclasses import dataclass
from keyword import iskeyword


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One command.

    Attributes:
        name: As typed on the command line.
        help: The first line of the function's docstring, without its full stop.
        panel: The heading it stands under in ``ovlctl --help``.
        optional_size: Options whose value, a size, may be left out; Typer knows no such thing.
        json_file: Whether ``--json`` takes a file name (``-`` is standard output) instead of being a switch.
        begins_command: First arguments that begin somebody else's command, which then needs no ``--`` before it.
    """

    name: str
    help: str
    panel: str
    json_file: bool = False
    optional_size: frozenset[str] = frozenset()
    begins_command: frozenset[str] = frozenset()

    @property
    def function(self) -> str:
        """Name of the function, and of the module below ``ovlctl.cli`` that defines it.

        One that is a keyword of Python, such as ``try``, has an underscore at its end.
        """
        name = self.name.replace("-", "_")
        return f"{name}_" if iskeyword(name) else name

    @property
    def module(self) -> str:
        """Full name of the module."""
        return f"ovlctl.cli.{self.function}"


_MOUNTS = "Mounts"
_LAYERS = "Layers"
_SETS = "Sets of stacks"
_ENGINES = "Container engines"
_DIAGNOSIS = "Diagnosis"
_MEASURE = "Measuring"

ROWS = (
    Row(
        name="mount",
        panel=_MOUNTS,
        help="Mount a stack of directories",
        optional_size=frozenset({"--tmpfs-upper"}),
    ),
    Row(name="umount", panel=_MOUNTS, help="Unmount a stack, saying who holds it when that fails"),
    Row(name="remount", panel=_MOUNTS, help="Give a mounted stack other lowers or options"),
    Row(name="refresh", panel=_MOUNTS, help="Mount a stack anew in its own place, for lowers that were changed"),
    Row(name="ls", panel=_MOUNTS, help="List every overlay mount, whoever made it"),
    Row(name="show", panel=_MOUNTS, help="Describe one stack in full"),
    Row(name="exec", panel=_MOUNTS, help="Run a command in the merged view of a stack"),
    Row(name="shell", panel=_MOUNTS, help="Start a shell in the merged view of a stack"),
    Row(
        name="explain",
        panel=_LAYERS,
        help="Tell which layer a path comes from, why, and what a change to it would cost",
    ),
    Row(name="explore", panel=_LAYERS, help="Look around in a stack, on the whole terminal, and try changes"),
    Row(name="tree", panel=_LAYERS, help="List the merged view with the layer that supplies each entry"),
    Row(name="find", panel=_LAYERS, help="Find paths of a stack by name, size, kind, layer and what became of them"),
    Row(
        name="layers",
        panel=_LAYERS,
        help="Tell what each layer of a stack holds, adds and hides, and what of it nobody sees",
    ),
    Row(name="cat", panel=_LAYERS, help="Print a file of a stack, mounted or not, or what one layer has of it"),
    Row(
        name="cp", panel=_LAYERS, help="Copy a file or a directory out of a stack, mounted or not, or out of one layer"
    ),
    Row(name="diff", panel=_LAYERS, help="Tell what an upper changes of its lowers, or how two stacks differ"),
    Row(
        name="try",
        panel=_LAYERS,
        help="Read, change or delete a path on a scratch upper, and tell what the kernel did",
    ),
    Row(name="du", panel=_LAYERS, help="Tell what stacks take on disk: by layer, by path, and what of it is not seen"),
    Row(
        name="report",
        panel=_LAYERS,
        help="Write a page about a stack: its layers and files, what a change does, sizes and waste",
    ),
    Row(name="up", panel=_SETS, help="Mount the stacks of a file, all or nothing"),
    Row(name="down", panel=_SETS, help="End the stacks of a file, in reverse order"),
    Row(name="plan", panel=_SETS, help="Show what up would do: make, change, keep or end each stack"),
    Row(name="status", panel=_SETS, help="Say whether the stacks of a file are mounted as declared"),
    Row(name="unit", panel=_SETS, help="Write systemd units that mount stacks at boot"),
    Row(name="fstab", panel=_SETS, help="Print lines for /etc/fstab that mount stacks at boot"),
    Row(name="export-mstack", panel=_SETS, help="Write a stack as a stack directory of systemd"),
    Row(
        name="driver",
        panel=_ENGINES,
        help="Tell which storage driver engines use, whether it will do, and the layers of an image or container",
    ),
    Row(
        name="owner",
        panel=_ENGINES,
        help="Tell whose a directory, a layer, a process or a mount is: container, pod, image",
    ),
    Row(
        name="orphans",
        panel=_ENGINES,
        help="List what belongs to nobody in engines' stores, and what would remove it",
    ),
    Row(name="doctor", panel=_DIAGNOSIS, help="Tell what this host, this user and a directory can do for overlays"),
    Row(name="who", panel=_DIAGNOSIS, help="Say who holds a mount or a layer, and what ends each"),
    Row(
        name="why",
        panel=_DIAGNOSIS,
        help="Explain why a mount failed, or would",
        begins_command=frozenset({"mount", "sudo", "doas", "env", "fuse-overlayfs"}),
    ),
    Row(name="bench-copyup", panel=_MEASURE, help="Measure what the first change to a file costs", json_file=True),
    Row(name="bench-compare", panel=_MEASURE, help="Compare two results of bench-copyup"),
)


def row(name: str) -> Row | None:
    """The row of the command *name*."""
    return next((row for row in ROWS if row.name == name), None)
