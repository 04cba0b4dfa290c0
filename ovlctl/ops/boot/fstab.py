"""Lines of fstab for the stacks of a stack file.

Each asks mount(8) for ``FILE#NAME`` of type ovlctl. Without ``required`` a stack that cannot be mounted does not stop
the boot (``nofail``).

Sources: fstab(5), systemd.mount(5) for the options that systemd reads.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal
from ovlctl.ops.boot import order
from ovlctl.ops.boot.systemd_words import fstab_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.boot.order import Ordered
    from ovlctl.ops.sets.declared import StackFile

#: What every reader of option strings takes as it is: commas end an option, and systemd splits at blanks once more.
_CARRIED = re.compile(r"[A-Za-z0-9_+./@:-]*")


def lines(
    file: StackFile, names: Sequence[str] = (), *, required: bool = False
) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """A line for each of the stacks *names*, or for all that have a target; and remarks.

    Law: a line has six fields, and getmntent(3) reads the paths back as they are.

    Raises:
        StackUndeclared, NoMountPoint: as :func:`ovlctl.ops.boot.order.ordered`.
        NotWritable: when fstab cannot hold a name.
        VariablesLost: when the file needs the environment, which fstab cannot carry.
    """
    found, notes = order.ordered(file, names)
    lost = [name for name in order.variables(file.path) if name != "HOME" or os.environ["HOME"] != "/root"]
    if lost:
        raise errors.VariablesLost(
            f"{{}} uses {literal(', '.join(lost))} from the environment, which is empty at boot",
            file.path,
            hint="write the values into the file, or use `ovlctl unit`, whose units carry them",
        )
    if name := os.environ.get(order.STATE_VARIABLE) and order.STATE_VARIABLE:
        notes = (*notes, Note(f"fstab cannot carry {name}: at boot the state is in /run/ovlctl and /var/lib/ovlctl"))
    return tuple(_line(each, file, required=required) for each in found), notes


def _line(each: Ordered, file: StackFile, *, required: bool) -> str:
    fields = [
        f"{file.path}#{each.stack.name}",
        each.target,
        "ovlctl",
        ",".join(_options(each, file, required=required)),
    ]
    return " ".join([*map(fstab_field, fields), "0", "0"])


def _options(each: Ordered, file: StackFile, *, required: bool) -> Iterator[str]:
    if not required:
        yield "nofail"
    if each.network:
        yield "_netdev"
    # The mounts of other stacks are found by their mount points, wherever their units come from.
    paths = map(_carried, (*each.after, *each.paths, *order.helper_paths(file)))
    for path in order.outermost_left_out(paths):
        yield f"x-systemd.requires-mounts-for={path}"


def _carried(path: str) -> str:
    """*path*, or the nearest directory above whose name an option can carry: mounts lie there at the latest."""
    while not _CARRIED.fullmatch(path):
        path = os.path.dirname(path)
    return path
