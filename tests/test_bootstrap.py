"""scripts/bootstrap and what it must not touch. What it makes is tested by running `make test` itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def bootstrap(place: str) -> subprocess.CompletedProcess[str]:
    """Run it with OVLCTL_VENV=*place*."""
    return subprocess.run(
        [os.path.join(_PROJECT, "scripts", "bootstrap"), "run"],
        env={**os.environ, "OVLCTL_VENV": place},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("kind", ["virtual environment", "directory", "file"])
def test_what_somebody_else_made_stays(scratch: str, kind: str) -> None:
    """A virtual environment, a directory or a file that it did not make is refused in one line and left as it is."""
    place = os.path.join(scratch, "mine")
    if kind == "virtual environment":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    elif kind == "directory":
        os.mkdir(place)
    kept = place if kind == "file" else os.path.join(place, "kept")
    with open(kept, "w", encoding="ascii") as file:
        file.write("mine")
    before = sorted(os.listdir(place)) if os.path.isdir(place) else []
    done = bootstrap(place)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "was not made by scripts/bootstrap" in done.stderr
    assert before == (sorted(os.listdir(place)) if os.path.isdir(place) else [])
    with open(kept, encoding="ascii") as file:
        assert file.read() == "mine"
