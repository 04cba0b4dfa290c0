"""Every engine and store that tests run, behind one face: what is in it, and what the engine itself says of it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ovlctl.engines.keepers import Engine
from tests import containerd as real_containerd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tests.containerd import Containerd
    from tests.engines.live.docker import DockerEngine
    from tests.podman import Podman

#: Of each the parameter of tests, and the engine by whose name its things go.
NAMES = ("docker", "podman", "containerd", "moby")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An engine with content.

    Attributes:
        engine: By whose name its things go.
        driver: Of its store.
        root: Its data root.
        variables: What leads ovlctl to it and to nothing else.
        running, stopped: Containers, as the engine's command line takes them, and their ids.
        image: An image of several layers.
        pid: The first process of *running*.
        graph: The engine's own GraphDriver.Data of a container, or what stands for it.
        changes: The engine's own diff of a container; None where it has none.
        format: In which ovlctl tells the same.
        down: While the daemon does not run.
        answers: Whether a daemon of it can be asked.
    """

    engine: Engine
    driver: str
    root: str
    variables: Mapping[str, str]
    running: tuple[str, str]
    stopped: tuple[str, str]
    image: str
    pid: int
    graph: Callable[[str], Mapping[str, str]]
    changes: Callable[[str], frozenset[str]] | None
    down: Callable[[], AbstractContextManager[object]]
    answers: bool = True
    format: str = "docker"


def docker(engine: DockerEngine) -> Case:
    """Docker with the graph driver overlay2."""

    def graph(name: str) -> Mapping[str, str]:
        data: Mapping[str, str] = engine.inspect(name)["GraphDriver"]["Data"]
        return data

    return Case(
        engine=Engine.DOCKER,
        driver="overlay2",
        root=engine.daemon.data,
        variables={"DOCKER_HOST": engine.daemon.client.host},
        running=(engine.RUNNING, engine.inspect(engine.RUNNING)["Id"]),
        stopped=(engine.STOPPED, engine.inspect(engine.STOPPED)["Id"]),
        image=engine.IMAGE,
        pid=engine.process(engine.RUNNING),
        graph=graph,
        changes=lambda name: frozenset(engine.docker("diff", name).splitlines()),
        down=engine.down,
    )


def podman(engine: Podman) -> Case:
    """Podman, whose store buildah shares."""

    def inspect(name: str) -> Any:
        return engine.json("container", "inspect", name)[0]

    def graph(name: str) -> Mapping[str, str]:
        data: Mapping[str, str] = inspect(name)["GraphDriver"]["Data"]
        return data

    return Case(
        engine=Engine.PODMAN,
        driver="overlay",
        root=engine.root,
        variables={
            "CONTAINERS_STORAGE_CONF": engine.environment["CONTAINERS_STORAGE_CONF"],
            "CONTAINER_HOST": engine.socket,
        },
        running=("running", inspect("running")["Id"]),
        stopped=("stopped", inspect("stopped")["Id"]),
        image="localhost/app:3",
        pid=inspect("running")["State"]["Pid"],
        graph=graph,
        changes=lambda name: frozenset(engine("diff", name).splitlines()),
        format="podman",
        down=lambda: _away(engine.socket.removeprefix("unix://")),
    )


@contextmanager
def _away(socket: str) -> Iterator[None]:
    # Podman has no daemon but this service, which nobody reaches meanwhile.
    os.rename(socket, f"{socket}.away")
    try:
        yield
    finally:
        os.rename(f"{socket}.away", socket)


def _mounts(engine: Containerd, key: str, namespace: str) -> Mapping[str, str]:
    # What `ctr snapshots mounts` says, in the words of Docker.
    words = engine("snapshots", "mounts", "/nowhere", key, namespace=namespace).split()
    options = dict(word.split("=", 1) for word in words[words.index("-o") + 1].split(",") if "=" in word)
    return {"LowerDir": options["lowerdir"], "UpperDir": options["upperdir"], "WorkDir": options["workdir"]}


def containerd(engine: Containerd) -> Case:
    """Containerd alone."""
    tasks = [line.split() for line in engine("tasks", "ls").splitlines()[1:]]
    return Case(
        engine=Engine.CONTAINERD,
        driver="overlayfs",
        root=engine.root,
        variables={"CONTAINERD_ADDRESS": engine.socket},
        running=("default/running", "running"),
        stopped=("default/created", "created"),
        image=f"default/{real_containerd.IMAGE}",
        pid=int(tasks[0][1]),
        graph=lambda name: _mounts(engine, name, "default"),
        changes=None,
        down=engine.stopped,
    )


def moby(engine: Containerd) -> Case:
    """Docker with its images in a containerd; its daemon is not run."""

    def graph(name: str) -> Mapping[str, str]:
        key = {"up": real_containerd.RUNNING, "down": real_containerd.STOPPED}.get(name, name)
        merged = {"MergedDir": f"{engine.docker}/rootfs/overlayfs/{key}"}
        return {**_mounts(engine, key, "moby"), **merged}

    with open(f"{engine.docker}/containers/{real_containerd.RUNNING}/config.v2.json", encoding="utf-8") as file:
        pid = json.load(file)["State"]["Pid"]
    return Case(
        engine=Engine.DOCKER,
        driver="overlayfs",
        root=engine.docker,
        variables={"DOCKER_HOST": f"unix://{engine.directory}/no-docker.sock"},
        running=("up", real_containerd.RUNNING),
        stopped=("down", real_containerd.STOPPED),
        image="busy:latest",
        pid=pid,
        graph=graph,
        changes=None,
        down=engine.stopped,
        answers=False,
    )
