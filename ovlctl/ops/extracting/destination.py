"""Where a copy goes: checks before anything is written, and a temporary place beside it that becomes it in one step."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.kernel import mounts
from ovlctl.kernel.renames import rename_noreplace
from ovlctl.kernel.temporary_names import left_behind, temporary_name
from ovlctl.ops.preflight.places import Place as DiskPlace
from ovlctl.ops.removal import remove_at
from ovlctl.ops.steps import undisturbed
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import Subject

_PURPOSE = "cp"
# Whom NFS takes root for, and who owns what a user namespace does not map.
_NOBODY = 65534
_KINDS_OF_TROUBLE = {
    errno.EACCES: errors.AccessDenied,
    errno.EPERM: errors.AccessDenied,
    errno.ENOENT: errors.PathMissing,
    errno.ENOTDIR: errors.NotADirectory,
    errno.EEXIST: errors.DestinationTaken,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A name in a directory.

    Attributes:
        directory: Its real path.
        name: What the copy is to be called in it.
        replace: Whether a file of that name may be replaced.
    """

    directory: str
    name: str
    replace: bool = False

    @property
    def path(self) -> str:
        """The whole path."""
        return os.path.join(self.directory, self.name)


def destination(word: str, name: str, *, is_directory: bool, replace: bool) -> Destination:
    """What *word* means, as cp(1) reads it: an existing directory to copy into, or a name that does not exist.

    Args:
        word: As given; links are followed in it.
        name: What the copy is called when *word* is a directory; empty for the root of a view.
        is_directory: Whether a directory is to be copied.
        replace: Whether a file that is there may be replaced.

    Raises:
        BadUsage: *word* is empty.
        PathMissing, NotADirectory: The directory that it would go to is not there.
        DestinationTaken: Something is there that may not be replaced, or cannot be.
    """
    if not word or "\0" in word:
        raise errors.BadUsage("the destination is empty", hint="`ovlctl cp --help` shows how it is used")
    inside = os.path.isdir(word)
    if inside and not name:
        raise errors.DestinationTaken(
            "{} exists already, and the root of a view has no name to be called by in it",
            word,
            hint="give a name that does not exist yet",
        )
    whole = os.path.join(word, name) if inside else word.rstrip("/")
    if not inside and word.endswith("/") and not is_directory:
        raise errors.PathMissing(
            "{} is no directory", word, errno=errno.ENOENT, hint="`mkdir {}`, or leave the slash out"
        )
    directory, last = os.path.split(whole)
    if last in {"", ".", ".."}:
        raise errors.BadUsage("{} is no name for a copy", word, hint="give a directory, or a name that does not exist")
    try:
        real = os.path.realpath(directory or ".", strict=True)
    except FileNotFoundError as error:
        raise errors.PathMissing(
            "{} does not exist", directory or ".", errno=error.errno, hint="`mkdir -p {}` makes it"
        ) from error
    except OSError as error:
        raise failed(error, whole) from error
    try:
        if not os.path.isdir(real):
            raise errors.NotADirectory("{} is not a directory", directory, errno=errno.ENOTDIR)
        found = _status(os.path.join(real, last))
    except OSError as error:
        raise failed(error, whole) from error
    if found is not None:
        _check_replaceable(whole, found, is_directory=is_directory, replace=replace)
    return Destination(directory=real, name=last, replace=replace)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _check_replaceable(path: str, status: os.stat_result, *, is_directory: bool, replace: bool) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise errors.DestinationTaken(
            "{} is a directory already, and directories are neither replaced nor merged", path, hint="give another name"
        )
    if is_directory:
        raise errors.DestinationTaken(
            "{} exists already, and is no directory", path, hint="give another name, or remove it"
        )
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        # Replaced, /dev/null would be gone for everybody.
        raise errors.DestinationTaken(
            f"{{}} is a {Kind.of(status.st_mode).value} already, and only files and links are replaced",
            path,
            hint="give another name",
        )
    if not replace:
        raise errors.DestinationTaken("{} exists already", path, hint="`--force` replaces it")


