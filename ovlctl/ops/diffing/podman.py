"""Changes as ``podman diff`` tells them: added, changed, deleted.

Source: changes() and OverlayChanges() of containers/storage, pkg/archive, the same in Podman 4.3 and 5; GetDiff() of
Podman, libpod/diff.go. Podman compares no views. It walks the upper and looks up each name in the lowers, topmost
first, until one has it or a whiteout in place of it or of a directory on the way. What is in none is added; what is in
one is changed, whatever differs or not, a directory only when its size, mode or modification time (see :func:`_as_old`)
does. Whiteouts are deleted, and so is an opaque directory that a lower has, though what is in it is listed after it.
Opaque directories of lowers do not count. The directories above an added or deleted name are changed. What Podman makes
in every container, such as /etc/hosts, is not told. With redirect_dir=on, which metacopy=on implies, a layer alone does
not say what is in it: Podman then compares views, as :mod:`ovlctl.ops.diffing.docker` does, and extended attributes of
users besides.

Law: for the same stack the result is the set that ``podman diff`` prints, in the same order as long as it compares no
views, of which it prints the names of a directory in any. But for two things where it walks the upper: Podman
follows a symbolic link of a lower on the host, out of the layer; here such a link is something that is there, and the
host does not matter. And where a lower has a file above a name, or links in a circle, Podman ends with an error
(ENOTDIR, ELOOP); here the name is added, or the link is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ovlctl.ops.diffing.docker import docker
from ovlctl.ops.diffing.letters import Letter, Lettered
from ovlctl.overlay.marks import Mark, Opaque, decode_opaque
from ovlctl.overlay.resolution import Place, Unreadable
from ovlctl.overlay.tree import Kind, join
from ovlctl.overlay.within import Within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.diffing import Pair
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.change import Change
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolver import Resolver
    from ovlctl.overlay.tree import Attributes, Tree

# initInodes of libpod/diff.go, at the root or below it; Podman 4.3 does not have podman-init.
_OF_PODMAN = frozenset(
    {
        "dev",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc",
        "run",
        "run/.containerenv",
        "run/notify",
        "run/podman-init",
        "run/secrets",
        "sys",
    }
)
_SECOND = 1_000_000_000
_LINKS = 40


def podman(
    pair: Pair, changes: Iterable[Change], troubles: Troubles, *, paths: Iterable[str] = ("",)
) -> Iterator[Lettered]:
    """What the topmost layer of a stack changes of all below it, as Podman tells it.

    Args:
        pair: Of one stack.
        changes: Of *pair*, told without renames; taken only where Podman compares views.
        troubles: Takes what could not be read.
        paths: Only what is at or below one of these.
    """
    within = Within(paths)
    walk = _Walk(pair.above, within, troubles)
    for change in docker(changes, user_xattrs=True) if pair.redirects else walk.run():
        if change.path not in _OF_PODMAN and within.has(change.path):
            yield change


class _Directory(NamedTuple):
    """A directory of the upper, and the directories of lowers that have its path, topmost first."""

    path: str
    lowers: tuple[Place, ...]


class _Below(NamedTuple):
    """What lowers have of a name: the topmost, and which of them have a directory there."""

    first: Attributes | None
    directories: tuple[Place, ...]


class _Walk:
    def __init__(self, above: Resolver, within: Within, troubles: Troubles) -> None:
        self._upper, *lowers = above.layers.merged
        self._lowers = lowers
        self._opaque_mark = above.following.prefix + Mark.OPAQUE
        self._within = within
        self._troubles = troubles
        # Directories that were told, or are as good as told: Podman's changedDirs.
        self._told: set[str] = set()

    def run(self) -> Iterator[Lettered]:
        pending = [self._in(_Directory("", tuple(Place(layer, "") for layer in self._lowers)))]
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
            elif isinstance(step, _Directory):
                pending.append(self._in(step))
            else:
                yield step

    def _in(self, directory: _Directory) -> Iterator[Lettered | _Directory]:
        try:
            found = dict(self._upper.tree.entries(directory.path))
        except OSError as error:
            self._lost(self._upper, directory.path, error)
            return
        for name in sorted(self._within.of(directory.path, found.keys())):
            path, attributes = join(directory.path, name), found[name]
            if isinstance(attributes, OSError):
                self._lost(self._upper, path, attributes)
                continue
            yield from self._name(directory, name, path, attributes)

    def _name(
        self, directory: _Directory, name: str, path: str, attributes: Attributes
    ) -> Iterator[Lettered | _Directory]:
        is_directory = attributes.kind is Kind.DIRECTORY
        below = _Below(None, ()) if _is_whiteout(attributes) else self._below(directory, name, further=is_directory)
        letter = self._letter(path, attributes, below.first)
        if letter is not None:
            if is_directory:
                self._told.add(path)
            if letter is not Letter.CHANGED:
                yield from self._parents(path)
            yield Lettered(letter, path)
        if is_directory:
            yield _Directory(path, below.directories)

    def _letter(self, path: str, attributes: Attributes, below: Attributes | None) -> Letter | None:
        if _is_whiteout(attributes):
            return Letter.DELETED
        if below is None:
            return Letter.ADDED
        if attributes.kind is Kind.DIRECTORY:
            if self._is_opaque(path):
                return Letter.DELETED
            if below.kind is Kind.DIRECTORY and _as_old(attributes, below):
                return None
        return Letter.CHANGED

    def _parents(self, path: str) -> Iterator[Lettered]:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent not in self._told:
                self._told.add(parent)
                yield Lettered(Letter.CHANGED, parent)

    def _is_opaque(self, path: str) -> bool:
        try:
            value = self._upper.tree.xattr(path, self._opaque_mark)
        except OSError as error:
            self._lost(self._upper, path, error)
            return False
        return value is not None and decode_opaque(value) is Opaque.YES

    def _below(self, directory: _Directory, name: str, *, further: bool) -> _Below:
        """Look *name* up in the lowers; *further* than the first that has it, for the sake of what is in it."""
        first = None
        directories = []
        for place in directory.lowers:
            try:
                found = _followed(place.layer.tree, place.path, name)
            except OSError as error:
                self._lost(place.layer, join(place.path, name), error)
                continue
            if found is None:
                continue
            path, attributes = found
            if _is_whiteout(attributes):
                break
            first = first or attributes
            if attributes.kind is Kind.DIRECTORY:
                directories.append(Place(place.layer, path))
            if not further:
                break
        return _Below(first, tuple(directories))

    def _lost(self, layer: Layer, path: str, error: OSError) -> None:
        self._troubles.add(Unreadable(place=Place(layer, path), errno=error.errno or 0))


def _is_whiteout(attributes: Attributes) -> bool:
    return attributes.kind is Kind.CHARACTER and attributes.rdev == 0


def _as_old(attributes: Attributes, below: Attributes) -> bool:
    """Whether a directory counts as the same: sameFsTime() takes a time without a fraction for one cut short."""
    if (attributes.size, attributes.mode) != (below.size, below.mode):
        return False
    (second, fraction), (other, cut) = (divmod(each.mtime_ns, _SECOND) for each in (attributes, below))
    return second == other and (fraction == cut or not fraction or not cut)


def _followed(tree: Tree, directory: str, name: str) -> tuple[str, Attributes] | None:
    """What *name* leads to in one layer, with its path; a link that leads out, or in a circle, is itself.

    Raises:
        OSError: It cannot be looked at.
    """
    here, pending, links = directory, [name], 0
    start = tree.lstat(join(directory, name))
    if start is None:
        return None
    attributes: Attributes | None = start
    while pending:
        part = pending.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not here:
                return join(directory, name), start
            here = here.rpartition("/")[0]
            attributes = tree.lstat(here)
            continue
        path = join(here, part)
        attributes = tree.lstat(path)
        if attributes is None:
            return None
        if attributes.kind is Kind.SYMLINK:
            target = tree.readlink(path)
            links += 1
            if target.startswith("/") or links > _LINKS:
                return join(directory, name), start
            pending.extend(reversed(target.split("/")))
            continue
        if pending and attributes.kind is not Kind.DIRECTORY:
            return None
        here = path
    return None if attributes is None else (here, attributes)
