"""The daemons of engines, asked where they may be reached."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.engines.containerd import daemon as containerd_daemon
from ovlctl.engines.docker import daemon as docker_daemon
from ovlctl.engines.keepers import Engine
from ovlctl.engines.podman import daemon as podman_daemon
from ovlctl.errors import OvlError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ovlctl.engines.daemons import Answer, Endpoint, Inspected
    from ovlctl.engines.places import Place

_Endpoints = Callable[[Mapping[str, str]], tuple["Endpoint", ...]]
_Ask = Callable[["Endpoint"], "Answer"]
_DAEMONS: dict[Engine, tuple[_Endpoints, _Ask]] = {
    Engine.DOCKER: (docker_daemon.endpoints, docker_daemon.ask),
    Engine.PODMAN: (podman_daemon.endpoints, podman_daemon.ask),
    Engine.CONTAINERD: (containerd_daemon.endpoints, containerd_daemon.ask),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of asking.

    Attributes:
        endpoint: Who was asked.
        answer: What it said; None when it did not.
        silence: Why not.
    """

    endpoint: Endpoint
    answer: Answer | None
    silence: OvlError | None

    def is_of(self, place: Place) -> bool:
        """Whether it is the daemon of a store, as far as can be told: of one that is silent, that of its engine."""
        if self.endpoint.engine is not place.engine:
            return False
        if self.answer is None or self.answer.root is None:
            return True
        return os.path.realpath(self.answer.root) == place.root


def replies(engines: Collection[Engine], environment: Mapping[str, str]) -> tuple[Reply, ...]:
    """Ask every daemon that may be there, each once."""
    return tuple(reply for engine in engines or _DAEMONS for reply in _replies(engine, environment))


def _replies(engine: Engine, environment: Mapping[str, str]) -> Iterator[Reply]:
    endpoints, ask = _DAEMONS[engine]
    for endpoint in endpoints(environment):
        try:
            yield Reply(endpoint=endpoint, answer=ask(endpoint), silence=None)
        except OvlError as error:
            yield Reply(endpoint=endpoint, answer=None, silence=error)


def inspected(
    engines: Collection[Engine], ref: str, *, container: bool, environment: Mapping[str, str]
) -> tuple[Engine, Inspected] | None:
    """What the first daemon that knows *ref* says of it; None when none does. containerd tells no paths."""
    for engine, daemon in ((Engine.DOCKER, docker_daemon), (Engine.PODMAN, podman_daemon)):
        for endpoint in daemon.endpoints(environment) if engine in engines else ():
            ask = daemon.inspect_container if container else daemon.inspect_image
            with suppress(OvlError):
                return engine, ask(endpoint, ref)
    return None
