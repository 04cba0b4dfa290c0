"""systemd's stack directories, ``NAME.mstack/``: read as a stack file with one stack, and written from a stack.

A name says what each entry is: ``layer@ID`` a lower (ordered by version, the first one at the bottom), ``rw`` a
directory whose ``data`` is the upper and whose ``work`` is the work directory. systemd mounts with ``userxattr``.
Entries may be links to directories anywhere, as systemd follows them; ``rw/data`` and ``rw/work`` may not.

Sources: systemd.mstack(7); src/shared/mstack.c of systemd 260.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.ops.sets import version_order
from ovlctl.ops.sets.declared import Declared, Directory, GivenUpper, StackFile
from ovlctl.ops.state import name_from, sync_directory
from ovlctl.ops.steps import failing_as
from ovlctl.overlay.options import Flag, Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.stack import Stack

SUFFIX = ".mstack"
_LAYER = "layer@"
_BINDS = ("bind@", "robind@")


def read(path: str) -> StackFile:
    """The stack directory *path*, whatever it is called, as a stack file with one stack of its name.

    The layers are where the entries lead now, without symbolic links, so that what was looked at is what is mounted;
    a remark tells of each entry that is a link.

    Raises:
        PathMissing, NotADirectory, AccessDenied: when it cannot be read.
        MstackMalformed: for an entry that systemd.mstack(7) does not know, or that leads nowhere.
        MstackUnsupported: for one that takes more than an overlay of directories.
        MstackAmbiguous: when the layers have no single order, or there is no layer.
    """
    base = _real(path)
    layers: dict[str, str] = {}
    links: list[Note] = []
    upper: GivenUpper | None = None
    for name in _entries(base):
        entry = os.path.join(base, name)
        _check_kind(entry, name)
        place = os.path.realpath(entry)
        if os.path.islink(entry):
            links.append(Note("{} is a link: the layer is {}", (entry, place)))
        if name == "rw":
            upper = _upper(entry, place)
        else:
            layers[name.removeprefix(_LAYER)] = place
    if not layers:
        raise errors.MstackAmbiguous("{} has no layer@ID, and so is no overlay", base)
    stem = os.path.basename(base).removesuffix(SUFFIX)
    declared = Declared(
        name=name_from("/" + stem),
        lowers=tuple(Directory(layers[each]) for each in _topmost_first(base, layers)),
        upper=upper,
        options=Options(userxattr=Flag.YES),
    )
    return StackFile(path=base, stacks=(declared,), remarks=tuple(links))


def _real(path: str) -> str:
    try:
        return os.path.realpath(path, strict=True)
    except FileNotFoundError as error:
        raise errors.PathMissing("{} does not exist", path, errno=error.errno) from error
    except OSError as error:
        raise errors.AccessDenied(f"cannot look at {{}}: {strerror(error)}", path, errno=error.errno) from error


def _entries(base: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(base) if not name.startswith("."))
    except NotADirectoryError as error:
        raise errors.NotADirectory("{} is not a directory", base, errno=error.errno) from error
    except OSError as error:
        raise errors.AccessDenied(f"cannot read {{}}: {strerror(error)}", base, errno=error.errno) from error


def _check_kind(entry: str, name: str) -> None:
    """Refuse what is not a directory called as a layer or rw."""
    try:
        mode = os.stat(entry).st_mode
    except OSError as error:
        message = f"{{}} leads to nothing that can be looked at: {strerror(error)}"
        raise errors.MstackMalformed(message, entry, errno=error.errno) from error
    plain = name.removesuffix(".v").removesuffix(".raw") if stat.S_ISREG(mode) or name.endswith(".v") else name
    if plain == "root" or any(plain.startswith(bind) and plain != bind for bind in _BINDS):
        raise errors.MstackUnsupported(
            "{} asks for a mount besides the overlay", entry, hint="mount the directory with systemd-mstack(1)"
        )
    if plain != "rw" and not (plain.startswith(_LAYER) and plain != _LAYER):
        raise errors.MstackMalformed(
            "{} is nothing that systemd.mstack(7) knows",
            entry,
            hint="entries are layer@ID and rw; see `man 7 systemd.mstack`",
        )
    if stat.S_ISDIR(mode) and name.endswith(".v"):
        raise errors.MstackUnsupported("{} holds versions to choose from, see systemd.v(7)", entry)
    if stat.S_ISBLK(mode) or (stat.S_ISREG(mode) and name.endswith(".raw")):
        raise errors.MstackUnsupported(
            "{} is a disk image", entry, hint="mount it yourself, and let a link to its mount point take its place"
        )
    if not stat.S_ISDIR(mode):
        raise errors.MstackMalformed("{} is neither a directory nor a disk image", entry)


def _upper(entry: str, place: str) -> GivenUpper:
    for name in ("data", "work"):
        inner = os.path.join(place, name)
        if os.path.lexists(inner) and not stat.S_ISDIR(os.lstat(inner).st_mode):
            raise errors.MstackMalformed(
                "{} is not a directory of its own, which it has to be", os.path.join(entry, name)
            )
    return GivenUpper(os.path.join(place, "data"), os.path.join(place, "work"))


def _topmost_first(base: str, layers: dict[str, str]) -> list[str]:
    ids = sorted(layers, key=lambda each: version_order.key(os.fsencode(each)), reverse=True)
    for above, below in pairwise(ids):
        if version_order.compare(os.fsencode(above), os.fsencode(below)) == 0:
            raise errors.MstackAmbiguous(
                "{} and {} are the same version: which is on top is left to chance",
                os.path.join(base, _LAYER + above),
                os.path.join(base, _LAYER + below),
                hint="rename one of them",
            )
    return ids


def missing(file: StackFile) -> tuple[MakeMissing, ...]:
    """The steps that make what a stack directory's rw lacks yet, as systemd does on first use; none for other files."""
    if not os.path.isdir(file.path):
        return ()
    given = [stack.upper for stack in file.stacks if isinstance(stack.upper, GivenUpper)]
    paths = (path for upper in given for path in (upper.upper, upper.work))
    return tuple(MakeMissing(path) for path in paths if not os.path.lexists(path))


