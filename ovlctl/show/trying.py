"""What an action will do, and what it did, in words: for a terminal, a screen or a page."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.ops.trying.values import Action, Because, Step, StepKind
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.tree import Kind
from ovlctl.show.explain_costs import cost_text
from ovlctl.show.explain_lines import named, wrapped
from ovlctl.show.explain_words import KINDS
from ovlctl.show.names import show_name, show_text
from ovlctl.show.sizes import format_ns, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ovlctl.ops.trying.values import (
        Call,
        Deed,
        Difference,
        GroundLayer,
        LayerSight,
        Moment,
        Preview,
        Recording,
        Sight,
        Wish,
    )

_BECAUSE = {
    Because.IN_USE: "the stack's own upper is in use by its mount, and with the index the kernel takes no such lower",
    Because.WITHOUT_ROOT: "marks in trusted.overlay.* take root",
    Because.KERNEL: "the kernel made it so, for what the scratch upper's file system can do",
}
_OWNERS_MATTER = {errno.EACCES, errno.EPERM, errno.EOVERFLOW}
_SAME = "the same"
_NOTHING = "nothing"


def wish_text(wish: Wish) -> str:
    """The action in short: ``rename /a to /b``, ``chmod 600 /a``."""
    mode = f" {wish.mode:03o}" if wish.action is Action.CHMOD and wish.mode is not None else ""
    to = f" to {_path(wish.to)}" if wish.to is not None and wish.action in {Action.RENAME, Action.LINK} else ""
    return f"{wish.action}{mode} {_path(wish.path)}{to}"


def layer_text(number: int | None, ground: Sequence[GroundLayer]) -> str:
    """What a layer is called in a sentence."""
    if number is None or number >= len(ground):
        return "a layer"
    label = ground[number].label
    return label if ":" in label else f"the {label}"


def step_text(step: Step, ground: Sequence[GroundLayer]) -> str:
    """One step as a sentence in the present tense, without a full stop; names are escaped."""
    names = _Names(path=_path(step.path), layer=layer_text(step.layer, ground), source=layer_text(step.source, ground))
    return _SENTENCES[step.kind](step, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    path: str
    layer: str
    source: str

    @property
    def copied(self) -> str:
        return f"{self.path} is copied from {self.source} to {self.layer}"


def _looked(step: Step, names: _Names) -> str:
    gone = Mark.WHITEOUT in step.marks
    return f"{names.layer} has a whiteout: the name is gone" if gone else f"{names.layer} has nothing there"


def _read(step: Step, names: _Names) -> str:
    return f"{format_size(step.bytes)} are read in {names.layer}" if step.bytes else f"it is read in {names.layer}"


def _written(step: Step, names: _Names) -> str:
    done = f"{format_size(step.bytes)} are written" if step.bytes else f"{names.path} is changed in place"
    return f"{done} in {names.layer}"


_SENTENCES: dict[StepKind, Callable[[Step, _Names], str]] = {
    StepKind.LOOKED: _looked,
    StepKind.FOUND: lambda _, names: f"{names.layer} has it",
    StepKind.READ: _read,
    StepKind.PARENT: lambda _, names: f"the directory {names.copied}, without content",
    StepKind.COPIED: lambda step, names: f"{names.copied}: {_data(step)}",
    StepKind.METADATA: lambda _, names: f"{names.copied}: metadata only, its data stay below",
    StepKind.WRITTEN: _written,
    StepKind.CREATED: lambda _, names: f"{names.path} is made in {names.layer}",
    StepKind.WHITEOUT: lambda step, names: f"a whiteout is put at {names.path} in {names.layer}: {_hides(step)}",
    StepKind.REMOVED: lambda _, names: f"{names.path} is removed from {names.layer}",
    StepKind.MOVED: lambda _, names: f"it gets the name {names.path} in {names.layer}",
    StepKind.LINKED: lambda _, names: f"{names.path} becomes one more name of the file in {names.layer}",
    StepKind.REFUSED: lambda _step, _names: "the kernel refuses it",
}


def _data(step: Step) -> str:
    if not step.bytes:
        return "it has no data"
    size = format_size(step.bytes)
    if step.cloned:
        return f"{size} are shared (reflink), none copied"
    return f"{size}, copied or shared" if step.cloned is None else f"{size} of data"


def _hides(step: Step) -> str:
    if step.only_here:
        return "only here, to hide what your own upper has; the stack itself would keep none"
    return "the name is gone, what is below stays"


def marks_text(marks: Iterable[Mark]) -> str:
    """Names of marks; empty for none."""
    return ", ".join(marks)


def call_text(call: Call) -> str:
    """A system call as strace(1) writes it, with its error; printable."""
    return show_text(call.text) + (f" fails: {named(call.errno)}" if call.errno else "")


def sight_text(sight: Sight | None) -> str:
    """What there is: kind, inode number and device, size."""
    if sight is None:
        return _NOTHING
    device = f"{os.major(sight.dev)}:{os.minor(sight.dev)}"
    size = f", {format_size(sight.size)}" if sight.kind is Kind.FILE else ""
    return f"{_kind(sight.kind)}, inode {sight.ino} on {device}{size}, mode {sight.mode:03o}"


def layer_sight_text(seen: LayerSight | None) -> str:
    """What a layer has: as :func:`sight_text`, a whiteout as such, and its marks."""
    if seen is None or seen.sight is None:
        return _NOTHING
    if seen.is_whiteout:
        return "whiteout"
    elsewhere = "" if seen.path is None else f", at {_path(seen.path)}"
    marks = f"; {marks_text(seen.marks)}" if seen.marks else ""
    return f"{sight_text(seen.sight)}{elsewhere}{marks}"


def difference_note(difference: Difference) -> Note:
    """What the scratch mount has otherwise than the stack, as a warning."""
    value = "not set" if difference.value is None else f"{difference.option}={difference.value}"
    return Note(
        f"the scratch mount has {value} where the stack has {difference.option}={difference.asked}: "
        f"{_BECAUSE[difference.because]}"
    )


def preview_lines(preview: Preview, ground: Sequence[GroundLayer]) -> Iterator[str]:
    """What will happen, a line or more each."""
    if preview.errno:
        yield wrapped(f"the kernel will refuse it: {named(preview.errno)}", "  ")
    for step in preview.steps:
        if step.kind is not StepKind.REFUSED:
            yield wrapped(step_text(step, ground), "  ", "    ")
    if preview.cost is not None and (said := cost_text(preview.cost)):
        yield wrapped(said, "  (", "   ") + ")"


def deed_lines(deed: Deed, ground: Sequence[GroundLayer]) -> Iterator[str]:
    """What was done: the system calls with their times, the steps, and each layer before and after."""
    yield f"  system calls, {format_ns(deed.ns)} in all"
    width = max((len(call_text(call)) for call in deed.calls), default=0)
    for call in deed.calls:
        yield f"    {call_text(call):{min(width, 60)}}  {format_ns(call.ns):>8}"
    yield "  what it did"
    for step in deed.steps:
        yield wrapped(told_text(step, deed, ground), "    ", "      ")
    for line in (*mixing_lines(deed), *owner_lines(deed)):
        yield wrapped(line, "  ")
    for before, after in zip(deed.before, deed.after, strict=True):
        yield f"  {_path(before.path)}, before and after"
        yield from _rows(before, after, ground)


def result_text(deed: Deed) -> str:
    """What became of it, in short: the error, or what came into the topmost layer."""
    if deed.errno:
        return f"refused, {named(deed.errno)}"
    done = [_SHORT[step.kind](step) for step in deed.steps if step.kind in _SHORT]
    return ", ".join(dict.fromkeys(done)) or "nothing was changed"


def _amount(word: str) -> Callable[[Step], str]:
    return lambda step: f"{word} {format_size(step.bytes)}" if step.bytes else word


_SHORT: dict[StepKind, Callable[[Step], str]] = {
    StepKind.READ: _amount("read"),
    StepKind.PARENT: lambda step: f"copied {_path(step.path)}/ up",
    StepKind.COPIED: lambda step: (
        f"{'shared' if step.cloned else 'copied'} up" + (f" {format_size(step.bytes)}" if step.bytes else "")
    ),
    StepKind.METADATA: lambda _: "copied up without data",
    StepKind.WRITTEN: _amount("written"),
    StepKind.CREATED: lambda _: "made",
    StepKind.WHITEOUT: lambda _: "whiteout",
    StepKind.REMOVED: lambda _: "removed",
    StepKind.MOVED: lambda _: "renamed",
    StepKind.LINKED: lambda _: "linked",
}
_WITH_MARKS = {
    StepKind.PARENT,
    StepKind.COPIED,
    StepKind.METADATA,
    StepKind.CREATED,
    StepKind.MOVED,
    StepKind.LINKED,
    StepKind.WRITTEN,
}


def told_text(step: Step, deed: Deed, ground: Sequence[GroundLayer]) -> str:
    """A step of *deed* as a sentence, with the marks that it left, or with the error."""
    text = step_text(step, ground)
    if step.kind is StepKind.REFUSED and deed.errno:
        return f"{text}: {named(deed.errno)}"
    return f"{text} [{marks_text(step.marks)}]" if step.marks and step.kind in _WITH_MARKS else text


def mixing_lines(deed: Deed) -> Iterator[str]:
    """What is to be said where the stack's own upper has the object."""
    if deed.mixed:
        yield (
            "Your own upper has it. A copy was put into the scratch upper before, so that the kernel does here what it "
            "would do there."
        )
    elif deed.in_own_upper and deed.wish.action is not Action.READ:
        yield (
            "Your own upper has it, and it could not be put into the scratch upper before. The stack itself would be "
            "changed in place, without a copy."
        )


