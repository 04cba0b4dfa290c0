"""Who is in the way, in one line for an error: the answer of ``who``, asked when something has failed already."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.who.answer import Answer, Command, Copy, Process, Submount

#: How many holders one error line names, and how many processes one command in it ends.
_NAMED = 3
_KILLED = 12


@dataclass(slots=True)
class Line:
    """Text with paths in it, being put together: a message and a hint share the paths.

    Attributes:
        paths: The paths so far.
    """

    paths: list[str] = field(default_factory=list)

    def place(self, path: str) -> str:
        """A placeholder for *path*."""
        self.paths.append(path)
        return f"{{{len(self.paths) - 1}}}"

    def process(self, process: Process) -> str:
        """A process and the first few ways in which it holds something."""
        container = "" if process.container is None else f", {literal(process.container.label)}"
        name = self.place(process.command)
        how = [f"{hold.kind} {self.place(hold.path)}" for hold in process.holds[:_NAMED]]
        how += [f"{len(process.holds) - _NAMED} more"] if len(process.holds) > _NAMED else []
        return f"pid {process.pid} ({name}{container}) by {', '.join(how)}"

    def ends(self, commands: Iterable[Command | None], outcome: str) -> str | None:
        """That *commands* together have this *outcome*; None when they do not, or are too many for a line."""
        given = list(dict.fromkeys(commands))
        each = [words for words in given if words is not None]
        killed = [word for words in each if words[0] == "kill" for word in words[1:]]
        rest = [words for words in each if words[0] != "kill"]
        if each != given or not each or len(killed) > _KILLED or len(rest) > _NAMED:
            return None
        together = [("kill", *killed), *rest] if killed else rest
        texts = (" ".join(self.place(word) if "/" in word else literal(word) for word in words) for words in together)
        return f"{' and '.join(f'`{text}`' for text in texts)} would {outcome}"


def explained(mount: Mount) -> errors.MountBusy:
    """The error for a *mount* that the kernel calls busy, naming who holds it, and what ends that."""
    from ovlctl.ops.who.asking import about_mount
    from ovlctl.ops.who.scene import Scene

    with Scene() as scene:
        answer = about_mount(scene, mount, None, {})
    line = Line()
    busy = line.place(mount.mount_point)
    # A copy elsewhere does not hinder: only what holds this very mount does.
    holding = [
        process
        for group in answer.groups
        for process in group.processes
        if any(hold.mount_id in {mount.mount_id, None} for hold in process.holds)
    ]
    mounted: list[Copy | Submount] = [each for group in answer.groups for each in group.submounts]
    mounted += [each for group in answer.groups for each in group.copies]
    below = [each for each in mounted if each.mount.parent_id == mount.mount_id != each.mount.mount_id]
    parts = [line.process(process) for process in holding[:_NAMED]] + _more(len(holding), "processes")
    parts += [f"the mount {line.place(each.mount.mount_point)} below it" for each in below[:_NAMED]]
    parts += _more(len(below), "mounts below it")
    parts += [f"the {device.kind} device on {line.place(device.path)}" for device in answer.devices[:_NAMED]]
    who = "; ".join(parts) or "nobody that /proc shows"
    unseen = "" if parts or not answer.partial else ", as far as could be looked"
    ending = [each.release for each in (*holding, *below)]
    ends = line.ends((*ending, *(command for device in answer.devices for command in device.release)), "release it")
    hint = ends or f"`ovlctl who {busy}` lists all that hold it, and what ends each"
    return errors.MountBusy(
        f"{busy} is in use by {who}{unseen}",
        *line.paths,
        errno=errno.EBUSY,
        hint=f"{hint}; ovlctl never detaches lazily",
    )


def _more(count: int, what: str) -> list[str]:
    return [f"more {what}: {count - _NAMED}"] if count > _NAMED else []


def user_of_layer(directory: str, line: Line) -> tuple[str, str | None]:
    """Whose a directory is that the kernel says is in use, though no overlay of this namespace's table has it.

    Args:
        directory: Upper or work directory of a live overlay.
        line: Takes the paths.

    Returns:
        What to add to the message, perhaps nothing, and a hint with the commands that end it.
    """
    from ovlctl.ops.who.asking import about_layer
    from ovlctl.ops.who.scene import Scene

    with Scene() as scene:
        answer = about_layer(scene, directory, None, {}, in_use=True)
    return _mounted_elsewhere(answer, line) or _unmounted_lazily(answer, line) or ("", None)


def _mounted_elsewhere(answer: Answer, line: Line) -> tuple[str, str | None] | None:
    for user in answer.users:
        if any(use.role in {"upper", "work"} for use in user.uses):
            namespace, point = user.points[0]
            whose = "" if user.container is None else f" of {literal(user.container.label)}"
            text = f": the one at {line.place(point)} in mount namespace {namespace}{whose}"
            return text, line.ends(user.release, "end it")
    return None


def _unmounted_lazily(answer: Answer, line: Line) -> tuple[str, str | None] | None:
    lost = sorted((each for each in answer.lost if each.processes), key=lambda each: not each.sure)
    if not lost:
        return None
    processes = lost[0].processes
    text = ", ".join(line.process(process) for process in processes[:_NAMED])
    perhaps = "" if lost[0].sure else "perhaps "
    ends = line.ends((process.release for process in processes), "release it")
    return f": unmounted lazily, and {perhaps}kept by {text}", ends