@dataclass(frozen=True)
class MakeMissing:
    """Make the upper or the work directory of a stack directory."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("mkdir {}", (self.path,))

    def apply(self) -> None:
        """Make it, unless somebody did meanwhile."""
        with failing_as(errors.StateUnusable, "cannot make {}", self.path), suppress(FileExistsError):
            os.mkdir(self.path, 0o755)

    def undo(self) -> None:
        """Remove it, when nothing is in it."""
        with suppress(OSError):
            os.rmdir(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A stack directory yet to be written.

    Attributes:
        path: Where.
        links: Each entry's name and the directory that it leads to, in the order of names.
        remarks: What the directory cannot say and leaves out.
    """

    path: str
    links: tuple[tuple[str, str], ...]
    remarks: tuple[Note, ...]

    def describe(self) -> tuple[Note, ...]:
        """The commands that would do the same."""
        steps = [Note("mkdir {}", (self.path,))]
        steps += [Note("ln -s {} {}", (place, os.path.join(self.path, name))) for name, place in self.links]
        return tuple(steps)

    def apply(self) -> None:
        """Write it beside its place and move it there, replacing nothing.

        Raises:
            MstackExists: when something is there by now.
            StateUnusable: when the file system says no.
        """
        parent = os.path.dirname(self.path)
        try:
            temporary = tempfile.mkdtemp(prefix=".ovlctl-", dir=parent)
            try:
                for name, place in self.links:
                    os.symlink(place, os.path.join(temporary, name))
                os.chmod(temporary, 0o755)  # noqa: S103 -- as mkdir would make it
                _put(temporary, self.path)
                sync_directory(parent)
            except BaseException:
                with suppress(FileNotFoundError):
                    shutil.rmtree(temporary)
                raise
        except OSError as error:
            raise errors.StateUnusable(f"cannot write {{}}: {strerror(error)}", self.path, errno=error.errno) from error


