"""What stacks take on disk, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.ops.du.values import OWN
from ovlctl.overlay.fates import Fate
from ovlctl.show.du import class_of
from ovlctl.show.names import json_path, show_name
from ovlctl.show.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.ops.du.gates import Verdict
    from ovlctl.ops.du.growth import Growth
    from ovlctl.ops.du.values import Directory, Large, Marks, Split, Tally, Usage

_WAYS = {
    "whiteout": Fate.WHITED_OUT,
    "opaque": Fate.BEHIND_OPAQUE,
    "not_directory": Fate.BEHIND_OTHER,
    "redirect": Fate.REDIRECTED,
    "refused": Fate.REFUSED,
    "unused": Fate.UNUSED,
}
_OF_FATE = {fate: way for way, fate in _WAYS.items()}


def usage_json(usage: Usage) -> dict[str, Any]:
    """The data of ``du --json``: sizes in bytes."""
    layers = [each for each in usage.directories if each.part not in OWN]
    own = [each for each in usage.directories if each.part in OWN]
    return {
        "stacks": [show_name(label) for label in usage.stacks],
        "layers": [{"role": each.part, "index": each.index, **_directory(each)} for each in layers],
        "work": [{"part": each.part, **_directory(each)} for each in own],
        "totals": {
            **_split(usage.total),
            **_sums(usage.directories),
            "proved": usage.proved,
            "certain": usage.certain,
            "unreadable": usage.unread,
        },
        "top": [_large(usage, each) for each in usage.largest],
        "paths": [{**json_path("path", each.path), **_split(each.split)} for each in usage.below],
        "growth": _growth(usage.growth),
        "rules": [_verdict(each) for each in usage.verdicts],
    }


def _directory(directory: Directory) -> dict[str, Any]:
    return {
        **json_path("dir", directory.directory),
        "stacks": list(directory.stacks),
        **_split(directory.split),
        **_sums([directory]),
    }


def _sums(directories: Iterable[Directory]) -> dict[str, Any]:
    every = list(directories)
    unmeasured = sum(each.unmeasured for each in every)
    return {
        "files": sum(each.files for each in every),
        "allocated": sum(each.allocated for each in every),
        "shared": sum(each.shared for each in every),
        "measured": not unmeasured,
        "unmeasured": unmeasured,
        "marks": _marks([each.marks for each in every]),
    }


def _marks(marks: list[Marks]) -> dict[str, int]:
    return {
        "whiteouts": sum(each.whiteouts for each in marks),
        "opaque": sum(each.opaque for each in marks),
        "redirects": sum(each.redirects for each in marks),
        "metadata_only": sum(each.metadata_only for each in marks),
    }


def _split(split: Split) -> dict[str, Any]:
    return {
        **_tally(split.every),
        "visible": _tally(split.of(Fate.VISIBLE)),
        "reclaimable": _tally(split.of(Fate.UNCHANGED)),
        "shadowed": _tally(split.of(Fate.SHADOWED)),
        "hidden": {**_tally(split.hidden), "why": {way: split.of(fate).bytes for way, fate in _WAYS.items()}},
        "whiteouts": _tally(split.of(Fate.WHITEOUT)),
        "overlayfs": _tally(split.of(Fate.WORK)),
        "unknown": _tally(split.of(Fate.UNKNOWN)),
    }


def _tally(tally: Tally) -> dict[str, int]:
    return {
        "inodes": tally.inodes,
        "bytes": tally.bytes,
        "apparent": tally.apparent,
        "shared_elsewhere": tally.elsewhere,
    }


def _large(usage: Usage, large: Large) -> dict[str, Any]:
    directory = usage.directories[large.at]
    return {
        **json_path("path", large.path),
        "layer": {"role": directory.part, "index": directory.index, **json_path("dir", directory.directory)},
        "bytes": large.tally.bytes,
        "apparent": large.tally.apparent,
        "class": class_of(large.fate),
        "hidden_by": _OF_FATE.get(large.fate),
        "shared_elsewhere": large.tally.elsewhere,
    }


def _growth(growth: Iterable[Growth]) -> dict[str, Any] | None:
    known = [(each, each.before) for each in growth if each.before is not None]
    if not known:
        return None
    return {
        "since": format_time(min(before.time_ns for _, before in known)),
        "bytes": sum(each.now.bytes - before.bytes for each, before in known),
        "files": sum(each.now.files - before.files for each, before in known),
        "uppers": [
            {
                "stack": each.stack,
                **json_path("dir", each.directory),
                "since": format_time(before.time_ns),
                "elapsed_ns": each.now.time_ns - before.time_ns,
                "bytes": each.now.bytes - before.bytes,
                "files": each.now.files - before.files,
            }
            for each, before in known
        ],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule.limit,
        "unit": verdict.rule.limit.unit,
        "limit": verdict.rule.most,
        "floor": verdict.rule.floor or None,
        "actual": verdict.actual,
        "bytes": verdict.bytes,
        "outcome": verdict.outcome,
    }
