"""What can go wrong, as one tree of exceptions.

Each class is one cause: it owns a stable code that people can search for, the exit status of a command that
ends with it, and a name. An instance adds where it happened and what would fix it. Only ``ovlctl.cli`` turns an
error into text on a terminal and an exit status; everybody else raises.
"""

from __future__ import annotations

import errno as errno_module
import os
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class ExitStatus(IntEnum):
    """Exit statuses of the command-line tool."""

    FINE = 0
    FINDING = 1
    USAGE = 2
    NOT_FOUND = 3
    PERMISSION = 4
    UNSUPPORTED = 5
    PARTIAL = 6
    INTERNAL = 70
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for people with untrusted paths in it, such as a warning.

    Attributes:
        template: A format string whose ``{}`` stand for *paths*, in order; other text has its braces doubled.
        paths: The paths, unescaped.
    """

    template: str
    paths: tuple[str, ...] = ()

    def text(self, show: Callable[[str], str] = repr) -> str:
        """The sentence with every path passed through *show*."""
        return self.template.format(*map(show, self.paths))


class OvlError(Exception):
    """Base of everything ovlctl raises on purpose.

    *message* and *hint* are format strings whose ``{}`` (or ``{0}``, ``{1}``) stand for *paths*, in order. Paths
    are kept apart from the text because they are untrusted bytes: ``str(error)`` shows them as Python literals, a
    front end fills them in with its own escaper through :meth:`message` and :meth:`hint`. Any other text put into
    the format string must have its braces doubled (see :func:`literal`).

    Args:
        message: What happened, where and why; one line, no final full stop.
        paths: The paths concerned, the most important first.
        hint: What the user can do about it, ideally a command; None when there is nothing to say.
        errno: The kernel's error number, when a system call failed or would have failed with it.
        kernel: What the kernel itself said, line by line, when it said anything.
    """

    code: ClassVar[str] = "OVL-E000"
    exit_status: ClassVar[ExitStatus] = ExitStatus.INTERNAL

    def __init__(
        self,
        message: str,
        *paths: str,
        hint: str | None = None,
        errno: int | None = None,
        kernel: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, *paths)
        self.paths = paths
        self.errno = errno
        self.kernel = kernel
        self.template = message
        self._hint = hint

    @classmethod
    def name(cls) -> str:
        """The class name in kebab case, as it appears in JSON: ``WorkOnOtherMount`` -> ``work-on-other-mount``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def message(self, show: Callable[[str], str] = repr) -> str:
        """The message with every path passed through *show*."""
        return self.template.format(*map(show, self.paths))

    def hint(self, show: Callable[[str], str] = repr) -> str | None:
        """The hint with every path passed through *show*, or None."""
        return None if self._hint is None else self._hint.format(*map(show, self.paths))

    @property
    def errno_name(self) -> str | None:
        """Symbolic name of :attr:`errno`, such as ``"ELOOP"``."""
        return None if self.errno is None else errno_module.errorcode.get(self.errno, str(self.errno))

    def __str__(self) -> str:
        """Code, message and hint, for people who meet the exception in Python."""
        hint = self.hint()
        return f"{self.code} {self.message()}" + (f" (hint: {hint})" if hint else "")


def literal(text: str) -> str:
    """*text* with braces doubled, safe inside a message or a hint."""
    return text.replace("{", "{{").replace("}", "}}")


def strerror(error: OSError) -> str:
    """``"Permission denied (EACCES)"``: the words and the symbol of an OSError's number."""
    number = error.errno or 0
    return f"{os.strerror(number)} ({errno_module.errorcode.get(number, number)})"


def all_errors(root: type[OvlError] = OvlError) -> Iterator[type[OvlError]]:
    """Every class below *root* that can be raised, each once, in the order they are written here."""
    for child in root.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from all_errors(child)


# --- the families: an exit status, no code of their own -------------------------------------------------------------


class UsageError(OvlError):
    """What was asked does not make sense; asking differently helps."""

    exit_status = ExitStatus.USAGE


class NotFoundError(OvlError):
    """Something named does not exist, or is not what it has to be."""

    exit_status = ExitStatus.NOT_FOUND


class PermissionDeniedError(OvlError):
    """A capability or an access right is missing; the message names it."""

    exit_status = ExitStatus.PERMISSION


class UnsupportedError(OvlError):
    """The kernel, a file system or the present state of the machine cannot do it."""

    exit_status = ExitStatus.UNSUPPORTED


# --- E00x: arguments and paths --------------------------------------------------------------------------------------


class BadUsage(UsageError):
    """The command line or a library call is wrong in itself."""

    code = "OVL-E001"


class PathMissing(NotFoundError):
    """A layer, work directory or target does not exist."""

    code = "OVL-E002"


class NotADirectory(UsageError):
    """A layer, work directory or target is something else than a directory."""

    code = "OVL-E003"


class MissingCapability(PermissionDeniedError):
    """The process lacks a capability that the kernel wants; the message says which and for what."""

    code = "OVL-E004"


class AccessDenied(PermissionDeniedError):
    """A path may not be read, written or searched by this user."""

    code = "OVL-E005"


