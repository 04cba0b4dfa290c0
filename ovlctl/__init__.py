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
    from ovlctl.ops.doctor import diagnose
    from ovlctl.ops.explain import Explanation, explain
    from ovlctl.ops.keeping import KeptUpper, TmpfsUpper
    from ovlctl.ops.library import diff, du, read, tree
    from ovlctl.ops.mounting import Mounted, mount
    from ovlctl.ops.remounting import refresh, remount
    from ovlctl.ops.remounting.values import Changes as RemountChanges
    from ovlctl.ops.remounting.values import How as RemountHow
    from ovlctl.ops.sets import load as load_stacks
    from ovlctl.ops.sets.declared import StackFile
    from ovlctl.ops.sets.down import down
    from ovlctl.ops.sets.up import up
    from ovlctl.ops.unmounting import umount
    from ovlctl.ops.who import who
    from ovlctl.ops.why import explain_command, explain_text
    from ovlctl.overlay.change import Change, ChangeKind
    from ovlctl.overlay.options import Flag, Fsync, Options, RedirectDir, Switch, Uuid, Verity, Xino
    from ovlctl.overlay.resolution import Unreadable
    from ovlctl.overlay.stack import Stack

__all__ = [
    "Api",
    "Change",
    "ChangeKind",
    "ExitStatus",
    "Explanation",
    "Flag",
    "Fsync",
    "KeptUpper",
    "Mounted",
    "Options",
    "Overlay",
    "OvlError",
    "RedirectDir",
    "RemountChanges",
    "RemountHow",
    "Stack",
    "StackFile",
    "Standing",
    "Switch",
    "TmpfsUpper",
    "Unreadable",
    "Uuid",
    "Verity",
    "Xino",
    "__version__",
    "diagnose",
    "diff",
    "down",
    "du",
    "explain",
    "explain_command",
    "explain_text",
    "load_stacks",
    "mount",
    "overlays",
    "read",
    "refresh",
    "remount",
    "tree",
    "umount",
    "up",
    "who",
]

# Where each public name lives, and after a colon what it is called there. A test compares this with __all__ and with
# the imports above.
_HOMES = {
    "Api": "ovlctl.ops.api",
    "Change": "ovlctl.overlay.change",
    "ChangeKind": "ovlctl.overlay.change",
    "ExitStatus": "ovlctl.errors",
    "Explanation": "ovlctl.ops.explain",
    "Flag": "ovlctl.overlay.options",
    "Fsync": "ovlctl.overlay.options",
    "KeptUpper": "ovlctl.ops.keeping",
    "Mounted": "ovlctl.ops.mounting",
    "Options": "ovlctl.overlay.options",
    "Overlay": "ovlctl.ops.discover",
    "OvlError": "ovlctl.errors",
    "RedirectDir": "ovlctl.overlay.options",
    "RemountChanges": "ovlctl.ops.remounting.values:Changes",
    "RemountHow": "ovlctl.ops.remounting.values:How",
    "Stack": "ovlctl.overlay.stack",
    "StackFile": "ovlctl.ops.sets.declared",
    "Standing": "ovlctl.ops.discover",
    "Switch": "ovlctl.overlay.options",
    "TmpfsUpper": "ovlctl.ops.keeping",
    "Unreadable": "ovlctl.overlay.resolution",
    "Uuid": "ovlctl.overlay.options",
    "Verity": "ovlctl.overlay.options",
    "Xino": "ovlctl.overlay.options",
    "diagnose": "ovlctl.ops.doctor",
    "diff": "ovlctl.ops.library",
    "down": "ovlctl.ops.sets.down",
    "du": "ovlctl.ops.library",
    "explain": "ovlctl.ops.explain",
    "explain_command": "ovlctl.ops.why",
    "explain_text": "ovlctl.ops.why",
    "load_stacks": "ovlctl.ops.sets:load",
    "mount": "ovlctl.ops.mounting",
    "overlays": "ovlctl.ops.discover",
    "read": "ovlctl.ops.library",
    "refresh": "ovlctl.ops.remounting",
    "remount": "ovlctl.ops.remounting",
    "tree": "ovlctl.ops.library",
    "umount": "ovlctl.ops.unmounting",
    "up": "ovlctl.ops.sets.up",
    "who": "ovlctl.ops.who",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use and keep it."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = home.partition(":")
    value = getattr(import_module(module), own or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All public names, imported or not."""
    return sorted({*globals(), *__all__})
