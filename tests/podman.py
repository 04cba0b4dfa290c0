"""Podman and buildah with a store of a test run's own, and what they made in it; nothing outside of it is touched."""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests import capabilities, sandbox
from tests.docker import image
from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS = ("podman", "buildah", "runc", "conmon")
# Limits as low as an unprivileged hard limit may be: raising them takes CAP_SYS_RESOURCE, which a sandbox may lack.
# Locks in files of its own, else they are in /dev/shm, with those of all other Podmans.
_CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
lock_type = "file"
"""


@dataclass(frozen=True, slots=True)
class Podman:
    """A store that containers/storage keeps, and the programs that use it.

    Attributes:
        directory: All that belongs to it, but for:
        run: The run root.
    """

    directory: str
    run: str

    @property
    def root(self) -> str:
        """The graph root."""
        return f"{self.directory}/root"

    @property
    def socket(self) -> str:
        """Where its service listens, Docker's API included."""
        return f"unix://{self.directory}/podman.sock"

    @property
    def cgroup(self) -> str:
        """The cgroup that its containers are in, of this run alone."""
        return f"ovlctl-test-{os.getpid()}-podman"

    @property
    def words(self) -> tuple[str, ...]:
        """How a command line of Podman begins."""
        return ("podman", "--root", self.root, "--runroot", self.run, "--tmpdir", f"{self.directory}/tmp")

    @property
    def environment(self) -> dict[str, str]:
        """What leads the programs, and ovlctl, here and nowhere else."""
        # With this one Podman would ask its service.
        others = {name: value for name, value in os.environ.items() if name != "CONTAINER_HOST"}
        return {
            **others,
            "CONTAINERS_STORAGE_CONF": f"{self.directory}/storage.conf",
            "CONTAINERS_CONF": f"{self.directory}/containers.conf",
            "REGISTRY_AUTH_FILE": f"{self.directory}/auth.json",
            "HOME": self.directory,
        }

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        """Run ``podman WORDS``."""
        return self._run([*self.words, *words], stdin)

    def buildah(self, *words: str) -> str:
        """Run ``buildah WORDS``."""
        return self._run(["buildah", "--root", self.root, "--runroot", self.run, *words])

    def json(self, *words: str) -> Any:
        """What ``podman WORDS`` says, as JSON."""
        return json.loads(self(*words))

    def _run(self, words: list[str], stdin: bytes = b"") -> str:
        done = subprocess.run(words, input=stdin, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"{words[0]} fails here: {done.stderr.decode(errors='replace').strip()[-400:]}")
        return done.stdout.decode().strip()


@pytest.fixture(scope="session")
def podman_engine() -> Iterator[Podman]:
    """Podman and buildah with a store of the run's own, filled once; tests read it, or make what has other names."""
    directory = tempfile.mkdtemp(prefix="podman-", dir=capabilities.session().directory)
    short = f"/tmp/{os.path.basename(capabilities.session().directory)}"  # of a name that is swept after a kill, too
    try:
        sandbox.sweep("/tmp")
        os.makedirs(short, exist_ok=True)
        with engine(directory, f"{short}/r") as podman:
            yield podman
    finally:
        sandbox.remove(directory)
        sandbox.remove(f"{short}/r")
        with suppress(OSError):  # all of the run is there
            os.rmdir(short)


@contextmanager
def engine(directory: str, run: str) -> Iterator[Podman]:
    """A store with containers of every kind in it, and Podman's service; skips where that cannot be.

    Images: ``localhost/base:1`` of one layer, ``localhost/app:2`` and ``localhost/app:3`` of one more each. Containers:
    ``running``, ``stopped`` and ``created``; ``inpod`` in the pod ``group``; of buildah ``working``, mounted, and
    ``resting``.

    Args:
        directory: An empty one of the test run's own, where overlays can have their upper.
        run: Another, for what lives until the next boot; at most 50 bytes long, or Podman does not take it.
    """
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    podman = Podman(directory, run)
    _configure(podman)
    try:
        _fill(podman)
        with _service(podman):
            yield podman
    finally:
        _end(podman)
        _remove_cgroups(podman)


