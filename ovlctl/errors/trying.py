"""Trying actions on a stack: OVL-E180 to E183."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError


class LayersAreArchives(UnsupportedError):
    """The layers of an image are archives, and the kernel mounts directories only.

    Actions are tried by the kernel itself, on a mount of the layers below a scratch upper. What an image holds can be
    looked at without a mount; to try something on it, unpack it first.

        ovlctl tree oci:DIR
        umoci unpack --image DIR:TAG BUNDLE && ovlctl try --lower BUNDLE/rootfs modify PATH
    """

    code = "OVL-E180"


class StageLost(UnsupportedError):
    """The process that has the scratch mount has ended.

    A small process in a mount namespace of its own has the mount and does the actions; it was killed, for want of
    memory or by somebody. Nothing of the stack was touched: its layers are only read. What it left is a directory
    `ovlctl-try-*` below $TMPDIR or /var/tmp, which the next start removes.

        ovlctl try STACK ACTION PATH
        sudo dmesg | grep -i oom | tail
    """

    code = "OVL-E181"
