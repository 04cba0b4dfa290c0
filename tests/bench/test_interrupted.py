"""Runs that are interrupted: what was measured is reported, and nothing is left."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = ("bench-copyup", "--size", "4K,64K", "--samples", "5000", "--no-identity", "--max-time", "9999", "--json", "-")


@pytest.fixture
def process(scratch: str) -> Iterator[subprocess.Popen[str]]:
    """A long run in ``scratch``, which ends with the test, with its child, whatever becomes of the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ovlctl", *_LONG, "--dir", scratch],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()  # until nobody has its pipes any more


def _child(process: subprocess.Popen[str]) -> int:
    return int(_children(process.pid).split()[0])


def _children(pid: int) -> str:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read()


def _measuring(process: subprocess.Popen[str], directory: str) -> None:
    """Wait for counted samples: the warm-up copies up one file of each of the two cells, and then starts afresh."""

    def copied_up() -> bool:
        uppers = glob.glob(f"{glob.escape(directory)}/*/on-own/variant0/upper")
        try:
            return any(len(os.listdir(upper)) > 3 for upper in uppers)
        except FileNotFoundError:
            return False  # between two rounds

    assert eventually(lambda: _children(process.pid)), "no measuring process"
    assert eventually(copied_up), "no sample"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_gives_a_partial_result(
    scratch: str, process: subprocess.Popen[str], number: signal.Signals, status: int
) -> None:
    """The samples so far are printed and marked as partial; the status names the signal; nothing is left."""
    _measuring(process, scratch)
    os.killpg(process.pid, number)  # as a terminal does: to the child as well
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, stderr
    data = json.loads(stdout)["data"]
    assert data["partial"] is True
    assert data["interrupted"] == number.name
    assert 0 < sum(cell["samples"] for cell in data["cells"]) < 10_000
    assert os.listdir(scratch) == []


def test_killing_the_child_is_an_error_that_leaves_nothing(scratch: str, process: subprocess.Popen[str]) -> None:
    """The command says that its measuring process was killed, and cleans up after it."""
    _measuring(process, scratch)
    os.kill(_child(process), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 5
    assert stdout == ""
    assert json.loads(stderr)["error"]["code"] == "OVL-E090"
    assert os.listdir(scratch) == []


def test_a_child_whose_parent_was_killed_cleans_up(scratch: str, process: subprocess.Popen[str]) -> None:
    """Nobody reads any more: the child ends by itself and removes the scratch directory."""
    _measuring(process, scratch)
    child = _child(process)
    process.kill()
    process.communicate()
    assert eventually(lambda: not os.path.exists(f"/proc/{child}")), "no end of the child"
    assert os.listdir(scratch) == []


def test_what_a_double_kill_leaves_goes_with_the_next_run(scratch: str, process: subprocess.Popen[str]) -> None:
    """Both processes killed: their mounts are gone at once, their files with the next run."""
    _measuring(process, scratch)
    child = _child(process)
    os.kill(process.pid, signal.SIGSTOP)  # or it would clean up after the child
    os.kill(child, signal.SIGKILL)
    process.kill()
    process.communicate()
    assert eventually(lambda: not os.path.exists(f"/proc/{child}")), "no end of the child"
    assert len(os.listdir(scratch)) == 1
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        assert f"upperdir={scratch}" not in file.read()
    again = ("bench-copyup", "--dir", scratch, "--size", "4K", "--samples", "1", "--no-identity")
    subprocess.run([sys.executable, "-m", "ovlctl", *again], check=True, stdout=subprocess.DEVNULL)
    assert os.listdir(scratch) == []
