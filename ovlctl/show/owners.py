"""Whose something is, and what belongs to nobody, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.columns import aligned
from ovlctl.show.envelope import note_text
from ovlctl.show.names import json_path, show_name, show_text
from ovlctl.show.sizes import format_size
from ovlctl.show.times import format_wait
from ovlctl.show.who import command_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.engines.values import Pod
    from ovlctl.ops.engines.orphans import Orphan, Orphans
    from ovlctl.ops.engines.owning import Owner, User

#: How many users of a layer are named; the rest is counted.
_NAMED = 8
_SHORT = 12


def owner_json(owner: Owner) -> dict[str, Any]:
    """What ``owner`` found."""
    return {
        "engine": owner.engine,
        "kind": owner.kind,
        "id": show_text(owner.id),
        "name": _text(owner.name),
        "pod": pod_json(owner.pod),
        "image": _text(owner.image),
        "role": owner.role,
        "running": owner.running,
        **json_path("dir", owner.directory),
        "layer": _text(owner.layer),
        "size": owner.size,
        "users": [{"kind": each.kind, "id": show_text(each.id), "name": _text(each.name)} for each in owner.users],
        "evidence": list(map(note_text, owner.evidence)),
    }


def pod_json(pod: Pod | None) -> dict[str, Any] | None:
    """A pod."""
    if pod is None:
        return None
    return {"id": show_text(pod.id), "name": _text(pod.name), "namespace": _text(pod.namespace)}


def owner_text(owner: Owner) -> str:
    """Whose it is, line by line, and what says so."""
    return "\n".join((aligned(list(_facts(owner))), *(f"- {note_text(note)}" for note in owner.evidence)))


def _facts(owner: Owner) -> Iterator[tuple[str, str]]:
    if owner.engine is not None:
        yield "engine", owner.engine
    yield owner.kind, show_text(owner.name or owner.id)
    if owner.name is not None and owner.name != owner.id:
        yield "id", show_text(owner.id)
    if owner.pod is not None:
        yield "pod", pod_text(owner.pod)
    if owner.image is not None:
        yield "image", show_text(owner.image)
    if owner.role is not None:
        yield "role", owner.role
    if owner.kind == "container":
        yield "running", {True: "yes", False: "no", None: "unknown"}[owner.running]
    if owner.directory is not None:
        yield "directory", show_name(owner.directory)
    if owner.size is not None:
        yield "size", format_size(owner.size)
    others = [each for each in owner.users if each.id != owner.id]
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        yield "used by", ", ".join(map(_user, others[:_NAMED])) + more


def pod_text(pod: Pod) -> str:
    """``NAMESPACE/NAME``, or as much as there is."""
    name = show_text(pod.name or pod.id)
    return name if pod.namespace is None else f"{show_text(pod.namespace)}/{name}"


def _user(user: User) -> str:
    return f"{user.kind} {show_text(user.name) if user.name is not None else show_text(user.id)[:19]}"


def orphans_json(orphans: Orphans) -> list[dict[str, Any]]:
    """What ``orphans`` found."""
    return [_orphan_json(each, orphans.now_ns) for each in orphans.found]


def _orphan_json(orphan: Orphan, now_ns: int) -> dict[str, Any]:
    return {
        "engine": orphan.engine,
        "what": orphan.what,
        "id": show_text(orphan.id),
        **json_path("dir", orphan.directory),
        "bytes": orphan.bytes,
        "age_s": None if orphan.since_ns is None else max(now_ns - orphan.since_ns, 0) // 10**9,
        "evidence": list(map(note_text, orphan.evidence)),
        "remove": None if orphan.remove is None else command_text(orphan.remove),
        "stop_engine_first": orphan.stopped,
    }


def orphans_text(orphans: Orphans) -> str:
    """Each orphan with what it takes, what says so and what removes it; a sum at the end."""
    if not orphans.found:
        return "no orphans in what could be read" if orphans.partial else "no orphans"
    blocks = ["\n".join(_lines(each, orphans.now_ns)) for each in orphans.found]
    total = format_size(sum(each.bytes or 0 for each in orphans.found))
    return "\n\n".join((*blocks, f"{len(blocks)} in all, {total}; nothing was removed"))


def _lines(orphan: Orphan, now_ns: int) -> Iterator[str]:
    size = "" if orphan.bytes is None else f", {format_size(orphan.bytes)}"
    age = "" if orphan.since_ns is None else f", {format_wait(max(now_ns - orphan.since_ns, 0))} old"
    yield f"{orphan.engine}: {orphan.what.replace('-', ' ')} {show_text(orphan.id)}{size}{age}"
    yield f"  {show_name(orphan.directory)}"
    for note in orphan.evidence:
        yield f"  - {note_text(note)}"
    if orphan.remove is not None:
        when = f", with {orphan.engine} stopped" if orphan.stopped else ""
        yield f"  remove{when}: {command_text(orphan.remove)}"
    else:
        yield f"  {orphan.engine} has no command that removes it"


def _text(text: str | None) -> str | None:
    return None if text is None else show_text(text)