def _put(temporary: str, path: str) -> None:
    """Rename, replacing nothing but an empty directory of our own, which holds the name."""
    try:
        os.mkdir(path)
    except FileExistsError as error:
        raise errors.MstackExists("{} is there already", path, hint="choose another name") from error
    try:
        os.rename(temporary, path)
    except OSError:
        os.rmdir(path)
        raise


def export(stack: Stack, path: str, *, upper: bool = True) -> Export:
    """Work out how to write *stack* as the stack directory *path*.

    Law: ``read(path)`` has the same layers in the same order afterwards.

    Args:
        stack: With absolute paths.
        path: Where; its name ends in ``.mstack``.
        upper: Include the upper.

    Raises:
        BadUsage: when *path* has another ending.
        PathMissing: when there is no directory to put it in, or a layer is gone.
        MstackExists: when something is there already.
        MstackInexpressible: when the directory would mean another stack.
    """
    path = os.path.abspath(path)
    if not path.endswith(SUFFIX) or os.path.basename(path) == SUFFIX:
        raise errors.BadUsage("{} has to be called NAME.mstack, as systemd knows stack directories by that", path)
    if os.path.lexists(path):
        raise errors.MstackExists("{} is there already", path, hint="choose another name")
    if not os.path.isdir(os.path.dirname(path)):
        raise errors.PathMissing("{} does not exist", os.path.dirname(path))
    if stack.data_only:
        raise errors.MstackInexpressible(
            "{} is a data-only lower, which a stack directory cannot have", stack.data_only[0]
        )
    width = len(str(len(stack.lowers) - 1))
    links = [(f"{_LAYER}{at:0{width}}", os.path.realpath(lower)) for at, lower in enumerate(reversed(stack.lowers))]
    remarks = list(_unsaid(stack))
    if upper and stack.upper is not None:
        links.append(("rw", _rw(stack)))
    elif stack.upper is not None:
        remarks.append(Note("the upper {} is left out", (stack.upper,)))
    for _name, place in links:
        if not os.path.isdir(place):
            raise errors.PathMissing("{} is not there any more", place)
    return Export(path=path, links=tuple(links), remarks=tuple(remarks))


def _rw(stack: Stack) -> str:
    """The directory that can stand as rw."""
    assert stack.upper is not None, "asked only for a stack with one"  # noqa: S101 -- for the type checker
    hint = "`--no-upper` writes the lowers alone"
    base = os.path.realpath(os.path.dirname(stack.upper))
    upper, work = os.path.realpath(stack.upper), os.path.realpath(stack.work or "")
    if (upper, work) != (os.path.join(base, "data"), os.path.join(base, "work")):
        text = "the upper {} and its work directory would have to be called data and work, in one directory"
        raise errors.MstackInexpressible(text, stack.upper, hint=hint)
    if stack.options.userxattr is not Flag.YES:
        text = "the marks in {} are trusted.overlay.*: systemd mounts with userxattr, and deleted files would come back"
        raise errors.MstackInexpressible(text, stack.upper, hint=hint)
    return base


def _unsaid(stack: Stack) -> Iterator[Note]:
    """What the stack says and the stack directory cannot."""
    lost = [f"{key.name}={option}" for key, option in stack.options.asked() if key.name != "userxattr"]
    if lost:
        yield Note(literal(f"a stack directory has no place for options: {', '.join(lost)} left out"))
    if stack.options.userxattr is not Flag.YES:
        yield Note(
            "systemd mounts with userxattr: marks trusted.overlay.* in the lowers mean nothing there, and what an "
            "opaque directory hides comes back"
        )
