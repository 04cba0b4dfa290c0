"""The names of engines: all that a command needs to know of them to tell whether a word is about one."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """What runs containers or builds images."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"
    CONTAINERD = "containerd"
    CRI = "cri"
    LXC = "lxc"
    MACHINE = "machine"


#: Whose stores are read, by the word that names them: ``docker:NAME``. Buildah's things lie in Podman's, CRI's in
#: containerd's.
KEEPERS = {engine.value: engine for engine in (Engine.DOCKER, Engine.PODMAN, Engine.CONTAINERD)}
#: The same for every word that names an engine, those included that keep nothing themselves.
NAMED = {**KEEPERS, Engine.BUILDAH.value: Engine.PODMAN, Engine.CRI.value: Engine.CONTAINERD}


def keeper_of(word: str) -> Engine | None:
    """The engine in whose store a word such as ``docker:NAME`` names something; None when it is no such word."""
    before, colon, after = word.partition(":")
    return NAMED.get(before) if colon and after else None
