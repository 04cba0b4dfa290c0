"""Sets of stacks as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.errors import Note
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.status import Condition
from ovlctl.show.columns import aligned
from ovlctl.show.names import json_path, json_paths, show_argument, show_name, show_text
from ovlctl.show.sizes import format_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.drift import Drift, LowerDrift
    from ovlctl.ops.sets.compare import SetPlan, StackAction
    from ovlctl.ops.sets.down import DownPlan
    from ovlctl.ops.sets.status import SetStatus, StackStatus
    from ovlctl.ops.sets.up import BroughtUp

_DONE = {Action.MAKE: "mounted", Action.CHANGE: "changed", Action.KEEP: "kept", Action.END: "ended"}


def set_plan_json(plan: SetPlan) -> dict[str, Any]:
    """What ``plan`` shows: what ``up`` would do."""
    return {
        **json_path("file", plan.file.path),
        "changes": plan.changes,
        "stacks": [
            {
                "name": each.name,
                "action": each.action,
                **json_path("target", each.point),
                "reasons": [_sentence(reason) for reason in each.reasons],
            }
            for each in plan.actions
        ],
    }


def set_plan_text(plan: SetPlan) -> str:
    """One line per stack, and below it why."""
    return "\n".join(_actions(plan.actions, {action: str(action) for action in Action}, reasons=True))


def up_json(plan: SetPlan, *, kept: tuple[str, ...] = (), steps: Iterable[Note] | None = None) -> dict[str, Any]:
    """What ``up`` did; with *steps* what it would do."""
    return {
        "dry_run": steps is not None,
        **set_plan_json(plan),
        **json_paths("kept_uppers", kept),
        "steps": [] if steps is None else [step.text(show_argument) for step in steps],
    }


def brought_up_text(done: BroughtUp) -> str:
    """What ``up`` did: one line per stack that it touched, else that there was nothing to do."""
    touched = [each for each in done.plan.actions if each.action is not Action.KEEP]
    if not touched:
        return f"nothing to do: {_count(len(done.plan.actions))} as declared"
    lines = [*_actions(touched, _DONE, reasons=False)]
    same = len(done.plan.actions) - len(touched)
    if same:
        lines.append(f"{_count(same)} as declared already")
    return "\n".join([*lines, *_kept(done.kept)])


def down_json(plan: DownPlan, *, done: bool) -> dict[str, Any]:
    """What ``down`` did, or with *done* False would do."""
    return {
        "dry_run": not done,
        **json_path("file", plan.file.path),
        "ended": [{"name": each.name, **json_path("target", each.target)} for each in plan.ending],
        "discarded": list(plan.discarding),
        **json_paths("kept_uppers", plan.kept),
        **json_paths("removed", plan.removed),
        "steps": [step.text(show_argument) for step in plan.steps],
    }


def down_text(plan: DownPlan) -> str:
    """What ``down`` did."""
    ended = {each.name for each in plan.ending}
    rows = [["ended", each.name or "", show_name(each.target or "")] for each in plan.ending]
    rows += [["discarded", name, ""] for name in plan.discarding if name not in ended]
    if not rows:
        return "nothing to do: nothing is mounted from this file"
    lines = [aligned(rows), *(f"removed {show_name(path)}" for path in plan.removed)]
    return "\n".join([*lines, *_kept(plan.kept)])


def status_json(found: SetStatus) -> dict[str, Any]:
    """What ``status`` shows."""
    return {
        **json_path("file", found.file.path),
        "as_declared": found.fine,
        "stacks": [
            {
                "name": each.name,
                "condition": each.condition,
                **json_path("target", each.point),
                "reasons": [_sentence(reason) for reason in each.reasons],
                "lowers": None if each.drift is None else _drift_json(each.drift),
            }
            for each in found.stacks
        ],
    }


def status_text(found: SetStatus) -> str:
    """One line per stack, and below it what is not as it should be."""
    rows = [[each.name, _condition(each), show_name(each.point)] for each in found.stacks]
    lines: list[str] = []
    for line, each in zip(aligned(rows).splitlines() if rows else (), found.stacks, strict=True):
        lines += [line, *(f"    {_sentence(reason)}" for reason in each.reasons)]
        lines += [
            f"    {text}" for lower in (() if each.drift is None else each.drift.lowers) for text in _drift(lower)
        ]
    return "\n".join(lines)


def status_warnings(found: SetStatus) -> Iterator[str | Note]:
    """What makes the answer less certain."""
    yield from found.warnings
    for each in found.stacks:
        moved = 0 if each.drift is None else each.drift.clock_set_ns
        if moved:
            way = "back, so that a change before that may be missed" if moved < 0 else "forward"
            yield f"the clock was set by {format_ns(abs(moved))} since {each.name} was mounted: {way}"


def status_advice(found: SetStatus) -> Iterator[Note]:
    """What would make it fine."""
    if any(each.condition is not Condition.AS_DECLARED and not each.is_another for each in found.stacks):
        yield Note("`ovlctl up {}` makes it as declared", (found.file.path,))
    changed = [each for each in found.stacks if each.drift is not None and each.drift.changed]
    if changed:
        yield Note("what a mount shows of lowers that were changed is undefined: `ovlctl refresh NAME` mounts it anew")


def _condition(each: StackStatus) -> str:
    if each.condition is Condition.AS_DECLARED and not each.fine:
        return "lowers changed"
    return str(each.condition)


def _drift(lower: LowerDrift) -> Iterator[str]:
    shown = show_name(lower.lower)
    if lower.covered:
        yield f"the lower {shown} is covered by a mount, and cannot be looked at"
    if lower.changed:
        paths = ", ".join(map(show_name, lower.first)) + (", ..." if lower.changed > len(lower.first) else "")
        many = "1 path" if lower.changed == 1 else f"{lower.changed} paths"
        yield f"{many} changed in the lower {shown} since the mount: {paths}"
    if lower.unreadable:
        many = "1 directory" if lower.unreadable == 1 else f"{lower.unreadable} directories"
        yield f"{many} in the lower {shown} cannot be looked into"


def _drift_json(found: Drift) -> dict[str, Any]:
    return {
        "changed": found.changed,
        "clock_set_ns": found.clock_set_ns,
        "details": [
            {
                **json_path("lower", lower.lower),
                "changed": lower.changed,
                **json_paths("first", lower.first),
                "unreadable": lower.unreadable,
                "covered": lower.covered,
            }
            for lower in found.lowers
        ],
    }


def _actions(actions: Iterable[StackAction], words: dict[Action, str], *, reasons: bool) -> Iterator[str]:
    listed = list(actions)
    rows = [[words[each.action], each.name, show_name(each.point)] for each in listed]
    for line, each in zip(aligned(rows).splitlines() if rows else (), listed, strict=True):
        yield line
        # That what is to be made is not mounted goes without saying.
        shown = each.reasons[1:] if each.action is Action.MAKE else each.reasons
        yield from (f"    {_sentence(reason)}" for reason in shown if reasons or each.action is Action.CHANGE)


def _kept(kept: Iterable[str]) -> list[str]:
    return [f"the upper {show_name(path)} is kept" for path in kept]


def _sentence(note: Note) -> str:
    return show_text(note.text(show_name))


def _count(number: int) -> str:
    return "1 stack is" if number == 1 else f"{number} stacks are"
