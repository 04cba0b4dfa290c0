"""Fixtures, and the namespaces that every test run lives in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import settings

from tests import capabilities, sandbox
from tests.as_user import needed_trees, unused_uid
from tests.engines.live.docker import docker_engine
from tests.needs import needed_by_fixtures
from tests.podman import podman_engine
from tests.side_by_side import is_of_engines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.containerd import Containerd

__all__ = ["docker_engine", "podman_engine"]  # fixtures of all tests
pytest_plugins = ["tests.vm.plugin"]

# A system call takes as long as it takes. Failing examples are printed in full instead of being kept in a directory
# that the next user may not write. The same examples in every run, so that a change answers for what it breaks and for
# nothing else; `make long-test`, which has many more, goes by chance.
_USUAL = 300
_BY_CHANCE = any(int(os.environ.get(f"OVLCTL_{kind}_EXAMPLES", "0")) > _USUAL for kind in ("RESOLVER", "MACHINE"))
settings.register_profile("ovlctl", deadline=None, database=None, print_blob=True, derandomize=not _BY_CHANCE)
settings.load_profile("ovlctl")


def pytest_configure(config: pytest.Config) -> None:
    """Enter private namespaces before anything else happens, and sweep what dead runs left."""
    # Ignored where a shell without job control put the run into the background, or nohup(1) did, and so they would be
    # in every child.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    capabilities.session()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    sandbox.leave(capabilities.session())


def pytest_itemcollected(item: pytest.Item) -> None:
    """What fixtures of several directories need: engines, and places for trusted attributes, in memory too."""
    root = [capabilities.needs_root]
    engine = [*root, capabilities.needs_overlay]  # rootless ones need more than an account
    needed_by_fixtures(item, docker_engine=engine, podman_engine=engine, containerd_engine=engine, room=root, disk=root)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last come the tests whose daemons mount until the session ends: others count what is mounted."""
    items.sort(key=is_of_engines)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What this machine can do, each line found out by trying."""
    return capabilities.report()


@pytest.fixture
def scratch() -> Iterator[str]:
    """A new directory (0755) on a disk where overlays can have their upper; everything on it goes afterwards."""
    directory = tempfile.mkdtemp(prefix="t-", dir=capabilities.session().directory)
    os.chmod(directory, 0o755)
    yield directory
    sandbox.remove(directory)


@pytest.fixture(scope="session")
def containerd_engine() -> Iterator[Containerd]:
    """A containerd with :func:`tests.containerd.filled` in it, for reading; what is made in it has other names."""
    from tests.containerd import daemon, filled

    directory = tempfile.mkdtemp(prefix="c-", dir=capabilities.session().directory)
    with daemon(directory) as running:
        filled(running)
        yield running
    sandbox.remove(directory)


@pytest.fixture
def state_dir(scratch: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A state directory of the test's own, named in OVLCTL_STATE_DIR; it does not exist yet."""
    directory = os.path.join(scratch, "state")
    monkeypatch.setenv("OVLCTL_STATE_DIR", directory)
    return directory


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.stdout)

    @property
    def data(self) -> Any:
        """The ``data`` of the JSON on standard output."""
        return self.json["data"]

    @property
    def error(self) -> dict[str, Any]:
        """The error in the JSON on standard error, which holds nothing else."""
        error: dict[str, Any] = json.loads(self.stderr)["error"]
        return error


class Cli(Protocol):
    """Runs ``ovlctl`` with arguments."""

    def __call__(self, *args: str) -> Finished:
        """Run ``ovlctl ARGS``."""


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """``cli("ls", "--json")`` runs ovlctl in this process and returns its :class:`Finished`."""
    from ovlctl.cli.main import main

    def run(*args: str) -> Finished:
        capsys.readouterr()
        status = main(args)
        stdout, stderr = capsys.readouterr()
        return Finished(status, stdout, stderr)

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinaryUser:
    """Somebody who is not root.

    Attributes:
        uid: Their user id, and group id; no other groups.
        home: A directory of theirs, also HOME of what they run.
        prefix: What makes a command line theirs, put before it.
    """

    uid: int
    gid: int
    home: str
    prefix: tuple[str, ...] = field(repr=False)

    @property
    def env(self) -> dict[str, str]:
        """A plain environment: HOME, PATH, LANG, and PYTHONPATH of the project."""
        return {
            "HOME": self.home,
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": _PROJECT,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run *argv* as this user and wait for it.

        Args:
            argv: The program and its arguments; ``sys.executable`` and the project can be reached.
            env: Variables in addition to :attr:`env`.
            cwd: Where, by default their home.
            timeout: Seconds.
        """
        return subprocess.run(
            [*self.prefix, *argv],
            env={**self.env, **(env or {})},
            cwd=cwd or self.home,
            timeout=timeout,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )

    def ovlctl(self, *args: str, env: Mapping[str, str] | None = None) -> Finished:
        """Run ``ovlctl ARGS`` as this user, in a process of its own."""
        done = self.run([sys.executable, "-m", "ovlctl", *args], env=env)
        return Finished(done.returncode, done.stdout, done.stderr)


_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def ordinary_user(scratch: str) -> OrdinaryUser:
    """Somebody who is not root: a uid of no account when tests run as root, else whoever runs them."""
    home = os.path.join(scratch, "home")
    os.mkdir(home)
    if os.geteuid() != 0:
        return OrdinaryUser(uid=os.geteuid(), gid=os.getegid(), home=home, prefix=())
    if not capabilities.root():
        pytest.skip("uid 0 without CAP_SYS_ADMIN can neither mount nor become somebody else")
    uid = unused_uid()
    os.chown(home, uid, uid)
    prefix = (sys.executable, "-m", "tests.as_user", str(uid), *needed_trees(), scratch, "--")
    return OrdinaryUser(uid=uid, gid=uid, home=home, prefix=prefix)


class MakeFs(Protocol):
    """Makes file systems."""

    def __call__(self, kind: str, size: int | None = None) -> str:
        """Mount point of a new file system of *kind* with room for *size* bytes, mode 0755."""


@pytest.fixture
def make_fs(scratch: str) -> MakeFs:
    """``make_fs("xfs", 512 << 20)`` mounts a new one below scratch; the test has the mark ``needs_fs("xfs")``."""

    def make(kind: str, size: int | None = None) -> str:
        assert capabilities.file_system(kind), f"this test lacks the mark needs_fs({kind!r})"
        return capabilities.make_file_system(kind, tempfile.mkdtemp(prefix="fs-", dir=scratch), size)

    return make
