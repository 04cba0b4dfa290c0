"""The example of the article: ``app.conf`` and ``lib.so`` in a lower, and an upper that is still empty."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from ovlctl.kernel.capabilities import Capability, has
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops import reading
from ovlctl.ops.workspace import TRYING, default_directory, scratch
from ovlctl.overlay.options import Flag, Options
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import Subject

LABEL = "example"
CONFIG, LIBRARY = "app.conf", "lib.so"

_CONFIG = """\
# app.conf: where the application listens and what it writes
listen = 127.0.0.1:8080
workers = 4
log = /var/log/app.log
log_level = info
cache = 64M
"""
_LIBRARY_BYTES = 48 << 10
# An ELF header for x86-64, shared object, little endian.
_ELF = bytes.fromhex("7f454c4602010100000000000000000003003e0001000000")
_MESSAGES = "# messages of the application\nwelcome = Hello\ngoodbye = See you\n"


def lay_out(lower: str) -> None:
    """Make the lower of the example in the empty directory *lower*: the same bytes each time."""
    os.mkdir(os.path.join(lower, "share"), 0o755)
    _write(os.path.join(lower, CONFIG), _CONFIG.encode(), 0o644)
    _write(os.path.join(lower, LIBRARY), _ELF + Random(1).randbytes(_LIBRARY_BYTES - len(_ELF)), 0o755)  # noqa: S311 -- filler
    _write(os.path.join(lower, "share", "messages.txt"), _MESSAGES.encode(), 0o644)


@contextmanager
def example(*, directory: str | None = None) -> Iterator[Subject]:
    """The example as a stack of one lower, in a scratch directory that goes afterwards; for any user.

    It has no upper of its own: the scratch upper of a stage is its upper.

    Args:
        directory: Where the scratch directory is made; by default as for :func:`ovlctl.ops.trying.stage.stage`.

    Raises:
        PathMissing, NotADirectory, AccessDenied, UpperReadOnly: No directory can be made there.
    """
    with scratch(directory or default_directory(), TRYING) as place:
        lower = os.path.join(place.path, "lower")
        os.mkdir(lower, 0o755)
        lay_out(lower)
        trusted = has(Capability.CAP_SYS_ADMIN) and in_initial_user_namespace()
        options = Options(userxattr=None if trusted else Flag.YES)
        yield replace(reading.of_directories(Stack([lower], options=options)), label=LABEL)


def _write(path: str, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, content)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
