"""``cp``: files taken out of a stack, of its merged view or of one layer, without mounting anything.

Law: the copy is what ``cp -a`` of the same path of a mount would make. Whatever interrupts it, the destination is there
in full or not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.ops.extracting import objects
from ovlctl.ops.extracting.destination import Destination, check_outside, destination, failed, temporary
from ovlctl.ops.extracting.writing import Writer
from ovlctl.ops.reading.layer_names import name_of
from ovlctl.overlay.layers import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.extracting.objects import Thing
    from ovlctl.ops.reading import View
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.layers import Layer

# Of a file in the temporary directory.
_COPY = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was done.

    Attributes:
        objects: How many there are in the copy.
        bytes: How much content it has, holes included.
    """

    objects: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """A copy that can be made.

    Attributes:
        thing: What is copied.
        layer: The one it is taken from; None for the merged view.
        where: What it becomes.
        troubles: Takes what cannot be read or kept.
    """

    view: View
    thing: Thing
    layer: Layer | None
    where: Destination
    troubles: Troubles

    def describe(self) -> Iterator[Note]:
        """The steps that :meth:`apply` takes, each object one."""
        where = self.where
        yield Note("make a temporary directory in {}", (where.directory,))
        yield self._copying(self.thing, where.path)
        if self.thing.is_directory:
            for each in self._below():
                yield self._copying(each, os.path.join(where.path, self._inside(each)))
        yield Note(
            "rename what was made to {}, replacing it" if where.replace else "rename what was made to {}", (where.path,)
        )

    def apply(self) -> Copied:
        """Make the copy.

        Raises:
            AccessDenied, ContentUnreadable: A single file cannot be read; in a directory it is left out.
            DestinationTaken: Something came there meanwhile.
            OutputFailed, AccessDenied: The copy cannot be written. Nothing of it is left.
        """
        try:
            with temporary(self.where) as made:
                writer = Writer(made.descriptor, self.view.subject.following, self.troubles)
                if self.thing.is_directory:
                    self._fill(writer, made.descriptor)
                    made.becomes(self.where)
                    return Copied(objects=writer.objects + 1, bytes=writer.bytes)
                writer.make(self.thing, made.descriptor, _COPY, _COPY)
                made.gives(_COPY, self.where)
                return Copied(objects=writer.objects, bytes=writer.bytes)
        except OSError as error:
            raise failed(error, self.where.path) from error

    def _fill(self, writer: Writer, top: int) -> None:
        trail, here = [("", self.thing)], os.dup(top)
        try:
            for each in self._below():
                inside = self._inside(each)
                above, _, name = inside.rpartition("/")
                while trail[-1][0] != above:
                    here = _ascend(writer, here, trail.pop()[1])
                if each.is_directory:
                    below = writer.directory(here, name)
                    os.close(here)
                    here = below
                    trail.append((inside, each))
                    continue
                try:
                    writer.make(each, here, name, inside)
                except (errors.AccessDenied, errors.ContentUnreadable) as error:
                    self.troubles.tell(error.note)
            while len(trail) > 1:
                here = _ascend(writer, here, trail.pop()[1])
            writer.finish(self.thing, here)
        finally:
            os.close(here)

    def _below(self) -> Iterator[Thing]:
        return objects.below(self.view, self.thing, self.layer, self.troubles)

    def _inside(self, thing: Thing) -> str:
        return thing.path[len(self.thing.path) :].removeprefix("/")

    def _copying(self, thing: Thing, path: str) -> Note:
        return Note(f"copy {{}} ({name_of(thing.place.layer)}) to {{}}", (thing.path or "/", path))


def plan(
    view: View,
    path: str,
    word: str,
    troubles: Troubles,
    *,
    layer: Layer | None = None,
    recursive: bool = False,
    replace: bool = False,
) -> Extraction:
    """Find out whether *path* can be copied to *word*; nothing is changed.

    Args:
        view: An open stack.
        path: From the root of the merged view, or of *layer*.
        word: The destination, as for cp(1).
        troubles: Takes what cannot be read or kept.
        layer: Copy what this one has there, as it is; None for the merged view.
        recursive: Whether a directory may be copied, with all that is in it.
        replace: Whether a file at the destination may be replaced.

    Raises:
        BadUsage: It is a directory, and *recursive* is False.
        OvlError: as :func:`~ovlctl.ops.extracting.objects.find`,
            :func:`~ovlctl.ops.extracting.destination.destination` and
            :func:`~ovlctl.ops.extracting.destination.check_outside`.
    """
    thing = objects.find(view, path, layer, troubles)
    if thing.is_directory and not recursive:
        raise errors.BadUsage("{} is a directory", thing.path or "/", hint="`-r` copies it with all that is in it")
    name = thing.path.rpartition("/")[2]
    where = destination(word, name, is_directory=thing.is_directory, replace=replace)
    growing = layer is None or layer.role is Role.UPPER
    check_outside(where, view.subject, thing.path if thing.is_directory and growing else None)
    return Extraction(view=view, thing=thing, layer=layer, where=where, troubles=troubles)


def _ascend(writer: Writer, here: int, finished: Thing) -> int:
    """Finish the open directory *here*, and open the one above it."""
    # Before its mode may keep us out. Nobody else can have moved it: nobody else may enter what it is in.
    above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
    try:
        writer.finish(finished, here)
    except BaseException:
        os.close(above)
        raise
    os.close(here)
    return above
