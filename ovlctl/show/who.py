"""Who holds a mount or a layer, as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.ops.who.answer import Asked, Role
from ovlctl.show.names import json_path, show_argument, show_name, show_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.engines.cgroups import Membership
    from ovlctl.kernel.holders import Holder
    from ovlctl.ops.who.answer import Answer, Command, Copy, Group, Keeper, Lost, Process, Submount, User

_RELATIONS = {"same": "this directory", "inside": "inside it", "above": "above it"}
_RELATIONS_OF_MOUNT = {"same": "the merged view", "inside": "inside the merged view", "above": "above it"}


def command_text(command: Command) -> str:
    """A command as it is typed into a shell."""
    return " ".join(map(show_argument, command))


def answer_json(answer: Answer) -> dict[str, Any]:
    """What ``who`` found."""
    return {
        "asked": answer.asked,
        **json_path("path", answer.path),
        "name": answer.name,
        "held": answer.held,
        "in_use": answer.in_use,
        "namespaces": [_group_json(group) for group in answer.groups],
        "overlays": [_user_json(user) for user in answer.users],
        "detached": [_lost_json(lost) for lost in answer.lost],
        "devices": [
            {"kind": each.kind, **json_path("path", each.path), "release": [*map(command_text, each.release)]}
            for each in answer.devices
        ],
        "unreadable_processes": len(answer.unreadable),
        "unread_namespaces": answer.unread,
        "all_namespaces_listed": answer.complete,
    }


def _command_json(command: Command | None) -> str | None:
    return None if command is None else command_text(command)


def _container_json(container: Membership | None) -> dict[str, Any] | None:
    return None if container is None else {"engine": container.engine, "id": container.id, "pod": container.pod}


def _process_json(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "user": show_text(process.user),
        "command": show_name(process.command),
        "container": _container_json(process.container),
        "holds": [
            {"kind": each.kind, "fd": each.fd, "tid": each.tid, **json_path("path", each.path)}
            for each in process.holds
        ],
        "release": _command_json(process.release),
    }


def _copy_json(copy: Copy | Submount, role: str) -> dict[str, Any]:
    return {
        "role": role,
        **json_path("mount_point", copy.mount.mount_point),
        **json_path("root", copy.mount.root),
        "fs": show_text(copy.mount.fs_type),
        "mount_id": copy.mount.mount_id,
        "release": _command_json(copy.release),
    }


def _keeper_json(keeper: Keeper) -> dict[str, Any]:
    return {
        **json_path("path", keeper.path),
        "pid": keeper.pid,
        "command": None if keeper.command is None else show_name(keeper.command),
        "namespace": keeper.namespace,
        "release": _command_json(keeper.release),
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "namespace": group.namespace,
        "own": group.own,
        "pids": list(group.pids),
        "command": None if group.command is None else show_name(group.command),
        "container": _container_json(group.container),
        "kept_by": [_keeper_json(each) for each in group.keepers],
        "mounts": [
            *(_copy_json(each, each.role) for each in group.copies),
            *(_copy_json(each, "submount") for each in group.submounts),
        ],
        "processes": [_process_json(each) for each in group.processes],
    }


def _user_json(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "uses": [
            {"role": each.role, **json_path("layer", each.layer), "relation": each.relation} for each in user.uses
        ],
        "mounted_at": [{"namespace": namespace, **json_path("mount_point", point)} for namespace, point in user.points],
        "container": _container_json(user.container),
        "release": [*map(command_text, user.release)],
    }


def _lost_json(lost: Lost) -> dict[str, Any]:
    return {
        "mount_id": lost.mount_id,
        "sure": lost.sure,
        "processes": [_process_json(each) for each in lost.processes],
    }


def answer_text(answer: Answer) -> str:
    """What ``who`` found, for people: by namespace, then by process, each with the command that ends it."""
    return "\n".join(_lines(answer))


def _lines(answer: Answer) -> Iterator[str]:
    what = "mount" if answer.asked is Asked.MOUNT else "layer"
    yield f"{what} {show_name(answer.path)}" + (f" (stack {answer.name})" if answer.name else "")
    if not answer.held:
        yield "  nobody that can be seen holds it" if answer.partial else "  nobody holds it"
    for group in answer.groups:
        yield from _group(group)
    for user in answer.users:
        yield ""
        yield from _user(user, answer.asked)
    if answer.lost or (answer.in_use and not answer.users):
        yield ""
        yield from _lost(answer)
    if answer.devices:
        yield ""
        yield "the kernel itself"
        for device in answer.devices:
            yield f"  {device.kind} device on {show_name(device.path)}"
            yield from (f"    end it: {command_text(command)}" for command in device.release)


def _group(group: Group) -> Iterator[str]:
    others = [each for each in group.copies if each.role is not Role.ITSELF]
    if not (others or group.submounts or group.processes):
        return
    yield ""
    yield _heading(group)
    for keeper in group.keepers:
        whose = "" if keeper.pid is None else f", pid {keeper.pid} ({show_name(keeper.command or '?')})"
        yield f"  kept by {show_name(keeper.path)}{whose}"
        yield from _ending(keeper.release)
    if not (group.own or group.pids or group.keepers):
        yield "  kept by nothing that /proc shows, such as a descriptor in flight"
    for each in group.submounts:
        yield f"  mount on top {show_name(each.mount.mount_point)} ({show_text(each.mount.fs_type)})"
        yield from _ending(each.release)
    for copy in others:
        of = "" if copy.mount.root == "/" else f" of {show_name(copy.mount.root)}"
        yield f"  {copy.role}{of} at {show_name(copy.mount.mount_point)}"
        yield from _ending(copy.release)
    for process in group.processes:
        yield from _process(process)


def _heading(group: Group) -> str:
    if group.own:
        return "in this mount namespace"
    whose = f", {show_text(group.container.label)}" if group.container is not None else ""
    count = len(group.pids)
    more = f" and {count - 1} more" if count > 1 else ""
    inside = f"pid {group.pids[0]} ({show_name(group.command or '?')}){more}" if count else "no process in it"
    return f"in mount namespace {group.namespace}{whose}: {inside}"


def _process(process: Process) -> Iterator[str]:
    whose = "" if process.container is None else f", {show_text(process.container.label)}"
    yield f"  pid {process.pid} {show_name(process.command)}, user {show_text(process.user)}{whose}"
    yield from (f"    {_hold(each)}" for each in process.holds)
    yield from _ending(process.release)


def _hold(hold: Holder) -> str:
    what = hold.kind if hold.fd is None else f"{hold.kind} {hold.fd}"
    thread = "" if hold.tid == hold.pid else f" (thread {hold.tid})"
    return f"{what:7} {show_name(hold.path)}{thread}"


def _ending(command: Command | None) -> Iterator[str]:
    if command is not None:
        yield f"    end it: {command_text(command)}"


def _user(user: User, asked: Asked) -> Iterator[str]:
    (_, point), *more = user.points
    name = f" (stack {user.name})" if user.name else ""
    whose = "" if user.container is None else f" of {show_text(user.container.label)}"
    also = f" and in {len(more)} more {'place' if len(more) == 1 else 'places'}" if more else ""
    yield f"overlay at {show_name(point)}{name}{whose}{also}"
    relations = _RELATIONS if asked is Asked.LAYER else _RELATIONS_OF_MOUNT
    for use in user.uses:
        yield f"  {use.role:9} {show_name(use.layer)} ({relations[use.relation]})"
    for command in user.release:
        yield f"    end it: {command_text(command)}"


def _lost(answer: Answer) -> Iterator[str]:
    if answer.in_use and not answer.users:
        yield "the kernel says that a live overlay writes to this directory, and no mount table has it:"
        yield "it was unmounted lazily, and lives until its last user ends"
        if not answer.lost:
            yield "  who that is cannot be seen"
    for lost in answer.lost:
        yield {
            True: f"an overlay in no mount table (mount id {lost.mount_id}), unmounted lazily, held by",
            None: f"perhaps: an overlay in no mount table (mount id {lost.mount_id}), of unknown layers, held by",
            False: f"another overlay in no mount table (mount id {lost.mount_id}), held by",
        }[lost.sure]
        for process in lost.processes:
            yield from _process(process)
