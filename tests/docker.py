"""A Docker daemon of a test's own, that touches no network and keeps everything in the test's directory."""

from __future__ import annotations

import glob
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.mount import MS, mount
from tests.capabilities import session
from tests.leftovers import end_engines
from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_SHIMS = "/run/containerd"
# In the directory that is mounted there, so that it is mounted once, whichever engine comes first.
_MARK = "of-tests"


@dataclass(frozen=True, slots=True)
class Docker:
    """A running daemon."""

    host: str

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        """Run ``docker WORDS``."""
        done = subprocess.run(
            [client() or "docker", *words], input=stdin, env=self.environment, capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"docker {words[0]} fails here: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode().strip()

    @property
    def environment(self) -> dict[str, str]:
        """What the client needs to find it."""
        return {**os.environ, "DOCKER_HOST": self.host}


def own_run_directory() -> None:
    """Put what shims of every containerd share, Docker's included, into a directory of this run's, as long as it lasts.

    They put their sockets there whatever their daemon is told, and one that is started again looks for them.
    """
    if not os.path.exists(f"{_SHIMS}/{_MARK}"):
        directory = f"{session().directory}/run-containerd"
        os.makedirs(f"{directory}/{_MARK}")
        # It stays: in the mount namespace of another run it may be mounted on.
        os.makedirs(_SHIMS, exist_ok=True)
        mount(directory, _SHIMS, None, MS.BIND)


class Daemon:
    """A dockerd that can be stopped and started again; what it keeps is in *scratch*.

    Args:
        scratch: A directory for it alone.
        options: More of them, such as ``--live-restore``.
        driver: The storage driver.

    Attributes:
        client: Its command line.
        data: Its data root.
    """

    def __init__(self, scratch: str, *options: str, driver: str = "overlay2") -> None:
        self.client = Docker(f"unix://{scratch}/sock")
        self.data = f"{scratch}/data"
        self._scratch = scratch
        self._log = f"{scratch}/log"
        self._options = (
            f"--data-root={self.data}",
            f"--exec-root={scratch}/exec",
            f"--pidfile={scratch}/pid",
            f"--storage-driver={driver}",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--bridge=none",
            *options,
        )
        self._cgroups = _cgroups()
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens; skips where there is none, or where it does not start."""
        if shutil.which("dockerd") is None or client() is None:
            pytest.skip("needs dockerd and docker")
        own_run_directory()
        with open(self._log, "wb") as log:
            self._running = subprocess.Popen(["dockerd", "-H", self.client.host, *self._options], stderr=log)
        try:
            _wait(self._running, self._log)
        except BaseException:
            self.end()
            raise

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return self._running is not None

    def stop(self) -> None:
        """Stop it as systemd would; containers end with it, but with ``--live-restore``."""
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)
            self._running.wait(PATIENCE)
            self._running = None

    def end(self) -> None:
        """Stop it for good: no process and no cgroup of it stays."""
        self.stop()
        end_engines(self._scratch)  # a shim that was about to end, when its containerd did
        ours = _cgroups() - self._cgroups
        for path in [*(f"{path}/buildkit" for path in _cgroups()), *ours]:
            with suppress(OSError):  # that of another daemon, which began later
                os.rmdir(path)


@contextmanager
def daemon(scratch: str) -> Iterator[Docker]:
    """Start one; skips where there is none."""
    running = Daemon(scratch)
    try:
        running.start()
        yield running.client
    finally:
        running.end()


def client() -> str | None:
    """The command line of the distribution, which is as old as its daemon; else any."""
    return "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else shutil.which("docker")


def _cgroups() -> set[str]:
    return {*glob.glob("/sys/fs/cgroup/docker"), *glob.glob("/sys/fs/cgroup/*/docker")}


def _wait(running: subprocess.Popen[bytes], log: str) -> None:
    def text() -> str:
        with open(log, encoding="utf-8", errors="replace") as file:
            return file.read()

    eventually(lambda: "API listen on" in text() or running.poll() is not None)
    if "API listen on" not in text():
        pytest.skip(f"dockerd does not start here: {text().strip().splitlines()[-1:]}")


def image(*programs: str, links: Sequence[tuple[str, str]] = ()) -> bytes:
    """An archive of *programs*, the libraries they are linked to, and some hard *links* (name, target)."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in programs:
            program = os.path.realpath(shutil.which(name) or f"/bin/{name}")
            tar.add(program, f"bin/{name}")
            linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
            for library in re.findall(r"/\S+", linked):
                tar.add(os.path.realpath(library), library)
        for name, target in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname, link.mode = tarfile.LNKTYPE, target, 0o755
            tar.addfile(link)
    return archive.getvalue()
