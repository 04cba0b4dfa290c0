"""File systems and work directories: OVL-E040 to E046."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError


class StackTooDeep(UnsupportedError):
    """A layer is an overlay that already stands on an overlay; two levels are the kernel's limit."""

    code = "OVL-E040"


class UpperFileSystemPoor(UnsupportedError):
    """The upper's file system lacks what overlayfs needs to write its marks."""

    code = "OVL-E041"


class WorkHoldsFiles(UnsupportedError):
    """WORK/work (or WORK/index) holds something that is not overlayfs's own; mounting would delete it."""

    code = "OVL-E042"


class WorkTreeTooDeep(UnsupportedError):
    """WORK/work holds a tree the kernel cannot clean; it would mount read-only."""

    code = "OVL-E043"


class SubvolumeMismatch(UnsupportedError):
    """Upper and work are different btrfs subvolumes: it mounts, then every copy-up fails with EXDEV."""

    code = "OVL-E044"


class LayerFileSystemRefused(UnsupportedError):
    """A layer lies on a file system that overlayfs does not take as a layer, such as proc."""

    code = "OVL-E045"


class LayerWithoutHandles(UnsupportedError):
    """An option needs file handles, and a layer's file system has none; the kernel would drop the option."""

    code = "OVL-E046"
