"""Daemons are found where the engines' own command lines find them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines.daemons import Certificates
from ovlctl.engines.docker import daemon as docker_daemon
from ovlctl.engines.keepers import Engine
from ovlctl.engines.podman import daemon as podman_daemon
from ovlctl.errors import EngineSilent
from tests.docker import client

if TYPE_CHECKING:
    from pathlib import Path

    from ovlctl.engines.daemons import Endpoint

_DEFAULT = "unix:///var/run/docker.sock"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a user who has set up nothing."""
    for name in ("home", "run", "run/podman"):
        (tmp_path / name).mkdir()
    return {"HOME": f"{tmp_path}/home", "XDG_RUNTIME_DIR": f"{tmp_path}/run"}


def _write(environment: dict[str, str], name: str, content: Any) -> str:
    path = os.path.join(environment["HOME"], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    return path


def _docker(environment: dict[str, str]) -> Endpoint:
    return docker_daemon.endpoints(environment)[0]


def _context(environment: dict[str, str], name: str, endpoint: dict[str, Any]) -> str:
    key = hashlib.sha256(name.encode()).hexdigest()
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}
    _write(environment, f".docker/contexts/meta/{key}/meta.json", document)
    return f".docker/contexts/tls/{key}/docker"


def test_docker_by_default(environment: dict[str, str]) -> None:
    """Without anything it is the default socket; one of a rootless daemon is told besides, when it is there."""
    assert (_docker(environment).address, _docker(environment).found) == (_DEFAULT, "default")
    path = f"{environment['XDG_RUNTIME_DIR']}/docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
    rootless = docker_daemon.endpoints(environment)[-1]
    assert (rootless.address, rootless.found, rootless.engine) == (f"unix://{path}", "rootless", Engine.DOCKER)
    named = docker_daemon.endpoints(environment | {"DOCKER_HOST": f"unix://{path}"})
    assert [endpoint.found for endpoint in named if endpoint.address == f"unix://{path}"] == ["DOCKER_HOST"]