class NotAnOverlay(NotFoundError):
    """The thing named is there but is no overlay mount."""

    code = "OVL-E006"


class StackNotFound(NotFoundError):
    """No mount, record or kept upper has this name."""

    code = "OVL-E007"


class NameTaken(UsageError):
    """Another stack has this name already."""

    code = "OVL-E008"


class TargetOccupied(UsageError):
    """The target is already the mount point of an overlay."""

    code = "OVL-E009"


class OverlayMissing(UnsupportedError):
    """This kernel has no overlay file system, or its module is not loaded."""

    code = "OVL-E010"


# --- E01x-E02x: a stack that the kernel would refuse or mount in a harmful way --------------------------------------


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


# --- E03x: options --------------------------------------------------------------------------------------------------


class MetacopyNeedsRedirect(UsageError):
    """metacopy=on works with redirect_dir=on only."""

    code = "OVL-E030"


class NfsExportNeedsIndex(UsageError):
    """nfs_export=on works with index=on only."""

    code = "OVL-E031"


class NfsExportExcludesMetacopy(UsageError):
    """nfs_export=on and metacopy=on exclude each other."""

    code = "OVL-E032"


class UserxattrNeedsNofollow(UsageError):
    """userxattr works with redirect_dir=nofollow only; `off` means follow here."""

    code = "OVL-E033"


class UserxattrExcludesMetacopy(UsageError):
    """userxattr and metacopy=on exclude each other."""

    code = "OVL-E034"


class OptionUnknown(UnsupportedError):
    """This kernel's overlay does not know an option or one of its values."""

    code = "OVL-E035"


class OptionNeedsUpper(UsageError):
    """An option was asked for that the kernel ignores without an upper."""

    code = "OVL-E036"


class NeedsTrustedXattr(PermissionDeniedError):
    """The option needs trusted xattrs or file handles, which a user namespace does not give."""

    code = "OVL-E037"


class NfsExportWithoutUpper(UsageError):
    """Without an upper nfs_export=on is dropped by the kernel unless redirect_dir=nofollow."""

    code = "OVL-E038"


class VolatileExcludesFsync(UsageError):
    """volatile and another fsync= mode were both asked for."""

    code = "OVL-E039"


# --- E04x: file systems and work directories ------------------------------------------------------------------------


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


# --- E06x: ending a mount -------------------------------------------------------------------------------------------


class MountBusy(UnsupportedError):
    """Somebody still uses the mount; the message names them."""

    code = "OVL-E060"


class NotOurs(UsageError):
    """--discard was asked for something that ovlctl did not make."""

    code = "OVL-E061"


class DiscardRefused(UnsupportedError):
    """What was to be removed holds a mount point or is used by a live overlay."""

    code = "OVL-E062"


class NotConfirmed(UsageError):
    """Something would be destroyed, and nobody said yes."""

    code = "OVL-E063"


# --- E07x: state ----------------------------------------------------------------------------------------------------


class StateUnsafe(PermissionDeniedError):
    """A state directory belongs to somebody else or is open to others."""

    code = "OVL-E070"


class StateUnusable(UnsupportedError):
    """A state directory cannot be made, read or written."""

    code = "OVL-E071"


class RecordDamaged(UnsupportedError):
    """A record in the state directory cannot be read."""

    code = "OVL-E072"


class KeptUpperDiffers(UsageError):
    """The kept upper of this name was made over other lowers."""

    code = "OVL-E073"


class StateLocked(UnsupportedError):
    """Another ovlctl has held the lock for too long."""

    code = "OVL-E074"


# --- E08x: the benchmark --------------------------------------------------------------------------------------------


class NotEnoughSpace(UnsupportedError):
    """The run would not fit on the file system."""

    code = "OVL-E080"


class ToolMissing(UnsupportedError):
    """A program that the run needs, such as mkfs.xfs, is not installed."""

    code = "OVL-E081"


class UnlikeRuns(UsageError):
    """Two results were measured under different conditions."""

    code = "OVL-E082"


class NoCopyUp(UnsupportedError):
    """A sample that should have copied up did not; its time means nothing."""

    code = "OVL-E083"


class ResultUnreadable(UsageError):
    """A file is not a result of bench-copyup."""

    code = "OVL-E084"


class NoUserNamespace(PermissionDeniedError):
    """This user may not make user namespaces, so nothing can be mounted without root."""

    code = "OVL-E085"


class RunTooLong(UsageError):
    """The run as asked would take far longer than allowed."""

    code = "OVL-E086"


# --- E09x: the kernel -----------------------------------------------------------------------------------------------


class KernelRefused(UnsupportedError):
    """The kernel refused for a reason that no check foresaw; its errno and words are passed on."""

    code = "OVL-E090"


class WeakerThanAsked(UnsupportedError):
    """The kernel mounted something weaker than what was asked, and the mount was undone."""

    code = "OVL-E091"


class KernelLacks(UnsupportedError):
    """A system call or a feature of it is missing on this kernel."""

    code = "OVL-E092"


class OutputFailed(UnsupportedError):
    """The result could not be written to standard output, a full disk for one."""

    code = "OVL-E093"
