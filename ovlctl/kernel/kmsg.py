"""What overlayfs writes to the kernel log: /dev/kmsg, Documentation/ABI/testing/dev-kmsg."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_PREFIXES = (b"overlay:", b"overlayfs:")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_RECORD = 16384


class KernelLog:
    """A context that collects what overlayfs logs while it is open.

    The log is shared: messages about other people's mounts are among them, and the kernel limits the rate of some.
    Reading it needs CAP_SYSLOG (or kernel.dmesg_restrict=0); without that :attr:`available` is False and
    :meth:`lines` gives nothing.
    """

    def __init__(self) -> None:
        self._fd: int | None = None
        self._found: list[str] = []
        self.available = False

    def __enter__(self) -> Self:
        try:
            self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:
            self._close()
        self.available = self._fd is not None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._collect()
        self._close()

    def lines(self) -> tuple[str, ...]:
        """The texts since the context was entered, such as ``"overlayfs: missing 'workdir'"``, oldest first."""
        self._collect()
        return tuple(self._found)

    def _collect(self) -> None:
        while self._fd is not None:
            try:
                record = os.read(self._fd, _RECORD)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # records were overwritten before we read them; the next read gives the oldest left
                if error.errno == errno.EAGAIN:
                    return
                self._close()
                return
            text = parse_record(record)
            if text.startswith(_PREFIXES):
                self._found.append(os.fsdecode(text))

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def parse_record(record: bytes) -> bytes:
    r"""The text of one record ``level,sequence,time,flags;text``, with ``\x5c`` and the like undone."""
    _, _, rest = record.partition(b";")
    # Lines after the first start with a space and hold KEY=value pairs; a newline in the text itself is escaped.
    text = rest.partition(b"\n")[0]
    return _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), text)
