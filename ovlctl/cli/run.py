"""Run one command: what it raises becomes an error on stderr and an exit status. Nobody else ends the process."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from itertools import pairwise
from typing import TYPE_CHECKING

import typer
from typer._click.exceptions import UsageError  # Typer has no public name for it; 0.26 to 0.28 keep it here

from ovlctl.cli.commands import row
from ovlctl.cli.completion import answer
from ovlctl.cli.lazy import group
from ovlctl.cli.output import abandon_stdout, let_go, output_failed, pending, warn
from ovlctl.cli.signals import Terminated, ending_signals
from ovlctl.errors import BadUsage, ExitStatus, NotConfirmed, OvlError, literal
from ovlctl.show.envelope import dumps, note_text
from ovlctl.show.errors import error_json, error_text, internal_json, internal_text
from ovlctl.show.names import show_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGPIPE_STATUS = 128 + 13


def run(args: Sequence[str]) -> int:
    """Run ``ovlctl`` with *args* and return its exit status."""
    as_json = _wants_json(args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names that the locale cannot show must not end the program
            stream.reconfigure(errors="backslashreplace")
    try:
        with ending_signals():
            status = _invoke(list(args))
            warn(())
            _flush()
    except OvlError as error:
        for note in pending():
            error.add_note(note_text(note))
        _tell(dumps(error_json(error)) if as_json else error_text(error))
        status = error.exit_status
    except Terminated as ending:
        let_go()
        status = ending.status
    except KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    except BrokenPipeError:  # whoever read the result has seen enough
        abandon_stdout()
        status = _SIGPIPE_STATUS
    except Exception as error:
        if os.environ.get("OVLCTL_DEBUG"):
            raise
        _tell(dumps(internal_json(error)) if as_json else internal_text(error))
        status = ExitStatus.INTERNAL
    return int(status)


def _invoke(args: list[str]) -> int:
    command = group()
    if "_OVLCTL_COMPLETE" in os.environ:
        answer(lambda: command.main(args, prog_name="ovlctl"), os.environ)
    if not args:
        with command.make_context("ovlctl", [], resilient_parsing=True) as context:
            sys.stderr.write(f"{command.get_help(context)}\n")
        return ExitStatus.USAGE
    try:
        # not command.main(): it swallows interrupts and closed pipes
        with command.make_context("ovlctl", args) as context:
            result = command.invoke(context)
    except typer.Exit as ending:
        return ending.exit_code
    except typer.Abort as error:
        raise NotConfirmed("nothing was done, because nobody said yes", hint="give `--yes`") from error
    except UsageError as error:
        raise _bad_usage(error) from error
    return result if isinstance(result, int) else ExitStatus.FINE


def _bad_usage(error: UsageError) -> BadUsage:
    path = error.ctx.command_path if error.ctx is not None else "ovlctl"
    possible = getattr(error, "possibilities", None)
    if possible:
        text = error.message
        hint = f"did you mean `{min(possible)}`? `{path} --help` lists the options"
    else:
        text = error.format_message()
        hint = f"`{path} --help` shows how it is used"
    text = " ".join(text.split()).rstrip(".")
    return BadUsage(literal(show_text(text[:1].lower() + text[1:])), hint=literal(hint))


def _wants_json(args: Sequence[str]) -> bool:
    # Needed before anything is parsed, because an error in the arguments is told in the form asked for.
    options = args[: args.index("--")] if "--" in args else args
    command = next((found for found in map(row, options) if found is not None), None)
    if command is not None and command.json_file:
        return "--json=-" in options or ("--json", "-") in pairwise(options)
    return "--json" in options


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise output_failed(error) from error


def _tell(text: str) -> None:
    try:
        sys.stdout.flush()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        abandon_stdout()  # closed or full as well: the exit status still speaks
