"""A containerd of a test's own: its root, state and socket in a directory of the test's.

They lie as in the directories of a dockerd that starts its containerd itself, so that one containerd is a plain one
and one with Docker's images in it.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import subprocess
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Origin, Place
from ovlctl.kernel.mount import mount
from tests import sandbox
from tests.docker import image, own_run_directory
from tests.oci import images
from tests.oci.images import Layout, archive, entry
from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """version = 2
root = "{directory}/docker/containerd/daemon"
state = "{directory}/docker-run/containerd/daemon"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{directory}/sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"
"""
# In the directory that is mounted there, once for all daemons of this process.


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
        return f"{self.docker}/containerd/daemon"

    @property
    def run(self) -> str:
        """Its state directory."""
        return f"{self.docker_run}/containerd/daemon"

    @property
    def docker(self) -> str:
        """The data root of a Docker that has it."""
        return f"{self.directory}/docker"

    @property
    def docker_run(self) -> str:
        """Docker's state directory."""
        return f"{self.directory}/docker-run"

    @property
    def place(self) -> Place:
        """Where it keeps what it has."""
        return Place(engine=Engine.CONTAINERD, root=self.root, run=self.run, origin=Origin.GIVEN)

    @property
    def docker_place(self) -> Place:
        """Where that Docker keeps what it has."""
        return Place(engine=Engine.DOCKER, root=self.docker, run=self.docker_run, origin=Origin.GIVEN)

    @property
    def socket(self) -> str:
        """The path of its socket."""
        return f"{self.directory}/sock"

    @property
    def cgroup(self) -> str:
        """The cgroup that containers of tests are put in, ``ctr run --cgroup``."""
        return f"ovlctl-test-{os.getpid()}-{os.path.basename(self.directory)}"

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

    def newest(self) -> str:
        """The directory of the snapshot that was made last."""
        return f"{self.snapshots}/{max(map(int, os.listdir(self.snapshots)))}"

    def start(self) -> None:
        """Start it; skips where it does not start."""
        with open(f"{self.directory}/config.toml", "w", encoding="utf-8") as config:
            config.write(_CONFIG.format(directory=self.directory))
        with open(f"{self.directory}/log", "ab") as log:
            self._running = subprocess.Popen(
                ["containerd", "-c", f"{self.directory}/config.toml"], stdout=log, stderr=log
            )
        running = self._running
        eventually(lambda: running.poll() is not None or self.ctr("version").returncode == 0)
        if running.poll() is None:
            return
        with open(f"{self.directory}/log", encoding="utf-8", errors="replace") as log_text:
            pytest.skip(f"containerd does not start here: {log_text.read().splitlines()[-1:]}")

    def stop(self) -> None:
        """Stop it; what runs under it stays."""
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)
            self._running.wait(PATIENCE)
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
    running = Containerd(directory)
    own_run_directory()
    try:
        running.start()
        yield running
        _end_tasks(running)
    finally:
        _kill_left(running)
        running.stop()
        sandbox.unmount_below(directory)
        for path in sorted(_cgroups(running), key=len, reverse=True):
            assert eventually(partial(_removed, path)), path


def _end_tasks(running: Containerd) -> None:
    for namespace in running("namespaces", "ls", "-q").split():
        for task in running("tasks", "ls", "-q", namespace=namespace).split():
            running("tasks", "rm", "-f", task, namespace=namespace)


def _kill_left(running: Containerd) -> None:
    # What a test that failed left: processes of containers, then their shims, which have the socket among their words.
    for path in _cgroups(running):
        with open(f"{path}/cgroup.procs", encoding="ascii") as file:
            for pid in map(int, file.read().split()):
                _kill(pid)
    for name in glob.glob("/proc/[0-9]*/cmdline"):
        with suppress(OSError), open(name, "rb") as file:
            words = file.read().split(b"\0")
            if b"containerd-shim" in words[0] and running.socket.encode() in words:
                _kill(int(name.split("/")[2]))


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _cgroups(running: Containerd) -> set[str]:
    found = glob.glob(f"/sys/fs/cgroup/*/{running.cgroup}") + glob.glob(f"/sys/fs/cgroup/{running.cgroup}")
    return {root for top in found for root, _, _ in os.walk(top)}


def _removed(path: str) -> bool:
    # A cgroup is busy until the last process in it has been waited for.
    with suppress(OSError):
        os.rmdir(path)
    return not os.path.exists(path)


