"""From what a file declares to what a mount is asked for: names of stacks become directories."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.ops import keeping
from ovlctl.ops.keeping import KeptUpper, TmpfsUpper
from ovlctl.ops.sets.declared import GivenUpper, LayersOf, MergedOf
from ovlctl.ops.sets.graph import declared
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.sets.declared import Declared, Layer, StackFile
    from ovlctl.ops.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One declared stack as :func:`ovlctl.ops.mounting.mount` takes it.

    Attributes:
        name: The stack's name.
        stack: Its layers as absolute paths, links followed as far as they exist; without an upper that ovlctl makes.
        target: The target declared, or None.
        point: Where it will be mounted.
        allocate: What kind of upper ovlctl makes for it.
        upper: The upper it will have.
        work: The work directory beside it.
        allow_weaker: Accept a mount that is weaker than asked.
        origin: The file that declares it.
    """

    name: str
    stack: Stack
    target: str | None
    point: str
    allocate: KeptUpper | TmpfsUpper | None
    upper: str | None
    work: str | None
    allow_weaker: bool
    origin: str

    @property
    def whole(self) -> Stack:
        """The stack with its upper, as it will be mounted."""
        return Stack(
            self.stack.lowers,
            data_only=self.stack.data_only,
            upper=self.upper,
            work=self.work,
            options=self.stack.options,
        )


def wish(file: StackFile, name: str, state: State) -> Wish:
    """What to ask for so that the stack *name* of *file* is mounted; nothing has to exist yet.

    The file's stacks do not stand on each other in a circle (see :func:`ovlctl.ops.sets.graph.graph`).

    Raises:
        StackUndeclared: when the file has none of this name.
    """
    stack = declared(file, name)
    data_only = [*_directories(file, stack.data_only, state, data_only=True), *_brought(file, stack, state)]
    given = stack.upper if isinstance(stack.upper, GivenUpper) else None
    allocate = None if isinstance(stack.upper, GivenUpper) else stack.upper
    place = keeping.layout(state, name, in_memory=isinstance(allocate, TmpfsUpper))
    upper, work = (None, None) if allocate is None else (place.upper, place.work)
    if given is not None:
        upper, work = os.path.realpath(given.upper), os.path.realpath(given.work)
    return Wish(
        name=name,
        stack=Stack(
            _directories(file, stack.lowers, state),
            data_only=dict.fromkeys(data_only),
            upper=upper if given is not None else None,
            work=work if given is not None else None,
            options=stack.options,
        ),
        target=stack.target,
        point=_point(stack, state),
        allocate=allocate,
        upper=upper,
        work=work,
        allow_weaker=stack.allow_weaker,
        origin=file.path,
    )


def _point(stack: Declared, state: State) -> str:
    if stack.target is not None:
        return os.path.realpath(stack.target)
    return keeping.layout(state, stack.name, in_memory=isinstance(stack.upper, TmpfsUpper)).merged


def _directories(file: StackFile, layers: tuple[Layer, ...], state: State, *, data_only: bool = False) -> Iterator[str]:
    for layer in layers:
        if isinstance(layer, MergedOf):
            yield _point(declared(file, layer.name), state)
        elif isinstance(layer, LayersOf):
            other = declared(file, layer.name)
            yield from _directories(file, other.data_only if data_only else other.lowers, state, data_only=data_only)
        else:
            yield os.path.realpath(layer.path)


def _brought(file: StackFile, stack: Declared, state: State) -> Iterator[str]:
    """Data-only lowers that come with the layers of another stack: without them its metacopy files have no data."""
    for layer in stack.lowers:
        if isinstance(layer, LayersOf):
            other = declared(file, layer.name)
            yield from _directories(file, other.data_only, state, data_only=True)
            yield from _brought(file, other, state)