def test_docker_host(environment: dict[str, str]) -> None:
    """DOCKER_HOST goes before contexts, and has its certificates where DOCKER_CERT_PATH says, or with the settings."""
    _context(environment, "other", {"Host": "unix:///other"})
    named = environment | {"DOCKER_HOST": "tcp://10.0.0.1:2376", "DOCKER_CONTEXT": "other"}
    assert (_docker(named).address, _docker(named).found, _docker(named).certificates) == (
        "tcp://10.0.0.1:2376",
        "DOCKER_HOST",
        None,
    )
    directory = os.path.dirname(_write(environment, "certs/ca.pem", "x"))
    for name in ("cert", "key"):
        _write(environment, f"certs/{name}.pem", "x")
    secure = named | {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": directory}
    assert _docker(secure).certificates == Certificates(
        ca=f"{directory}/ca.pem", cert=f"{directory}/cert.pem", key=f"{directory}/key.pem", verify=True
    )
    _write(environment, ".docker/ca.pem", "x")
    only = _docker(named | {"DOCKER_TLS": "1"}).certificates
    assert only == Certificates(ca=f"{environment['HOME']}/.docker/ca.pem", cert=None, key=None, verify=False)
    del secure["DOCKER_HOST"], secure["DOCKER_CONTEXT"]
    assert _docker(secure).address == "tcp://localhost:2376"
    assert _docker(environment | {"DOCKER_HOST": "10.0.0.1:2375"}).address == "tcp://10.0.0.1:2375"


def test_docker_contexts(environment: dict[str, str]) -> None:
    """A context is named by DOCKER_CONTEXT or by the settings, and has certificates of its own."""
    material = _context(environment, "far away", {"Host": "tcp://10.0.0.1:2376", "SkipTLSVerify": False})
    _context(environment, "near", {"Host": "unix:///near.sock"})
    _write(environment, ".docker/config.json", {"currentContext": "near"})
    near = _docker(environment)
    assert (near.address, near.found, near.context) == ("unix:///near.sock", "context near", "near")
    assert _docker(environment | {"DOCKER_CONTEXT": "default"}).address == _DEFAULT
    far = environment | {"DOCKER_CONTEXT": "far away"}
    assert (_docker(far).address, _docker(far).certificates) == ("tcp://10.0.0.1:2376", None)
    ca = _write(environment, f"{material}/ca.pem", "x")
    assert _docker(far).certificates == Certificates(ca=ca, cert=None, key=None, verify=True)
    moved = {"HOME": "/nowhere", "DOCKER_CONFIG": f"{environment['HOME']}/.docker"}
    assert _docker(moved).address == "unix:///near.sock"


@pytest.mark.skipif(client() is None, reason="needs docker")
def test_contexts_as_docker_makes_them(environment: dict[str, str]) -> None:
    """What ``docker context`` writes is read, and ``docker context ls`` says the same."""
    command = [client() or "docker", "--config", f"{environment['HOME']}/.docker", "context"]
    endpoint = "host=tcp://10.0.0.1:2376,skip-tls-verify=true"
    subprocess.run([*command, "create", "made", "--docker", endpoint], check=True, capture_output=True, env={})
    subprocess.run([*command, "use", "made"], check=True, capture_output=True, env={})
    found = _docker(environment)
    assert found.certificates == Certificates(ca=None, cert=None, key=None, verify=False)
    words = [*command, "ls", "--format", "{{.Current}} {{.Name}} {{.DockerEndpoint}}"]
    listed = subprocess.run(words, check=True, capture_output=True, text=True, env={}).stdout.splitlines()
    assert f"true {found.context} {found.address}" in listed


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Endpoints": []}', '{"Endpoints": {"docker": {}}}', "[" * 9999])
def test_damaged_contexts(environment: dict[str, str], content: str) -> None:
    """A context that is not there or damaged is no other one: asking it says so."""
    key = hashlib.sha256(b"lost").hexdigest()
    _write(environment, f".docker/contexts/meta/{key}/meta.json", content)
    _write(environment, ".docker/config.json", content)
    assert _docker(environment).address == _DEFAULT
    lost = _docker(environment | {"DOCKER_CONTEXT": "lost"})
    assert (lost.address, lost.found) == ("", "context lost")
    with pytest.raises(EngineSilent, match="'context lost' names no address"):
        docker_daemon.ask(lost)


def test_podman_has_no_daemon(environment: dict[str, str]) -> None:
    """Without anything only sockets that are there are told."""
    path = f"{environment['XDG_RUNTIME_DIR']}/podman/podman.sock"
    addresses = {endpoint.address for endpoint in podman_daemon.endpoints(environment)}
    assert addresses <= {"unix:///run/podman/podman.sock"}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
    last = podman_daemon.endpoints(environment)[-1]
    assert (last.address, last.found, last.engine) == (f"unix://{path}", "rootless", Engine.PODMAN)


_TOML = """
[engine]
active_service = "one"
[engine.service_destinations.one]
uri = "unix:///one.sock"
[engine.service_destinations.two]
uri = "ssh://root@two:22/run/podman/podman.sock"
identity = "/key"
"""


def test_podman_connections(environment: dict[str, str]) -> None:
    """CONTAINER_CONNECTION, CONTAINER_HOST, podman-connections.json, containers.conf, in this order."""

    def first(**more: str) -> tuple[str, str]:
        endpoint = podman_daemon.endpoints(environment | more)[0]
        return endpoint.address, endpoint.found

    path = _write(environment, ".config/containers/containers.conf", _TOML)
    assert first() == ("unix:///one.sock", "connection one")
    _write(environment, ".config/containers/containers.conf.d/9.conf", '[engine]\nactive_service = "two"\n')
    assert first() == ("ssh://root@two:22/run/podman/podman.sock", "connection two")
    assert first(CONTAINERS_CONF=path) == ("unix:///one.sock", "connection one")
    said = {"Connection": {"Default": "three", "Connections": {"three": {"URI": "unix:///three.sock"}}}}
    _write(environment, ".config/containers/podman-connections.json", said)
    assert first() == ("unix:///three.sock", "connection three")
    assert first(CONTAINER_HOST="tcp://h:1") == ("tcp://h:1", "CONTAINER_HOST")
    assert first(CONTAINER_HOST="tcp://h:1", CONTAINER_CONNECTION="one") == ("unix:///one.sock", "connection one")
    assert first(CONTAINER_CONNECTION="lost") == ("", "connection lost")
    _write(environment, ".config/containers/containers.conf", "[engine\n")
    assert first() == ("unix:///three.sock", "connection three")
    with pytest.raises(EngineSilent, match="SSH"):
        podman_daemon.ask(podman_daemon.endpoints(environment | {"CONTAINER_HOST": "ssh://root@h"})[0])
