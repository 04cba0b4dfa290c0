"""Mounts made without root are their user's alone."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel.namespaces import namespace_ids
from tests import capabilities, trees

if TYPE_CHECKING:
    from tests.ops.rootless.conftest import Account

pytestmark = [capabilities.needs_root, capabilities.needs_overlay, capabilities.needs_userns_overlay]

_JOIN = """
import os, sys
from ovlctl.kernel import namespaces
from ovlctl.kernel.namespaces import CLONE
holder = int(sys.argv[1])
for flags in (CLONE.NEWUSER | CLONE.NEWNS, CLONE.NEWNS, CLONE.NEWUSER):
    try:
        namespaces.setns(os.pidfd_open(holder), flags)
    except PermissionError:
        continue
    sys.exit(f"joined by {flags!r}")
# Not mountinfo: the kernel shows the table of mounts, not what is in them, of every process to everybody.
for path in ("root", "cwd", "environ", "ns/mnt", "fd", "mem", "maps"):
    try:
        os.listdir(f"/proc/{holder}/{path}") if path in {"root", "cwd", "fd"} else open(f"/proc/{holder}/{path}").read()
    except PermissionError:
        continue
    sys.exit(f"{path} can be read")
try:
    os.kill(holder, 9)
except PermissionError:
    sys.exit(0)
"""


@pytest.fixture
def stack(me: Account) -> int:
    """The pid that holds a stack x of the first user, in which there is a file called secret."""
    assert me("mount", "t", "-l", "a", "-l", "b", "--name", "x").status == 0
    assert me("exec", "x", "--", "sh", "-c", "echo secret >secret").status == 0
    return me.holder()


def test_another_user_neither_sees_nor_enters(me: Account, other: Account, stack: int) -> None:
    """Another user has other stacks, sees an empty directory at the mount point, and cannot get in by the kernel."""
    assert other("ls", "--json").data == [each for each in other("ls", "--json").data if not each["managed"]]
    assert other("exec", "x", "--", "true").status == ExitStatus.NOT_FOUND
    assert other("exec", me.path("t"), "--", "true").status == ExitStatus.NOT_FOUND
    assert other.user.run(["ls", me.path("t")]).stdout == ""
    tried = other.user.run([sys.executable, "-c", _JOIN, str(stack)])
    assert (tried.returncode, tried.stderr) == (0, "")
    assert other.user.run(["nsenter", "-t", str(stack), "-U", "-m", "--preserve-credentials", "ls"]).returncode != 0
    assert me("exec", "x", "--", "cat", "secret").stdout == "secret\n"


def test_another_users_state(me: Account, other: Account, stack: int) -> None:
    """The first user's state directory is not to be read, nor taken for one's own, whoever names it."""
    for words in (("ls",), ("mount", "-l", other.path("a")), ("exec", "x", "--", "true"), ("umount", "x")):
        refused = other(*words, env={"XDG_RUNTIME_DIR": me.runtime})
        assert refused.status in {ExitStatus.PERMISSION, ExitStatus.UNSUPPORTED}, refused
        assert ("OVL-E07" in refused.stderr, "secret" in refused.stdout + refused.stderr) == (True, False), refused
    assert me.holders() == [stack]


def test_a_planted_state_directory(me: Account, other: Account, stack: int) -> None:
    """A state directory that another user made, with a note about any process in it, is refused as it is."""
    trap = other.path("trap")
    trees.make(f"{trap}/run", {"holder.lock": "", "mounts/": None, "stacks/": None})
    trees.make(f"{trap}/keep", {"stacks/": None})
    _note(f"{trap}/run/holder.json", stack)
    os.chmod(trap, 0o755)
    other.owned()
    refused = me("ls", "--state-dir", trap)
    assert (refused.status, "OVL-E070" in refused.stderr) == (ExitStatus.PERMISSION, True), refused
    refused = me("mount", "-l", me.path("a"), "--state-dir", trap)
    assert (refused.status, "OVL-E070" in refused.stderr) == (ExitStatus.PERMISSION, True), refused


def test_a_planted_note(me: Account, other: Account, stack: int) -> None:
    """A user who notes somebody else's holder as their own gets nowhere: it cannot be joined."""
    assert other("mount", "-l", "a", "--name", "own").status == 0
    note = other.path("run/ovlctl/holder.json")
    with open(note) as file:
        own = json.load(file)
    _note(note, stack, pid_namespace=own["pid_namespace"], boot=own["boot"])
    refused = other("mount", "-l", "a", "--name", "more")
    assert (refused.status, "OVL-E121" in refused.stderr) == (ExitStatus.PERMISSION, True), refused
    looked = other("ls")
    assert ("cannot be joined" in looked.stderr, "secret" in looked.stdout) == (True, False)
    with open(note, "w") as file:
        json.dump(own, file)
    assert other("exec", "own", "--", "cat", "f").stdout == "a"
    os.kill(stack, signal.SIGHUP)
    assert me("exec", "x", "--", "cat", "secret").stdout == "secret\n"


def test_a_link_for_a_note(me: Account, other: Account, stack: int) -> None:
    """Links in the place of notes and locks are not followed."""
    assert other("mount", "-l", "a", "--name", "own").status == 0
    note = other.path("run/ovlctl/holder.json")
    os.rename(note, f"{note}.real")
    os.symlink(f"{note}.real", note)
    refused = other("ls")
    assert ("OVL-E072" in refused.stderr, refused.status) == (True, ExitStatus.UNSUPPORTED)
    os.rename(f"{note}.real", note)
    lock = other.path("run/ovlctl/holder.lock")
    os.unlink(lock)
    os.symlink(other.path("a/f"), lock)
    refused = other("ls")
    assert ("OVL-E071" in refused.stderr, refused.status) == (True, ExitStatus.UNSUPPORTED)


def _note(path: str, pid: int, **more: object) -> None:
    from ovlctl.kernel.pidfd import start_time

    user, mount = namespace_ids(pid)
    data = {
        "format": 1,
        "pid": pid,
        "started": start_time(pid),
        "boot": "",
        "pid_namespace": os.stat("/proc/self/ns/pid").st_ino,
        "user_namespace": user,
        "mount_namespace": mount,
        "token": "0123",
        **more,
    }
    with open(path, "w") as file:
        json.dump(data, file)
