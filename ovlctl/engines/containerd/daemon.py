"""The daemon of containerd, asked through ``ctr``, which comes with it.

What containerd keeps is read from its root directory. It is asked for its version, and for what its snapshotters say
of themselves.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl.engines.daemons import Answer, Endpoint
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import StoreKind
from ovlctl.errors import EngineSilent, literal, strerror

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDRESS = "CONTAINERD_ADDRESS"
_USUAL = "/run/containerd/containerd.sock"
# Of distributions that bring their own, and of a dockerd that starts one.
_OTHERS = {
    "/run/k3s/containerd/containerd.sock": "k3s",
    "/run/docker/containerd/containerd.sock": "Docker",
    "/var/snap/microk8s/common/run/containerd.sock": "MicroK8s",
    "/run/k0s/containerd.sock": "k0s",
}
_TIMEOUT_S = 5.0
_DRIVER = "overlayfs"
_SNAPSHOTTER = "io.containerd.snapshotter.v1"
_WORDS_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshotter:
    """What a snapshotter says of itself.

    Attributes:
        root: Where it keeps snapshots.
        trouble: Its own words for why it cannot be used; None when it can.
    """

    name: str
    root: str | None = None
    trouble: str | None = None


def endpoints(environment: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Where a containerd may be reached: where CONTAINERD_ADDRESS says, or else every socket that is there."""
    named = environment.get(_ADDRESS)
    if named:
        return (_endpoint(named.removeprefix("unix://"), _ADDRESS),)
    found = {_USUAL: "default", **_OTHERS}
    return tuple(_endpoint(path, how) for path, how in found.items() if _is_socket(path))


def ask(endpoint: Endpoint, *, timeout_s: float = _TIMEOUT_S) -> Answer:
    """Its version, its root, and whether it can use overlayfs.

    Args:
        endpoint: Where.
        timeout_s: Seconds until it counts as hanging.

    Raises:
        EngineSilent: ``ctr`` is not installed, nobody answers, or not in time.
    """
    found = snapshotters(endpoint, timeout_s=timeout_s)
    driver = next((one for one in found if one.name == _DRIVER), None)
    return Answer(
        endpoint=endpoint,
        version=_version(_ctr(endpoint, timeout_s, "version").splitlines()),
        driver=_DRIVER if driver is not None and driver.trouble is None else None,
        kind=StoreKind.SNAPSHOTTER,
        root=_root(found),
        trouble=driver.trouble if driver is not None else None,
    )


def snapshotters(endpoint: Endpoint, *, timeout_s: float = _TIMEOUT_S) -> tuple[Snapshotter, ...]:
    """What its snapshotters say of themselves.

    Raises:
        EngineSilent: as :func:`ask`.
    """
    _knock(endpoint.address, timeout_s)
    # Described one after the other: `ID: overlayfs`, `root PATH` among its exports, `Message: WORDS` of its error.
    found: list[Snapshotter] = []
    for line in _ctr(endpoint, timeout_s, "plugins", "ls", "--detailed", f"type=={_SNAPSHOTTER}").splitlines():
        name, _, value = line.strip().partition(" ")
        value = value.strip()
        if name == "ID:":
            found.append(Snapshotter(name=value))
        elif found and name == "root":
            found[-1] = replace(found[-1], root=value)
        elif found and name == "Message:":
            found[-1] = replace(found[-1], trouble=value)
    return tuple(found)


def _endpoint(path: str, how: str) -> Endpoint:
    return Endpoint(engine=Engine.CONTAINERD, address=path, found=how)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        # One in a directory that may not be searched is there for all that is known.
        return error.errno in {errno.EACCES, errno.EPERM}


def _knock(path: str, timeout_s: float) -> None:
    # ctr waits ten seconds for a socket that nobody opens, and its words for why do not say which of these it was.
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout_s)
            client.connect(path)
    except OSError as error:
        why = {
            errno.ENOENT: ("there is no socket {}", "`systemctl start containerd`"),
            errno.ECONNREFUSED: ("nobody listens on {}", "`systemctl start containerd`"),
            errno.EACCES: ("{} may not be connected to", "ask as root"),
        }.get(error.errno or 0, (f"{{}} cannot be connected to: {literal(str(error))}", None))
        raise EngineSilent(f"containerd is silent: {why[0]}", path, errno=error.errno, hint=why[1]) from error


def _ctr(endpoint: Endpoint, timeout_s: float, *words: str) -> str:
    program = shutil.which("ctr")
    if program is None:
        raise EngineSilent(
            "containerd at {} cannot be asked: ctr, which comes with containerd, is not installed", endpoint.address
        )
    try:
        done = subprocess.run(
            [program, "--address", endpoint.address, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineSilent(f"containerd at {{}} did not answer within {timeout_s:g} s", endpoint.address) from error
    except OSError as error:
        raise EngineSilent(f"{{}} cannot be run: {strerror(error)}", program, errno=error.errno) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:_WORDS_MAX]
        raise EngineSilent("containerd at {} did not answer: {}", endpoint.address, said or f"status {done.returncode}")
    return done.stdout.decode(errors="replace")


def _version(lines: list[str]) -> str | None:
    # Client: and its version come first, then Server: and its.
    server = [line.strip() for line in lines[lines.index("Server:") :]] if "Server:" in lines else []
    return next((line.removeprefix("Version:").strip() for line in server if line.startswith("Version:")), None)


def _root(found: tuple[Snapshotter, ...]) -> str | None:
    # containerd does not tell its root; those that come with it tell of a directory in it.
    for one in found:
        root, plugin = os.path.split(one.root or "")
        if plugin == f"{_SNAPSHOTTER}.{one.name}":
            return root
    return None
