"""Start-up: the table of commands is true, and a plain command loads little."""

from __future__ import annotations

import inspect
import os
import resource
import subprocess
import sys
from importlib import import_module

import pytest

from ovlctl.cli.commands import ROWS, Row
from ovlctl.cli.lazy import load
from tests.capabilities import needs_mounting

PLAIN = (("--version",), ("--help",), ("mount", "--help"), ("ls",), ("ls", "--json"))
HEAVY = {"rich", "psutil", "pyroute2", "pydantic", "textual", "asyncio", "http", "numpy"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_true(row: Row) -> None:
    """Each row names a function that exists, and its help is the first line of the function's docstring."""
    function = getattr(import_module(row.module), row.function)
    first_line = (inspect.getdoc(function) or "").splitlines()[0]
    assert row.help == first_line.removesuffix(".")
    assert load(row).name == row.name


def run(*args: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run ``ovlctl ARGS`` in a new interpreter; also the top-level names of the modules it loaded."""
    code = (
        "import sys\n"
        "from ovlctl.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    return done, set(done.stderr.splitlines()[-1].split())


@needs_mounting
@pytest.mark.parametrize("args", PLAIN, ids=" ".join)
def test_a_plain_command_is_light(args: tuple[str, ...]) -> None:
    """No plain command loads what it does not use."""
    done, loaded = run(*args)
    assert done.returncode == 0, done.stderr
    assert loaded & HEAVY == set()


def test_the_version_needs_no_typer() -> None:
    """``--version`` answers before Typer is imported."""
    done, loaded = run("--version")
    assert done.stdout.startswith("ovlctl ")
    assert "typer" not in loaded


def test_a_plain_command_costs_little() -> None:
    """``ovlctl ls`` costs at most eight times the CPU of ``python -c pass``; the least of several runs each."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def cpu(*argv: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *argv], env=environment, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    cpu("-m", "ovlctl", "ls")  # compiles what was not
    rounds = [(cpu("-c", "pass"), cpu("-m", "ovlctl", "ls")) for _ in range(15)]
    ratio = min(command for _, command in rounds) / min(nothing for nothing, _ in rounds)
    assert ratio <= 8, f"{ratio:.1f} times"
