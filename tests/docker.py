"""A Docker daemon of a test's own, that touches no network and keeps everything in the test's directory."""

from __future__ import annotations

import fcntl
import glob
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Docker:
    """A running daemon."""

    host: str

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        """Run ``docker WORDS``."""
        done = subprocess.run(["docker", *words], input=stdin, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"docker {words[0]} fails here: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode().strip()

    @property
    def environment(self) -> dict[str, str]:
        """What the client needs to find it."""
        return {**os.environ, "DOCKER_HOST": self.host}


@contextmanager
def daemon(scratch: str) -> Iterator[Docker]:
    """Start one; skips where there is none."""
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("needs dockerd and docker")
    host = f"unix://{scratch}/sock"
    places = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "pid"}
    words = [f"{option}={scratch}/{name}" for option, name in places.items()]
    words += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"]
    with _alone(), open(f"{scratch}/log", "wb") as log:
        before = _cgroups()
        with subprocess.Popen(["dockerd", "-H", host, "--storage-driver=overlay2", *words], stderr=log) as running:
            try:
                _wait(running, f"{scratch}/log")
                yield Docker(host)
            finally:
                running.send_signal(signal.SIGTERM)
                running.wait(PATIENCE)
                for path in _cgroups() - before:
                    os.rmdir(path)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for other daemons of tests: they share a cgroup, which the last one removes."""
    with open(shutil.which("dockerd") or os.devnull, "rb") as program:
        fcntl.flock(program, fcntl.LOCK_EX)
        yield


def _cgroups() -> set[str]:
    return {*glob.glob("/sys/fs/cgroup/docker"), *glob.glob("/sys/fs/cgroup/*/docker")}


def _wait(running: subprocess.Popen[bytes], log: str) -> None:
    def said() -> str:
        with open(log, encoding="utf-8", errors="replace") as file:
            return file.read()

    eventually(lambda: "API listen on" in said() or running.poll() is not None)
    text = said()
    if "API listen on" not in text:
        pytest.skip(f"dockerd does not start here: {text.strip().splitlines()[-1:]}")


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
