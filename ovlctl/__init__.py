"""Build, measure and explain Linux overlayfs mounts.

The names below are the public API. They are found on first use (PEP 562), so that ``import ovlctl`` costs next to
nothing and a program pays only for the floors it uses::

    import ovlctl

    with ovlctl.mount(ovlctl.Stack(lowers=("/layers/app", "/layers/base")), "/merged") as mounted:
        print(mounted.target)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ovlctl.version import __version__

if TYPE_CHECKING:
    from ovlctl.errors import ExitStatus, OvlError
    from ovlctl.ops.api import Api
    from ovlctl.ops.discover import Overlay, Standing, overlays
    from ovlctl.ops.keeping import KeptUpper, TmpfsUpper
    from ovlctl.ops.mounting import Mounted, mount
    from ovlctl.ops.unmounting import umount
    from ovlctl.overlay.options import Flag, Fsync, Options, RedirectDir, Switch, Uuid, Verity, Xino
    from ovlctl.overlay.stack import Stack

__all__ = [
    "Api",
    "ExitStatus",
    "Flag",
    "Fsync",
    "KeptUpper",
    "Mounted",
    "Options",
    "Overlay",
    "OvlError",
    "RedirectDir",
    "Stack",
    "Standing",
    "Switch",
    "TmpfsUpper",
    "Uuid",
    "Verity",
    "Xino",
    "__version__",
    "mount",
    "overlays",
    "umount",
]

# Where each public name lives. A test compares this with __all__ and with the imports above.
_HOMES = {
    "Api": "ovlctl.ops.api",
    "ExitStatus": "ovlctl.errors",
    "Flag": "ovlctl.overlay.options",
    "Fsync": "ovlctl.overlay.options",
    "KeptUpper": "ovlctl.ops.keeping",
    "Mounted": "ovlctl.ops.mounting",
    "Options": "ovlctl.overlay.options",
    "Overlay": "ovlctl.ops.discover",
    "OvlError": "ovlctl.errors",
    "RedirectDir": "ovlctl.overlay.options",
    "Stack": "ovlctl.overlay.stack",
    "Standing": "ovlctl.ops.discover",
    "Switch": "ovlctl.overlay.options",
    "TmpfsUpper": "ovlctl.ops.keeping",
    "Uuid": "ovlctl.overlay.options",
    "Verity": "ovlctl.overlay.options",
    "Xino": "ovlctl.overlay.options",
    "mount": "ovlctl.ops.mounting",
    "overlays": "ovlctl.ops.discover",
    "umount": "ovlctl.ops.unmounting",
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
