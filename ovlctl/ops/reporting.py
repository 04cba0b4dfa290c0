"""Everything that the report page shows, gathered once: pure reading, but for the recorded run on a scratch upper."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ovlctl.errors import Note, OvlError, strerror
from ovlctl.ops.atlas.atlas import Flag, Sign
from ovlctl.ops.reading.troubles import UNSEEN_MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.atlas.summary import LayerSummary, MergedSummary
    from ovlctl.ops.explain.values import Explanation
    from ovlctl.ops.reading import Subject, View
    from ovlctl.ops.trying.values import Recording

#: How many changed paths are told in full, those that say most first; the page says how to ask for the others.
_CHANGED: Final = 200
#: How many of the largest objects that nobody sees.
_LARGEST: Final = 20
#: How many rows with trouble are named.
_NAMED: Final = 100
# What was changed says more than what is merely new, of which there may be any number.
_TELLING: Final = (
    bytes({Sign.CHANGED, Sign.UNCHANGED, Sign.WHITEOUT, Sign.ODD}),
    bytes({Sign.ADDED}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One path, told in full.

    Attributes:
        row: Of the atlas.
    """

    row: int
    explanation: Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One stack.

    Attributes:
        subject: Which.
        words: How it is named in a command line, unescaped.
        labels: What its layers are called, by number.
        layers: By number.
        merged: What is seen.
        atlas: Every entry, with owner, mode and time.
        stories: By row; each row once.
        recording: Deeds to replay; None when there are none.
        no_recording: Why there are none; None when nobody asked for them, too.
        troubles: What could not be read.
    """

    subject: Subject
    words: tuple[str, ...]
    labels: tuple[str, ...]
    layers: tuple[LayerSummary, ...]
    merged: MergedSummary
    atlas: Atlas
    stories: tuple[Story, ...]
    recording: Recording | None
    no_recording: Note | None
    troubles: tuple[Note, ...]

    @property
    def partial(self) -> bool:
        """Whether something could not be read, or marks that may matter could not be seen."""
        return bool(self.troubles)


def report(
    view: View, words: tuple[str, ...] = (), *, run: bool = True, tick: Callable[[int], None] | None = None
) -> Report:
    """Gather a report.

    Args:
        view: An open stack.
        words: How the stack is named in a command line.
        run: Whether reading, modifying, deleting and creating are done on a scratch upper and recorded.
        tick: Told now and then how many objects were looked at; each is twice.

    Raises:
        OSError: The root of the topmost layer cannot be looked at.
    """
    from ovlctl.ops.atlas.layers import labels
    from ovlctl.ops.atlas.scan import merged as scan
    from ovlctl.ops.atlas.summaries import summaries

    atlas, merged = scan(view, status=True, tick=tick)
    layers = summaries(view, atlas, tick=None if tick is None else lambda count: tick(len(atlas) + count))
    recording, no_recording = _recorded(view.subject) if run else (None, None)
    rows = dict.fromkeys(_interesting(atlas, layers, recording))
    return Report(
        subject=view.subject,
        words=words,
        labels=labels(view),
        layers=layers,
        merged=merged,
        atlas=atlas,
        stories=tuple(_stories(view, atlas, rows)),
        recording=recording,
        no_recording=no_recording,
        troubles=tuple(_troubles(view, atlas, merged, layers)),
    )


def _recorded(subject: Subject) -> tuple[Recording | None, Note | None]:
    # The page is worth having without it, and says why it is missing.
    from ovlctl.ops.trying.recording import record

    try:
        return record(subject), None
    except OvlError as error:
        return None, error.note
    except OSError as error:
        return None, Note(strerror(error))


def _interesting(atlas: Atlas, layers: tuple[LayerSummary, ...], recording: Recording | None) -> Iterator[int]:
    if recording is not None and not recording.example:
        wished = (deed.wish for deed in recording.deeds)
        yield from _found(atlas, (path for wish in wished for path in (wish.path, wish.to) if path is not None))
    wasted = sorted((each for layer in layers for each in layer.largest), key=lambda each: -each.size)
    yield from _found(atlas, (each.path for each in wasted[:_LARGEST]))
    signs, told = bytes(atlas.signs), 0
    for wanted in _TELLING:
        for match in re.finditer(b"[%s]" % re.escape(wanted), signs):
            if match.start() == 0:
                continue
            if told == _CHANGED:
                return
            told += 1
            yield match.start()


def _found(atlas: Atlas, paths: Iterator[str]) -> Iterator[int]:
    # Not through the tree, where a directory of a million names would be walked for each.
    names = bytes(atlas.names)
    for path in paths:
        wanted = os.fsencode("/" + path.rpartition("/")[2] + "/")
        at = names.find(wanted)
        while at >= 0:
            row = bisect_left(atlas.offsets, at + 1)
            if atlas.path(row) == path:
                yield row
                break
            at = names.find(wanted, at + 1)


def _stories(view: View, atlas: Atlas, rows: dict[int, None]) -> Iterator[Story]:
    from ovlctl.ops.explain import explain

    for row in rows:
        # Who has a file open is an affair of the moment, and takes a look at every process.
        yield Story(row=row, explanation=explain(view, atlas.path(row), who=False))


def _troubles(view: View, atlas: Atlas, merged: MergedSummary, layers: tuple[LayerSummary, ...]) -> Iterator[Note]:
    lost = max(merged.unreadable, sum(layer.unreadable for layer in layers))
    if lost:
        named = [row for row, flags in enumerate(atlas.flags) if flags & Flag.UNREADABLE][:_NAMED]
        for row in named:
            yield Note("{} could not be read in full", (os.path.join("/", atlas.path(row)),))
        if lost > len(named):
            yield Note(f"{lost - len(named)} objects{' more' if named else ''} could not be looked at")
    if not view.resolver.certain:
        yield UNSEEN_MARKS
