"""The library without root: a program says that it wants to be moved, and then mounts as root does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests import capabilities

if TYPE_CHECKING:
    from tests.ops.rootless.conftest import Account

pytestmark = [capabilities.needs_overlay, capabilities.needs_userns_overlay]

_MOUNTS = """
import os, ovlctl
from ovlctl.ops import rootless
assert not rootless.join().moved
before = os.getcwd(), os.stat(".")
entered = rootless.ensure()
assert entered.moved and rootless.ensure().moved is False
assert (os.getcwd(), os.stat(".").st_ino) == (before[0], before[1].st_ino)
with ovlctl.mount(ovlctl.Stack(["a", "b"]), allocate=ovlctl.TmpfsUpper(), discard=True) as merged:
    print(sorted(os.listdir(merged)))
    kept = ovlctl.mount(ovlctl.Stack(["a"]), allocate=ovlctl.KeptUpper(), name="kept")
print(kept.name)
"""

_UNASKED = """
import ovlctl
namespace = __import__("os").readlink("/proc/self/ns/mnt")
try:
    ovlctl.mount(ovlctl.Stack(["a", "b"]))
except ovlctl.OvlError as error:
    print(error)
assert namespace == __import__("os").readlink("/proc/self/ns/mnt")
"""

_THREADS = """
import threading
from ovlctl.ops import rootless
threading.Thread(target=threading.Event().wait, daemon=True).start()
rootless.ensure()
"""


_KILLED = """
import json, os, select, signal, sys
from ovlctl.cli.main import main
assert main(["mount", "-l", "a", "--name", "x"]) == 0
with open(os.environ["XDG_RUNTIME_DIR"] + "/ovlctl/holder.json") as file:
    holder = os.pidfd_open(json.load(file)["pid"])
signal.pidfd_send_signal(holder, signal.SIGKILL)
select.select([holder], [], [])
"""

_LOADED = """
import sys
from ovlctl.cli.main import main
assert main(["ls"]) == 0
assert main(["mount", "--read-only", "-l", sys.argv[1], "-l", sys.argv[2], "-n"]) == 0
mine = ("ovlctl.ops.rootless", "ovlctl.cli.unp", "ovlctl.ops.preflight.unp", "ovlctl.kernel.idmap")
print([name for name in sys.modules if name.startswith(mine)])
"""


def _python(me: Account, code: str) -> subprocess.CompletedProcess[str]:
    return me.user.run([sys.executable, "-c", code], env={"XDG_RUNTIME_DIR": me.runtime})


def test_a_program_that_asks_to_be_moved(me: Account) -> None:
    """What it mounts is seen by the commands, and outlives it."""
    done = _python(me, _MOUNTS)
    assert (done.returncode, done.stdout) == (0, "['d', 'f', 'only']\nkept\n"), done.stderr
    assert me("exec", "kept", "--", "cat", "f").stdout == "a"
    assert me("umount", "kept", "--discard", "--yes").status == 0
    assert me.quiet()


def test_a_program_that_does_not(me: Account) -> None:
    """It is not moved; the error names the function that would."""
    done = _python(me, _UNASKED)
    assert (done.returncode, "rootless.ensure()" in done.stdout, "OVL-E004" in done.stdout) == (0, True, True), done
    assert me.holders() == []


def test_a_program_with_threads(me: Account) -> None:
    """It is refused before anything has happened."""
    done = _python(me, _THREADS)
    assert ("OVL-E126" in done.stderr, done.returncode) == (True, 1)
    assert os.listdir(me.runtime) == []


def test_a_holder_killed_under_a_command(me: Account) -> None:
    """A command that ends with mounts and without a holder starts another one before it goes."""
    done = _python(me, _KILLED)
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
    assert me("exec", "x", "--", "cat", "f").stdout == "a"
    assert me("umount", "x", "--discard", "--yes").status == 0
    assert me.quiet()


@capabilities.needs_root
def test_root_pays_nothing(me: Account, state_dir: str) -> None:
    """Nothing of this is loaded where mounts can be made as it is."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, me.path("a"), me.path("b")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done
