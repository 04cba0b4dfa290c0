"""The STACK of a reading verb: a word, or directories given one by one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.output import say
from ovlctl.errors import BadUsage, NotAnOverlay
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.overlay.options import Flag, Options
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.reading import Subject
    from ovlctl.ops.state import State
    from ovlctl.overlay.options import RedirectDir, Switch

LayerOption = Annotated[
    str | None,
    typer.Option(
        "--layer", metavar="LAYER", help="Look into one layer only: upper, a number of a lower (0 = topmost) or data:N."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Directories and options of a command line; nothing when a STACK is to be named."""

    lower: Sequence[str] | None = None
    data_only: Sequence[str] | None = None
    upper: str | None = None
    work: str | None = None
    userxattr: Flag | None = None
    metacopy: Switch | None = None
    redirect_dir: RedirectDir | None = None
    index: Switch | None = None

    @property
    def any(self) -> bool:
        """Whether something was given."""
        return self != Given()

    def words(self) -> tuple[str, ...]:
        """The same as words of a command line; relative names count from the working directory there, too."""
        words = [word for path in self.lower or () for word in ("--lower", path)]
        words += [word for path in self.data_only or () for word in ("--data-only", path)]
        single = {
            "--upper": self.upper,
            "--work": self.work,
            "--metacopy": self.metacopy,
            "--redirect-dir": self.redirect_dir,
            "--index": self.index,
        }
        words += [word for option, value in single.items() if value is not None for word in (option, str(value))]
        if self.userxattr is not None:
            words.append("--userxattr" if self.userxattr is Flag.YES else "--no-userxattr")
        return tuple(words)


def subject_of(words: Sequence[str], given: Given, state_dir: str | None) -> tuple[Subject, tuple[str, ...]]:
    """The stack that a command line is about, and the words that are left: paths in it.

    Args:
        words: STACK and paths; only paths where directories were *given*.
        given: From options.
        state_dir: As given.

    Raises:
        BadUsage: There is no stack, or directories without a lower.
        OvlError: as :func:`ovlctl.ops.reading.subject`.
    """
    if given.any:
        return _of_directories(given), tuple(words)
    if not words:
        raise BadUsage("no STACK was named", hint="`ovlctl ls` lists all; `--lower DIR` reads directories")
    from ovlctl.cli.rootless import state_for
    from ovlctl.ops import reading

    return reading.subject(state_for(state_dir), words[0]), tuple(words[1:])


def two_subjects(words: Sequence[str], given: Given, state_dir: str | None) -> tuple[Subject, Subject | None]:
    """The one or two stacks that a command line is about; of two, each may be a directory that is taken as a layer.

    Raises:
        BadUsage: There is none, or more than two.
        OvlError: as :func:`ovlctl.ops.reading.subject`.
    """
    if len(words) != 2:  # noqa: PLR2004 -- A and B
        subject, more = subject_of(words, given, state_dir)
        if more:
            raise BadUsage(
                f"{'no' if given.any else 'one or two'} stacks can be named here, not {len(words)}",
                hint="`--path PATH` chooses what is told of a stack",
            )
        return subject, None
    if given.any:
        raise BadUsage("`--lower` and its like stand for a STACK", hint="name two stacks, or give directories")
    from ovlctl.cli.rootless import state_for

    state = state_for(state_dir)
    return _stack_or_layer(state, words[0]), _stack_or_layer(state, words[1])


def _stack_or_layer(state: State, word: str) -> Subject:
    from ovlctl.ops import reading

    try:
        return reading.subject(state, word)
    except NotAnOverlay:
        if not os.path.isdir(word):
            raise
        return reading.of_directories(Stack([word]))


def _of_directories(given: Given) -> Subject:
    userxattr = given.userxattr
    if userxattr is None and not in_initial_root():
        userxattr = Flag.YES
        say("marks are read from user.overlay.*, as you would mount it; `--no-userxattr` reads those of root's mounts")
    options = Options(
        userxattr=userxattr,
        metacopy=given.metacopy,
        redirect_dir=given.redirect_dir,
        index=given.index,
    )
    stack = Stack(
        given.lower or (), data_only=given.data_only or (), upper=given.upper, work=given.work, options=options
    )
    from ovlctl.ops import reading

    return reading.of_directories(stack)


def in_initial_root() -> bool:
    """Whether this process may use trusted attributes."""
    from ovlctl.kernel.capabilities import Capability, has

    return has(Capability.CAP_SYS_ADMIN) and in_initial_user_namespace()


def path_in(subject: Subject, paths: Sequence[str]) -> tuple[str, ...]:
    """The paths asked for: those given, below the place that the STACK argument itself led to; else that place."""
    return tuple(paths) or (subject.inside,)
