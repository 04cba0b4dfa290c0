"""The table of errors."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from ovlctl.errors import (
    ExitStatus,
    NotFoundError,
    OvlError,
    PermissionDeniedError,
    UnsupportedError,
    UsageError,
    all_errors,
)

ERRORS = tuple(all_errors())


def test_codes_are_unique() -> None:
    """A code means one thing."""
    assert [code for code, count in Counter(error.code for error in ERRORS).items() if count > 1] == []
    assert [name for name, count in Counter(error.name() for error in ERRORS).items() if count > 1] == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_is_complete(error: type[OvlError]) -> None:
    """Each error has a code of the form people search for, an explanation, a family and thereby a status."""
    assert re.fullmatch(r"OVL-E[0-9]{3}", error.code)
    assert error.code != OvlError.code
    assert vars(error)["__doc__"]
    families = [
        family
        for family in (UsageError, NotFoundError, PermissionDeniedError, UnsupportedError)
        if issubclass(error, family)
    ]
    assert len(families) == 1
    assert error.exit_status in set(ExitStatus) - {ExitStatus.FINE, ExitStatus.INTERNAL}


def test_paths_are_not_formats() -> None:
    """Braces in a path or in literal text do not break a message."""
    from ovlctl.errors import BadUsage, literal

    error = BadUsage(f"{literal('{x}')} at {{}}", "/{0}{}", hint="rm {}")
    assert error.message(str) == "{x} at /{0}{}"
    assert error.hint(str) == "rm /{0}{}"
