"""``mount -t ovlctl``: the helper, run by mount(8) itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import mounts
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import OrdinaryUser

pytestmark = [
    capabilities.needs_root,
    capabilities.needs_overlay,
    pytest.mark.skipif(shutil.which("mount") is None, reason="mount(8) is not installed"),
]

_PROJECT = str(Path(__file__).resolve().parents[3])
_STACKS = """
[stack.base]
lowers = ["a", "b"]
upper = "none"
target = "base"
[stack.app]
lowers = [{stack = "base"}, "b"]
upper = {dir = "u", work = "w"}
target = "app"
[stack.kept]
lowers = ["a"]
[stack.broken]
lowers = [{stack = "base"}, "gone"]
upper = "none"
target = "broken"
[stack.below]
lowers = ["a", "b"]
upper = "none"
[stack.app-app]
lowers = [{stack = "below"}, "b"]
upper = "none"
[stack.app-s]
lowers = [{stack = "below"}, "b"]
upper = "none"
[stack.app-t]
lowers = [{stack = "below"}, "b"]
upper = "none"
"""
_DIRECTORIES = ("u", "w", "base", "app", "broken", "t", "s", "p-app", "p-s", "p-t")
#: Puts the helper where mount(8) looks, in a mount namespace of its own, and runs the rest of the arguments.
_SHELL = """
sbin=$(readlink -f /sbin)
mount -t tmpfs none "$1" && mkdir "$1/u" "$1/w"
mount -t overlay none -o "lowerdir=$sbin,upperdir=$1/u,workdir=$1/w" "$sbin"
cat >"$sbin/mount.ovlctl" <<X
#!/bin/sh
PYTHONPATH=$2 exec $3 -c 'import sys; from ovlctl.cli.mount_helper import entry; sys.exit(entry())' "\\$@"
X
chmod 755 "$sbin/mount.ovlctl"
eval "$4"
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a script left behind."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def script(scratch: str, state_dir: str) -> Callable[[str], Said]:
    """Runs a shell script in the directory of a stack file, where ``mount -t ovlctl`` finds the helper."""
    layers = {"a/f": "a", "b/f": "b", "b/g": "b", "stacks.toml": _STACKS}
    here = trees.make(f"{scratch}/x y", {**layers, **dict.fromkeys(_DIRECTORIES)})
    os.mkdir(f"{scratch}/cover")

    def run(text: str) -> Said:
        argv = ["unshare", "--mount", "sh", "-euc", _SHELL, "sh", f"{scratch}/cover", _PROJECT, sys.executable, text]
        # As systemd would: without HOME and what a login brings.
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OVLCTL_STATE_DIR": state_dir}
        done = subprocess.run(argv, cwd=here, env=environment, capture_output=True, text=True, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def test_a_stack_with_what_it_stands_on(script: Callable[[str], Said], scratch: str) -> None:
    """The stacks below are mounted first; options of the mount and of the overlay arrive; again is no error."""
    said = script(
        "mount -v -t ovlctl -o 'noexec,nofail,x-a=\"1,2\",metacopy=on' stacks.toml#app app; "
        "mount -t ovlctl stacks.toml#app app; echo again $?; "
        "findmnt -rno TARGET,SOURCE,VFS-OPTIONS,FS-OPTIONS -t overlay | grep ovlctl:; cat app/f app/g"
    )
    assert (said.status, said.stderr) == (0, "")
    assert "mounted base at" in said.stdout
    assert "again 0" in said.stdout
    base, app = (line for line in said.stdout.splitlines() if " ovlctl:" in line)
    assert base.startswith(f"{scratch}/x\\x20y/base ovlctl:base ro,relatime")
    assert app.startswith(f"{scratch}/x\\x20y/app ovlctl:app rw,noexec,relatime")
    assert "metacopy=on" in app
    assert said.stdout.endswith("ab")


def test_a_stack_directory(script: Callable[[str], Said]) -> None:
    """Its upper is made with the mount and not by a trial (-f), or for nothing; links in it are said once."""
    said = script(
        "mkdir -p d.mstack/layer@1 d.mstack/rw; ln -s ../a d.mstack/layer@2; "
        'helper="$(readlink -f /sbin)/mount.ovlctl"; '
        '"$helper" -f d.mstack t; "$helper" d.mstack gone || ls d.mstack/rw; '
        "mount -t ovlctl d.mstack t; mount -t ovlctl d.mstack t; ls d.mstack/rw; cat t/f"
    )
    assert (said.status, said.stdout) == (0, "data\nwork\na")
    assert said.stderr.count("layer@2 is a link") == 1


def test_the_command_line_wins(script: Callable[[str], Said]) -> None:
    """Another target than the declared one is used; a stack without target can be mounted anywhere; ro is read-only."""
    said = script(
        "mount -t ovlctl -o ro stacks.toml#app t; findmnt -rno SOURCE,VFS-OPTIONS t; "
        "mount -t ovlctl stacks.toml#kept s; echo x >s/new; findmnt -rno SOURCE s; ! touch t/x 2>/dev/null"
    )
    assert (said.status, said.stderr) == (0, "")
    assert said.stdout.splitlines() == ["ovlctl:app ro,relatime", "ovlctl:kept"]


def test_all_or_nothing(script: Callable[[str], Said]) -> None:
    """When the stack fails, what was mounted for it on the way is ended; the status is 32, the reason is said."""
    said = script(
        "mount -t ovlctl stacks.toml#broken broken || echo $?; "
        "findmnt -rno SOURCE -t overlay | grep ovlctl: || echo none"
    )
    assert said.stdout.splitlines() == ["32", "none"]
    assert "OVL-E002 path-missing" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ("stacks.toml#nothing t", 32, "OVL-E103"),
        ("stacks.toml t", 1, "OVL-E001"),
        ("nothing.toml#app t", 32, "OVL-E002"),
        ("stacks.toml#app nowhere", 32, "OVL-E002"),
        ("stacks.toml#app base", 1, "OVL-E001"),
        ("-o bogus stacks.toml#app app", 1, "OVL-E001"),
        ("-o lowerdir=/x stacks.toml#app app", 1, "OVL-E001"),
        ("-o remount,index=on stacks.toml#app app", 1, "OVL-E001"),
        ("-o remount,ro stacks.toml#app t", 32, "OVL-E006"),
    ],
)
def test_what_cannot_be(script: Callable[[str], Said], arguments: str, status: int, code: str) -> None:
    """1 is a wrong call, 32 a mount that failed, as in mount(8); nothing is mounted."""
    said = script(f"mount -t ovlctl {arguments} || echo $?; findmnt -rno SOURCE -t overlay | grep ovlctl: || true")
    assert said.stdout.splitlines() == [str(status)]
    assert code in said.stderr


