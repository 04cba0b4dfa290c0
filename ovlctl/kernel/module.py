"""Parameters of kernel modules, built in or loaded."""

from __future__ import annotations


def parameter(module: str, name: str) -> str | None:
    """The value of a module's parameter, such as ``"N"`` for overlay's ``metacopy``; None when it has none.

    Source: /sys/module/MODULE/parameters, sysfs(5).
    """
    try:
        with open(f"/sys/module/{module}/parameters/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
