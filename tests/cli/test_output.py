"""Results that are made while they are printed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.cli.output import emit_bytes, emit_lines

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_errors_of_reading_are_not_those_of_writing(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """What fails while a result is made stays what it is, after all that was made before it."""

    def lines() -> Iterator[str]:
        yield "one"
        raise PermissionError("a layer")

    with pytest.raises(PermissionError, match="a layer"):
        emit_lines(lines())
    with pytest.raises(PermissionError, match="a layer"):
        emit_bytes(line.encode() for line in lines())
    assert capfdbinary.readouterr().out == b"one\none"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_nobody_takes_does_not_change_the_status(stream: str) -> None:
    """Where a stream takes nothing more, as a terminal that is gone, the exit status stays what it was to be."""
    script = (
        "import sys; from ovlctl.cli.output import let_go\n"
        f"sys.{stream} = open('/dev/full', 'w'); sys.{stream}.write('text'); let_go(); sys.exit(129)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 129
