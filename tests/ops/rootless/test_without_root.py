"""An ordinary user's mounts, from the first to the end of what held them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ExitStatus
from tests import capabilities, trees
from tests.patience import eventually

if TYPE_CHECKING:
    from tests.conftest import Cli
    from tests.ops.rootless.conftest import Account

pytestmark = [capabilities.needs_overlay, capabilities.needs_userns_overlay]


def _left(me: Account) -> dict[str, str]:
    """Everything at home that the fixture did not make."""
    own = ("a", "b", "t")
    return {
        path: kind
        for path, kind in trees.everything(me.user.home).items()
        if path.partition("/")[0] not in own and path not in {"run", ".local", ".local/state"}
    }


def test_from_mount_to_the_end(me: Account) -> None:
    """mount, ls, show, exec, write and umount work without root; then no file, directory or process is left."""
    made = me("mount", "t", "-l", "a", "-l", "b", "--name", "x", "--json")
    assert made.status == 0, made.stderr
    data = made.data
    assert (data["rootless"], data["standing"], data["options"]["userxattr"]) == (True, "mounted", True)
    assert me.holder() > 0
    (listed,) = me("ls", "--json").data
    assert {key: listed[key] for key in data} == data
    assert me("show", me.path("t", "d"), "--json").data["rootless"] is True
    script = "cat f only && rm d/x && rmdir d && mkdir d && ls d && echo new >new && rm f"
    done = me("exec", "x", "--", "sh", "-ec", script)
    assert (done.status, done.stdout, done.stderr) == (0, "ab", "")
    assert me("exec", "x", "--", "sh", "-c", "cat new; ls").stdout.split() == ["new", "d", "new", "only"]
    assert os.listdir(me.path("t")) == []
    with open(me.path(".local/state/ovlctl/stacks/x/upper/new")) as file:
        assert file.read() == "new\n"
    ended = me("umount", "x", "--discard", "--yes")
    assert (ended.status, ended.stderr) == (0, "")
    assert me.quiet()
    assert eventually(lambda: not _left(me)), _left(me)
    if capabilities.root():
        places = ("/tmp", "/run", "/dev/shm")
        words = ["find", *places, "-mindepth", "1", "-maxdepth", "1", "-user", str(me.user.uid)]
        assert subprocess.run(words, capture_output=True, check=False).stdout == b""


def test_a_kept_upper_is_found_again(me: Account) -> None:
    """Without --discard the upper stays, and only that; mounting again finds what was written."""
    me.mount()
    me("exec", "x", "--", "sh", "-c", "echo kept >kept")
    assert me("umount", "x").status == 0
    assert me.quiet()
    (kept,) = me("ls", "--json").data
    assert (kept["standing"], kept["rootless"]) == ("kept", True)
    me.mount()
    assert me("exec", "x", "--", "cat", "kept").stdout == "kept\n"


def test_an_upper_in_memory(me: Account) -> None:
    """--tmpfs-upper works; its tmpfs, which outlives the overlay, keeps the holder until it is discarded."""
    me.mount("--tmpfs-upper", "1M")
    assert me("exec", "x", "--", "sh", "-c", "echo here >here").status == 0
    assert me("umount", "x").status == 0
    time.sleep(0.2)
    assert len(me.holders()) == 1
    me.mount("--tmpfs-upper", "1M")
    assert me("exec", "x", "--", "cat", "here").stdout == "here\n"
    assert me("umount", "x", "--discard", "--yes").status == 0
    assert me.quiet()
    assert eventually(lambda: not _left(me)), _left(me)


def test_the_holder_ends_with_the_last_mount(me: Account) -> None:
    """One of two mounts ended: it stays; both ended: it goes."""
    me.mount()
    first = me.holder()
    assert me("mount", "-l", "a", "--name", "y").status == 0
    assert me.holder() == first
    assert me("umount", "x", "--discard", "--yes").status == 0
    time.sleep(0.2)
    assert me.holders() == [first]
    assert me("umount", "y", "--discard", "--yes").status == 0
    assert me.quiet()


def test_what_fails_leaves_nothing(me: Account) -> None:
    """A mount that is refused after the holder was started leaves neither the holder nor a file."""
    refused = me("mount", "t", "-l", "nowhere")
    assert (refused.status, "OVL-E002" in refused.stderr) == (ExitStatus.NOT_FOUND, True)
    assert me.quiet()
    assert eventually(lambda: not _left(me)), _left(me)


def test_a_dry_run_makes_no_holder(me: Account) -> None:
    """-n prints the steps of a mount and leaves no trace."""
    planned = me("mount", "t", "-l", "a", "-n")
    assert (planned.status, "mount -t overlay" in planned.stdout) == (0, True), planned.stderr
    assert me.holders() == []
    assert _left(me) == {}


def test_reading_makes_no_holder(me: Account) -> None:
    """ls, show and umount without any mount of this user start nothing and write nothing."""
    assert me("ls").status == 0
    assert me("show", "x").status == ExitStatus.NOT_FOUND
    assert me("umount", "x").status == ExitStatus.NOT_FOUND
    assert me("exec", "x", "--", "true").status == ExitStatus.NOT_FOUND
    assert me.holders() == []
    assert _left(me) == {}


def test_two_that_race_make_one_holder(me: Account) -> None:
    """Four commands that mount at once end up with one holder that has all their mounts."""
    script = """
        for n in 1 2 3 4; do "$0" -m ovlctl mount -l a --name "r$n" >/dev/null & done
        wait
        "$0" -m ovlctl ls
    """
    done = me.sh(script)
    assert done.stdout.count("mounted") == 4, done.stderr
    assert me.holder() > 0


def test_racing_with_the_end(me: Account) -> None:
    """Mounts that come while the last one is ended are not lost: whatever the order, each stands when it says so."""
    script = """
        "$0" -m ovlctl mount -l a --name n0 >/dev/null || exit 9
        for n in 1 2 3; do
            "$0" -m ovlctl umount "n$((n - 1))" --discard --yes >/dev/null &
            "$0" -m ovlctl mount -l a --name "n$n" >/dev/null || exit 8
            wait
            "$0" -m ovlctl exec "n$n" -- test -e f || exit 7
        done
    """
    done = me.sh(script)
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
    assert me.holder() > 0
    assert [each["name"] for each in me("ls", "--json").data if each["managed"]] == ["n3"]


def test_a_killed_holder(me: Account) -> None:
    """SIGKILL takes the mounts along: the next command says what was lost, once, and mounting works again."""
    me.mount()
    me("exec", "x", "--", "sh", "-c", "echo saved >saved")
    os.kill(me.holder(), signal.SIGKILL)
    assert me.quiet()
    said = me("ls", "--json").json
    assert ("was ended" in said["warnings"][0], " x: " in said["warnings"][0]) == (True, True), said
    assert [(each["name"], each["standing"]) for each in said["data"]] == [("x", "stale")]
    again = me("ls")
    assert ("was ended" in again.stderr, "stale" in again.stdout) == (False, True)
    me.mount()
    assert me("exec", "x", "--", "cat", "saved").stdout == "saved\n"


def test_a_killed_holder_is_told_by_exec_too(me: Account) -> None:
    """What was lost is a note of the error of a command that needed it."""
    me.mount()
    os.kill(me.holder(), signal.SIGKILL)
    assert me.quiet()
    refused = me("exec", "x", "--", "true")
    assert (refused.status, "OVL-E123" in refused.stderr, "note: " in refused.stderr) == (3, True, True), refused


def test_a_holder_killed_under_a_shell(me: Account) -> None:
    """Where a process is left in the namespace nothing is lost: the next command starts another holder in there."""
    me.mount()
    with me.start(sys.executable, "-m", "ovlctl", "exec", "x", "--", "sh", "-c", "echo in; read end; cat f") as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"in\n"
        before = me.holder()
        os.kill(before, signal.SIGKILL)
        assert me.quiet()
        said = me("ls")
        assert ("another one holds them" in said.stderr, "mounted" in said.stdout) == (True, True), said
        assert me.holder() != before
        assert shell.communicate(b"\n")[0] == b"a"
    assert me("exec", "x", "--", "cat", "f").stdout == "a"


def test_a_reused_pid(me: Account) -> None:
    """A note whose pid is another process's now, as its start time tells, is no holder."""
    me.mount()
    note = me.path("run/ovlctl/holder.json")
    with open(note) as file:
        held = json.load(file)
    os.kill(me.holder(), signal.SIGKILL)
    assert me.quiet()
    for pid in (os.getpid(), 1):
        with open(note, "w") as file:
            json.dump({**held, "pid": pid}, file)
        os.chown(note, me.user.uid, me.user.gid)
        listed = me("ls", "--json")
        assert ("was ended" in listed.json["warnings"][0], listed.data[0]["standing"]) == (True, "stale")
    with open(note, "w") as file:
        json.dump({**held, "pid": os.getpid()}, file)
    os.chown(note, me.user.uid, me.user.gid)
    me.mount()
    assert me.holder() not in {os.getpid(), held["pid"]}


