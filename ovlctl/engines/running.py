"""Where the engines that run here keep their stores, as their command lines say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.engines import configurations
from ovlctl.engines.configurations import Said
from ovlctl.engines.keepers import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.engines.disk import Disk

_CRIO_CONFIG = "/etc/crio/crio.conf"


def stores(disk: Disk) -> Iterator[Said]:
    """The stores of every daemon, and of every Podman that a container was begun by.

    Processes that have another root directory, as in containers, are left out: their paths are not ours.

    Args:
        disk: This machine's, for the configuration files that command lines name.
    """
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = _words(name)
                said = _said(disk, words, name) if words else None
            except OSError:  # it has ended
                continue
            if said is not None:
                yield said


def _words(pid: str) -> list[str]:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read().split(b"\0")]
    return words if _is_ours(pid) else []


def _is_ours(pid: str) -> bool:
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/root"), os.stat("/"))
    except PermissionError:  # somebody else's, of whom only the command line may be read
        return True


def _said(disk: Disk, words: list[str], pid: str) -> Said | None:
    program = os.path.basename(words[0])
    line = _Line(words[1:], pid)
    match program:
        case "dockerd":
            return _docker(disk, line)
        case "containerd":
            return _containerd(disk, line)
        case "podman" | "buildah":
            return _podman(line)
        case "crio":
            return _crio(disk, line)
        case "conmon":
            # It ends by calling podman, whose words it has been given one by one.
            return _podman(_Line(line.all("--exit-command-arg"), pid))
        case _:
            return None


class _Line:
    # A command line, of which only a few options are looked for, wherever they stand.

    def __init__(self, words: Sequence[str], pid: str) -> None:
        self._words = words
        self._pid = pid

    def all(self, *options: str) -> list[str]:
        found = []
        for at, word in enumerate(self._words):
            name, equals, value = word.partition("=")
            if word == "--":
                break
            if name in options and equals:
                found.append(value)
            elif word in options and at + 1 < len(self._words):
                found.append(self._words[at + 1])
        return found

    def path(self, *options: str) -> str | None:
        found = [value for value in self.all(*options) if value]
        if not found:
            return None
        if found[-1].startswith("/"):
            return found[-1]
        try:
            return os.path.normpath(os.path.join(os.readlink(f"/proc/{self._pid}/cwd"), found[-1]))
        except PermissionError:
            return None


def _docker(disk: Disk, line: _Line) -> Said:
    config = line.path("--config-file") or configurations.DOCKER_CONFIG
    said = configurations.docker(disk, config, configurations.DOCKER_ROOT, configurations.DOCKER_RUN)
    root, run = line.path("--data-root", "-g", "--graph"), line.path("--exec-root")
    return Said(engine=Engine.DOCKER, root=root or said.root, run=run or said.run)


def _containerd(disk: Disk, line: _Line) -> Said:
    config = line.path("--config", "-config", "-c") or configurations.CONTAINERD_CONFIG
    said = configurations.containerd(disk, config, configurations.CONTAINERD_ROOT, configurations.CONTAINERD_RUN)
    root, run = line.path("--root", "-root"), line.path("--state", "-state")
    return Said(engine=Engine.CONTAINERD, root=root or said.root, run=run or said.run)


def _podman(line: _Line) -> Said | None:
    root = line.path("--root")
    if root is None:
        return None  # where it is, its configuration says
    images = [line.path("--imagestore"), *_image_stores(line)]
    return Said(
        engine=Engine.PODMAN,
        root=root,
        run=line.path("--runroot") or configurations.PODMAN_RUN,
        images=tuple(path for path in images if path is not None),
    )


def _image_stores(line: _Line) -> Iterator[str]:
    for option in line.all("--storage-opt"):
        name, _, value = option.partition("=")
        if name.rpartition(".")[2] in {"imagestore", "additionalimagestore"}:
            yield from (path for path in value.split(",") if path.startswith("/"))


def _crio(disk: Disk, line: _Line) -> Said | None:
    config = disk.configuration(line.path("--config", "-c") or _CRIO_CONFIG, "toml").entry("crio")
    root = line.path("--root", "-r") or config.text("root")
    if root is None or not root.startswith("/"):
        return None  # storage.conf says
    run = line.path("--runroot") or config.text("runroot") or configurations.PODMAN_RUN
    return Said(engine=Engine.PODMAN, root=root, run=run)
