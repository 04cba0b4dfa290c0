"""Whose container a process is in, from its cgroup.

Engines name the cgroups of containers in a few ways, the same for years: a scope of systemd (``docker-ID.scope``) or,
without systemd, a directory (``docker/ID``). Nothing else of an engine is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ovlctl.engines.keepers import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The container that a process is in, as far as its cgroup tells.

    Attributes:
        engine: What runs it.
        id: Its id or name there.
        pod: The uid of its Kubernetes pod, else None.
    """

    engine: Engine
    id: str
    pod: str | None = None

    @property
    def label(self) -> str:
        """Engine and name, ids cut as engines cut them."""
        short = self.id[:12] if _ID.fullmatch(self.id) else self.id
        return f"{self.engine}:{short}" + (f" (pod {self.pod})" if self.pod else "")

    @property
    def stop(self) -> tuple[str, ...]:
        """The command that stops it."""
        short = self.id[:12] if _ID.fullmatch(self.id) else self.id
        return {
            Engine.DOCKER: ("docker", "stop", short),
            Engine.PODMAN: ("podman", "stop", short),
            Engine.BUILDAH: ("buildah", "rm", short),
            Engine.CONTAINERD: ("ctr", "task", "kill", self.id),
            Engine.CRI: ("crictl", "stop", short),
            Engine.LXC: ("lxc-stop", "-n", self.id),
            Engine.MACHINE: ("machinectl", "terminate", self.id),
        }[self.engine]


_ID = re.compile(r"[0-9a-f]{64}")
_POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?")
_UNIT_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")

_SCOPES = (
    (re.compile(r"docker-([0-9a-f]{64})\.scope"), Engine.DOCKER),
    (re.compile(r"libpod-([0-9a-f]{64})(?:\.scope)?"), Engine.PODMAN),
    (re.compile(r"cri-containerd-([0-9a-f]{64})\.scope"), Engine.CRI),
    (re.compile(r"crio-([0-9a-f]{64})(?:\.scope)?"), Engine.CRI),
    (re.compile(r"nerdctl-([0-9a-f]{64})\.scope"), Engine.CONTAINERD),
    (re.compile(r"lxc\.payload\.(.+)"), Engine.LXC),
    (re.compile(r"machine-(.+)\.scope"), Engine.MACHINE),
    (re.compile(r"systemd-nspawn@(.+)\.service"), Engine.MACHINE),
)
# The directory that stands before the container's own.
_PARENTS = {
    "docker": Engine.DOCKER,
    "lxc": Engine.LXC,
    "lxc.payload": Engine.LXC,
    "libpod_parent": Engine.PODMAN,
}


def container_of(cgroup: str) -> Membership | None:
    """The container that a process with this /proc/PID/cgroup is in; of nested ones the outermost.

    The outermost is the one that an engine of this host knows.

    Args:
        cgroup: The content of the file, lines of ``HIERARCHY:CONTROLLERS:PATH``.
    """
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        found = _in_path([part for part in path.split("/") if part])
        if found is not None:
            return found
    return None


def _in_path(parts: list[str]) -> Membership | None:
    pod: str | None = None
    before = ""
    for part in parts:
        # kubepods-besteffort-podUID.slice with systemd, where dashes of the uid are underscores; podUID without.
        in_pod = _POD.search(part) if part.startswith(("kubepods", "pod")) else None
        if in_pod is not None:
            pod = in_pod[1].replace("_", "-")
        else:
            found = _named(part, before, pod)
            if found is not None:
                return found
        before = part
    return None


def _named(part: str, before: str, pod: str | None) -> Membership | None:
    for pattern, engine in _SCOPES:
        match = pattern.fullmatch(part)
        if match is not None:
            name = _unescaped(match[1]) if engine is Engine.MACHINE else match[1]
            return Membership(engine=engine, id=name, pod=pod)
    if _ID.fullmatch(part) and (pod is not None or before in _PARENTS):
        return Membership(engine=_PARENTS.get(before, Engine.CRI), id=part, pod=pod)
    if before in {"lxc", "lxc.payload"}:
        return Membership(engine=Engine.LXC, id=part, pod=pod)
    return None


def _unescaped(unit: str) -> str:
    # systemd.unit(5): a dash in a name is \x2d, because a dash in a unit's name stands for a slash.
    return _UNIT_ESCAPE.sub(lambda match: chr(int(match[1], 16)), unit)


def container_of_process(pid: int) -> Membership | None:
    """The container a process is in; None also when it is gone or may not be asked."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            return container_of(file.read())
    except OSError:
        return None
