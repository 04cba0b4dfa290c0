"""Containers from cgroup lines, as engines really write them."""

from __future__ import annotations

import pytest

from ovlctl.engines.cgroups import Membership, container_of, container_of_process
from ovlctl.engines.keepers import Engine

ID = "4f1c7a1d0b6e7c5a9d3e2f8b6a4c0d1e3f5a7b9c1d2e4f60718293a4b5c6d7e8"
OTHER = "0123456789abcdef" * 4
POD = "9f1c2d3e-4b5a-6978-8796-a5b4c3d2e1f0"
POD_UNIT = POD.replace("-", "_")

LINES = {
    "docker, systemd": (f"0::/system.slice/docker-{ID}.scope", Engine.DOCKER, ID, None),
    "docker, cgroupfs": (f"0::/docker/{ID}", Engine.DOCKER, ID, None),
    "docker, v1": (
        f"12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}",
        Engine.DOCKER,
        ID,
        None,
    ),
    "docker, systemd in it": (f"0::/system.slice/docker-{ID}.scope/init.scope", Engine.DOCKER, ID, None),
    "docker in docker": (f"0::/docker/{ID}/docker/{OTHER}", Engine.DOCKER, ID, None),
    "kind": (
        (
            f"0::/system.slice/docker-{ID}.scope/kubelet.slice/kubelet-kubepods.slice/"
            f"kubelet-kubepods-pod{POD_UNIT}.slice/cri-containerd-{OTHER}.scope"
        ),
        Engine.DOCKER,
        ID,
        None,
    ),
    "podman, root": (f"0::/machine.slice/libpod-{ID}.scope/container", Engine.PODMAN, ID, None),
    "podman, rootless": (
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
        Engine.PODMAN,
        ID,
        None,
    ),
    "podman, cgroupfs": (f"0::/libpod_parent/libpod-{ID}", Engine.PODMAN, ID, None),
    "containerd, kubernetes": (
        (
            f"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{POD_UNIT}.slice/"
            f"cri-containerd-{ID}.scope"
        ),
        Engine.CRI,
        ID,
        POD,
    ),
    "cgroupfs, kubernetes": (f"0::/kubepods/burstable/pod{POD}/{ID}", Engine.CRI, ID, POD),
    "cri-o": (
        f"0::/kubepods.slice/kubepods-pod{POD_UNIT}.slice/crio-{ID}.scope",
        Engine.CRI,
        ID,
        POD,
    ),
    "docker, kubernetes": (
        (
            f"1:name=systemd:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_UNIT}.slice/"
            f"docker-{ID}.scope"
        ),
        Engine.DOCKER,
        ID,
        POD,
    ),
    "nerdctl": (f"0::/system.slice/nerdctl-{ID}.scope", Engine.CONTAINERD, ID, None),
    "lxc": ("0::/lxc.payload.web-1/system.slice/cron.service", Engine.LXC, "web-1", None),
    "lxc, old": ("4:memory:/lxc/web-1", Engine.LXC, "web-1", None),
    "nspawn": ("0::/machine.slice/systemd-nspawn@deb.service/payload", Engine.MACHINE, "deb", None),
    "machine": (r"0::/machine.slice/machine-my\x2ddeb.scope", Engine.MACHINE, "my-deb", None),
}


@pytest.mark.parametrize("case", LINES)
def test_containers(case: str) -> None:
    """Each engine's way of naming cgroups gives the engine, the id, and the pod where there is one."""
    text, engine, name, pod = LINES[case]
    assert container_of(text) == Membership(engine=engine, id=name, pod=pod)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0::/",
        "0::/user.slice/user-1000.slice/session-3.scope",
        "0::/system.slice/docker.service",
        "0::/system.slice/containerd.service",
        f"0::/machine.slice/libpod-conmon-{ID}.scope",
        "0::/lxc.monitor.web-1",
        f"0::/docker/{ID[:-1]}",
        "0::/docker/buildkit",
        "no cgroup at all",
    ],
)
def test_no_container(text: str) -> None:
    """Engines themselves, their monitors, sessions and what only looks alike are no containers."""
    assert container_of(text) is None


def test_label_and_command() -> None:
    """Ids are cut as engines cut them; names are whole."""
    docker = Membership(engine=Engine.DOCKER, id=ID)
    assert (docker.label, docker.stop) == (f"docker:{ID[:12]}", ("docker", "stop", ID[:12]))
    assert Membership(engine=Engine.CRI, id=ID, pod=POD).label == f"cri:{ID[:12]} (pod {POD})"
    assert Membership(engine=Engine.LXC, id="web-1").stop == ("lxc-stop", "-n", "web-1")


def test_a_process_that_is_gone() -> None:
    """Nobody is in no container."""
    assert container_of_process(2**22 + 1) is None
