"""Stores for somebody who is not root: those of others, which they may not read, and their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.capabilities import needs_overlay, needs_root, needs_userns
from tests.engines.little_server import listening, silent
from tests.ops.engines import copies
from tests.ops.engines.cases import NAMES
from tests.ops.engines.copies import Copy, copied, name_of

if TYPE_CHECKING:
    from tests.conftest import Finished, OrdinaryUser
    from tests.ops.engines.cases import Case

pytestmark = [needs_root, needs_overlay]


@pytest.fixture
def copy(case: Case, scratch: str) -> Copy:
    """A copy of a store, which root owns as engines do."""
    copies.again(copied(case, _made(f"{scratch}/first")), f"{scratch}/store")
    return Copy(name=name_of(case), case=case, root=f"{scratch}/store")


def _made(path: str) -> str:
    os.mkdir(path)
    return path


def _commands(copy: Copy) -> dict[str, tuple[str, ...]]:
    engine, (name, identity) = str(copy.case.engine), copy.case.stopped
    return {
        "driver": ("driver", engine),
        "driver container": ("driver", "container", name),
        "owner": ("owner", identity),
        "orphans": ("orphans", engine),
        "du": ("du", engine, "--by", "container"),
        "tree": ("tree", copy.container),
        "explain": ("explain", copy.container, "bin/busybox"),
    }


def _lines(done: Finished) -> list[str]:
    lines = done.stderr.splitlines()
    assert all(line.startswith(("ovlctl: ", "hint: ", "note: ")) for line in lines), done.stderr
    return lines


def test_a_root_of_others(copy: Copy, ordinary_user: OrdinaryUser) -> None:
    """Who may not read a data root is told that by every command, with what to do."""
    os.chmod(copy.root, 0o710)
    for words in _commands(copy).values():
        done = ordinary_user.ovlctl(*words, env={"OVLCTL_ENGINE_ROOT": copy.root})
        error, hint = _lines(done)
        assert done.status == 4, (words, done.stderr)
        assert "[OVL-E173 store-forbidden]" in error
        assert copy.root in error
        assert hint == "hint: ask as root"


def test_layers_of_others(copy: Copy, ordinary_user: OrdinaryUser) -> None:
    """Who may read the data root and nothing in it is told so once, and gets what is left."""
    os.chmod(copy.root, 0o755)
    for entry in os.scandir(copy.root):
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)
    for what, words in _commands(copy).items():
        done = ordinary_user.ovlctl(*words, env={"OVLCTL_ENGINE_ROOT": copy.root})
        said = _lines(done)
        assert done.status in ({6} if what in {"driver", "orphans", "du"} else {4, 6}), (words, done.stderr)
        assert any("Permission denied (EACCES)" in line for line in said), (words, said)
        assert any("ask as root" in line for line in said), (words, said)
        of_paths = re.findall(r"(\S+) (?:cannot|could not) be read", done.stderr)
        assert len(of_paths) == len(set(of_paths)), (words, done.stderr)
        assert " 0 layers" not in done.stdout, (words, done.stdout)
        assert done.stdout != "no orphans\n"


def test_a_socket_of_others(copy: Copy, ordinary_user: OrdinaryUser, scratch: str) -> None:
    """A socket that may not be used is told, and the store all the same."""
    socket = f"{scratch}/sock"
    os.chmod(copy.root, 0o755)
    engine = str(copy.case.engine)
    with listening(socket, silent):
        os.chmod(socket, 0o600)
        done = ordinary_user.ovlctl(
            "driver",
            engine,
            env={
                "OVLCTL_ENGINE_ROOT": copy.root,
                "DOCKER_HOST": f"unix://{socket}",
                "CONTAINER_HOST": f"unix://{socket}",
                "CONTAINERD_ADDRESS": socket,
            },
        )
    assert done.status == 6
    assert any(socket in line and "ask as root" in line for line in _lines(done)), done.stderr
    assert done.stdout.startswith(f"{engine}: ")


@needs_userns
@pytest.mark.parametrize("case", [NAMES[1]], indirect=True)
def test_a_store_of_ones_own_as_podman_unshare_sees_it(copy: Copy, ordinary_user: OrdinaryUser) -> None:
    """Root of a user namespace is not root: its store is that of rootless Podman, and root's is nobody's there."""
    copies.again(copy.root, f"{ordinary_user.home}/store")
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-m", "ovlctl", "driver", "podman", "--json"]
    for owner, rootless in ((ordinary_user.uid, True), (0, None)):
        subprocess.run(["chown", "-R", str(owner), f"{ordinary_user.home}/store"], check=True)
        os.chmod(f"{ordinary_user.home}/store", 0o755)
        done = ordinary_user.run(command, env={"OVLCTL_ENGINE_ROOT": f"{ordinary_user.home}/store"})
        (told,) = json.loads(done.stdout)["data"]["engines"]
        assert told["rootless"] is rootless


@pytest.mark.parametrize("case", [NAMES[1]], indirect=True)
def test_a_store_of_ones_own(copy: Copy, ordinary_user: OrdinaryUser) -> None:
    """The owner of a store of rootless Podman asks without root whatever its files tell."""
    subprocess.run(["chown", "-R", f"{ordinary_user.uid}:{ordinary_user.gid}", copy.root], check=True)
    home = f"{ordinary_user.home}/store"
    shutil.move(copy.root, home)
    env = {"OVLCTL_ENGINE_ROOT": home}
    engine, (name, identity) = "podman", copy.case.stopped

    def ask(*words: str) -> Finished:
        done = ordinary_user.ovlctl(*words, env=env)
        _lines(done)
        return done

    done = ask("driver", engine, "--json")
    assert done.status == 0, done.stderr
    (told,) = done.data["engines"]
    assert (told["rootless"], told["root"]) == (True, home)
    detail = ask("driver", "container", name, "--json")
    assert (detail.status, detail.data["id"]) == (0, identity)
    assert all(layer["size"] > 0 for layer in detail.data["layers"])
    owner = ask("owner", detail.data["upper"], "--json")
    assert (owner.status, owner.data["id"], owner.data["kind"]) == (0, identity, "container")
    held = ask("du", engine, "--by", "container", "--json")
    assert held.status == 0, held.stderr
    assert {row["name"] for row in held.data["stores"][0]["rows"]} >= {"running", "stopped"}
    for words in (("tree", f"{engine}:{name}"), ("explain", f"{engine}:{name}", "bin/busybox")):
        done = ask(*words)
        assert done.status == 0, done.stderr
        assert "busybox" in done.stdout
    # What cannot be read is told by its path.
    os.mkdir(f"{detail.data['upper']}/closed", 0)
    os.chown(f"{detail.data['upper']}/closed", ordinary_user.uid, ordinary_user.gid)
    done = ask("du", engine, "--by", "container")
    assert done.status == 6
    assert _lines(done) == [
        f"ovlctl: warning: {detail.data['upper']}/closed could not be read: Permission denied (EACCES)"
    ]
    os.rmdir(f"{detail.data['upper']}/closed")
    # Mount tables of others' processes are not theirs to read, which is said.
    done = ask("orphans", engine)
    assert done.status in {0, 6}
    assert done.stdout == ("no orphans\n" if done.status == 0 else "no orphans in what could be read\n")
    assert done.status == 0 or "ask as root" in done.stderr
