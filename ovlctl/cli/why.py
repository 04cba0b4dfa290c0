"""``ovlctl why``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, say, warn
from ovlctl.cli.parameters import Json, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.errors import AccessDenied, BadUsage, ExitStatus, PathMissing
from ovlctl.ops import why as ops
from ovlctl.ops.why import Explanation, Kind
from ovlctl.ops.why.pages import as_code, is_name
from ovlctl.ops.why.text import TEXT_MAX
from ovlctl.show.why import explanation_json, explanation_text, list_text, page_json, page_text


def why(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="CODE | - | FILE | MOUNT | -- COMMAND...", help="What to explain; - is standard input."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List all codes with their names.")] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Explain why a mount failed, or would.

    Example: ovlctl why -- mount -t overlay o -o lowerdir=a,upperdir=u /mnt

    Also: dmesg | ovlctl why -, and ovlctl why OVL-E012

    After -- stands a command; it is looked at here and not run. A text, from a file or standard input (-), may
    hold mount commands, lines of mountinfo, /proc/mounts, findmnt or fstab, kernel log lines, and messages of mount,
    Docker, Podman and containerd.

    Exit status: for a mount, a command or line for one, 0 when nothing is wrong and 1 when something is; for messages
    0 when they are explained and 3 when nothing in them is known; 0 for a page.
    """
    if list_all:
        found = ops.pages()
        if json:
            emit_json("why", {"kind": "pages", "pages": [page_json(each) for each in found]})
        else:
            emit(list_text(found))
        return ExitStatus.FINE
    if not words:
        raise BadUsage(
            "nothing to explain was given",
            hint="`ovlctl why CODE`, `ovlctl why -- mount ...`, or `ovlctl why -` and paste the message",
        )
    if len(words) == 1 and _names_a_page(words[0]):
        page = ops.page(words[0])
        if json:
            emit_json("why", {"kind": "pages", "pages": [page_json(page)]})
        else:
            emit(page_text(page))
        return ExitStatus.FINE
    return _tell(_explained(words, state_dir), json=json)


def _names_a_page(word: str) -> bool:
    return (
        as_code(word) is not None
        or is_name(word)
        or not (word == "-" or "/" in word or " " in word or "=" in word or os.path.exists(word))
    )


def _explained(words: list[str], state_dir: str | None) -> Explanation:
    if len(words) > 1:
        return ops.explain_command(words)
    (word,) = words
    if word == "-":
        return ops.explain_text(os.fsdecode(_pasted()))
    if any(char.isspace() for char in word) and not os.path.exists(word):
        return ops.explain_text(word)
    if os.path.isdir(word):
        # Without root the user's mounts are in a namespace of their own.
        state_for(state_dir)
        return ops.explain_mount(os.path.realpath(word))
    return ops.explain_text(_content(word))


def _content(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(TEXT_MAX + 1))
    except FileNotFoundError as error:
        raise PathMissing(
            "{} does not exist", path, hint="`ovlctl why -` reads a text, `ovlctl why -- COMMAND` takes a command"
        ) from error
    except OSError as error:
        raise AccessDenied("{} cannot be read", path, errno=error.errno) from error


def _pasted() -> bytes:
    # None where whoever started us closed it.
    if sys.stdin is None:
        raise BadUsage("standard input is closed", hint="`ovlctl why FILE`, or `ovlctl why 'the message'`")
    if sys.stdin.isatty():
        say("paste the text, and end with Ctrl-D on a line of its own")
    return sys.stdin.buffer.read(TEXT_MAX + 1)


def _tell(explanation: Explanation, *, json: bool) -> int:
    if json:
        emit_json("why", explanation_json(explanation), explanation.cautions)
    else:
        emit(explanation_text(explanation))
        warn(explanation.cautions)
    if explanation.kind is Kind.TEXT:
        return ExitStatus.FINE
    return ExitStatus.FINDING if explanation.findings else ExitStatus.FINE
