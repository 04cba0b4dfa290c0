"""``ovlctl diff``."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit, emit_bytes, emit_json, emit_json_items, emit_lines, warn
from ovlctl.cli.parameters import Json, StateDir
from ovlctl.cli.reading import Given, LayerOption, two_subjects
from ovlctl.errors import BadUsage, ExitStatus, Note
from ovlctl.overlay.change import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.diffing import Pair
    from ovlctl.ops.diffing.letters import Lettered
    from ovlctl.ops.diffing.tally import Tally
    from ovlctl.ops.reading import Subject
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.change import Change


class Format(StrEnum):
    """How changes are written."""

    TEXT = "text"
    DOCKER = "docker"
    PODMAN = "podman"
    JSON = "json"
    JSONL = "jsonl"
    PATCH = "patch"
    RSYNC_FILTER = "rsync-filter"


@takes_directories
def diff(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK|A] [B]",
            help="A stack; or two stacks, layers or images (docker:NAME, oci:DIR[:TAG]), of which B is told against A.",
        ),
    ] = None,
    given: Given,
    layer: LayerOption = None,
    path: Annotated[
        list[str] | None, typer.Option("--path", "-p", metavar="PATH", help="Only what is at or below; repeat.")
    ] = None,
    only: Annotated[
        list[ChangeKind] | None, typer.Option("--only", help="These changes only; repeat.", show_choices=True)
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="Read files to prove that they are equal, or are not.")
    ] = False,
    format: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TEXT,  # noqa: A002 -- the name of the option
    stat: Annotated[bool, typer.Option("--stat", help="Count the changes instead of listing them.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when something differs.")] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Tell what an upper changes of its lowers, or how two stacks differ.

    Example: ovlctl diff app --path etc --exit-code

    + added; ~ modified content, or metadata only (which); - deleted; ! replaced by another type or an opaque
    directory, what vanished in it follows; > renamed, by a redirect; & a new hard link; = copied up and equal to what
    it hides, as when a file is opened for writing and not written. The upper is read and what it hides looked up: the
    size of the lowers does not matter.

    Whether files are equal is presumed from size and time, and said to be, unless --content reads them. --layer N tells
    what a lower changes of those below it. A directory of no overlay can stand for a layer when two are given.

    Formats: docker as `docker diff`; podman as `podman diff`; patch for `git apply`; rsync-filter for `rsync -aHAX -I
    --delete --filter='merge FILE' MERGED/ COPY/`; jsonl an object a line. Exits with 1 when something differs and
    --exit-code is given, else with 6 when something could not be read.
    """
    if json and format not in {Format.TEXT, Format.JSON}:
        raise BadUsage(f"--json and --format {format} do not go together", hint="leave one of them out")
    format = Format.JSON if json else format  # noqa: A001 -- as above
    if stat and format not in {Format.TEXT, Format.JSON}:
        raise BadUsage(f"--stat counts changes and has no `{format}`", hint="leave one of them out")
    if format is Format.PODMAN and only:
        raise BadUsage("--only and --format podman do not go together", hint="leave one of them out")
    subject, other = two_subjects(words or (), given, state_dir)
    if other is not None and layer is not None:
        raise BadUsage("--layer is about one stack", hint="leave out B, or --layer")
    if other is not None and format is Format.PODMAN:
        raise BadUsage("--format podman is about one stack", hint="leave out B, or take `--format docker`")
    from ovlctl.ops import diffing
    from ovlctl.ops.diffing.podman import podman as podman_changes
    from ovlctl.ops.diffing.tally import Tally
    from ovlctl.ops.reading.paths import plain
    from ovlctl.ops.reading.troubles import Troubles

    paths = tuple(map(plain, path or ((subject.inside,) if other is None else ("",))))
    tally = Tally()
    with ExitStack() as closing:
        pair = _pair(closing, subject, other, layer)
        troubles = Troubles(certain=pair.certain)
        renames = format not in {Format.DOCKER, Format.PODMAN, Format.PATCH, Format.RSYNC_FILTER}
        found = diffing.diff(pair, troubles, content=content, renames=renames, paths=paths, only=frozenset(only or ()))
        changes = tally.counted(found)
        if stat:
            _count(changes, tally, troubles, as_json=format is Format.JSON)
        else:
            # What Podman tells comes from the layers themselves, where it can.
            podman = tally.noted(podman_changes(pair, changes, troubles, paths=paths))
            _write(changes, podman, format, pair, troubles)
    if exit_code and tally.differs:
        return ExitStatus.FINDING
    return ExitStatus.PARTIAL if troubles.any else ExitStatus.FINE


def _pair(closing: ExitStack, subject: Subject, other: Subject | None, layer: str | None) -> Pair:
    from ovlctl.ops import diffing, reading
    from ovlctl.ops.reading import layer_names

    named = None if layer is None else layer_names.parse(layer)
    view = closing.enter_context(reading.opened(subject))
    if other is None:
        return diffing.of_stack(view, named)
    return diffing.of_two(view, closing.enter_context(reading.opened(other)))


def _count(changes: Iterator[Change], tally: Tally, troubles: Troubles, *, as_json: bool) -> None:
    from ovlctl.show.diff import counts_json, counts_text

    for _ in changes:
        pass
    if as_json:
        emit_json("diff-stat", counts_json(tally.counts()), troubles.notes())
    else:
        emit(counts_text(tally.counts()))
        warn(troubles.notes())


def _write(
    changes: Iterator[Change],
    podman: Iterator[Lettered],
    format: Format,  # noqa: A002 -- as above
    pair: Pair,
    troubles: Troubles,
) -> None:
    from ovlctl.show import diff as showing
    from ovlctl.show.envelope import dumps

    unsaid: list[Note] = []
    match format:
        case Format.TEXT:
            emit_lines(map(showing.change_text, changes))
        case Format.JSON:
            emit_json_items("diff", map(showing.change_json, changes), troubles.notes)
            return
        case Format.JSONL:
            emit_lines(dumps(showing.change_json(change)) for change in changes)
        case Format.DOCKER:
            from ovlctl.ops.diffing.docker import docker

            emit_lines(map(showing.lettered_text, docker(changes)))
        case Format.PODMAN:
            emit_lines(map(showing.lettered_text, podman))
        case Format.RSYNC_FILTER:
            from ovlctl.ops.diffing.rsync import rsync_filter

            emit_bytes(rsync_filter(changes))
        case Format.PATCH:
            from ovlctl.ops.diffing.patch import Patch

            patch = Patch(pair, troubles)
            emit_bytes(patch.pieces(changes))
            unsaid = [Note("{} is too large for a patch", (path,)) for path in patch.too_large]
            if patch.unsaid:
                unsaid.append(
                    Note(
                        f"a patch has no words for {patch.unsaid} of the changes: owners, permissions, "
                        "attributes, directories, devices"
                    )
                )
    warn((*unsaid, *troubles.notes()))
