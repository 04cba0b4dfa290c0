"""Asking a daemon: whatever goes wrong is one error on one line, in time, and nothing is written beside it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines import sdk
from ovlctl.engines.daemons import Certificates, Endpoint
from ovlctl.engines.docker import daemon as docker_daemon
from ovlctl.engines.keepers import Engine
from ovlctl.errors import ContainerMissing, EngineSilent, ExtraMissing, OvlError, StoreForbidden
from tests.engines import little_server
from tests.patience import PATIENCE, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from socket import socket

    from tests.conftest import OrdinaryUser


def _endpoint(address: str, certificates: Certificates | None = None) -> Endpoint:
    return Endpoint(engine=Engine.DOCKER, address=address, found="DOCKER_HOST", certificates=certificates)


_OK = b"HTTP/1.1 200 OK\nContent-Type: application/json\n"

_TALKS: dict[str, tuple[Callable[[socket], None], str]] = {
    "hangs up at once": (lambda _: None, "before its answer was whole"),
    "half a head": (little_server.answering(b"HTTP/1.1 200"), "no JSON document"),
    "half a body": (little_server.answering(_OK + b"Content-Length: 4000", b'{"Driver": "over'), "before its answer"),
    "half a chunk": (
        little_server.answering(_OK + b"Transfer-Encoding: chunked", b'40\r\n{"Driver": "over'),
        "before its answer was whole",
    ),
    "no HTTP": (little_server.answering(b"SSH-2.0-OpenSSH_9.2"), "before its answer was whole"),
    "no JSON": (little_server.answering(_OK + b"Content-Length: 5", b"<htm>"), "no JSON document"),
    "deep JSON": (little_server.answering(_OK + b"Content-Length: 200000", b"[" * 200_000), "no JSON document"),
    "another document": (little_server.documents(b"[]"), "not as an engine does"),
    "an error": (
        little_server.answering(b"HTTP/1.1 500 Oh\nContent-Length: 25", b'{"message": "no\\nroom{}"} '),
        "status 500: 'no'",
    ),
    "a redirection": (
        little_server.answering(b"HTTP/1.1 301 Moved\nLocation: http://127.0.0.1:1/\nContent-Length: 0"),
        "status 301",
    ),
    "not packed as it says": (
        little_server.answering(_OK + b"Content-Encoding: gzip\nContent-Length: 5", b"xxxxx"),
        "cannot be asked",
    ),
    "silence": (little_server.silent, "has not answered within 0.5 s"),
    "byte by byte": (little_server.dripping, "has not answered within 0.5 s"),
}


@pytest.mark.parametrize("case", _TALKS)
def test_bad_answers(scratch: str, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A daemon that ends, lies or says nothing."""
    talk, words = _TALKS[case]
    with (
        little_server.listening(f"{scratch}/sock", talk) as address,
        no_hang(),
        pytest.raises(EngineSilent) as caught,
    ):
        docker_daemon.ask(_endpoint(address), timeout_s=0.5 if "0.5 s" in words else PATIENCE)
    assert words in caught.value.message()
    assert "\n" not in caught.value.message()
    assert capfd.readouterr() == ("", "")


