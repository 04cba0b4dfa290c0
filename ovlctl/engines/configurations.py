"""Where the configuration files of engines say that stores are, and where they are without.

What is said here are paths as that machine has them; whether anything is there is looked at later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl.engines.keepers import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.engines.disk import Disk
    from ovlctl.engines.entries import Entry

DOCKER_CONFIG = "/etc/docker/daemon.json"
CONTAINERD_CONFIG = "/etc/containerd/config.toml"
STORAGE_CONFIGS = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")
DOCKER_ROOT, DOCKER_RUN = "/var/lib/docker", "/run/docker"
PODMAN_ROOT, PODMAN_RUN = "/var/lib/containers/storage", "/run/containers/storage"
CONTAINERD_ROOT, CONTAINERD_RUN = "/var/lib/containerd", "/run/containerd"
# Distributions of Kubernetes that bring a containerd of their own, and snaps.
_OTHERS = (
    (Engine.CONTAINERD, "/var/lib/rancher/k3s/agent/containerd", "/run/k3s/containerd"),
    (Engine.CONTAINERD, "/var/lib/rancher/rke2/agent/containerd", "/run/k3s/containerd"),
    (Engine.CONTAINERD, "/var/lib/k0s/containerd", "/run/k0s/containerd"),
    (Engine.CONTAINERD, "/var/snap/microk8s/common/var/lib/containerd", "/var/snap/microk8s/common/run/containerd"),
    (Engine.DOCKER, "/var/snap/docker/common/var-lib-docker", "/run/snap.docker"),
)
_METACOPY = "metacopy=on"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Where a store is said to be.

    Attributes:
        engine: DOCKER, PODMAN or CONTAINERD.
        root: Its data root.
        run: What lives until the next boot.
        images: Further stores that it reads images from.
        configured: Whether a configuration file says so.
        metacopy: Whether it says that overlays are mounted with ``metacopy=on``.
    """

    engine: Engine
    root: str
    run: str | None = None
    images: tuple[str, ...] = ()
    configured: bool = False
    metacopy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user who may run engines without root.

    Attributes:
        uid: Their number.
        name: Their login name.
        home: Their home directory.
        data, config, run: XDG_DATA_HOME, XDG_CONFIG_HOME and XDG_RUNTIME_DIR.
    """

    uid: int
    name: str
    home: str
    data: str
    config: str
    run: str


def account(uid: int, name: str, home: str, environment: Mapping[str, str] | None = None) -> Account:
    """The directories of a user: as *environment*, theirs, has them, else where they are by default."""
    given = environment or {}
    return Account(
        uid=uid,
        name=name,
        home=home,
        data=given.get("XDG_DATA_HOME") or f"{home}/.local/share",
        config=given.get("XDG_CONFIG_HOME") or f"{home}/.config",
        run=given.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}",
    )


def of_machine(disk: Disk) -> Iterator[Said]:
    """The stores of engines that run as root."""
    yield docker(disk, DOCKER_CONFIG, DOCKER_ROOT, DOCKER_RUN)
    yield podman(disk, STORAGE_CONFIGS, PODMAN_ROOT, PODMAN_RUN)
    yield containerd(disk, CONTAINERD_CONFIG, CONTAINERD_ROOT, CONTAINERD_RUN)
    # What was there before somebody configured another place is data left behind.
    yield Said(engine=Engine.DOCKER, root=DOCKER_ROOT, run=DOCKER_RUN)
    yield Said(engine=Engine.PODMAN, root=PODMAN_ROOT, run=PODMAN_RUN)
    yield Said(engine=Engine.CONTAINERD, root=CONTAINERD_ROOT, run=CONTAINERD_RUN)
    for engine, root, run in _OTHERS:
        yield Said(engine=engine, root=root, run=run)


def of_user(disk: Disk, user: Account) -> Iterator[Said]:
    """The stores of engines that a user runs without root."""
    names = {"HOME": user.home, "UID": str(user.uid), "USER": user.name}
    storage = f"{user.data}/containers/storage"
    yield docker(disk, f"{user.config}/docker/daemon.json", f"{user.data}/docker", f"{user.run}/docker")
    own = f"{user.config}/containers/storage.conf"
    yield podman(disk, (own,), storage, f"{user.run}/containers", names)
    yield _rootless(disk, storage, f"{user.run}/containers", names)
    yield Said(engine=Engine.PODMAN, root=storage, run=f"{user.run}/containers")
    yield Said(engine=Engine.DOCKER, root=f"{user.data}/docker", run=f"{user.run}/docker")
    yield Said(engine=Engine.CONTAINERD, root=f"{user.data}/containerd", run=f"{user.run}/containerd")


def docker(disk: Disk, path: str, root: str, run: str) -> Said:
    """What a daemon.json says; *root* and *run* where it says nothing."""
    config = disk.configuration(path, "json")
    said = _path(config, "data-root") or _path(config, "graph")  # as it was called until 2017
    return Said(
        engine=Engine.DOCKER,
        root=said or root,
        run=_path(config, "exec-root") or run,
        configured=said is not None,
    )


def containerd(disk: Disk, path: str, root: str, run: str) -> Said:
    """What a config.toml of containerd says; *root* and *run* where it says nothing."""
    config = disk.configuration(path, "toml")
    said = _path(config, "root")
    return Said(
        engine=Engine.CONTAINERD, root=said or root, run=_path(config, "state") or run, configured=said is not None
    )


def podman(disk: Disk, paths: tuple[str, ...], root: str, run: str, names: Mapping[str, str] | None = None) -> Said:
    """What the first storage.conf that is there says; *root* and *run* where it says nothing.

    Args:
        disk: It is on.
        paths: The files.
        root: The graph root by default.
        run: The run root by default.
        names: Variables that its paths may hold.
    """
    storage = next((found for path in paths if (found := disk.configuration(path, "toml")).values), None)
    return _storage(storage.entry("storage") if storage else None, "graphroot", root, run, names or {})


def _rootless(disk: Disk, root: str, run: str, names: Mapping[str, str]) -> Said:
    # The system's file has one line for users; its runroot is root's.
    storage = next((found for path in STORAGE_CONFIGS if (found := disk.configuration(path, "toml")).values), None)
    said = _storage(storage.entry("storage") if storage else None, "rootless_storage_path", root, run, names)
    return replace(said, run=run)


def _storage(storage: Entry | None, key: str, root: str, run: str, names: Mapping[str, str]) -> Said:
    if storage is None:
        return Said(engine=Engine.PODMAN, root=root, run=run)
    options = storage.entry("options")
    said = _path(storage, key, names)
    images = [_path(storage, "imagestore", names), _path(options, "imagestore", names)]
    images += [_expanded(path, names) for path in options.texts("additionalimagestores")]
    return Said(
        engine=Engine.PODMAN,
        root=said or root,
        run=_path(storage, "runroot", names) or run,
        images=tuple(dict.fromkeys(path for path in images if path is not None)),
        configured=said is not None,
        metacopy=_METACOPY in (options.entry("overlay").text("mountopt") or options.text("mountopt") or "").split(","),
    )


def _path(config: Entry, key: str, names: Mapping[str, str] | None = None) -> str | None:
    value = config.text(key)
    return _expanded(value, names or {}) if value is not None else None


def _expanded(path: str, names: Mapping[str, str]) -> str | None:
    path = _VARIABLE.sub(lambda match: names.get(match[1] or match[2], match[0]), path)
    return path if path.startswith("/") else None
