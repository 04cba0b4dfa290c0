"""From an argument list to an exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.cli.commands import Row
from ovlctl.cli.main import main
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import Cli

COMMAND = '''
"""A command for tests."""
import os, signal, sys, time
from typing import Annotated
import typer
from ovlctl.cli.output import emit
from ovlctl.cli.parameters import Json, size, sizes
from ovlctl.errors import BadUsage, ExitStatus, literal

def try_it(
    what: str,
    paths: Annotated[list[str] | None, typer.Argument()] = None,
    *,
    json: Json = False,
    room: Annotated[int, typer.Option("--room", parser=size, metavar="SIZE")] = 4096,
    many: Annotated[tuple, typer.Option("--many", parser=sizes, metavar="SIZES")] = (1, 2),
) -> int | None:
    """Try something.

    More about it.

    Args:
        what: Not for users.
    """
    match what:
        case "path":
            sys.stdout.write(repr([os.fsencode(path) for path in paths]))
        case "sizes":
            emit(repr((room, many)))
        case "finding":
            return ExitStatus.FINDING
        case "oserror":
            os.stat("/nonexistent\\n")
        case "interrupt":
            raise KeyboardInterrupt
        case "confirm":
            typer.confirm("really?", abort=True)
        case "flood":
            while True:
                sys.stdout.write("x" * 4096 + "\\n")
        case "surrogate":
            sys.stdout.write("\\udcff\\n")
        case "wait":
            try:
                print("ready", flush=True)
                time.sleep(600)
            finally:
                print("cleaned", flush=True)
'''


@pytest.fixture
def try_it(scratch: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A command ``try-it`` in the table, from a module in a directory of its own; the directory."""
    with open(os.path.join(scratch, "try_it.py"), "x", encoding="ascii") as file:
        file.write(COMMAND)
    with open(os.path.join(scratch, "go.py"), "x", encoding="ascii") as file:
        file.write(f"import sys\nimport {__name__} as test\ntest.register()\nsys.exit(test.main())\n")
    monkeypatch.syspath_prepend(scratch)
    monkeypatch.setattr("ovlctl.cli.commands.ROWS", (TRY_IT,))
    monkeypatch.setattr("ovlctl.cli.lazy.ROWS", (TRY_IT,))
    return scratch


class _TryIt(Row):
    @property
    def module(self) -> str:
        return "try_it"


TRY_IT = _TryIt(name="try-it", help="Try something", panel="Tests")


def register() -> None:
    """Put the command into the table of a process of its own."""
    import ovlctl.cli.commands
    import ovlctl.cli.lazy

    for module in (ovlctl.cli.commands, ovlctl.cli.lazy):
        vars(module)["ROWS"] = (TRY_IT,)


