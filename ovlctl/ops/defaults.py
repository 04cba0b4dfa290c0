"""What an overlay does when nobody says anything."""

from __future__ import annotations

from ovlctl.kernel import module
from ovlctl.overlay.live import Defaults
from ovlctl.overlay.options import RedirectDir, Switch, Xino


def module_defaults() -> Defaults:
    """The overlay module's parameters, which decide what the mount table leaves out."""

    def on(parameter: str) -> bool:
        return module.parameter("overlay", parameter) in {"Y", "1"}

    redirect = RedirectDir.FOLLOW if on("redirect_always_follow") else RedirectDir.NOFOLLOW
    return Defaults(
        redirect_dir=RedirectDir.ON if on("redirect_dir") else redirect,
        index=Switch.ON if on("index") else Switch.OFF,
        metacopy=Switch.ON if on("metacopy") else Switch.OFF,
        nfs_export=Switch.ON if on("nfs_export") else Switch.OFF,
        xino=Xino.AUTO if on("xino_auto") else Xino.OFF,
    )
