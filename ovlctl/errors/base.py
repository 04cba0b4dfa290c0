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
    CANNOT_RUN = 126
    NO_COMMAND = 127
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
    def note(self) -> Note:
        """What happened, as a warning beside a result that is given all the same."""
        return Note(self.template, self.paths)

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
