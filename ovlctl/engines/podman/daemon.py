"""The API service of Podman: where Podman finds it, and what its side that is compatible with Docker's answers.

Podman needs no daemon; the service is there where somebody asked for it.
"""

from __future__ import annotations

import glob
import os
import tomllib
from typing import TYPE_CHECKING, Any

from ovlctl.engines.api import ask, inspect_container, inspect_image
from ovlctl.engines.daemons import Endpoint
from ovlctl.engines.documents import mapping, text
from ovlctl.engines.keepers import Engine
from ovlctl.engines.settings import home, runtime, settings, socket_address, without_doubles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


__all__ = ["ask", "endpoints", "inspect_container", "inspect_image"]

_SYSTEM = "/run/podman/podman.sock"


def endpoints(environment: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """The one that ``podman --remote`` would ask when one is set up; then the sockets that are there.

    ``CONTAINER_CONNECTION`` goes before ``CONTAINER_HOST``, and that before the default connection, of
    ``podman-connections.json`` (since 5.0) or of ``containers.conf`` (podman, ``cmd/podman/root.go``).

    Args:
        environment: Variables of whoever asks.
    """
    found = list(_chosen(environment))
    for path, how in ((_SYSTEM, "default"), (os.path.join(runtime(environment), "podman/podman.sock"), "rootless")):
        if os.path.exists(path):
            found.append(Endpoint(engine=Engine.PODMAN, address=socket_address(path), found=how))
    return without_doubles(found)


def _chosen(environment: Mapping[str, str]) -> Iterator[Endpoint]:
    host, connection = environment.get("CONTAINER_HOST"), environment.get("CONTAINER_CONNECTION")
    if host and not connection:
        yield Endpoint(engine=Engine.PODMAN, address=host, found="CONTAINER_HOST")
        return
    directory = os.path.join(environment.get("XDG_CONFIG_HOME") or f"{home(environment)}/.config", "containers")
    connections: dict[str, str] = {}
    default: str | None = None
    for path in _configurations(environment, directory):
        engine = mapping(_toml(path).get("engine"))
        for name, destination in mapping(engine.get("service_destinations")).items():
            connections[name] = text(mapping(destination).get("uri")) or ""
        default = text(engine.get("active_service")) or default
    recorded = environment.get("PODMAN_CONNECTIONS_CONF") or f"{directory}/podman-connections.json"
    said = mapping(settings(recorded).get("Connection"))
    for name, destination in mapping(said.get("Connections")).items():
        connections[name] = text(mapping(destination).get("URI")) or ""
    chosen = connection or text(said.get("Default")) or default
    if chosen:
        address = connections.get(chosen, "")
        yield Endpoint(engine=Engine.PODMAN, address=address, found=f"connection {chosen}", context=chosen)


def _configurations(environment: Mapping[str, str], directory: str) -> Iterator[str]:
    # containers.conf(5): each one overrides those before it.
    only = environment.get("CONTAINERS_CONF")
    if only:
        yield only
    else:
        yield "/usr/share/containers/containers.conf"
        for place in ("/etc/containers", directory):
            yield f"{place}/containers.conf"
            yield from sorted(glob.glob(f"{glob.escape(place)}/containers.conf.d/*.conf"))
    last = environment.get("CONTAINERS_CONF_OVERRIDE")
    if last:
        yield last


def _toml(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
