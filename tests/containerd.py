"""A containerd of a test's own: its root, state and socket in a directory of the test's."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import tarfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.mount import MS, mount
from tests import sandbox
from tests.docker import image
from tests.oci.images import Layout, archive, directory, entry

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """version = 2
root = "{directory}/root"
state = "{directory}/run"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{directory}/sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
"""
#: Where shims put their sockets and runc its state, whatever the configuration says.
_SHARED = "/run/containerd"


@dataclass(slots=True)
class Containerd:
    """A daemon that may be stopped and started again.

    Attributes:
        directory: All of it is below.
    """

    directory: str
    _running: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def root(self) -> str:
        """Its data root."""
        return f"{self.directory}/root"

    @property
    def run(self) -> str:
        """Its state directory."""
        return f"{self.directory}/run"

    @property
    def socket(self) -> str:
        """The path of its socket."""
        return f"{self.directory}/sock"

    @property
    def cgroup(self) -> str:
        """The cgroup that containers of tests are put in, ``ctr run --cgroup``."""
        return f"ovlctl-test-{os.getpid()}"

    @property
    def snapshots(self) -> str:
        """Where overlayfs's snapshots are."""
        return f"{self.root}/io.containerd.snapshotter.v1.overlayfs/snapshots"

    def ctr(self, *words: str, namespace: str = "default") -> subprocess.CompletedProcess[str]:
        """Run ``ctr WORDS``, whatever comes of it."""
        return subprocess.run(
            ["ctr", "-a", self.socket, "-n", namespace, *words], capture_output=True, text=True, check=False, timeout=60
        )

    def __call__(self, *words: str, namespace: str = "default") -> str:
        """Run ``ctr WORDS``, which has to succeed; its output."""
        done = self.ctr(*words, namespace=namespace)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def start(self) -> None:
        """Start it; skips where it does not start."""
        with open(f"{self.directory}/config.toml", "w", encoding="utf-8") as config:
            config.write(_CONFIG.format(directory=self.directory))
        with open(f"{self.directory}/log", "ab") as log:
            self._running = subprocess.Popen(
                ["containerd", "-c", f"{self.directory}/config.toml"], stdout=log, stderr=log
            )
        for _ in range(100):
            if self._running.poll() is None and self.ctr("version").returncode == 0:
                return
            time.sleep(0.1)
        with open(f"{self.directory}/log", encoding="utf-8", errors="replace") as log_text:
            pytest.skip(f"containerd does not start here: {log_text.read().splitlines()[-1:]}")

    def stop(self) -> None:
        """Stop it; what runs under it stays."""
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)
            self._running.wait(30)
            self._running = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It does not run meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@contextmanager
def daemon(directory: str) -> Iterator[Containerd]:
    """Start one, with all that it leaves in *directory* and nothing elsewhere; skips where there is none."""
    missing = [name for name in ("containerd", "ctr") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("containerd needs root")
    # It stays: in the mount namespace of another run it may be mounted on, and who removes it unmounts that, too.
    os.makedirs(_SHARED, exist_ok=True)
    os.mkdir(f"{directory}/shared")
    mount(f"{directory}/shared", _SHARED, None, MS.BIND)
    running = Containerd(directory)
    try:
        running.start()
        yield running
        _end_tasks(running)
    finally:
        running.stop()
        sandbox.unmount_below(directory)
        sandbox.unmount_below(_SHARED)
        for path in glob.glob(f"/sys/fs/cgroup/*/{running.cgroup}") + glob.glob(f"/sys/fs/cgroup/{running.cgroup}"):
            os.rmdir(path)


def _end_tasks(running: Containerd) -> None:
    for namespace in running("namespaces", "ls", "-q").split():
        for task in running("tasks", "ls", "-q", namespace=namespace).split():
            running("tasks", "rm", "-f", task, namespace=namespace)


def packed(scratch: str, name: str) -> str:
    """The path of an archive, as ``ctr images import`` takes it, of an image *name* with three layers and busybox."""
    files = archive(directory("etc"), entry("etc/one", b"one\n"), entry("etc/two", b"two\n"), directory("data"))
    above = archive(directory("etc"), entry("etc/.wh.one"), entry("data/large", b"x" * 100_000))
    layout = Layout(f"{scratch}/layout")
    layout.image(name, image("busybox"), files, above)
    with tarfile.open(f"{scratch}/image.tar", "w") as tar:
        tar.add(layout.path, ".")
    return f"{scratch}/image.tar"
