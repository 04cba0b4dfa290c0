"""All tests in as many processes as there are CPUs: ``python -m tests.side_by_side PYTEST_OPTION...``, and the plugin.

Each process is a whole test session, with namespaces and a scratch directory of its own. It collects all tests, and
runs those of one file after the other that no other process has taken; every other process begins at the end, so that
the last files are short ones.

pytest-xdist would do so too, but its workers have a second thread: a process with threads cannot enter a user namespace
(unshare(2): EINVAL), which is how an ordinary user's tests mount, and Python 3.12 and later warn of every fork in it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from typing import IO, TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST: Final = 4
_TAKEN: Final = "OVLCTL_TESTS_TAKEN"
#: The fixtures whose daemons run until the session ends; tests/ops/engines has them by other names, too.
_LASTING: Final = frozenset({"docker_engine", "podman_engine", "containerd_engine"})
#: The number of this process among those that run side by side.
PART: Final = "OVLCTL_TESTS_PART"
#: Of a test that the other processes left to this one.
HERE: Final = pytest.StashKey[bool]()


def is_of_engines(item: pytest.Item) -> bool:
    """Whether a test may start daemons that run, and mount, until the session ends."""
    return "/engines/" in str(item.path) or not _LASTING.isdisjoint(getattr(item, "fixturenames", ()))


def main(options: Sequence[str]) -> int:
    """Start the processes; what the first one says comes at once, what the others say at the end."""
    count = min(len(os.sched_getaffinity(0)), _MOST)
    if count == 1:
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *options])  # noqa: S606 -- no shell is wanted
    taken = os.memfd_create("taken")
    words = ("-p", __spec__.name, "-o", "console_output_style=classic", *options)
    first = _start(0, taken, words, None)
    others = []
    for number in range(1, count):
        said = tempfile.TemporaryFile()  # noqa: SIM115 -- closed when the process ends
        others.append((_start(number, taken, ("--quiet", *words), said), said))
    statuses = [_status(first)]
    for process, said in others:
        statuses.append(_status(process))
        said.seek(0)
        sys.stdout.buffer.write(said.read())
        sys.stdout.flush()
    return max(statuses)


def _start(number: int, taken: int, options: Sequence[str], said: IO[bytes] | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        env={**os.environ, _TAKEN: str(taken), PART: str(number)},
        pass_fds=(taken,),
        stdout=said,
        stderr=None if said is None else subprocess.STDOUT,
    )


def _status(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            continue  # it was asked to end by the same key
        else:
            return status if status >= 0 else 128 - status


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run what this process takes."""
    if session.testsfailed and not session.config.option.continue_on_collection_errors:
        return None  # an error of collecting, which pytest knows to say
    items = _taking(session.items)
    item = next(items, None)
    while item is not None:
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def _taking(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    files: dict[str, list[pytest.Item]] = {}
    yield from (item for item in items if HERE in item.stash)
    for item in items:
        if HERE in item.stash:
            continue
        files.setdefault("" if is_of_engines(item) else str(item.path), []).append(item)
    taken, numbered = int(os.environ[_TAKEN]), list(enumerate(sorted(files)))
    # Each daemon is started once, and when all else is done: what it mounts stays as long as the process.
    last = [each for each in numbered if not each[1]]
    others = [each for each in numbered if each[1]]
    for number, path in (*(others if int(os.environ[PART]) % 2 == 0 else reversed(others)), *last):
        if _take(taken, number):
            yield from files[path]


def _take(taken: int, number: int) -> bool:
    """Whether nobody else has taken the file *number*; it is this process's then."""
    fcntl.lockf(taken, fcntl.LOCK_EX, 1, number)
    try:
        if os.pread(taken, 1, number) == b"\1":
            return False
        os.pwrite(taken, b"\1", number)
        return True
    finally:
        fcntl.lockf(taken, fcntl.LOCK_UN, 1, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
