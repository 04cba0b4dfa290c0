"""What an overlay does when nobody says anything, on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.kernel import module
from ovlctl.ops.kernel_habits import habits
from ovlctl.overlay.layers import Following
from ovlctl.overlay.live import Defaults
from ovlctl.overlay.options import RedirectDir, Switch, Xino

if TYPE_CHECKING:
    from ovlctl.overlay.options import Options


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


def following(options: Options, *, trusted: bool) -> Following:
    """What *options* make of lookups by the kernel of this host.

    Args:
        options: As for :meth:`ovlctl.overlay.layers.Following.of`.
        trusted: As there.
    """
    always_follow = module_defaults().redirect_dir is not RedirectDir.NOFOLLOW
    return Following.of(options, always_follow=always_follow, trusted=trusted, habits=habits)
