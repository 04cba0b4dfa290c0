"""The daemon of containerd: what it says, and one error for each way of being silent."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.containerd import daemon as containerd_daemon
from ovlctl.engines.daemons import Endpoint
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import StoreKind
from ovlctl.errors import EngineSilent
from tests.capabilities import needs_root

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser
    from tests.containerd import Containerd


def endpoint(path: str) -> Endpoint:
    """A containerd at a socket."""
    (found,) = containerd_daemon.endpoints({"CONTAINERD_ADDRESS": path})
    return found


def test_says(containerd_engine: Containerd) -> None:
    """Version, snapshotters and the root come from a daemon that answers; those not usable say why."""
    said = containerd_daemon.ask(endpoint(containerd_engine.socket))
    found = containerd_daemon.snapshotters(endpoint(containerd_engine.socket))
    version = containerd_engine("version").splitlines()
    assert f"  Version:  {said.version}" in version
    assert (said.driver, said.kind, said.trouble) == ("overlayfs", StoreKind.SNAPSHOTTER, None)
    assert said.root == containerd_engine.root
    by_name = {one.name: one for one in found}
    assert by_name["overlayfs"].trouble is None
    assert by_name["native"].trouble is None
    listed = containerd_engine("plugins", "ls").splitlines()
    ready = {row[1] for row in map(str.split, listed) if row[0].endswith("snapshotter.v1") and row[-1] == "ok"}
    assert {one.name for one in found if one.trouble is None} == ready
    assert all(one.trouble for one in found if one.name not in ready)


def test_addresses() -> None:
    """CONTAINERD_ADDRESS is the only one when it is set; else all that are there, or may be in a closed directory."""
    for word in ("/x/sock", "unix:///x/sock"):
        assert endpoint(word) == Endpoint(engine=Engine.CONTAINERD, address="/x/sock", found="CONTAINERD_ADDRESS")
    addresses = [one.address for one in containerd_daemon.endpoints({})]
    assert all(os.path.exists(path) or not os.access(os.path.dirname(path), os.X_OK) for path in addresses)


def test_no_socket(scratch: str) -> None:
    """No socket is said at once."""
    with pytest.raises(EngineSilent, match="there is no socket"):
        containerd_daemon.ask(endpoint(f"{scratch}/sock"))


def test_nobody_listens(scratch: str) -> None:
    """A socket that nobody listens on is said to be one."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{scratch}/sock")
    with pytest.raises(EngineSilent, match="nobody listens"):
        containerd_daemon.ask(endpoint(f"{scratch}/sock"))


def test_hangs(scratch: str) -> None:
    """One that takes connections and says nothing is given up in time."""
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(f"{scratch}/sock")
        deaf.listen()
        start = time.monotonic()
        with pytest.raises(EngineSilent, match="did not answer within 1 s"):
            containerd_daemon.ask(endpoint(f"{scratch}/sock"), timeout_s=1)
        assert time.monotonic() - start < 10


def test_no_ctr(containerd_engine: Containerd, scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ctr it is said what is missing."""
    with monkeypatch.context() as without:  # what cleans up afterwards needs its programs
        without.setenv("PATH", scratch)
        with pytest.raises(EngineSilent, match="ctr, which comes with containerd, is not installed"):
            containerd_daemon.ask(endpoint(containerd_engine.socket))


@needs_root
def test_permission(containerd_engine: Containerd, ordinary_user: OrdinaryUser) -> None:
    """Somebody who may not connect is told so."""
    code = (
        "from ovlctl.engines.containerd import daemon as d\n"
        f"(e,) = d.endpoints({{'CONTAINERD_ADDRESS': {containerd_engine.socket!r}}})\n"
        "try: d.ask(e)\n"
        "except d.EngineSilent as error: print(error)\n"
    )
    done = ordinary_user.run([sys.executable, "-c", code])
    assert "may not be connected to" in done.stdout, done.stderr
    assert "ask as root" in done.stdout
