"""``ovlctl``: from an argument list to an exit status. Nobody else ends the process.

Nothing heavy is imported at the top: ``ovlctl --version`` answers before Typer is loaded.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from itertools import pairwise
from typing import TYPE_CHECKING

from ovlctl.errors import BadUsage, ExitStatus, NotConfirmed, OutputFailed, OvlError, literal, strerror
from ovlctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer._click.exceptions import UsageError

_SIGPIPE_STATUS = 128 + 13


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ovlctl`` with *argv* (default: the process's) and return its exit status.

    Whatever goes wrong becomes an error on stderr and a status; no exception leaves except SystemExit asked for by
    a completion script. ``OVLCTL_DEBUG`` in the environment lets unexpected exceptions through, with traceback.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if args == ["--version"]:
        sys.stdout.write(f"ovlctl {__version__}\n")
        return _flushed(0, as_json=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names that the locale cannot show must not end the program
            stream.reconfigure(errors="backslashreplace")
    as_json = _wants_json(args)
    return _flushed(_guarded(args, as_json=as_json), as_json=as_json)


def _guarded(args: list[str], *, as_json: bool) -> int:
    from ovlctl.cli.signals import Terminated, ending_signals

    try:
        with ending_signals():
            return _run(args)
    except OvlError as error:
        return _fail(error, as_json=as_json)
    except Terminated as ending:
        return ending.status
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        return _SIGPIPE_STATUS
    except Exception as error:  # noqa: BLE001 -- the last resort: a traceback is a bug, one clear line is not
        return _internal(error, as_json=as_json)


def _run(args: list[str]) -> int:
    import typer
    from typer._click.exceptions import UsageError  # Typer has no public name for it; 0.26 to 0.28 have it here

    from ovlctl.cli.lazy import group

    command = group()
    if "_OVLCTL_COMPLETE" in os.environ:
        command.main(args, prog_name="ovlctl")
    if not args:
        with command.make_context("ovlctl", [], resilient_parsing=True) as context:
            sys.stderr.write(command.get_help(context) + "\n")
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
    text = error.format_message()
    possible = getattr(error, "possibilities", None)
    if possible:
        text = error.message
        hint = f"did you mean `{min(possible)}`? `{path} --help` lists the options"
    else:
        hint = f"`{path} --help` shows how it is used"
    text = text.strip().rstrip(".").replace("\n", " ")
    return BadUsage(literal(text[:1].lower() + text[1:]), hint=literal(hint))


def _wants_json(args: list[str]) -> bool:
    # Needed before anything is parsed, because an error in the arguments is told in the form asked for.
    from ovlctl.cli.commands import row

    found = next((row(arg) for arg in args if not arg.startswith("-")), None)
    options = args[: args.index("--")] if "--" in args else args
    if found is not None and found.json_file:
        return "--json=-" in options or ("--json", "-") in pairwise(options)
    return "--json" in options


def _fail(error: OvlError, *, as_json: bool) -> int:
    from ovlctl.show.envelope import dumps
    from ovlctl.show.errors import error_json, error_text

    _tell(dumps(error_json(error)) if as_json else error_text(error))
    return error.exit_status


def _internal(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("OVLCTL_DEBUG"):
        raise error
    from ovlctl.show.envelope import dumps
    from ovlctl.show.errors import internal_json, internal_text

    _tell(dumps(internal_json(error)) if as_json else internal_text(error))
    return ExitStatus.INTERNAL


def _tell(text: str) -> None:
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        pass  # stderr is closed or full: the exit status still speaks


def _flushed(status: int, *, as_json: bool) -> int:
    """*status*, or another one when the result does not get out."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = _SIGPIPE_STATUS
    except OSError as error:
        failure = OutputFailed(f"cannot write the result: {literal(strerror(error))}", errno=error.errno)
        status = _fail(failure, as_json=as_json)
    else:
        return int(status)
    # What is still in the buffer would fail once more when the interpreter closes the stream.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    return int(status)
