"""An ordinary user who mounts, with what holds the mounts ended after each test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import pidfd
from tests import capabilities, trees
from tests.needs import needed_by_fixtures
from tests.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Finished, OrdinaryUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who is not root, at home.

    Attributes:
        user: Who.
        runtime: Their XDG_RUNTIME_DIR.
    """

    user: OrdinaryUser
    runtime: str

    def __call__(self, *args: str, env: Mapping[str, str] | None = None) -> Finished:
        """Run ``ovlctl ARGS`` at home."""
        return self.user.ovlctl(*args, env={"XDG_RUNTIME_DIR": self.runtime, **(env or {})})

    def mount(self, *more: str) -> None:
        """Mount the stack x, of the lowers a and b, at t."""
        made = self("mount", "t", "-l", "a", "-l", "b", "--name", "x", *more)
        assert made.status == 0, made.stderr

    def sh(self, script: str, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run *script*, in which ``$0`` is Python, at home."""
        env = {"XDG_RUNTIME_DIR": self.runtime}
        return self.user.run(["sh", "-c", script, sys.executable, *words], env=env, timeout=timeout)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program at home and do not wait; standard input and output are pipes."""
        env = {"HOME": self.user.home, "PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "LANG": "C.UTF-8"}
        env["XDG_RUNTIME_DIR"] = self.runtime
        prefix = self.user.prefix
        return subprocess.Popen(
            [*prefix, *argv],
            env=env,
            cwd=self.user.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def path(self, *parts: str) -> str:
        """A path below home."""
        return os.path.join(self.user.home, *parts)

    def holders(self) -> list[int]:
        """The processes that hold mounts of this state and have not ended."""
        return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if self._holds(pid)]

    def _holds(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            return False
        # A zombie has no command line any more; where pid 1 does not care, it stays one.
        return os.fsencode(os.path.join(self.runtime, "ovlctl")) in words

    def holder(self) -> int:
        """The one that there is."""
        (pid,) = self.holders()
        return pid

    def quiet(self) -> bool:
        """Whether nothing holds mounts any more; waits a moment for it."""
        return eventually(lambda: not self.holders())

    def owned(self) -> None:
        """Give everything at home to the user."""
        give(self.user.home, self.user.uid, self.user.gid)


def give(base: str, uid: int, gid: int) -> None:
    """Make *uid* and *gid* the owners of everything at and below *base*."""
    if os.geteuid() != 0:
        return
    for directory, names, files in os.walk(base):
        for name in ("", *names, *files):
            os.chown(os.path.join(directory, name), uid, gid, follow_symlinks=False)


def _settled(user: OrdinaryUser) -> Iterator[Account]:
    """Lowers a and b and a target t at home; whoever still holds mounts at the end is ended."""
    runtime = os.path.join(user.home, "run")
    os.mkdir(runtime, 0o700)
    trees.make(user.home, {"a/f": "a", "a/d/x": "x", "b/f": "b", "b/only": "b", "t/": None})
    account = Account(user=user, runtime=runtime)
    account.owned()
    yield account
    for pid in account.holders():
        fd = pidfd.pidfd_open(pid)
        if fd is not None:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)
    assert account.quiet()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Root alone can act as a second user, and give somebody ranges of ids."""
    needed_by_fixtures(item, other=[capabilities.needs_root], ranged=[capabilities.needs_root])


@pytest.fixture
def me(ordinary_user: OrdinaryUser) -> Iterator[Account]:
    """An ordinary user."""
    yield from _settled(ordinary_user)


@pytest.fixture
def other(ordinary_user: OrdinaryUser, scratch: str) -> Iterator[Account]:
    """Another ordinary user, whom only root can be for a test."""
    home = os.path.join(scratch, "other")
    os.mkdir(home)
    uid = ordinary_user.uid + 1
    os.chown(home, uid, uid)
    prefix = tuple(str(uid) if word == str(ordinary_user.uid) else word for word in ordinary_user.prefix)
    yield from _settled(replace(ordinary_user, uid=uid, gid=uid, home=home, prefix=prefix))