def _configure(podman: Podman) -> None:
    with open(f"{podman.directory}/storage.conf", "x", encoding="utf-8") as file:
        file.write(f'[storage]\ndriver = "overlay"\ngraphroot = "{podman.root}"\nrunroot = "{podman.run}"\n')
    with open(f"{podman.directory}/containers.conf", "x", encoding="utf-8") as file:
        file.write(_CONTAINERS_CONF)
    with open(f"{podman.directory}/auth.json", "x", encoding="utf-8") as file:
        file.write("{}")


def _fill(podman: Podman) -> None:
    podman("import", "-", "localhost/base:1", stdin=image("busybox"))
    _layer(podman, "base:1", "app:2", "mkdir /etc/app && echo one > /etc/app/app.conf && echo old > /old")
    _layer(podman, "app:2", "app:3", "rm /old && echo two > /etc/app/app.conf")
    _do(podman, "run", "stopped", "localhost/app:3", "echo three > /etc/app/app.conf")
    _do(podman, "run", "running", "localhost/app:3", "rm /etc/app/app.conf && touch /ready && sleep 3600", "-d")
    _do(podman, "create", "created", "localhost/base:1", "true")
    _wait(podman)
    podman("pod", "create", "--infra=false", "--cgroup-parent", f"/{podman.cgroup}", "--name", "group")
    _do(podman, "run", "inpod", "localhost/app:2", "true", "--pod", "group")
    podman.buildah("from", "--pull-never", "--name", "working", "localhost/app:3")
    podman.buildah("mount", "working")
    podman.buildah("from", "--pull-never", "--name", "resting", "localhost/base:1")


def _layer(podman: Podman, below: str, name: str, script: str) -> None:
    _do(podman, "run", "making", f"localhost/{below}", script)
    podman("commit", "--quiet", "making", f"localhost/{name}")
    podman("rm", "making")


def _do(podman: Podman, verb: str, name: str, of: str, script: str, *options: str) -> None:
    within = ("--network", "none", "--cgroup-parent", f"/{podman.cgroup}")
    podman(verb, *within, "--name", name, *options, of, "/bin/busybox", "sh", "-c", _PATH + script)


def _wait(podman: Podman) -> None:
    (said,) = podman.json("container", "inspect", "running")
    upper = said["GraphDriver"]["Data"]["UpperDir"]
    if not eventually(lambda: os.path.exists(f"{upper}/ready")):
        pytest.skip("a container of Podman's does not begin here")


# Of busybox there is only the program itself, which is every command when its shell looks for one.
_PATH = 'for one in mkdir rm touch sleep true; do alias $one="/bin/busybox $one"; done\n'


@contextmanager
def _service(podman: Podman) -> Iterator[None]:
    words = [*podman.words, "system", "service", "--time", "0", podman.socket]
    with (
        open(f"{podman.directory}/service.log", "wb") as log,
        subprocess.Popen(words, env=podman.environment, stdout=log, stderr=log) as running,
    ):
        try:
            socket = podman.socket.removeprefix("unix://")
            eventually(lambda: os.path.exists(socket) or running.poll() is not None)
            yield
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                running.kill()


def _end(podman: Podman) -> None:
    # Best effort, each: what is left of mounts goes with the namespace of the run, the processes must go here.
    for words in (
        ["buildah", "--root", podman.root, "--runroot", podman.run, "rm", "--all"],
        [*podman.words, "rm", "--force", "--all", "--time", "0"],
        [*podman.words, "pod", "rm", "--force", "--all"],
    ):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(words, env=podman.environment, capture_output=True, check=False, timeout=PATIENCE)
    # What watches a container calls Podman once more when it has ended, and writes meanwhile.
    eventually(lambda: not _processes(podman))


def _processes(podman: Podman) -> list[str]:
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with suppress(OSError), open(path, "rb") as file:
            if f"{podman.directory}/".encode() in file.read():
                found.append(path)
    return found


def _remove_cgroups(podman: Podman) -> None:
    # The last processes in them are about to end.
    def gone() -> bool:
        found = [path for top in ("", "*/") for path in glob.glob(f"/sys/fs/cgroup/{top}{podman.cgroup}")]
        for top in found:
            for at, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):
                    os.rmdir(at)
        return not any(map(os.path.isdir, found))

    eventually(gone)