def start(
    directory: str, *args: str | bytes, env: dict[str, str] | None = None, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start ``ovlctl try-it ARGS`` in a process of its own."""
    path = os.pathsep.join([directory, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))])
    return subprocess.Popen(
        [sys.executable, os.path.join(directory, "go.py"), "try-it", *args],
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def test_an_unknown_command_gets_a_proposal(cli: Cli) -> None:
    """A typing error is answered by the nearest command, on stderr, with status 2."""
    done = cli("mout")
    assert (done.status, done.stdout) == (2, "")
    assert (
        done.stderr
        == "ovlctl: error[OVL-E001 bad-usage]: no such command: `mout`\nhint: did you mean `ovlctl mount`?\n"
    )


def test_no_command_is_a_usage_error(cli: Cli) -> None:
    """``ovlctl`` alone shows its help on stderr; nothing is a result."""
    done = cli()
    assert (done.status, done.stdout) == (2, "")
    assert "mount" in done.stderr


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(cli: Cli, flag: str) -> None:
    """Help is a result: stdout, status 0, with every panel."""
    done = cli(flag)
    assert (done.status, done.stderr) == (0, "")
    assert "Mounts:" in done.stdout
    assert "Measuring:" in done.stdout


def test_help_of_a_command_is_for_users(cli: Cli, try_it: str) -> None:
    """A command's help is its docstring without the sections for programmers."""
    done = cli("try-it", "--help")
    assert done.status == 0
    assert "More about it." in done.stdout
    assert "Not for users" not in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("try-it",), "missing argument 'WHAT'"),
        (("try-it", "path", "--rom", "1"), "no such option: --rom"),
        (("try-it", "path", "--room", "1kB"), "invalid value for '--room': `1kB` is not a size"),
        (("try-it", "path", "--many", "1K,x"), "invalid value for '--many': `x` is not a size"),
        (("try-it", "path", "--room"), "option '--room' requires an argument"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_usage_errors(cli: Cli, try_it: str, args: tuple[str, ...], words: str) -> None:
    """Every usage error is one clear line and a hint, status 2, nothing on stdout."""
    done = cli(*args)
    assert (done.status, done.stdout) == (2, "")
    first, hint = done.stderr.splitlines()
    assert words.lower() in first.lower()
    assert hint.startswith("hint: ")


def test_usage_errors_as_json(cli: Cli, try_it: str) -> None:
    """Under --json an error is one JSON object on stderr."""
    done = cli("try-it", "--json", "path", "--rom")
    assert (done.status, done.stdout) == (2, "")
    assert done.error["code"] == "OVL-E001"
    assert done.error["hint"].startswith("did you mean `--room`?")


def test_sizes_are_parsed(cli: Cli, try_it: str) -> None:
    """Options that take sizes give bytes; defaults pass as they are."""
    assert cli("try-it", "sizes", "--room", "64K", "--many", "4K,1M").stdout == "(65536, (4096, 1048576))\n"
    assert cli("try-it", "sizes").stdout == "(4096, (1, 2))\n"


def test_the_return_value_is_the_status(cli: Cli, try_it: str) -> None:
    """A command returns its exit status."""
    assert cli("try-it", "finding").status == 1


def test_an_unexpected_exception_is_one_line(cli: Cli, try_it: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expected is status 70 and one line that names OVLCTL_DEBUG, which brings the traceback."""
    monkeypatch.delenv("OVLCTL_DEBUG", raising=False)
    done = cli("try-it", "oserror")
    assert (done.status, done.stdout) == (70, "")
    assert len(done.stderr.splitlines()) == 2
    assert "FileNotFoundError" in done.stderr
    assert cli("try-it", "oserror", "--json").error["name"] == "internal-error"
    monkeypatch.setenv("OVLCTL_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        main(["try-it", "oserror"])


def test_an_interrupt_is_130(cli: Cli, try_it: str) -> None:
    """Ctrl-C ends with 130 and no traceback."""
    assert cli("try-it", "interrupt").status == 130


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)],
    ids=["TERM", "INT", "HUP"],
)
def test_a_signal_lets_cleaning_up_happen(try_it: str, number: int, status: int) -> None:
    """A signal that asks for an end runs what cleans up, and tells by the status which it was."""
    process = start(try_it, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stdout, stderr) == (status, b"cleaned\n", b"")


def test_names_arrive_as_they_are(try_it: str) -> None:
    """Arguments that are not UTF-8 reach the command byte by byte, in any locale."""
    name = b"\xff\xe9 \\ \n"
    for locale in ("C.UTF-8", "C", "POSIX"):
        process = start(try_it, "path", name, "--", b"--x", env={"LC_ALL": locale})
        stdout, stderr = process.communicate(timeout=PATIENCE)
        assert (stdout, stderr) == (repr([name, b"--x"]).encode(), b"")


def test_a_character_that_cannot_be_printed_is_escaped(try_it: str) -> None:
    """Writing what the locale cannot show does not end the program."""
    stdout, _ = start(try_it, "surrogate", env={"LC_ALL": "C.UTF-8"}).communicate(timeout=PATIENCE)
    assert stdout == b"\\udcff\n"


def test_a_closed_pipe_is_silent(try_it: str) -> None:
    """When nobody reads on, the program ends without a word."""
    process = start(try_it, "flood")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(PATIENCE) == 128 + signal.SIGPIPE


def test_a_full_disk_is_an_error(try_it: str) -> None:
    """A result that cannot be written is not passed over."""
    with open("/dev/full", "wb") as full:
        process = start(try_it, "sizes", stdout=full.fileno())
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 5
    assert stderr.startswith(b"ovlctl: error[OVL-E093 output-failed]: cannot write the result: No space left on device")


def test_asking_without_a_terminal_never_waits(try_it: str) -> None:
    """A question that nobody can answer is a usage error, not a hang."""
    process = start(try_it, "confirm")
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert b"OVL-E063" in stderr


def test_handlers_are_put_back(cli: Cli, try_it: str) -> None:
    """A program that calls main() keeps its own signal handlers."""
    before = signal.getsignal(signal.SIGTERM)
    cli("try-it", "finding")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("words", ["--version", "--help", "ls", "ls --json", "show nothing", "bogus"])
def test_closed_streams(words: str) -> None:
    """Whoever closes a stream hears nothing there; the exit status is the same, and there is no traceback."""
    line = f"{sys.executable} -m ovlctl {words}"
    usual = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    for closed in (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        quiet = subprocess.run(["sh", "-c", f"{line} {closed}"], capture_output=True, text=True, check=False)
        assert quiet.returncode == usual.returncode, closed
        assert quiet.stdout in {usual.stdout, ""}, closed
        assert quiet.stderr in {usual.stderr, ""}, closed
