"""Paths as a stack file writes them.

``~`` and ``~USER`` at the start are home directories, ``${NAME}`` is an environment variable, ``$$`` a dollar, and a
relative path is meant from the directory of the file. Everything else stands for itself: colons, commas, backslashes
and spaces need no escape beyond TOML's own. TOML cannot write bytes that are not UTF-8; a variable can carry them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOLLAR = re.compile(r"\$(?:\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<dollar>\$)|)")


def absolute(text: str, *, base: str, place: str, file: str, environment: Mapping[str, str] | None = None) -> str:
    """The absolute path that *text* stands for; its links are not followed, nor need it exist.

    Args:
        text: As it stands in the file.
        base: Where relative paths begin.
        place: Where it stands in the file, for messages.
        file: The file, for messages.
        environment: Variables; None takes those of this process.

    Raises:
        VariableUnset: for a variable that is not there.
        StackFileWrong: for an empty path, a dollar that means nothing, an unknown user or a NUL.
    """
    variables = os.environ if environment is None else environment

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if found["name"] is None:
            raise errors.StackFileWrong(
                f"`{literal(place)}` in {{}}: a dollar stands before no {{{{NAME}}}}",
                file,
                hint="write ${{NAME}} for a variable and $$ for a dollar",
            )
        if found["name"] not in variables:
            raise errors.VariableUnset(
                f"`{literal(place)}` in {{}} needs the environment variable {found['name']}, which is not set",
                file,
                hint=f"`export {found['name']}=...`, or write $$ for a dollar that means itself",
            )
        return variables[found["name"]]

    home, rest = _home(text, place, file)
    path = home + _DOLLAR.sub(value, rest)
    if not path or "\0" in path:
        raise errors.StackFileWrong(f"`{literal(place)}` in {{}} is empty or holds a NUL", file)
    return os.path.join(base, path)


def _home(text: str, place: str, file: str) -> tuple[str, str]:
    """The home directory that *text* begins with, and the rest of it."""
    if not text.startswith("~"):
        return "", text
    user, slash, rest = text.partition("/")
    home = os.path.expanduser(user)
    if home == user:
        raise errors.StackFileWrong(
            f"`{literal(place)}` in {{}}: no home directory of {{}} is known",
            file,
            user,
            hint="write ./ before a name that begins with ~",
        )
    return home, slash + rest