def test_mounting_inside_of_a_shell(me: Account) -> None:
    """What is mounted from inside is held like the rest; after the last mount has ended inside, too."""
    me.mount()
    inside = 'cd; "$0" -m ovlctl mount -l b --name y && "$0" -m ovlctl umount x'
    assert me("exec", "x", "--", "sh", "-c", inside, sys.executable).status == 0
    assert me("exec", "y", "--", "cat", "only").stdout == "b"
    alone = """
        cd; "$0" -m ovlctl umount y --discard --yes
        while test -e run/ovlctl/holder.json; do sleep 0.02; done
        "$0" -m ovlctl mount -l b --name z
    """
    done = me("exec", "y", "--", "sh", "-c", alone, sys.executable)
    assert done.status == 0, done.stderr
    assert me("exec", "z", "--", "cat", "only").stdout == "b"
    assert me("umount", "z").status == 0
    assert me.quiet()


def test_the_working_directory(me: Account) -> None:
    """Relative paths mean the same after the move; where the directory is gone they fail instead of meaning others."""
    me.mount()
    assert me.sh('cd a && "$0" -m ovlctl mount -l ../b --name y').returncode == 0
    gone = me.sh('mkdir gone; cd gone; rmdir ../gone; "$0" -m ovlctl mount -l a --name z')
    assert ("OVL-E002" in gone.stderr, gone.returncode) == (True, ExitStatus.NOT_FOUND), gone.stderr
    assert me.sh('mkdir -p gone; cd gone; rmdir ../gone; "$0" -m ovlctl exec x -- cat f').stdout == "a"


