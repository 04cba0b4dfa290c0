"""An atlas in a memory file, for another process to look at without copying it. memfd_create(2)."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, cast

from ovlctl.ops.atlas.atlas import Atlas, Covered

_PLAIN: Final = ("names", "offsets", "parents", "ends", "depths", "kinds", "signs", "flags", "providers", "sizes")
_COVERED: Final = ("rows", "layers", "kinds", "sizes")
_ALIGNED = 16
_Format = Literal["B", "H", "I", "h", "q"]


class _Column(NamedTuple):
    """Where a column is in the file, in bytes, and the format of its elements."""

    offset: int
    size: int
    format: _Format


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is in the file: the columns of an atlas and of what it covers, in their order."""

    columns: tuple[_Column, ...]


def write(atlas: Atlas) -> tuple[int, Layout]:
    """A new memory file with *atlas*, without owner, mode and time, and what is where in it.

    Raises:
        OSError: ENOMEM and the like; nothing is left then.
    """
    descriptor = os.memfd_create("ovlctl-atlas", os.MFD_CLOEXEC)
    try:
        at, places = 0, []
        for column in _columns(atlas):
            places.append(_Column(at, column.nbytes, cast("_Format", column.format)))
            content = column.cast("B")
            done = 0
            while done < len(content):
                done += os.pwrite(descriptor, content[done:], at + done)
            at += -(-len(content) // _ALIGNED) * _ALIGNED
        # mmap(2) of nothing is an error, and of an empty column at the end one beyond the file.
        os.ftruncate(descriptor, max(at, _ALIGNED))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, Layout(tuple(places))


def read(descriptor: int, layout: Layout) -> Atlas:
    """The atlas in a memory file, which may be closed then; its pages are freed with the atlas."""
    mapped = memoryview(mmap.mmap(descriptor, 0, mmap.MAP_SHARED, mmap.PROT_READ))
    columns = [mapped[at : at + size].cast(code) for at, size, code in layout.columns]
    names, offsets, parents, ends, depths, kinds, signs, flags, providers, sizes, *covered = columns
    return Atlas(
        names=names,
        offsets=offsets,
        parents=parents,
        ends=ends,
        depths=depths,
        kinds=kinds,
        signs=signs,
        flags=flags,
        providers=providers,
        sizes=sizes,
        covered=Covered(**dict(zip(_COVERED, covered, strict=True))),
    )


def _columns(atlas: Atlas) -> list[memoryview[int]]:
    plain = [getattr(atlas, name) for name in _PLAIN]
    return [*plain, *(getattr(atlas.covered, name) for name in _COVERED)]
