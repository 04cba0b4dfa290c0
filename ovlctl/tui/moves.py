"""What was done, as a series of still pictures: which layer has what, step by step.

Everything in them is from a :class:`~ovlctl.ops.trying.values.Deed`: the steps that it tells, and what each layer had
before and after. Only the way of the lookup before a change is not told there: it goes through the layers from the top
down to the first that had something, as was seen before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ovlctl.ops.trying.values import Action, Step, StepKind
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.tree import Kind
from ovlctl.show.names import show_name
from ovlctl.show.sizes import format_ns
from ovlctl.show.trying import layer_sight_text, sight_text, told_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.trying.values import Deed, GroundLayer, LayerSight, Moment

#: The lane of the merged view; the others go by the numbers of their layers.
MERGED: Final = -1
# Layers that have nothing are drawn when there are no more lanes than these.
_LANES: Final = 5
#: What is said of a layer that has nothing.
NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """Something that is in a layer.

    Attributes:
        name: Its last component as it is shown, with a slash behind a directory's.
        sign: As in the tree: what was done to it; empty for nothing.
        fresh: Whether the step of this picture is about it.
        gone: Whether it is a whiteout.
    """

    name: str
    sign: str = ""
    fresh: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A copy on its way.

    Attributes:
        chip: What is copied.
        source: The lane that it leaves.
        target: The lane that it comes to.
    """

    chip: Chip
    source: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One state.

    Attributes:
        says: What happens, in a sentence.
        here: The lanes that it happens in.
        chips: What each lane has.
        facts: What there is to say of that, one line for each path of the deed.
        flight: What moves before the picture is as it says.
        brief: Whether a short look at it will do.
    """

    says: str
    here: frozenset[int]
    chips: dict[int, tuple[Chip, ...]]
    facts: dict[int, tuple[str, ...]]
    flight: Flight | None = None
    brief: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """All pictures of a deed, in order.

    Attributes:
        lanes: From above to below: the merged view, and the layers that matter.
        labels: Of the lanes.
        others: How many layers have nothing to do with it, and are not drawn.
    """

    lanes: tuple[int, ...]
    labels: dict[int, str]
    others: int
    pictures: tuple[Picture, ...]


def move_of(deed: Deed, ground: Sequence[GroundLayer], arrow: str) -> Move:
    """The pictures of *deed*.

    Args:
        deed: What was done.
        ground: What its numbers of layers mean.
        arrow: A sign between before and after.
    """
    return _Making(deed, ground, arrow).move()


@dataclass(slots=True)
class _State:
    """What stands in the picture so far.

    Attributes:
        came: Chips of directories that came along, by lane.
        signs: What was done, by lane and path.
        now: Of what is after shown, by lane and path.
    """

    came: dict[int, list[Chip]] = field(default_factory=dict)
    signs: dict[tuple[int, str], str] = field(default_factory=dict)
    now: set[tuple[int, str]] = field(default_factory=set)


class _Making:
    def __init__(self, deed: Deed, ground: Sequence[GroundLayer], arrow: str) -> None:
        self.deed, self.ground, self.arrow = deed, ground, arrow
        self.paths = [moment.path for moment in deed.before]
        self.before = {moment.path: moment for moment in deed.before}
        self.after = {moment.path: moment for moment in deed.after}
        self.state = _State()
        self.looked = tuple(self._lookup())
        self.lanes = self._lanes()

    def move(self) -> Move:
        return Move(
            lanes=self.lanes,
            labels={lane: "Merged" if lane == MERGED else self.ground[lane].label for lane in self.lanes},
            others=len(self.ground) - len(self.lanes) + 1,
            pictures=tuple(self._pictures()),
        )

    def _lanes(self) -> tuple[int, ...]:
        every = range(len(self.ground))
        if len(every) < _LANES:
            return (MERGED, *every)
        moments = (*self.deed.before, *self.deed.after)
        matter = {0, *(seen.layer for moment in moments for seen in moment.layers if seen.sight is not None)}
        matter |= {step.source for step in self.deed.steps if step.source is not None}
        matter |= {
            step.layer for step in self.deed.steps if step.kind is not StepKind.LOOKED and step.layer is not None
        }
        return (MERGED, *(number for number in every if number in matter))

    def _lookup(self) -> Iterator[Step]:
        """The way down to the object, for deeds that do not tell it: none where there was none."""
        action, path = self.deed.wish.action, self.paths[0]
        told = any(step.kind in {StepKind.LOOKED, StepKind.FOUND} for step in self.deed.steps)
        if told or action in {Action.CREATE, Action.MKDIR}:
            return
        having = {seen.layer: seen for seen in self.before[path].layers if seen.sight is not None}
        for number in range(len(self.ground)):
            seen = having.get(number)
            if seen is not None and seen.has_object:
                yield Step(kind=StepKind.FOUND, path=path, layer=number)
                return
            marks = () if seen is None or not seen.is_whiteout else (Mark.WHITEOUT,)
            yield Step(kind=StepKind.LOOKED, path=path, layer=number, marks=marks)
            if marks:
                return

    def _pictures(self) -> Iterator[Picture]:
        yield self._picture("Before: this is what was there.", frozenset())
        skipped = 0
        for step in (*self.looked, *self.deed.steps):
            if step.kind is StepKind.LOOKED and step.layer not in self.lanes:
                skipped += 1
                continue
            if skipped:
                yield self._picture(_nothing_in(skipped), frozenset(), brief=True)
                skipped = 0
            yield self._of(step)
        if skipped:
            yield self._picture(_nothing_in(skipped), frozenset(), brief=True)
        self.state.now |= {(lane, path) for lane in self.lanes for path in self.paths}
        yield self._picture(self._ending(), frozenset(), last=True)

    def _ending(self) -> str:
        calls = len(self.deed.calls)
        spent = f"{format_ns(self.deed.ns)} in {calls} system call{'' if calls == 1 else 's'}"
        return f"Done: {spent}." if not self.deed.errno else f"Refused: {spent}."

    def _of(self, step: Step) -> Picture:
        says = told_text(step, self.deed, self.ground) + "."
        lane = 0 if step.layer is None else step.layer
        if step.kind in {StepKind.LOOKED, StepKind.FOUND, StepKind.READ}:
            return self._picture(_capital(says), frozenset({lane}), about=step, brief=step.kind is not StepKind.READ)
        if step.kind is StepKind.REFUSED:
            return self._picture(_capital(says), frozenset({MERGED}))
        self._apply(step)
        flight = None
        if step.kind in _COPIES and step.source not in {None, 0} and step.source in self.lanes:
            assert step.source is not None  # noqa: S101 -- for the type checker
            flight = Flight(chip=Chip(name=self._name(step.path), fresh=True), source=step.source, target=0)
        return self._picture(_capital(says), frozenset({0}), about=step, flight=flight)

    def _apply(self, step: Step) -> None:
        state, path = self.state, step.path
        if path not in self.before:
            state.came.setdefault(0, []).append(Chip(name=self._name(path)))
            return
        # A rename brings the object up under its old name: only what is left of that in the end was seen.
        state.signs[0, path] = _SIGNS.get(step.kind, "")
        if step.kind not in _COPIES:
            state.now |= {(0, path), (MERGED, path)}
        elif step.kind is StepKind.PARENT or not self._leaves():
            state.now.add((0, path))
        if step.kind is StepKind.MOVED:
            state.now |= {(lane, self.paths[0]) for lane in (0, MERGED)}

    def _leaves(self) -> bool:
        return self.deed.wish.action is Action.RENAME and not self.deed.errno

    def _picture(
        self,
        says: str,
        here: frozenset[int],
        *,
        about: Step | None = None,
        flight: Flight | None = None,
        brief: bool = False,
        last: bool = False,
    ) -> Picture:
        return Picture(
            says=says,
            here=here,
            chips={lane: tuple(self._chips(lane, about if lane in here else None)) for lane in self.lanes},
            facts={lane: tuple(self._fact(lane, path, last=last) for path in self.paths) for lane in self.lanes},
            flight=flight,
            brief=brief,
        )

    def _chips(self, lane: int, about: Step | None) -> Iterator[Chip]:
        for chip in self.state.came.get(lane, ()):
            yield replace(chip, fresh=about is not None and chip.name == self._name(about.path))
        for path in self.paths:
            fresh = about is not None and about.path == path
            sign = self.state.signs.get((lane, path), "")
            if lane == MERGED:
                if self._moment(lane, path).merged is not None:
                    sign = self.state.signs.get((0, path), "") if (lane, path) in self.state.now else ""
                    yield Chip(name=self._name(path), sign=sign, fresh=fresh)
            elif (seen := self._seen(lane, path)) is not None:
                whiteout = seen.is_whiteout
                name = show_name(path.rpartition("/")[2]) if whiteout else self._name(path)
                yield Chip(name=name, sign="o" if whiteout else sign, fresh=fresh, gone=whiteout)
            elif sign and (lane, path) not in self.state.now:
                yield Chip(name=self._name(path), sign=sign, fresh=fresh)  # came up to be moved

    def _moment(self, lane: int, path: str) -> Moment:
        return (self.after if (lane, path) in self.state.now else self.before)[path]

    def _seen(self, lane: int, path: str) -> LayerSight | None:
        return _in(self._moment(lane, path), lane)

    def _fact(self, lane: int, path: str, *, last: bool) -> str:
        was, now = (self._told(moment, lane) for moment in (self.before[path], self.after[path]))
        if (lane, path) not in self.state.now:
            return was
        if was == now:
            return was if was == NOTHING or not last else f"{was} (as before)"
        return f"{was} {self.arrow} {_different(was, now)}"

    @staticmethod
    def _told(moment: Moment, lane: int) -> str:
        return sight_text(moment.merged) if lane == MERGED else layer_sight_text(_in(moment, lane))

    def _name(self, path: str) -> str:
        seen = [moment.merged for moment in (self.before.get(path), self.after.get(path)) if moment is not None]
        directory = path not in self.before or any(each is not None and each.kind is Kind.DIRECTORY for each in seen)
        name = show_name(path.rpartition("/")[2])
        return f"{name}/" if directory else name


_COPIES: Final = frozenset({StepKind.PARENT, StepKind.COPIED, StepKind.METADATA})
_SIGNS: Final = {
    StepKind.CREATED: "+",
    StepKind.MOVED: "+",
    StepKind.LINKED: "+",
    StepKind.WRITTEN: "~",
    StepKind.COPIED: "=",
    StepKind.METADATA: "=",
}


def _in(moment: Moment, lane: int) -> LayerSight | None:
    return next((seen for seen in moment.layers if seen.layer == lane and seen.sight is not None), None)


def _different(was: str, now: str) -> str:
    """What of *now* is otherwise than *was*, when both are objects; parts are set apart by commas."""
    if NOTHING in {was, now} or "whiteout" in {was, now}:
        return now
    old = was.replace("; ", ", ").split(", ")
    return ", ".join(part for part in now.replace("; ", ", ").split(", ") if part not in old) or "with other marks"


def _nothing_in(count: int) -> str:
    return f"{count} more layer{' has' if count == 1 else 's have'} nothing there."


def _capital(text: str) -> str:
    # Sentences that begin with the name of a layer or with a path stay as they are.
    return text[0].upper() + text[1:] if text.startswith(("the ", "it ", "a ")) else text