def test_an_answer_too_long(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has an end, or is none."""
    monkeypatch.setattr(sdk, "ANSWER_MAX", 1000)
    with (
        little_server.listening(f"{scratch}/sock", little_server.documents(b" " * 5000)) as address,
        pytest.raises(EngineSilent, match="longer than 1000 bytes"),
    ):
        docker_daemon.ask(_endpoint(address))


def test_nobody_listens(scratch: str) -> None:
    """No socket, a socket without a listener, a file: nobody is there, and the command that starts it is named."""
    for make in (lambda _: None, _abandoned, lambda path: open(path, "wb").close()):
        path = f"{scratch}/sock"
        make(path)
        with pytest.raises(EngineSilent, match="nobody listens") as caught:
            docker_daemon.ask(_endpoint(f"unix://{path}"))
        assert caught.value.hint() == "`systemctl start docker`"
        if os.path.lexists(path):
            os.remove(path)


def _abandoned(path: str) -> None:
    from socket import AF_UNIX, socket

    with socket(AF_UNIX) as server:
        server.bind(path)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nonsense",
        "ftp://x",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:1",
        "ssh://root@host",
        "fd://",
        "unix://",
        "tcp://no-such-host.invalid:2375",
        "unix:///" + "long/" * 40,
    ],
)
def test_addresses(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    """An address that is none, or leads nowhere."""
    with pytest.raises(OvlError) as caught:
        docker_daemon.ask(_endpoint(address), timeout_s=3)
    assert isinstance(caught.value, EngineSilent | StoreForbidden)
    assert "\n" not in caught.value.message()
    assert capfd.readouterr() == ("", "")


def test_permission_denied(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """A socket that may not be used is another thing than nobody."""
    script = (
        "import sys; from ovlctl.engines.docker import daemon as docker_daemon\n"
        "from ovlctl.engines.daemons import Endpoint\n"
        "from ovlctl.engines.keepers import Engine; from ovlctl.errors import StoreForbidden\n"
        "try: docker_daemon.ask(Endpoint(engine=Engine.DOCKER, address='unix://' + sys.argv[1], found='default'))\n"
        "except StoreForbidden as error: print(error)"
    )
    with little_server.listening(f"{scratch}/sock", little_server.documents(b"{}")):
        os.chmod(f"{scratch}/sock", 0)
        done = ordinary_user.run([sys.executable, "-c", script, f"{scratch}/sock"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("OVL-E173")
    assert "Permission denied (EACCES)" in done.stdout


def test_missing(scratch: str) -> None:
    """What a daemon does not have is its answer, not its failure; a name that is a path is not asked for."""
    body = b'{"message": "No such container: {x}"}'
    talk = little_server.answering(b"HTTP/1.1 404 Not Found\nContent-Length: %d" % len(body), body)
    with little_server.listening(f"{scratch}/sock", talk) as address:
        for inspect in (docker_daemon.inspect_container, docker_daemon.inspect_image):
            with pytest.raises(ContainerMissing, match=r"No such container: \{x\}"):
                inspect(_endpoint(address), "x")
            with pytest.raises(ContainerMissing, match="no name"):
                inspect(_endpoint(address), "../../info")


def test_names_are_quoted(scratch: str) -> None:
    """A name is one component of the path that is asked for, whatever it holds; that of an image may have slashes."""
    asked: list[bytes] = []

    def talk(peer: socket) -> None:
        asked.append(peer.recv(1 << 16).split(b" ")[1])
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with little_server.listening(f"{scratch}/sock", talk) as address:
        for name in ("a?b#c d\n", "/web"):
            with pytest.raises(EngineSilent, match="something else than a container"):
                docker_daemon.inspect_container(_endpoint(address), name)
        with pytest.raises(EngineSilent, match="something else than an image"):
            docker_daemon.inspect_image(_endpoint(address), "reg:5000/a/b@sha256:00")
    assert asked == [
        b"/containers/a%3Fb%23c%20d%0A/json",
        b"/containers/web/json",
        b"/images/reg:5000/a/b@sha256:00/json",
    ]


def _certificate(directory: str, name: str, authority: str | None = None) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", f"{directory}/{name}-key.pem", "-out", f"{directory}/{name}.pem"]
    if authority is not None:
        words += ["-CA", f"{directory}/{authority}.pem", "-CAkey", f"{directory}/{authority}-key.pem"]
        words += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(words, check=True, capture_output=True)


def test_tls(scratch: str) -> None:
    """With certificates both sides know each other; without the right ones there is no conversation."""
    _certificate(scratch, "ca")
    for name in ("daemon", "me"):
        _certificate(scratch, name, "ca")
    _certificate(scratch, "stranger")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{scratch}/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(f"{scratch}/daemon.pem", f"{scratch}/daemon-key.pem")
    info = json.dumps({"ServerVersion": "29.1", "Driver": "overlayfs"}).encode()

    def mine(ca: str, me: str, *, verify: bool = True) -> Certificates:
        return Certificates(
            ca=f"{scratch}/{ca}.pem", cert=f"{scratch}/{me}.pem", key=f"{scratch}/{me}-key.pem", verify=verify
        )

    with little_server.listening_tls(context, little_server.documents(info)) as address:
        assert docker_daemon.ask(_endpoint(address, mine("ca", "me"))).version == "29.1"
        assert docker_daemon.ask(_endpoint(address, mine("stranger", "me", verify=False))).version == "29.1"
        for wrong in (mine("stranger", "me"), mine("ca", "stranger"), mine("gone", "me"), mine("ca", "gone"), None):
            with pytest.raises(EngineSilent) as caught:
                docker_daemon.ask(_endpoint(address, wrong), timeout_s=3)
            assert "\n" not in caught.value.message()


def test_without_the_sdk() -> None:
    """Without the SDK only asking is missed, and the command that installs it is named."""
    script = (
        "import sys; sys.modules['docker'] = None\n"
        "from ovlctl.engines.docker import daemon as docker_daemon, store\n"
        "from ovlctl.engines.podman import daemon as podman_daemon\n"
        "from ovlctl.errors import ExtraMissing\n"
        "try: docker_daemon.ask(docker_daemon.endpoints({})[0])\n"
        "except ExtraMissing as error: print(error.hint())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("`pip install 'ovlctl[engines]'`\n", "")
    assert ExtraMissing.exit_status != 0


def test_it_is_loaded_when_asked(tmp_path: Path) -> None:
    """Finding endpoints and reading stores load no engine library."""
    script = (
        "import sys; from ovlctl.engines.docker import daemon as docker_daemon, store\n"
        "from ovlctl.engines.podman import daemon as podman_daemon\n"
        "docker_daemon.endpoints({}), podman_daemon.endpoints({})\n"
        "print(*{'docker', 'requests', 'urllib3'} & set(sys.modules))"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
