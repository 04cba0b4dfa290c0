"""A stack that the kernel would refuse or mount in a harmful way: OVL-E011 to E029."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class UpperReadOnly(UnsupportedError):
    """Upper or work lies on a read-only file system or mount."""

    code = "OVL-E011"


class UpperOnOverlay(UnsupportedError):
    """Upper or work lies on an overlay, which cannot store the marks of another one."""

    code = "OVL-E012"


class TooManyLowers(UnsupportedError):
    """More lowers (data-only ones included) than the 500 the kernel takes."""

    code = "OVL-E013"


class OptionsTooLong(UnsupportedError):
    """mount(2) would cut the option string at 4095 bytes without a word and mount something else."""

    code = "OVL-E014"


class NoLower(UsageError):
    """A stack without any lower."""

    code = "OVL-E015"


class OneLowerWithoutUpper(UsageError):
    """A read-only stack needs at least two lowers."""

    code = "OVL-E016"


class OnlyDataLowers(UsageError):
    """Data-only lowers need an ordinary lower whose files point to them."""

    code = "OVL-E017"


class UpperWithoutWork(UsageError):
    """An upper needs a work directory beside it."""

    code = "OVL-E018"


class WorkWithoutUpper(UsageError):
    """A work directory serves nothing without an upper; the kernel would ignore it."""

    code = "OVL-E019"


class WorkOnOtherMount(UsageError):
    """Upper and work are not on the same mount of the same file system."""

    code = "OVL-E020"


class WorkOverlapsUpper(UsageError):
    """Work is the upper itself, inside it or above it."""

    code = "OVL-E021"


class LayerTwice(UsageError):
    """One directory appears twice among the layers."""

    code = "OVL-E022"


class LowerIsUpper(UsageError):
    """One directory is a lower and also the upper or the work directory."""

    code = "OVL-E023"


class OverlappingLayers(UsageError):
    """A lower lies inside another lower, inside the upper or inside the work directory."""

    code = "OVL-E024"


class UpperInUse(UnsupportedError):
    """Upper or work belongs to an overlay that is mounted now; sharing it is undefined behaviour."""

    code = "OVL-E025"


class LowerInUse(UnsupportedError):
    """A lower is, or lies below, the upper or work directory of an overlay that is mounted now."""

    code = "OVL-E026"


class UpperOfOtherLower(UnsupportedError):
    """With index=on the upper remembers another topmost lower (ESTALE)."""

    code = "OVL-E027"


class IndexOfOtherUpper(UnsupportedError):
    """With index=on the work directory's index remembers another upper (ESTALE)."""

    code = "OVL-E028"


class VolatileLeftover(UnsupportedError):
    """The work directory bears the marker of a volatile mount, whose data may be incomplete."""

    code = "OVL-E029"
