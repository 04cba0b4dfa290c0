"""``ovlctl try``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import agreed, emit, emit_json, warn
from ovlctl.cli.parameters import DryRun, Json, StateDir, Yes
from ovlctl.cli.reading import Given, path_in, subject_of
from ovlctl.errors import BadUsage, ExitStatus, NotConfirmed, Note, literal
from ovlctl.ops.trying.values import Action, Wish
from ovlctl.show.names import show_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.reading import Subject
    from ovlctl.ops.trying.live import Live
    from ovlctl.ops.trying.stage import Stage
    from ovlctl.ops.trying.values import Deed, Preview

_ACTIONS = ", ".join(Action)
_HINT = "`ovlctl try STACK modify etc/app.conf`; without STACK the example, `ovlctl try modify app.conf`"


@takes_directories
def try_(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK] [ACTION PATH]",
            help=f"A stack's name, a path in it or docker:NAME; {_ACTIONS}; a path from the root of its merged view.",
        ),
    ] = None,
    given: Given,
    to: Annotated[str | None, typer.Option("--to", metavar="PATH", help="The new path, for rename and link.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", metavar="MODE", help="The new mode, for chmod: 600.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Do it on the real mount, where it stays done.")] = False,
    yes: Yes = False,
    directory: Annotated[
        str | None,
        typer.Option("--dir", metavar="DIR", help="Where to put the scratch upper; $TMPDIR or /var/tmp."),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Read, change or delete a path on a scratch upper, and tell what the kernel did.

    Example: ovlctl try app modify etc/app.conf

    The layers of the stack are mounted below a fresh upper where nobody else sees it, and the action is done there by
    the kernel: what was foretold, the system calls with their times, each step, inode numbers, marks and what each
    layer has afterwards. The stack's own upper and all its layers are only read. Without STACK it is done on an
    example, app.conf and lib.so in one lower; without ACTION a file is read, modified and deleted and another one
    created, each on a fresh upper.

    modify reads the first 4 KiB and writes them back, and gives an empty file a newline. With --live, what somebody
    else changes there at the same moment is lost. Without root the scratch mount is that of a user namespace, where you
    are root: it may let you do what the stack itself would refuse you.

    Exits with 1 when the kernel refuses the action.
    """
    asked = _asked(words or [], given)
    if asked.action is None and (live or dry_run):
        raise BadUsage("an ACTION and a PATH are needed", hint=_HINT)
    example = asked.stack is None and not given.any
    with ExitStack() as closing:
        subject, paths = _subject(asked, given, state_dir, closing, directory)
        if asked.action is None:
            return _tell_recording(subject, directory, example=example, json=json)
        path = path_in(subject, paths)[0]
        wish = Wish(action=asked.action, path=path, to=to, mode=None if mode is None else _mode(mode))
        ground = _ground(subject, closing, directory, live=live)
        preview = ground.preview(wish)
        deed = None if dry_run else _done(ground, wish, live=live, yes=yes, label=subject.label)
        _tell(subject, ground, preview, deed, example=example, live=live, json=json)
    refused = preview.errno if deed is None else deed.errno
    return ExitStatus.FINDING if refused else ExitStatus.FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the words of the command line are."""

    stack: str | None
    action: Action | None
    paths: tuple[str, ...]


def _asked(words: Sequence[str], given: Given) -> _Asked:
    """*words*: STACK is left out where directories are *given*, or where an action comes first."""
    rest = list(words)
    # A stack may be called like an action: with two words more, the first one is its name.
    named = bool(rest) and not given.any and (rest[0] not in set(Action) or len(rest) > 2)  # noqa: PLR2004 -- as said
    stack = rest.pop(0) if named else None
    if not rest:
        return _Asked(stack=stack, action=None, paths=())
    word, *paths = rest
    if word not in set(Action):
        raise BadUsage(f"`{literal(show_text(word))}` is no action", hint=f"the actions are {_ACTIONS}")
    if len(paths) > 1 or (not paths and stack is None):
        raise BadUsage(f"`{word}` takes one PATH", hint=_HINT)
    return _Asked(stack=stack, action=Action(word), paths=tuple(paths))


def _subject(
    asked: _Asked, given: Given, state_dir: str | None, closing: ExitStack, directory: str | None
) -> tuple[Subject, tuple[str, ...]]:
    if asked.stack is None and not given.any:
        from ovlctl.ops.trying.example import example

        return closing.enter_context(example(directory=directory)), asked.paths
    words = () if asked.stack is None else (asked.stack,)
    return subject_of(words, given, state_dir)[0], asked.paths


def _ground(subject: Subject, closing: ExitStack, directory: str | None, *, live: bool) -> Stage | Live:
    if live:
        from ovlctl.ops.trying.live import Live

        return Live(subject)
    from ovlctl.ops.trying.stage import stage

    return closing.enter_context(stage(subject, directory=directory))


def _done(ground: Stage | Live, wish: Wish, *, live: bool, yes: bool, label: str) -> Deed:
    if live and not yes:
        from ovlctl.show.names import show_name
        from ovlctl.show.trying import wish_text

        if not agreed(f"Do this on the real mount of {show_name(label)}: {wish_text(wish)}?"):
            raise NotConfirmed("nothing was done, because nobody said yes", hint="give `--yes`")
    return ground.do(wish)


def _mode(text: str) -> int:
    if not (text.isascii() and text.isdigit() and set(text) <= set("01234567") and int(text, 8) <= 0o7777):  # noqa: PLR2004 -- all bits
        raise BadUsage(f"`{literal(show_text(text))}` is no mode", hint="octal digits, such as 600 or 4755")
    return int(text, 8)


def _tell(
    subject: Subject,
    ground: Stage | Live,
    preview: Preview,
    deed: Deed | None,
    *,
    example: bool,
    live: bool,
    json: bool,
) -> None:
    from ovlctl.show.trying import deed_text, difference_note, ground_text
    from ovlctl.show.trying_json import tried_json

    warnings = [difference_note(each) for each in ground.differences]
    if json:
        data = tried_json(
            subject.label,
            ground.ground,
            ground.file_system,
            [(preview, deed)],
            example=example,
            live=live,
            differences=ground.differences,
        )
        emit_json("try", data, warnings)
        return
    layers = ground_text(subject.label, ground.ground, ground.file_system)
    emit(f"{layers}\n\n{deed_text(deed, preview, ground.ground)}")
    warn(warnings)


def _tell_recording(subject: Subject, directory: str | None, *, example: bool, json: bool) -> int:
    from ovlctl.ops.trying.example import CONFIG
    from ovlctl.ops.trying.recording import record
    from ovlctl.show.trying import ground_text, recording_text
    from ovlctl.show.trying_json import tried_json

    recording = record(subject, path=CONFIG if example else None, directory=directory)
    warnings = []
    if recording.because is not None:
        text = literal(recording.because)
        warnings.append(Note(f"this is the example, as the stack cannot be used for it: {text}"))
    if json:
        data = tried_json(
            recording.label,
            recording.layers,
            recording.file_system,
            [(None, deed) for deed in recording.deeds],
            example=example or recording.example,
            live=False,
        )
        emit_json("try", data, warnings)
    else:
        emit(f"{ground_text(recording.label, recording.layers, recording.file_system)}\n\n{recording_text(recording)}")
        warn(warnings)
    return ExitStatus.FINE