def test_fake_remount_and_another_place(script: Callable[[str], Said], state_dir: str) -> None:
    """-f changes nothing; remount changes attributes; a stack that is mounted elsewhere is refused."""
    said = script(
        "mount -f -t ovlctl stacks.toml#kept t; findmnt -rno SOURCE t || echo none; test ! -e $OVLCTL_STATE_DIR; "
        "mount -t ovlctl stacks.toml#kept t; mount -t ovlctl -o remount,ro,nosuid stacks.toml#kept t; "
        "findmnt -rno VFS-OPTIONS t; mount -t ovlctl -o remount,rw stacks.toml#kept t; findmnt -rno VFS-OPTIONS t; "
        "mount -t ovlctl stacks.toml#kept s || echo $?"
    )
    assert said.stdout.splitlines() == ["none", "ro,nosuid,relatime", "rw,relatime", "1"]
    assert "name-taken" in said.stderr


def test_lines_of_fstab_mount(script: Callable[[str], Said], monkeypatch: pytest.MonkeyPatch) -> None:
    """Mount -a with the lines that `ovlctl fstab` prints mounts every stack once, however often it runs."""
    said = script(
        f"OVLCTL_STATE_DIR= PYTHONPATH={_PROJECT} {sys.executable} -m ovlctl fstab stacks.toml base app >fstab; "
        "mount --all --fstab fstab; mount --all --fstab fstab; findmnt -rno SOURCE -t overlay | grep ovlctl:; "
        f"PYTHONPATH={_PROJECT} {sys.executable} -m ovlctl status stacks.toml base app >/dev/null; echo $?"
    )
    assert said.status == 0, said.stderr
    # What mount(8) mounted is as the file declares it.
    assert said.stdout.splitlines() == ["ovlctl:base", "ovlctl:app", "0"]


def test_in_another_mount_namespace(script: Callable[[str], Said]) -> None:
    """-N mounts in the namespace named and not here."""
    said = script(
        "unshare --mount sleep 5 >/dev/null 2>&1 & holder=$!; sleep 0.3; trap 'kill $holder' EXIT; "
        '$(readlink -f /sbin)/mount.ovlctl stacks.toml#kept "$PWD/t" -N $holder; '
        'findmnt -rno SOURCE t || echo none; nsenter --mount --target $holder findmnt -rno SOURCE "$PWD/t"'
    )
    assert said.stdout.splitlines() == ["none", "ovlctl:kept"], said.stderr


def test_ordinary_users_are_told(ordinary_user: OrdinaryUser) -> None:
    """mount(8) gives root up for helpers of `user` mounts; the helper says what to use instead."""
    code = "import sys; from ovlctl.cli.mount_helper import main; sys.exit(main(sys.argv[1:]))"
    done = ordinary_user.run([sys.executable, "-c", code, "f.toml#x", "/mnt"])
    assert done.returncode == 1
    assert "OVL-E004" in done.stderr
    assert "ovlctl up" in done.stderr


def test_without_streams(script: Callable[[str], Said]) -> None:
    """Whoever closes the standard streams gets the mount, and the status, all the same."""
    said = script("mount -t ovlctl stacks.toml#kept t <&- >&- 2>&-; findmnt -rno SOURCE t")
    assert said.stdout.splitlines() == ["ovlctl:kept"]
    assert script("$(readlink -f /sbin)/mount.ovlctl stacks.toml#nothing t <&- >&- 2>&-").status == 32


def test_nothing_is_left_of_the_tests() -> None:
    """The scripts ran in mount namespaces of their own."""
    assert not [each for each in mounts.mounts("overlay") if each.mount_point.endswith("/sbin")]


def test_many_at_once(script: Callable[[str], Said]) -> None:
    """Helpers that run at the same time, as at boot, mount the stack below theirs once."""
    said = script(
        "for each in s t app; do mount -t ovlctl -o ro stacks.toml#app-$each p-$each & done; wait; "
        "findmnt -rno SOURCE -t overlay | grep ovlctl: | sort"
    )
    assert said.stdout.splitlines() == [f"ovlctl:{name}" for name in ("app-app", "app-s", "app-t", "below")], (
        said.stderr
    )
