"""Answers of probes, and a file that keeps them until the machine boots again."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.kernel.libc import StrPath

    #: How a question is put: its name, and the probe that can answer it.
    Ask = Callable[[str, Callable[[], "Answer"]], "Answer"]

_SCHEMA = "ovlctl.probes/1"
_LARGEST = 1 << 16


class Answer(StrEnum):
    """Yes, no, or not to be found out by this user on this kernel."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        """Refuse: every member would be true, and UNKNOWN has no truth.

        Raises:
            TypeError: Always; compare with ``is``.
        """
        raise TypeError("an Answer has three values: compare it with `is`")


def directly(_name: str, probe: Callable[[], Answer]) -> Answer:
    """Ask the probe each time; stands where :meth:`BootCache.answer` can."""
    return probe()


class BootCache:
    """Probe answers that hold for one boot of one kernel, one user and one user namespace.

    The file is a convenience: one that is damaged, somebody else's or of another boot counts as empty, and one that
    cannot be written is done without. Nothing is read or written before the first :meth:`answer`.

    Args:
        path: The file; its directory must exist and be writable by this user alone.
    """

    def __init__(self, path: StrPath) -> None:
        self._path = os.fspath(path)
        self._answers: dict[str, Answer] | None = None

    def answer(self, name: str, probe: Callable[[], Answer]) -> Answer:
        """The answer kept under *name*, else that of *probe*, which is kept unless it is UNKNOWN.

        Args:
            name: What was asked, with every argument that matters.
            probe: How to find out.
        """
        if self._answers is None:
            self._answers = self._load()
        if name not in self._answers:
            found = probe()
            if found is Answer.UNKNOWN:
                return found
            self._answers[name] = found
            with suppress(OSError):
                self._save(self._answers)
        return self._answers[name]

    def _load(self) -> dict[str, Answer]:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                if os.fstat(fd).st_uid != os.geteuid():
                    return {}
                content = json.loads(file.read(_LARGEST))
            if content["schema"] != _SCHEMA or content["valid_for"] != _valid_for():
                return {}
            return {str(name): Answer(answer) for name, answer in content["answers"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # Not there, not ours to read, not JSON, or JSON of another shape.
            return {}

    def _save(self, answers: dict[str, Answer]) -> None:
        import tempfile  # loads a dozen modules, and this happens once per boot and question

        content = {"schema": _SCHEMA, "valid_for": _valid_for(), "answers": answers}
        directory, name = os.path.split(self._path)
        fd, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory or ".")
        try:
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.rename(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise


def _valid_for() -> dict[str, str | int]:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot_id = file.read().strip()
    return {
        "boot_id": boot_id,
        "release": os.uname().release,
        "euid": os.geteuid(),
        "user_namespace": os.stat("/proc/self/ns/user").st_ino,
    }
