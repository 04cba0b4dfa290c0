"""Which stack of a file stands on which: the order to mount them in, and what can never be mounted.

A stack stands on another one when a lower of it is the merged view of that one, or its layers, or when one of its
own directories (a lower, the upper, the target) lies below that one's target.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal
from ovlctl.ops.sets.declared import Directory, GivenUpper, LayersOf, MergedOf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.sets.declared import Declared, StackFile

#: FILESYSTEM_MAX_STACK_DEPTH of the kernel: an overlay on an overlay, and no further.
_MAX_DEPTH = 2
#: More could name each other's layers deeper than Python recurses; nobody mounts as many.
_MAX_STACKS = 500
#: As many names as a hint shows.
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Graph:
    """The stacks of one file and what they stand on.

    Attributes:
        file: The file.
        order: All stacks, each after those it stands on, else as they stand in the file.
        mounted_first: For each name those stacks that have to be mounted before it: their merged view is a layer, or
            a directory lies in it.
    """

    file: StackFile
    order: tuple[Declared, ...]
    mounted_first: dict[str, frozenset[str]]

    def stack(self, name: str) -> Declared:
        """The stack *name*.

        Raises:
            StackUndeclared: when the file has none of this name.
        """
        return declared(self.file, name)

    def with_grounds(self, names: Iterable[str]) -> frozenset[str]:
        """*names* and everything they stand on.

        Raises:
            StackUndeclared: as :meth:`stack`.
        """
        found: set[str] = set()
        left = [self.stack(name).name for name in names]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self.mounted_first[name]
        return frozenset(found)


def graph(file: StackFile) -> Graph:
    """Work out what the stacks of *file* stand on.

    Raises:
        StackUndeclared: when a stack names one that the file does not declare.
        StacksInCircle: when they stand on each other in a circle.
        StackTooDeep: when an overlay would stand on an overlay on an overlay.
    """
    targets = {stack.name: os.path.realpath(stack.target) for stack in file.stacks if stack.target is not None}
    places = {stack.name: frozenset(_places(stack, targets)) for stack in file.stacks}
    order = _ordered(file, {stack.name: places[stack.name] | frozenset(_named(file, stack)) for stack in file.stacks})
    sources: dict[str, frozenset[str]] = {}
    for stack in order:
        sources[stack.name] = frozenset(_sources(stack, targets, sources))
    _check_depth(file, order, sources)
    return Graph(file, order, {name: places[name] | sources[name] for name in sources})


def declared(file: StackFile, name: str) -> Declared:
    """The stack *name* of *file*.

    Raises:
        StackUndeclared: with the nearest name, when there is none.
    """
    for stack in file.stacks:
        if stack.name == name:
            return stack
    raise _undeclared(file, name)


def _undeclared(file: StackFile, name: str, by: str | None = None) -> errors.StackUndeclared:
    from difflib import get_close_matches

    names = [stack.name for stack in file.stacks]
    near = get_close_matches(name, names, n=1)
    where = "{} declares no stack {}" + (f", which {by} names as a layer" if by is not None else "")
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    hint = f"did you mean `{near[0]}`?" if near else f"it declares {shown}"
    return errors.StackUndeclared(where, file.path, name, hint=hint)


def _named(file: StackFile, stack: Declared) -> Iterator[str]:
    known = {each.name for each in file.stacks}
    for layer in (*stack.lowers, *stack.data_only):
        if not isinstance(layer, Directory):
            if layer.name not in known:
                raise _undeclared(file, layer.name, stack.name)
            yield layer.name


def _sources(stack: Declared, targets: dict[str, str], known: dict[str, frozenset[str]]) -> Iterator[str]:
    """The stacks whose merged views are layers of *stack*, or hold one; *known* has those of the stacks before it."""
    for layer in (*stack.lowers, *stack.data_only):
        match layer:
            case MergedOf(name):
                yield name
            case LayersOf(name):
                yield from known[name]
            case Directory(path):
                yield from _above(stack.name, os.path.realpath(path), targets)


def _places(stack: Declared, targets: dict[str, str]) -> Iterator[str]:
    """The stacks below whose targets *stack* has any of its directories."""
    layers = (layer.path for layer in (*stack.lowers, *stack.data_only) if isinstance(layer, Directory))
    upper = (stack.upper.upper, stack.upper.work) if isinstance(stack.upper, GivenUpper) else ()
    target = () if stack.target is None else (stack.target,)
    for path in (*layers, *upper, *target):
        yield from _above(stack.name, os.path.realpath(path), targets)


def _above(own: str, path: str, targets: dict[str, str]) -> Iterator[str]:
    """The stacks on whose merged view *path* lies: of targets in each other the innermost one counts."""
    holding = [(target, name) for name, target in targets.items() if name != own and is_below(path, target)]
    if holding:
        yield max(holding)[1]


def is_below(path: str, directory: str) -> bool:
    """Whether *path* is *directory* or lies below it, both absolute and without links; by components."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _ordered(file: StackFile, standing_on: dict[str, frozenset[str]]) -> tuple[Declared, ...]:
    done: dict[str, Declared] = {}
    trail: list[str] = []

    def visit(stack: Declared) -> None:
        if stack.name in done:
            return
        if stack.name in trail:
            circle = [*trail[trail.index(stack.name) :], stack.name]
            raise errors.StacksInCircle(
                f"the stacks of {{}} stand on each other in a circle: {literal(' on '.join(circle))}",
                file.path,
                hint="name directories instead of a stack in one of them",
            )
        trail.append(stack.name)
        for other in file.stacks:
            if other.name in standing_on[stack.name]:
                visit(other)
        trail.pop()
        done[stack.name] = stack

    if len(file.stacks) > _MAX_STACKS:
        raise errors.StackFileWrong(f"{{}} declares more than {_MAX_STACKS} stacks", file.path)
    for stack in file.stacks:
        visit(stack)
    return tuple(done.values())


def _check_depth(file: StackFile, order: tuple[Declared, ...], sources: dict[str, frozenset[str]]) -> None:
    chains: dict[str, tuple[str, ...]] = {}
    for stack in order:
        below = (chains[name] for name in sorted(sources[stack.name]))
        chain = chains[stack.name] = (stack.name, *max(below, key=len, default=()))
        if len(chain) > _MAX_DEPTH:
            raise errors.StackTooDeep(
                f"in {{}} the stack {chain[0]} stands on {chain[1]}, which stands on {chain[2]}: an overlay can stand "
                "on one other overlay and no more",
                file.path,
                hint=f'let {chain[0]} take {{{{layers = "{chain[1]}"}}}} instead of the merged view',
            )
