"""A remount as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.names import json_path, json_paths, show_argument, show_name
from ovlctl.show.stacks import overlay_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.remounting import Remounted, RemountPlan
    from ovlctl.overlay.stack import Stack


def remounted_json(done: Remounted) -> dict[str, Any]:
    """What is mounted now, and which lowers and options were before."""
    return {"dry_run": False, **overlay_json(done.overlay), "before": _before(done.before)}


def remount_plan_json(plan: RemountPlan) -> dict[str, Any]:
    """What ``remount --dry-run`` would do."""
    stack = plan.record.stack
    return {
        "dry_run": True,
        "name": plan.record.name,
        **json_path("target", plan.record.target),
        **json_paths("lowers", stack.lowers),
        **json_paths("data_only", stack.data_only),
        "before": _before(plan.before.stack),
        "steps": [step.text(show_argument) for step in plan.describe()],
    }


def _before(stack: Stack) -> dict[str, Any]:
    return {
        **json_paths("lowers", stack.lowers),
        **json_paths("data_only", stack.data_only),
        "requested": {key.name: str(value) for key, value in stack.options.asked()},
    }


def remounted_text(done: Remounted) -> str:
    """What was done, for people."""
    return "\n".join(_remounted(done))


def _remounted(done: Remounted) -> Iterator[str]:
    stack, before = done.overlay.stack, done.before
    yield f"remounted {done.overlay.name} at {show_name(done.overlay.target or '')}"
    now, then = (*stack.lowers, *stack.data_only), (*before.lowers, *before.data_only)
    if now == then:
        yield f"  lowers  {len(now)}, the same as before"
    for path in now:
        if path not in then:
            yield f"  added   {show_name(path)}"
    for path in then:
        if path not in now:
            yield f"  dropped {show_name(path)}"
    if now != then and sorted(now) == sorted(then):
        yield "  lowers  in another order"
    asked, had = (dict(each.options.asked()) for each in (stack, before))
    for key, value in asked.items():
        if had.get(key) is not value:
            yield f"  {key.name}={value}"
    if done.overlay.record is not None:
        yield f"  through {done.overlay.record.api}: {done.overlay.record.reason}"
