"""Writing objects below one directory: content with its holes, and every attribute that can be kept.

The order is what makes it right. Changing the owner takes set-user-ID bits and capabilities away, so it comes first;
extended attributes come next, since an access control list changes the mode; then the mode, then the times. A directory
gets all of this when everything is in it.

Everything is named relative to a descriptor of the directory that it goes to, and the topmost of those lets nobody else
in until it is finished, so that nobody can put a link in the way.
"""

from __future__ import annotations

import errno
import os
import stat
from io import UnsupportedOperation
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import xattr
from ovlctl.kernel.copying import SourceError, copy_content, copy_stream
from ovlctl.ops.extracting.content import opened
from ovlctl.overlay.comparison import visible_attributes
from ovlctl.overlay.resolution import Unreadable
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from typing import BinaryIO

    from ovlctl.ops.extracting.objects import Thing
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.layers import Following

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
}
_SET_IDS = stat.S_ISUID | stat.S_ISGID
_NOT_ALLOWED = {errno.EPERM, errno.EINVAL}
_NO_MORE_LINKS = {errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EACCES, errno.ENAMETOOLONG, errno.EOPNOTSUPP}
_ACL = "system.posix_acl_"


class Writer:
    """Makes objects in a directory, and remembers the hard links among them.

    Args:
        top: A descriptor of the directory.
        prefix: Where the stack keeps its marks, which are left out.
        troubles: Takes what cannot be kept.

    Attributes:
        objects: How many were made.
        bytes: How much content was written or shared.
    """

    def __init__(self, top: int, following: Following, troubles: Troubles) -> None:
        self.objects = 0
        self.bytes = 0
        self._top = top
        self._following = following
        self._troubles = troubles
        # Where the first name of a file with several is, and how many more there can be.
        self._links: dict[tuple[int, int], tuple[str, int]] = {}

    def make(self, thing: Thing, directory: int, name: str, where: str) -> None:
        """Make *thing*, which is no directory.

        Args:
            thing: The object.
            directory: A descriptor of the directory to make it in.
            name: Its name there.
            where: Its path below the top.

        Raises:
            AccessDenied, ContentUnreadable: The content cannot be read; nothing is made.
            OSError: It cannot be written.
        """
        if self._linked(thing, directory, name):
            return
        kind = thing.attributes.kind
        if kind is Kind.FILE:
            self._file(thing, directory, name)
        else:
            if kind is Kind.SYMLINK:
                os.symlink(_target(thing), name, dir_fd=directory)
            else:
                _make_node(thing, directory, name)
            self._by_name(thing, directory, name)
        self.objects += 1
        if thing.attributes.nlink > 1 or thing.links > 1:
            # As many more names may come; with the index there are others than the layer's.
            self._links[_identity(thing)] = where, max(thing.attributes.nlink, thing.links) - 1

    def directory(self, directory: int, name: str) -> int:
        """Make a directory that nobody else may enter, and open it. Raises OSError."""
        os.mkdir(name, 0o700, dir_fd=directory)
        self.objects += 1
        return os.open(name, _DIRECTORY, dir_fd=directory)

    def finish(self, thing: Thing, descriptor: int) -> None:
        """Give an open file or directory the attributes of *thing*. Raises OSError."""
        seen = thing.attributes
        kept = self._owner(thing, descriptor, None)
        self._xattrs(thing, descriptor)
        os.fchmod(descriptor, seen.mode if kept else seen.mode & ~_SET_IDS)
        os.utime(descriptor, ns=(seen.atime_ns, seen.mtime_ns))

    def _file(self, thing: Thing, directory: int, name: str) -> None:
        with opened(thing) as content:
            new = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                _copy(content, new)
                self.bytes += os.fstat(new).st_size
                self.finish(thing, new)
            except SourceError as error:
                os.unlink(name, dir_fd=directory)
                raise errors.ContentUnreadable(
                    f"the content of {{}} cannot be read: {literal(strerror(error))}", thing.path, errno=error.errno
                ) from error
            finally:
                os.close(new)

    def _by_name(self, thing: Thing, directory: int, name: str) -> None:
        seen = thing.attributes
        kept = self._owner(thing, directory, name)
        self._xattrs(thing, f"/proc/self/fd/{directory}/{name}")
        if seen.kind is not Kind.SYMLINK:
            os.chmod(name, seen.mode if kept else seen.mode & ~_SET_IDS, dir_fd=directory)
        os.utime(name, ns=(seen.atime_ns, seen.mtime_ns), dir_fd=directory, follow_symlinks=False)

    def _owner(self, thing: Thing, directory: int, name: str | None) -> bool:
        """Set owner and group, of *name* or of the descriptor itself; whether both could be kept."""
        for uid in (thing.attributes.uid, -1):
            try:
                if name is None:
                    os.fchown(directory, uid, thing.attributes.gid)
                else:
                    os.chown(name, uid, thing.attributes.gid, dir_fd=directory, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NOT_ALLOWED:
                    raise
                continue
            return uid != -1
        return False

    def _xattrs(self, thing: Thing, target: int | str) -> None:
        try:
            wanted = visible_attributes(thing.place, self._following)
        except OSError as error:
            self._troubles.add(Unreadable(place=thing.place, errno=error.errno or 0))
            wanted = {}
        for name in xattr.names(target):
            # What the directory around gives to whatever is made in it.
            if name.startswith(_ACL) and name not in wanted:
                xattr.remove(target, name)
        for name, value in wanted.items():
            try:
                xattr.set(target, name, value)
            except OSError as error:
                self._troubles.tell(
                    Note(f"the attribute {{}} of {{}} could not be kept: {strerror(error)}", (name, thing.path))
                )

    def _linked(self, thing: Thing, directory: int, name: str) -> bool:
        """Make *name* another name of a file that was made before; False when there is none."""
        first, left = self._links.get(_identity(thing), ("", 0))
        if not first:
            return False
        try:
            os.link(first, name, src_dir_fd=self._top, dst_dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_MORE_LINKS:
                raise
            self._troubles.tell(Note(f"{{}} is a copy of its own, not a hard link: {strerror(error)}", (thing.path,)))
            return False
        self.objects += 1
        if left > 1:
            self._links[_identity(thing)] = first, left - 1
        else:
            del self._links[_identity(thing)]
        return True


def _target(thing: Thing) -> str:
    try:
        return thing.place.layer.tree.readlink(thing.place.path)
    except OSError as error:
        raise errors.ContentUnreadable(
            f"the link {{}} cannot be read: {literal(strerror(error))}", thing.path, errno=error.errno
        ) from error


def _copy(content: BinaryIO, new: int) -> None:
    try:
        source = content.fileno()
    except UnsupportedOperation:
        # Part of an archive.
        copy_stream(content, new)
    else:
        copy_content(source, new)


def _make_node(thing: Thing, directory: int, name: str) -> None:
    kind = thing.attributes.kind
    try:
        os.mknod(name, _NODES[kind] | 0o600, thing.attributes.rdev, dir_fd=directory)
    except PermissionError as error:
        if kind not in {Kind.CHARACTER, Kind.BLOCK}:
            raise
        raise errors.AccessDenied(
            "{} is a device, which this user may not make", thing.path, errno=error.errno, hint="copy it as root"
        ) from error


def _identity(thing: Thing) -> tuple[int, int]:
    return thing.attributes.dev, thing.attributes.ino