def check_outside(where: Destination, subject: Subject, copied: str | None) -> None:
    """Make sure that the copy is not made in what it is made of.

    Args:
        where: From :func:`destination`.
        subject: The stack.
        copied: The path of the directory that is copied from the merged view or the upper; None for anything else.

    Raises:
        DestinationInLayer: It would be in a layer of a mounted stack, or in the directory that is copied.
    """
    here = _disk_place(where.directory)
    if here is None:
        return
    stack, live = subject.stack, subject.mount is not None
    for layer in (*stack.layers(), *(() if stack.work is None else (stack.work,))):
        there = _disk_place(layer)
        if there is None or not (here.is_same(there) or here.is_inside(there)):
            continue
        if live:
            raise errors.DestinationInLayer(
                "{} lies in {}, a layer of the stack that is mounted at {}",
                where.path,
                layer,
                subject.root or "",
                hint="write through the merged view: give a destination below {2}",
            )
        if copied is not None:
            raise errors.DestinationInLayer(
                "{} lies in {}, which a directory is to be copied from", where.path, layer, hint="copy it elsewhere"
            )
    root = None if subject.root is None or copied is None else _disk_place(subject.root)
    if root is not None and copied is not None and (here.is_same(root) or here.is_inside(root)):
        inside = here.position[len(root.position) :]
        above = tuple(part for part in copied.split("/") if part)
        if inside[: len(above)] == above:
            raise errors.DestinationInLayer(
                "{} lies in the directory that is to be copied", where.path, hint="copy it elsewhere"
            )


def _disk_place(path: str) -> DiskPlace | None:
    with suppress(OSError):
        real = os.path.realpath(path, strict=True)
        return DiskPlace(real, mounts.mount_at(real), os.stat(real))
    return None


@contextmanager
def temporary(where: Destination) -> Iterator[Temporary]:
    """A new directory beside *where* that nobody else may enter, for as long as the block runs.

    Law: when the block ends, by whatever, the directory is gone, or it has become the destination. After a SIGKILL it
    stays, and the next copy to the same directory removes it.

    Raises:
        OSError: It cannot be made.
    """
    with _opened(where.directory) as parent:
        sweep(parent)
        name, ours = temporary_name(_PURPOSE), True
        try:
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                ours = False
                raise
            with _opened(name, parent, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
                check_private(descriptor)
                yield Temporary(parent, name, descriptor)
        except BaseException as error:
            if ours:
                _clean_up(parent, name, error)
            raise
        else:
            _clean_up(parent, name, None)


def check_private(descriptor: int) -> None:
    """Make sure that a directory is this user's and lets nobody else in.

    Where others may write they can put another one in its place before it is opened, and links in that one's files.

    Raises:
        OSError: EPERM, it is not the one that was made.
    """
    status = os.fstat(descriptor)
    if status.st_uid not in {os.geteuid(), _NOBODY} or status.st_mode & 0o077:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def _clean_up(parent: int, name: str, ending: BaseException | None) -> None:
    try:
        with undisturbed(), suppress(FileNotFoundError):
            remove_at(parent, name)
    except OSError as error:
        if ending is None:
            raise
        ending.add_note(f"the incomplete copy {name} could not be removed: {strerror(error)}")


def sweep(parent: int) -> None:
    """Remove what copies that were killed left in a directory; only what is this user's, and what can be removed.

    Args:
        parent: A descriptor.
    """
    with suppress(OSError), _opened(".", parent, os.O_RDONLY) as readable, os.scandir(readable) as entries:
        for entry in entries:
            if left_behind(entry.name, _PURPOSE) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                        remove_at(parent, entry.name)


def failed(error: OSError, path: str, what: str = "copy") -> errors.OvlError:
    """What it means that *what* could not be written to *path*."""
    kind = _KINDS_OF_TROUBLE.get(error.errno or 0, errors.OutputFailed)
    return kind(f"the {what} {{}} cannot be written: {literal(strerror(error))}", path, errno=error.errno)


@contextmanager
def _opened(path: str, directory: int | None = None, how: int = os.O_PATH) -> Iterator[int]:
    descriptor = os.open(path, how | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Temporary:
    """A directory that is being filled.

    Attributes:
        descriptor: Of it.
    """

    def __init__(self, parent: int, name: str, descriptor: int) -> None:
        self._parent = parent
        self._name = name
        self.descriptor = descriptor

    def becomes(self, where: Destination) -> None:
        """Let the directory itself be the destination. Raises OSError."""
        rename_noreplace(self._parent, self._name, self._parent, where.name)

    def gives(self, name: str, where: Destination) -> None:
        """Let *name*, a file in it, be the destination. Raises OSError."""
        if where.replace:
            os.rename(name, where.name, src_dir_fd=self.descriptor, dst_dir_fd=self._parent)
        else:
            rename_noreplace(self.descriptor, name, self._parent, where.name)
