"""Build, measure, explain and mend Linux overlayfs mounts.

The names below are the public API. They are found on first use (PEP 562), so that ``import ovlctl`` costs next to
nothing and a program pays only for the floors it uses::

    import ovlctl

    with ovlctl.mount(ovlctl.Stack(lowers=("/layers/app", "/layers/base")), "/merged") as mounted:
        print(mounted.target)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ovlctl.version import VERSION as __version__

if TYPE_CHECKING:
    from ovlctl.errors import ExitStatus, OvlError

__all__ = [
    "ExitStatus",
    "OvlError",
    "__version__",
]

# Where each public name lives. A test compares this with __all__ and with the imports above.
_HOMES = {
    "ExitStatus": "ovlctl.errors",
    "OvlError": "ovlctl.errors",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use and keep it."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All public names, imported or not."""
    return sorted({*globals(), *__all__})
