"""Where users keep what their engines' command lines are told, and those small files."""

from __future__ import annotations

import json
import os
import pwd
from typing import TYPE_CHECKING, Any

from ovlctl.engines.documents import mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ovlctl.engines.daemons import Endpoint

_SETTINGS_MAX = 1 << 20


def home(environment: Mapping[str, str]) -> str:
    """HOME, or what the user's account has."""
    named = environment.get("HOME")
    if named:
        return named
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def runtime(environment: Mapping[str, str]) -> str:
    """XDG_RUNTIME_DIR, or where systemd makes it."""
    return environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"


def socket_address(*parts: str) -> str:
    """The address of the socket at a path."""
    return f"unix://{os.path.join(*parts)}"


def settings(path: str) -> Mapping[str, Any]:
    """The document in a file of the user's own; an empty one where there is none, or a damaged one.

    That is what the command lines of engines do as well: they warn, and go on with what they do by default.
    """
    try:
        with open(path, "rb") as file:
            return mapping(json.loads(file.read(_SETTINGS_MAX)))
    except (OSError, ValueError, RecursionError):
        return {}


def without_doubles(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """*endpoints* without those that lead to the socket of an earlier one."""
    found: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        path = endpoint.address.removeprefix("unix://")
        found.setdefault(os.path.realpath(path) if path.startswith("/") else path, endpoint)
    return tuple(found.values())