def test_the_working_directory_is_the_target(me: Account) -> None:
    """Who stands in the directory that a mount covers can end it, as it is not covered where he is."""
    me.mount()
    done = me.sh('cd t && "$0" -m ovlctl umount .')
    assert done.returncode == 0, done.stderr
    me.mount()
    trees.make(me.user.home, {"f.toml": '[stack.y]\nlowers = ["a"]\nupper = {tmpfs = "1M"}\ntarget = "b"\n'})
    assert me("umount", "x").status == 0
    assert me("up", "f.toml").status == 0
    done = me.sh('cd b && "$0" -m ovlctl down ../f.toml --discard --yes')
    assert done.returncode == 0, done.stderr


def test_a_damaged_note(me: Account) -> None:
    """A note that nobody can understand stops everything rather than lose a holder that may live."""
    me.mount()
    note = me.path("run/ovlctl/holder.json")
    with open(note) as file:
        good = file.read()
    numbers = [good.replace('"pid": ', f'"pid": {start}') for start in ('"x", "y": ', "-", "0, ", "1" * 20)]
    for text in ("", "[]", "{", "[" * 100_000, json.dumps({"format": 1}), *numbers):
        with open(note, "w") as file:
            file.write(text)
        refused = me("ls") if text else me("mount", "-l", "a")
        assert (refused.status, "OVL-E072" in refused.stderr) == (ExitStatus.UNSUPPORTED, True), refused
    with open(note, "w") as file:
        file.write(good)
    assert me("exec", "x", "--", "cat", "f").stdout == "a"


def test_no_user_namespaces(me: Account) -> None:
    """Where the user may make none, `mount` says which setting forbids it."""
    done = me.sh(
        """exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$0" -m ovlctl mount -l a' "$0" """
    )
    assert (done.returncode, "OVL-E085" in done.stderr, "max_user_namespaces" in done.stderr) == (4, True, True)
    assert me.holders() == []


def test_from_another_user_namespace(me: Account) -> None:
    """From where the holder cannot be joined, looking says so and works; whatever does more is refused."""
    me.mount()
    looked = me.sh("""exec unshare -Ur "$0" -m ovlctl ls""")
    assert (looked.returncode, "cannot be joined" in looked.stderr) == (0, True), looked
    for verb in ("mount -l a --name y", "umount x --discard --yes", "umount -n x", "exec x -- true", "refresh x"):
        refused = me.sh(f"""exec unshare -Ur "$0" -m ovlctl {verb}""")
        assert (refused.returncode, "OVL-E121" in refused.stderr) == (ExitStatus.PERMISSION, True), refused
    assert me("exec", "x", "--", "cat", "f").stdout == "a"


