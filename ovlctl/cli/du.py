"""``ovlctl du``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.engines import Root, engines_of
from ovlctl.cli.output import emit, emit_json, say, warn
from ovlctl.cli.parameters import Json, StateDir, size
from ovlctl.cli.reading import Given, subject_of
from ovlctl.engines.keepers import NAMED
from ovlctl.errors import BadUsage, ExitStatus, Note, NothingAbove, OvlError, StackNotFound
from ovlctl.ops.du import du as measure
from ovlctl.ops.du import gates
from ovlctl.ops.du.gates import Outcome
from ovlctl.ops.state import locate
from ovlctl.show.du import HELD, By, unread_notes, usage_text, usage_warnings
from ovlctl.show.du_json import usage_json
from ovlctl.show.sizes import parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.du.gates import Rule
    from ovlctl.ops.reading import Subject
    from ovlctl.ops.state import State


@takes_directories
def du(
    *,
    stacks: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK]... | [ENGINE]...",
            help="Stacks, docker:NAME, oci:DIR[:TAG]; with --by container, image or pod engines: docker, podman.",
        ),
    ] = None,
    given: Given,
    top: Annotated[int, typer.Option(metavar="N", min=0, help="Name the N largest objects.")] = 10,
    by: Annotated[
        By | None,
        typer.Option(help="What each row of the table stands for: layer, unless an engine's holders are asked for."),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="With --by path: how deep; 1 unless it is given.")
    ] = None,
    apparent: Annotated[
        bool, typer.Option("--apparent", help="Show the sizes that files have instead of what they take on disk.")
    ] = False,
    content: Annotated[
        bool, typer.Option("--content", help="Compare what was copied up by reading it, not by size and time.")
    ] = False,
    growth: Annotated[
        bool, typer.Option("--growth", help="Ask for growth: the first look is told as such; needs an upper.")
    ] = False,
    remember: Annotated[
        bool, typer.Option("--remember/--no-remember", help="Remember this look, for the growth told by the next.")
    ] = True,
    fail_over: Annotated[
        int | None,
        typer.Option(parser=size, metavar="SIZE", help="Exit with 1 when more than SIZE is reclaimable."),
    ] = None,
    rules: Annotated[
        str | None, typer.Option(metavar="FILE", help="Exit with 1 when a limit in this TOML file is exceeded.")
    ] = None,
    json: Json = False,
    root: Root = None,
    state_dir: StateDir = None,
) -> int:
    """Tell what stacks take on disk: by layer, by path, and what of it is not seen.

    Example: ovlctl du app --fail-over 50M

    With --by container, image or pod, and with --by layer and no STACK, whole stores of container engines are told:
    what each holds alone and shares, what nobody holds, all of which add up to what the store takes.

    Every inode of every layer counts once, and so does every extent that files share, as after a copy-up by reflink:
    the sum is what the disk really uses. Reclaimable is what was copied up and equals what is below. Shadowed is what a
    higher layer has by the same name, hidden what a whiteout, an opaque directory or a file hides.

    A rules file has max_total, max_upper, max_reclaimable, max_shadowed, max_hidden (sizes), max_whiteouts (a number),
    and max_reclaimable_percent (of the uppers), max_shadowed_percent, max_hidden_percent (of all), which count only
    for more bytes than percent_floor, 1M.

    Exits with 1 when a rule fails, else with 6 when something could not be read.
    """
    if depth is not None and by is not By.PATH:
        raise BadUsage("--depth belongs to --by path", hint="add `--by path`, or leave `--depth` out")
    if by is not None and _of_engines(by, stacks or (), given):
        told = {"--lower": given.any, "--fail-over": fail_over, "--rules": rules, "--growth": growth}
        told |= {"--content": content, "--apparent": apparent}
        _refuse([option for option, value in told.items() if value is not None and value is not False], by)
        return _held(stacks or [], by, root, json=json)
    by = by or By.LAYER
    limits = _rules(fail_over, rules)
    subjects = _subjects(stacks or [], given, state_dir)
    if growth and all(subject.stack.upper is None for subject in subjects):
        hint = "leave `--growth` out, or name a stack that has one"
        raise NothingAbove("there is no upper that could grow", hint=hint)
    usage = measure(
        subjects,
        content=content,
        top=top,
        depth=(1 if depth is None else depth) if by is By.PATH else None,
        apparent=apparent,
        rules=limits,
        state=_state(state_dir),
        remember=remember,
    )
    warnings = [*_packed(subjects), *usage_warnings(usage)]
    if json:
        emit_json("du", usage_json(usage), warnings)
    else:
        emit(usage_text(usage, by=by, apparent=apparent, growth=growth))
        warn(warnings)
    if any(verdict.outcome is Outcome.FAIL for verdict in usage.verdicts):
        return ExitStatus.FINDING
    return ExitStatus.PARTIAL if usage.partial else ExitStatus.FINE


def _of_engines(by: By, words: Sequence[str], given: Given) -> bool:
    return by in HELD or (by is By.LAYER and not given.any and all(word in NAMED for word in words))


def _refuse(options: Sequence[str], by: By) -> None:
    if options:
        raise BadUsage(f"--by {by} tells of engines' stores, {options[0]} of stacks", hint=f"leave out `{options[0]}`")


def _held(words: Sequence[str], by: By, root: str | None, *, json: bool) -> int:
    from ovlctl.ops.engines.weighing import weigh_all
    from ovlctl.show.errors import error_notes
    from ovlctl.show.holdings import holdings_json, holdings_text

    every, silent = weigh_all(engines_of(words), root)
    errors = (*silent, *(error for held in every for error in held.troubles))
    warnings: list[str | Note] = [
        *error_notes(errors),
        *(note for held in every for note in unread_notes(held.unread, len(held.unread))),
    ]
    if json:
        emit_json("du", holdings_json(every, by), warnings)
    else:
        emit(holdings_text(every, by))
        warn(warnings)
    return ExitStatus.PARTIAL if warnings else ExitStatus.FINE


def _subjects(words: Sequence[str], given: Given, state_dir: str | None) -> list[Subject]:
    if given.any:
        if words:
            raise BadUsage("name STACKs or give directories, not both", hint="leave out one of them")
        return [subject_of((), given, state_dir)[0]]
    try:
        found = [subject_of([word], given, state_dir)[0] for word in words or ()]
    except StackNotFound as error:
        if (engine := next((word for word in words if word in NAMED), None)) is None:
            raise
        hint = "`ovlctl du {} --by container`, or image, layer or pod, tells what the engine holds"
        raise StackNotFound("no stack is named {}", engine, hint=hint) from error
    if not found:
        subject_of((), given, state_dir)
    for subject, word in zip(found, words, strict=True):
        if subject.inside:
            say(Note("{} lies in the stack of {}, all of which is looked at", (word, subject.label)))
    return found


def _packed(subjects: Sequence[Subject]) -> list[Note]:
    # An image takes less than what it is told to hold.
    return [
        Note(
            f"{{}} is an image: told is what its files would take when unpacked; its layers have {image.packed} bytes",
            (subject.label,),
        )
        for subject in subjects
        if (image := subject.image) is not None
    ]


def _rules(fail_over: int | None, path: str | None) -> list[Rule]:
    rules = [] if fail_over is None else [gates.fail_over(fail_over)]
    if path is not None:
        rules += gates.load(path, size=parse_size)
    return rules


def _state(state_dir: str | None) -> State | None:
    # What was asked is told, too, where nothing can be remembered.
    with suppress(OvlError):
        return locate(state_dir)
    return None
