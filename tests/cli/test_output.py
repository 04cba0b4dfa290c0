"""Results that are made while they are printed."""

from __future__ import annotations

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
