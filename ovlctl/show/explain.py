"""An explanation as text, of 80 columns by default: the answer first, then the layers, the numbers and the costs."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from typing import TYPE_CHECKING

from ovlctl.ops.explain.terms import Ground, Verdict
from ovlctl.ops.reading.rules import RULES
from ovlctl.overlay.layers import Role
from ovlctl.overlay.resolution import Outcome, Rule
from ovlctl.overlay.resolution import Verdict as Fate
from ovlctl.overlay.tree import Kind
from ovlctl.show.explain_costs import cost_lines, user_lines
from ovlctl.show.explain_inode import inode_lines
from ovlctl.show.explain_lines import columns, named, view_path, whole, wrapped
from ovlctl.show.explain_marks import mark_lines
from ovlctl.show.explain_words import GROUNDS, HIDERS, KINDS, VERDICTS
from ovlctl.show.modes import mode_text
from ovlctl.show.names import show_name
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ovlctl.bench.prediction import Prediction
    from ovlctl.ops.explain.values import Explanation, LayerLook, Obstacle
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.tree import Attributes

_NAMES = ContextVar[Mapping[tuple[Role, int], str]]("_NAMES", default={})  # noqa: B039 -- nobody changes it
#: How many layers in a row that say the same are shown before the rest is counted.
_ALIKE = 3


def explanation_text(explanation: Explanation, predictions: Iterable[Prediction] = (), *, width: int = 80) -> str:
    """Everything about one path, for people.

    Args:
        explanation: What was found.
        predictions: Of the times of changes.
        width: Columns that sentences are wrapped at; paths stay in one piece, and may be longer.
    """
    with columns(width):
        return "\n".join(_lines(explanation, tuple(predictions)))


def _lines(explanation: Explanation, predictions: Sequence[Prediction]) -> Iterator[str]:
    yield show_name("/" + explanation.path)
    yield from _answer(explanation)
    yield from _kernel(explanation)
    if any(look.candidate.verdict is not Fate.ABSENT for look in explanation.layers):
        yield ""
        yield "layers, topmost first"
        yield from _layers(explanation)
    if explanation.inode is not None:
        yield ""
        yield "inode"
        yield from inode_lines(explanation.inode)
    if explanation.on_change:
        yield ""
        yield "what a change would do"
        attributes = explanation.resolution.attributes
        yield from cost_lines(explanation.on_change, 0 if attributes is None else attributes.size, predictions)
    if explanation.users is not None and (explanation.users.found or explanation.users.unreadable):
        yield ""
        yield "who would not see a change"
        yield from user_lines(explanation.users)


@contextmanager
def called(names: Mapping[tuple[Role, int], str]) -> Iterator[None]:
    """Call layers otherwise as long as the block runs: by their role and index, as far as *names* has them."""
    before = _NAMES.set(names)
    try:
        yield
    finally:
        _NAMES.reset(before)


def label(layer: Layer) -> str:
    """What a layer is called: ``upper``, ``lower 2``, ``data 0``."""
    if (name := _NAMES.get().get((layer.role, layer.index))) is not None:
        return name
    return str(layer.role) if layer.role is Role.UPPER else f"{layer.role} {layer.index}"


def _answer(explanation: Explanation) -> Iterator[str]:
    found = explanation.resolution
    if explanation.obstacle is not None and explanation.obstacle.target is not None:
        yield from _through_link(explanation.obstacle)
        return
    if found.outcome is Outcome.PRESENT and found.kind is not None:
        layer = found.stack[0].layer
        yield f"  {KINDS[found.kind]}, from {label(layer)}: {show_name(layer.directory)}"
    elif found.outcome is Outcome.ABSENT:
        yield "  does not exist (ENOENT)"
    elif found.outcome is Outcome.REFUSED:
        yield wrapped(f"the kernel refuses it: {named(found.errno)}", "  ")
    else:
        yield "  cannot be told from the layers"
    yield wrapped(_why(explanation), "  why     ")
    if found.data is not None and found.data != found.stack[0]:
        where = f"{label(found.data.layer)}, {show_name(found.data.path)}"
        yield f"  data    in {where}: {show_name(found.data.layer.directory)}"
    if found.data_errno:
        yield wrapped(f"cannot be opened: {named(found.data_errno)}", "  data    ")
    if not found.certain and found.outcome is not Outcome.UNKNOWN:
        yield wrapped("not certain, as marks in trusted.overlay.* cannot be seen without root", "  but     ")


def _through_link(obstacle: Obstacle) -> Iterator[str]:
    target = show_name(obstacle.target or "")
    yield f"  leads through the symbolic link {show_name('/' + obstacle.resolution.path)} -> {target}"
    if obstacle.instead is None:
        yield "  which leads nowhere in this view"
    else:
        yield f"  ask for {show_name('/' + obstacle.instead)}"


def _why(explanation: Explanation) -> str:
    found, obstacle = explanation.resolution, explanation.obstacle
    if explanation.kernel.ground is Ground.UNSEEN_MARKS:
        return GROUNDS[Ground.UNSEEN_MARKS]
    if obstacle is not None:
        return _why_not_reached(found, obstacle.resolution)
    text = RULES[found.rule]
    if found.rule is Rule.MERGED:
        return f"{text} ({len(found.stack)} layers)"
    return text + _detail(found)


def _why_not_reached(found: Resolution, way: Resolution) -> str:
    here = f"{view_path(way.path)}, on the way,"
    if found.rule is Rule.PARENT_ABSENT:
        return f"{here} does not exist: {RULES[way.rule]}{_detail(way)}"
    if found.rule is Rule.PARENT_NOT_DIRECTORY and way.kind is not None:
        return f"{here} is {KINDS[way.kind]}"
    return f"{here} is the trouble: {RULES[found.rule]}{_detail(found)}"


def _detail(found: Resolution) -> str:
    if found.rule is Rule.UNREADABLE and found.unreadable:
        lost = found.unreadable[0]
        where = whole(lost.place.path or lost.place.layer.directory)
        return f": {label(lost.place.layer)}, {where} gives {named(lost.errno)}"
    if found.rule is not Rule.WHITEOUT:
        return ""
    marked = (seen for seen in found.candidates if seen.verdict is Fate.WHITEOUT)
    return next((f" (in {label(seen.place.layer)})" for seen in marked), "")


def _kernel(explanation: Explanation) -> Iterator[str]:
    word = explanation.kernel
    ground = GROUNDS[word.ground]
    if word.ground is Ground.THROUGH_LINK:
        return
    if word.verdict is Verdict.AGREES:
        yield wrapped(f"agrees: {ground}", "  kernel  ")
    elif word.ground is Ground.UNSEEN_MARKS or (
        word.ground is Ground.NOT_CERTAIN and not explanation.resolution.exists
    ):
        yield wrapped(f"says {_kernel_says(explanation)}", "  kernel  ")
    elif word.verdict is Verdict.NOT_CHECKABLE:
        yield wrapped(f"not checkable: {ground}", "  kernel  ")
    else:
        yield ""
        yield wrapped(f"KERNEL DISAGREES: {ground}", "  ")
        yield wrapped(f"it says {_kernel_says(explanation)}", "  ")
        yield wrapped(
            "A layer was probably changed while it was mounted, of which the kernel promises nothing. This mounts the "
            "layers anew, as they are now:",
            "  ",
        )
        yield "    ovlctl refresh STACK"


def _kernel_says(explanation: Explanation) -> str:
    seen = explanation.kernel.attributes
    if seen is None:
        number = explanation.kernel.errno or 0
        return "that nothing is there (ENOENT)" if number == errno.ENOENT else named(number)
    return f"{KINDS[seen.kind]}: {attributes_text(seen)}"


def _layers(explanation: Explanation) -> Iterator[str]:
    looks = explanation.layers
    width = max(len(_called(look)) for look in looks)
    provider = explanation.resolution.stack[0] if explanation.resolution.stack else None
    for _, group in groupby(looks, key=_sameness):
        run = list(group)
        shown = run if len(run) <= _ALIKE + 1 else run[:_ALIKE]
        for look in shown:
            sign = ">" if look.candidate.place == provider else " "
            yield from _layer(look, f"{sign} {_called(look):{width}}  ", explanation)
        if len(run) > len(shown):
            rest = run[len(shown) :]
            first, last = label(rest[0].candidate.place.layer), label(rest[-1].candidate.place.layer)
            yield f"  {first} to {last}: {VERDICTS[run[0].candidate.verdict]} ({len(rest)} layers more)"


def _called(look: LayerLook) -> str:
    return "index" if look.of_index else label(look.candidate.place.layer)


def _sameness(look: LayerLook) -> object:
    # Layers that can be counted together.
    marked = look.marks is not None and look.marks.any
    return id(look) if marked or look.errno else look.candidate.verdict


def _layer(look: LayerLook, first: str, explanation: Explanation) -> Iterator[str]:
    place, seen = look.candidate.place, look.candidate.attributes
    margin = " " * len(first)
    if look.candidate.verdict is Fate.ABSENT:
        whole = f"{first}{show_name(place.layer.directory)}: {VERDICTS[Fate.ABSENT]}"
        yield whole
        return
    yield first + show_name(place.layer.directory)
    if place.path != explanation.path:
        yield f"{margin}at {show_name(place.path)}"
    if seen is not None:
        target = "" if look.target is None else f" -> {show_name(look.target)}"
        yield margin + attributes_text(seen) + target
    for line in mark_lines(look):
        yield wrapped(line, margin, margin + "  ")
    yield wrapped(_verdict(look, explanation), margin, margin + "  ")


def _verdict(look: LayerLook, explanation: Explanation) -> str:
    verdict, hider = look.candidate.verdict, look.hider
    if hider is not None and hider.verdict in HIDERS:
        by = f"{HIDERS[hider.verdict]} in {label(hider.by.layer)}"
        return f"hidden: the directory {whole('/' + hider.path)} of this layer is, by {by}"
    refused = verdict is Fate.PROVIDES and not explanation.resolution.exists
    return ("would provide it" if refused else VERDICTS[verdict]) + (f": {named(look.errno)}" if look.errno else "")


def attributes_text(seen: Attributes) -> str:
    """Mode, owner, size (or number of a device) and time of an object."""
    parts = [f"{mode_text(seen.kind, seen.mode)} {seen.uid}:{seen.gid}"]
    if seen.kind is Kind.FILE:
        parts.append(format_size(seen.size))
    elif seen.kind in {Kind.CHARACTER, Kind.BLOCK}:
        parts.append(f"device {os.major(seen.rdev)}:{os.minor(seen.rdev)}")
    return ", ".join((*parts, _time(seen.mtime_ns)))


def _time(ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ns // 10**9))
    except (OverflowError, ValueError, OSError):
        return f"{ns // 10**9} s after 1970"