def owner_lines(deed: Deed) -> Iterator[str]:
    """What is to be said where somebody else owns what could not be changed."""
    seen = deed.before[0].merged if deed.before else None
    if deed.errno in _OWNERS_MATTER and seen is not None and seen.uid != os.geteuid() != 0:
        yield f"It belongs to another user (uid {seen.uid}), whose files take root to be copied up."


def _rows(before: Moment, after: Moment, ground: Sequence[GroundLayer]) -> Iterator[str]:
    rows = [("merged", sight_text(before.merged), sight_text(after.merged))]
    old, new = ({seen.layer: seen for seen in moment.layers} for moment in (before, after))
    for number in sorted({*old, *new}):
        label = ground[number].label if number < len(ground) else str(number)
        rows.append((label, layer_sight_text(old.get(number)), layer_sight_text(new.get(number))))
    width = max(len(label) for label, _, _ in rows)
    for label, was, now in rows:
        yield wrapped(was, f"    {label:{width}}  ")
        changed = _SAME if now == was else now
        if changed != _SAME or was != _NOTHING:
            yield wrapped(changed, f"    {'':{width}}  -> ", f"    {'':{width}}     ")


def deed_text(deed: Deed | None, preview: Preview | None, ground: Sequence[GroundLayer]) -> str:
    """One action in full."""
    wish = deed.wish if deed is not None else preview.wish if preview is not None else None
    lines = [] if wish is None else [wish_text(wish)]
    if preview is not None:
        lines += [" foretold", *preview_lines(preview, ground)]
    if deed is not None:
        lines += [" done on the real mount" if deed.live else " done", *deed_lines(deed, ground)]
    return "\n".join(lines)


def recording_text(recording: Recording) -> str:
    """Every deed of a recording."""
    return "\n\n".join(deed_text(deed, None, recording.layers) for deed in recording.deeds)


def ground_text(label: str, ground: Sequence[GroundLayer], file_system: str) -> str:
    """The layers, topmost first, each with its directory."""
    width = max(len(layer.label) for layer in ground)
    lines = [f"{show_name(label)}: the topmost layer is on {show_text(file_system)}"]
    lines += [f"  {layer.label:{width}}  {show_name(layer.directory)}" for layer in ground]
    return "\n".join(lines)


def _kind(kind: Kind) -> str:
    return KINDS[kind].removeprefix("a ").removeprefix("regular ")


def _path(path: str) -> str:
    return show_name(f"/{path}")
