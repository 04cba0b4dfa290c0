"""The daemon of Docker: where its own command line finds it, and what it answers."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from ovlctl.engines.api import ask, inspect_container, inspect_image
from ovlctl.engines.daemons import Certificates, Endpoint
from ovlctl.engines.documents import mapping, text
from ovlctl.engines.keepers import Engine
from ovlctl.engines.settings import home, runtime, settings, socket_address, without_doubles

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["ask", "endpoints", "inspect_container", "inspect_image"]

_DEFAULT = "unix:///var/run/docker.sock"
_DEFAULT_TLS = "tcp://localhost:2376"


def endpoints(environment: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """The one that ``docker`` would ask, whether anybody listens there or not; then other sockets that are there.

    ``DOCKER_HOST`` goes before ``DOCKER_CONTEXT``, and that before the ``currentContext`` of ``config.json``; without
    any of them it is the default socket (docker/cli, ``cli/command/cli.go``). A rootless daemon listens in
    ``XDG_RUNTIME_DIR``.

    Args:
        environment: Variables of whoever asks.
    """
    found = [_chosen(environment)]
    for address, how in ((_DEFAULT, "default"), (socket_address(runtime(environment), "docker.sock"), "rootless")):
        if os.path.exists(address.removeprefix("unix://")):
            found.append(Endpoint(engine=Engine.DOCKER, address=address, found=how))
    return without_doubles(found)


def _chosen(environment: Mapping[str, str]) -> Endpoint:
    directory = environment.get("DOCKER_CONFIG") or f"{home(environment)}/.docker"
    host = environment.get("DOCKER_HOST")
    context = environment.get("DOCKER_CONTEXT") or text(settings(f"{directory}/config.json").get("currentContext"))
    if not host and context and context != "default":
        return _of_context(directory, context)
    certificates = _of_environment(environment, directory)
    address = host or (_DEFAULT_TLS if certificates is not None else _DEFAULT)
    if "://" not in address:
        address = f"tcp://{address}"
    return Endpoint(
        engine=Engine.DOCKER,
        address=address,
        found="DOCKER_HOST" if host else "default",
        certificates=certificates if address.startswith("tcp:") else None,
    )


def _of_environment(environment: Mapping[str, str], directory: str) -> Certificates | None:
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verify and not environment.get("DOCKER_TLS"):
        return None
    return _certificates(environment.get("DOCKER_CERT_PATH") or directory, verify=verify)


def _of_context(directory: str, name: str) -> Endpoint:
    key = hashlib.sha256(os.fsencode(name)).hexdigest()
    said = settings(f"{directory}/contexts/meta/{key}/meta.json")
    docker = mapping(mapping(said.get("Endpoints")).get("docker"))
    material = f"{directory}/contexts/tls/{key}/docker"
    unverified = docker.get("SkipTLSVerify") is True
    address = text(docker.get("Host"))
    return Endpoint(
        engine=Engine.DOCKER,
        address=address or "",
        found=f"context {name}",
        context=name,
        certificates=_certificates(material, verify=not unverified) if unverified or os.path.isdir(material) else None,
    )


def _certificates(directory: str, *, verify: bool) -> Certificates:
    files: dict[str, Any] = {}
    for name in ("ca", "cert", "key"):
        path = f"{directory}/{name}.pem"
        files[name] = path if os.path.exists(path) else None
    return Certificates(**files, verify=verify)