def packed(scratch: str, name: str) -> str:
    """The path of an archive, as ``ctr images import`` takes it, of an image *name* with three layers and busybox."""
    files = archive(images.directory("etc"), entry("etc/one", b"one\n"), entry("etc/two", b"two\n"))
    above = archive(
        images.directory("etc"), entry("etc/.wh.one"), images.directory("data"), entry("data/large", b"x" * 100_000)
    )
    layout = Layout(f"{scratch}/layout-{name.replace('/', '_')}")
    layout.image(name, image("busybox"), files, above)
    with tarfile.open(f"{layout.path}.tar", "w") as tar:
        tar.add(layout.path, ".")
    return f"{layout.path}.tar"


#: Names of what :func:`filled` makes.
IMAGE = "example.org/busy:1"
DOCKER_IMAGE = "docker.io/library/busy:latest"
STOPPED = "a1" * 32
RUNNING = "b2" * 32
_SLEEP = ("/bin/busybox", "sleep", "3600")


def filled(containerd: Containerd) -> None:
    """Make content.

    ``default``: an image with two names, a container that runs and one that does not, two snapshots committed one on
    the other, one on top that no container has. ``moby``: an image, a container of Docker's that runs and one that does
    not, each with the layer that Docker puts below. Skips where no container can run.
    """
    containerd("images", "import", packed(containerd.directory, IMAGE))
    containerd("images", "tag", IMAGE, "example.org/busy:again")
    cgroup = ("--cgroup", f"/{containerd.cgroup}/one")
    started = containerd.ctr("run", "-d", *cgroup, IMAGE, "running", *_SLEEP)
    if started.returncode:
        pytest.skip(f"no container runs here: {started.stderr.strip()}")
    containerd("containers", "create", "--label", "nerdctl/name=named", IMAGE, "created", *_SLEEP)
    parent: tuple[str, ...] = ()
    for number in (1, 2):
        containerd("snapshots", "prepare", f"work{number}", *parent)
        with open(f"{containerd.newest()}/fs/file{number}", "w", encoding="utf-8") as new:
            new.write(f"{number}\n")
        containerd("snapshots", "commit", f"chain/{number}", f"work{number}")
        parent = (f"chain/{number}",)
    containerd("snapshots", "prepare", "idle", *parent)
    _fill_docker(containerd)


def _fill_docker(containerd: Containerd) -> None:
    with open(f"{containerd.docker}/engine-id", "w", encoding="ascii") as new:
        new.write("6b1de6a2-4c1c-4c8c-9f0e-6f1a0d6cfa31")
    containerd("images", "import", packed(containerd.directory, DOCKER_IMAGE), namespace="moby")
    lines = containerd("snapshots", "ls", namespace="moby").splitlines()[1:]
    parents = {line.split()[1] for line in lines}
    top = next(line.split()[0] for line in lines if line.split()[0] not in parents)
    target = containerd("images", "ls", namespace="moby").splitlines()[1].split()[2]
    for id_ in (STOPPED, RUNNING):
        containerd("snapshots", "prepare", f"{id_}-init-key", top, namespace="moby")
        containerd("snapshots", "commit", f"{id_}-init", f"{id_}-init-key", namespace="moby")
        containerd("snapshots", "prepare", id_, f"{id_}-init", namespace="moby")
        _record(containerd, id_, target, running=id_ == RUNNING)


def _record(containerd: Containerd, id_: str, target: str, *, running: bool) -> None:
    pid = 0
    merged = f"{containerd.docker}/rootfs/overlayfs/{id_}"
    os.makedirs(f"{containerd.docker}/containers/{id_}")
    if running:
        os.makedirs(merged)
        words = containerd("snapshots", "mounts", merged, id_, namespace="moby").split()
        mount("overlay", merged, "overlay", data=words[words.index("-o") + 1].encode())
        cgroup = ("--cgroup", f"/{containerd.cgroup}/two")
        containerd("run", "-d", *cgroup, "--rootfs", merged, id_, *_SLEEP, namespace="moby")
        pid = int(containerd("tasks", "ls", namespace="moby").splitlines()[1].split()[1])
    document = {
        "ID": id_,
        "Name": f"/{'up' if running else 'down'}",
        "Created": "2026-11-23T09:17:06.950199211Z",
        "Image": target,
        "Driver": "overlayfs",
        "Config": {"Image": "busy", "Labels": {}},
        "State": {"Running": running, "Paused": False, "Pid": pid, "StartedAt": "2026-11-23T09:17:07.590154209Z"},
    }
    with open(f"{containerd.docker}/containers/{id_}/config.v2.json", "w", encoding="utf-8") as new:
        json.dump(document, new)
