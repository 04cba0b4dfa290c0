"""An explanation as JSON types; docs/schema/explain.json is its schema."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.explain.terms import Act, Verdict
from ovlctl.overlay.marks import Opaque
from ovlctl.overlay.tree import ARCHIVE, Kind
from ovlctl.show.names import json_path, json_paths, show_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ovlctl.bench.prediction import Prediction
    from ovlctl.ops.explain.values import Cost, Explanation, Hider, InodeStory, KernelWord, LayerLook, Obstacle, Users
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.marks import HandleRecord
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.resolution import Place


def explanation_json(explanation: Explanation, predictions: Iterable[Prediction] = ()) -> dict[str, Any]:
    """Everything about one path."""
    found, told = explanation.resolution, tuple(predictions)
    return {
        **json_path("path", explanation.path),
        "exists": explanation.exists,
        "kind": explanation.kind,
        "provider": None if not found.stack else _layer_json(found.stack[0].layer),
        "rule": found.rule,
        "outcome": found.outcome,
        "errno": _errno(found.errno),
        "certain": found.certain,
        "candidates": [_look_json(look) for look in explanation.layers],
        "data_layer": None if found.data is None else _place_json(found.data),
        "data_errno": _errno(found.data_errno),
        "obstacle": None if explanation.obstacle is None else _obstacle_json(explanation.obstacle),
        "inode": None if explanation.inode is None else _inode_json(explanation.inode),
        "on_change": None
        if not explanation.on_change
        else {
            cost.act: cost_json(cost, [each for each in told if each.act is cost.act]) for cost in explanation.on_change
        },
        "users": None if explanation.users is None else _users_json(explanation.users),
        "kernel": _kernel_json(explanation.kernel),
        "unreadable": [{**_place_json(each.place), "errno": _errno(each.errno)} for each in explanation.unreadable],
    }


def _layer_json(layer: Layer) -> dict[str, Any]:
    return {"role": layer.role, "index": layer.index, **json_path("dir", layer.directory)}


def _place_json(place: Place) -> dict[str, Any]:
    return {**_layer_json(place.layer), **json_path("path", place.path)}


def _look_json(look: LayerLook) -> dict[str, Any]:
    candidate = look.candidate
    seen = candidate.attributes
    return {
        **_place_json(candidate.place),
        "present": candidate.present,
        "kind": None if seen is None else seen.kind,
        "mark": None if look.marks is None or seen is None else principal_mark(look.marks, seen.kind),
        "verdict": candidate.verdict,
        "mode": None if seen is None else seen.mode,
        "uid": None if seen is None else seen.uid,
        "gid": None if seen is None else seen.gid,
        "size": None if seen is None else seen.size,
        "mtime_ns": None if seen is None else seen.mtime_ns,
        "nlink": None if seen is None else seen.nlink,
        "ino": None if seen is None or seen.dev == ARCHIVE else seen.ino,
        "dev": None if seen is None or seen.dev == ARCHIVE else _device(seen.dev),
        "marks": None if look.marks is None else _marks_json(look.marks, look.origin),
        **json_path("target", look.target),
        "hidden_by": None if look.hider is None else _hider_json(look.hider),
        "errno": _errno(look.errno),
    }


def _hider_json(hider: Hider) -> dict[str, Any]:
    return {**json_path("directory", hider.path), "verdict": hider.verdict, **_place_json(hider.by)}


def principal_mark(marks: Marks, kind: Kind) -> str | None:
    """The one mark that decides most about an object of *kind*; None when none does."""
    if marks.whiteout is not None:
        return "whiteout"
    if marks.opaque is Opaque.YES and kind is Kind.DIRECTORY:
        return "opaque"
    if marks.metacopy is not None and kind is Kind.FILE:
        return "metacopy"
    return "redirect" if marks.redirect is not None else None


def _marks_json(marks: Marks, origin: Place | None) -> dict[str, Any]:
    return {
        "readable": marks.readable,
        "whiteout": marks.whiteout,
        "whiteout_mark": marks.whiteout_mark,
        "opaque": marks.opaque,
        "redirect": None
        if marks.redirect is None
        else {"form": marks.redirect.form, **json_path("target", marks.redirect.target)},
        "metacopy": None
        if marks.metacopy is None
        else {
            "valid": marks.metacopy.valid,
            "algorithm": marks.metacopy.algorithm,
            "digest": marks.metacopy.digest.hex(),
        },
        "origin": None
        if marks.origin_raw is None
        else {
            "raw": marks.origin_raw.hex(),
            "record": _record_json(marks.origin),
            "matches": None if origin is None else _place_json(origin),
        },
        "impure": marks.impure,
        "nlink": _text(marks.nlink),
        "uuid": None if marks.uuid is None else marks.uuid.hex(),
        "protattr": _text(marks.protattr),
        "upper": _record_json(marks.upper),
        "escaped": [{"name": show_name(name), "value": value.hex()} for name, value in marks.escaped],
        "unknown": [show_name(name) for name in marks.unknown],
        "unread": [show_name(name) for name in marks.unread],
    }


def _record_json(record: HandleRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "flags": record.flags,
        "type": record.type,
        "uuid": record.uuid.hex(),
        "handle": record.handle.hex(),
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else show_name(os.fsdecode(value))


def _obstacle_json(obstacle: Obstacle) -> dict[str, Any]:
    return {
        **json_path("path", obstacle.resolution.path),
        "kind": obstacle.resolution.kind,
        "rule": obstacle.resolution.rule,
        **json_path("target", obstacle.target),
        **json_path("instead", obstacle.instead),
    }


def _inode_json(story: InodeStory) -> dict[str, Any]:
    return {
        "ino": story.ino,
        "dev": None if story.dev is None else _device(story.dev),
        "known": story.known,
        "predicted": story.predicted,
        "donor": story.donor,
        "device_of": story.device_of,
        "nlink": story.nlink,
        "after_copy_up": story.after_copy_up,
        "copy_up_because": story.copy_up_because,
        "after_remount": story.after_remount,
        "remount_because": story.remount_because,
        "links": story.links,
    }


def cost_json(cost: Cost, predictions: Sequence[Prediction] = ()) -> dict[str, Any]:
    """What one change would do to the upper, with times where some are predicted."""
    moved = {
        "errno": _errno(cost.errno),
        "copies_bytes": cost.copies_bytes,
        "at_most_bytes": cost.at_most,
        "data": cost.data,
        "copies_object": cost.copies_object,
        **json_paths("parents", cost.parents),
        "reflink": {Answer.YES: True, Answer.NO: False, Answer.UNKNOWN: None}[cost.reflink],
        "whiteout": cost.whiteout,
        "remarks": list(cost.remarks),
        "predicted_ns": predictions[0].ns if predictions else None,
        "predicted": [_prediction_json(each) for each in predictions],
    }
    if cost.act is Act.RENAME:
        moved["exdev"] = cost.errno == errno.EXDEV
        moved["exdev_elsewhere"] = cost.elsewhere_errno == errno.EXDEV
    return moved


def _prediction_json(each: Prediction) -> dict[str, Any]:
    return {
        "ns": each.ns,
        "cache": each.cache,
        "basis": each.basis,
        "fs": show_name(each.fs),
        "smallest": each.smallest,
        "largest": each.largest,
        "depth": each.depth,
        "measured": show_name(each.measured),
    }


def _users_json(users: Users) -> dict[str, Any]:
    return {
        "found": [
            {
                "pid": each.use.pid,
                "command": show_name(each.use.name),
                "kind": each.use.kind,
                "fd": each.use.fd,
                **json_path("path", each.use.path),
                "through": each.through,
                "staleness": each.staleness,
            }
            for each in users.found
        ],
        "unreadable_processes": len(users.unreadable),
    }


def _kernel_json(word: KernelWord) -> dict[str, Any]:
    seen = word.attributes
    return {
        "checked": word.verdict is not Verdict.NOT_CHECKABLE,
        "agrees": {Verdict.AGREES: True, Verdict.DISAGREES: False, Verdict.NOT_CHECKABLE: None}[word.verdict],
        "ground": word.ground,
        "errno": _errno(word.errno or 0),
        "sees": None
        if seen is None
        else {"kind": seen.kind, "mode": seen.mode, "size": seen.size, "ino": seen.ino, "dev": _device(seen.dev)},
        "record": _record_json(word.record),
    }


def _device(number: int) -> str:
    return f"{os.major(number)}:{os.minor(number)}"


def _errno(number: int) -> str | None:
    return errno.errorcode.get(number, str(number)) if number else None