def test_a_set_of_stacks(me: Account) -> None:
    """`up` with a stack file, `status`, `exec`, writing and `down` work without root, and leave nothing."""
    with open(me.path("s.toml"), "w") as file:
        file.write(
            '[stack.base]\nlowers = ["b"]\nupper = { tmpfs = "1M" }\n'
            '[stack.app]\nlowers = ["a", { stack = "base" }]\ntarget = "t"\nupper = "kept"\n'
        )
    me.owned()
    planned = me("plan", "s.toml")
    assert (planned.status, me.holders()) == (0, []), planned.stderr
    up = me("up", "s.toml")
    assert up.status == 0, up.stderr
    assert me("status", "s.toml").status == 0
    done = me("exec", "app", "--", "sh", "-ec", "cat f only; echo new >new")
    assert (done.status, done.stdout) == (0, "ab"), done.stderr
    assert me("exec", "s.toml#app", "--", "cat", "new").stdout == "new\n"
    assert os.listdir(me.path("t")) == []
    down = me("down", "s.toml", "--discard", "--yes")
    assert down.status == 0, down.stderr
    assert me.quiet()
    os.unlink(me.path("s.toml"))
    assert eventually(lambda: not _left(me)), _left(me)


_SQUAT = """
for n in 1 2 3 4 5 6; do unshare -Ur unshare -m sleep 20 & ended="$ended $!"; done
sleep 0.2; echo; read end; kill $ended
"""


def test_a_killed_holder_takes_what_was_in_memory(me: Account) -> None:
    """Of an upper in memory nothing is left; the next mount of that name starts with an empty one, umount clears."""
    me.mount("--tmpfs-upper", "1M")
    assert me("exec", "x", "--", "sh", "-c", "echo lost >lost").status == 0
    os.kill(me.holder(), signal.SIGKILL)
    assert me.quiet()
    me.mount("--tmpfs-upper", "1M")
    assert me("exec", "x", "--", "ls").stdout.split() == ["d", "f", "only"]
    os.kill(me.holder(), signal.SIGKILL)
    assert me.quiet()
    # The number of the namespace that ended goes to the next one: let that be nobody's who looks.
    with subprocess.Popen(["sh", "-c", _SQUAT], stdin=-1, stdout=-1) as squatter:
        assert squatter.stdout is not None
        squatter.stdout.readline()
        assert me("umount", "x").status == 0
        assert eventually(lambda: os.listdir(me.path("run/ovlctl/stacks")) == [])
        assert me("ls", "--json").data == []
        squatter.communicate(b"\n")


@capabilities.needs_root
def test_mounts_of_root(me: Account, state_dir: str, cli: Cli) -> None:
    """Root's stacks are seen inside, are not called rootless, cannot be ended, and do not keep the holder."""
    assert cli("mount", me.path("b"), "-l", me.path("a"), "--name", "of-root").status == 0
    assert me("mount", "t", "-l", "a", "--name", "x").status == 0
    listed = {each["source"]: each for each in me("ls", "--json").data}
    assert (listed["ovlctl:of-root"]["rootless"], listed["ovlctl:x"]["rootless"]) == (False, True)
    ended = me("umount", str(listed["ovlctl:of-root"]["target"]))
    assert (ended.status, "outside of this user namespace" in ended.stderr) == (ExitStatus.PERMISSION, True), ended
    assert [each["standing"] for each in cli("ls", "--json").data if each["name"] == "of-root"] == ["mounted"]
    assert me("umount", "x").status == 0
    assert me.quiet()
    assert cli("umount", "of-root", "--discard", "--yes").status == 0


@pytest.mark.parametrize("odd", ["r\udcff", "r \n\\,:x", "r\x1b[31m", "-r"])
def test_odd_names(me: Account, odd: str) -> None:
    """State directories and working directories of any name serve, and are shown escaped."""
    runtime, here = me.path(odd), me.path(f"{odd}.d")
    for path in (runtime, here):
        os.mkdir(path, 0o700)
    me.owned()
    there = replace(me, runtime=runtime)
    script = 'cd "$1" && "$0" -m ovlctl mount "$1" -l "$2" --name x && "$0" -m ovlctl exec x -- ls && "$0" -m ovlctl ls'
    done = there.sh(script, here, me.path("a"))
    assert (done.returncode, "d\nf\n" in done.stdout, "\x1b" in done.stdout) == (0, True, False), done
    assert len(there.holders()) == 1
    assert there("umount", "x").status == 0
    assert there.quiet()
    assert eventually(lambda: os.listdir(runtime) == [] or "ovlctl" not in os.listdir(runtime))
