"""People who mean harm, and accidents that look like them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops.api import Api
from ovlctl.ops.discover import Standing
from ovlctl.ops.preflight import in_use as in_use_module
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.show.names import show_argument
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli, OrdinaryUser

pytestmark = capabilities.needs_overlay


@pytest.fixture
def base(scratch: str, state_dir: str) -> Iterator[str]:
    """Lowers a and b, upper u, work w and targets t and t2 below the directory returned."""
    for name in "ab":
        trees.make(os.path.join(scratch, name), {"f": name, name: name})
    for name in ("u", "w", "t", "t2"):
        trees.make(os.path.join(scratch, name), {})
    yield scratch
    for each in reversed(mounts.mounts()):
        if each.mount_point.startswith(scratch + "/"):
            umount2(each.mount_point)


def _own(base: str) -> ovlctl.Stack:
    return ovlctl.Stack([f"{base}/a", f"{base}/b"], upper=f"{base}/u", work=f"{base}/w")


def test_the_question_whether_a_directory_is_in_use(base: str) -> None:
    """Asking leaves no trace, and the answer is the kernel's: live, or detached and still used."""
    before = trees.everything(base)
    assert not any(in_use(f"{base}/{name}") for name in "uwab")
    assert trees.everything(base) == before
    assert os.listxattr(f"{base}/u") == []
    with ovlctl.mount(_own(base), f"{base}/t", name="x"):
        assert [in_use(f"{base}/{name}") for name in "uwab"] == [True, True, False, False]
    assert not in_use(f"{base}/u")
    ovlctl.mount(_own(base), f"{base}/t", name="x")
    with open(f"{base}/t/f") as held:
        umount2(f"{base}/t", MNT.DETACH)
        assert in_use(f"{base}/u")
        held.close()
        assert not in_use(f"{base}/u")


@capabilities.needs_root
@capabilities.needs_userns_overlay
def test_false_claims_from_a_user_namespace(base: str, ordinary_user: OrdinaryUser) -> None:
    """An ordinary user whose mount table claims that root's directories are his upper stops nobody."""
    script = """
        mkdir l u w m; "$0" -c '
import os, sys
from ovlctl.kernel.mount import *
here = os.getcwd().encode()
mount("o", "m", "overlay", MS(0), b"userxattr,lowerdir=%s/l,upperdir=%s/u,workdir=%s/w" % (here, here, here))
os.rename("u", "u2"); os.symlink("/", "u"); os.rename("w", "w2"); os.symlink(sys.argv[1], "w")
print(flush=True); sys.stdin.read()' "$1"
    """
    argv = [*ordinary_user.prefix, "unshare", "-Urm", "sh", "-ec", script, sys.executable, f"{base}/a"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        argv, cwd=ordinary_user.home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as liar:
        assert liar.stdout is not None
        assert liar.stdout.readline() == b"\n"
        with ovlctl.mount(_own(base), f"{base}/t"):
            assert os.path.exists(f"{base}/t/a")
        liar.communicate()


@capabilities.needs_userns_overlay
def test_a_discard_by_who_may_not_ask(ordinary_user: OrdinaryUser) -> None:
    """An upper that is mounted where this process can neither look nor mount is not discarded."""
    script = """
        mkdir l m; echo kept > l/f
        unshare -Urm sh -ec '"$0" -m ovlctl mount m -l l --name x >&2; echo new >m/g; echo; exec sleep 9' "$0" > ready &
        holder=$!
        while ! test -s ready; do kill -0 $holder; sleep 0.05; done
        unshare -Ur "$0" -m ovlctl umount x --discard --yes && status=0 || status=$?
        kill $holder
        ls state/keep/stacks/x/upper
        exit $status
    """
    done = ordinary_user.run(["sh", "-ec", script, sys.executable], env={"OVLCTL_STATE_DIR": "state"})
    assert done.stdout == "g\n", done.stderr
    assert done.returncode in {3, 4, 5}


def test_the_root_directory_is_no_target(base: str) -> None:
    """Nothing is mounted over /."""
    before = mounts.mounts()
    with pytest.raises(errors.BadUsage, match="root directory"):
        ovlctl.mount(_own(base), "/")
    assert mounts.mounts() == before


@capabilities.needs_root
def test_a_discard_that_fails_is_not_taken_back(base: str) -> None:
    """A tree that is half removed is never mounted as if it were whole; the next unmount goes on removing it."""
    with ovlctl.mount(ovlctl.Stack([f"{base}/a"]), allocate=ovlctl.KeptUpper(), name="x") as mounted:
        trees.make(mounted.target, {"one": "", "z/stuck": "", "two": ""})
    upper = mounted.overlay.stack.upper or ""
    if subprocess.run(["chattr", "+i", f"{upper}/z/stuck"], capture_output=True, check=False).returncode:
        pytest.skip("needs chattr +i on the file system of the tests")
    with pytest.raises(errors.DiscardRefused):
        ovlctl.umount("x", discard=True)
    found = ovlctl.overlays()
    assert found.overlays == ()
    assert "left of a discard" in found.warnings[0].text()
    with ovlctl.mount(ovlctl.Stack([f"{base}/a"]), allocate=ovlctl.KeptUpper(), name="x", discard=True) as again:
        assert sorted(os.listdir(again.target)) == ["a", "f"]
        left = found.warnings[0].paths[0]
        subprocess.run(["chattr", "-i", f"{left}/upper/z/stuck"], check=True)
    assert not os.path.exists(left)


@capabilities.needs_root
def test_what_another_discard_left_stops_no_unmount(base: str, state_dir: str) -> None:
    """An unmount goes through though the rest of somebody's discard cannot be removed yet."""
    ovlctl.mount(_own(base), f"{base}/t", name="y")
    stuck = trees.make(f"{state_dir}/keep/stacks/.discarded-x", {"stuck": ""})
    if subprocess.run(["chattr", "+i", f"{stuck}/stuck"], capture_output=True, check=False).returncode:
        pytest.skip("needs chattr +i on the file system of the tests")
    try:
        ovlctl.umount("y")
        assert not mounts.mounts("overlay")
        with pytest.raises(errors.DiscardRefused):
            ovlctl.umount("x", discard=True)
    finally:
        subprocess.run(["chattr", "-i", f"{stuck}/stuck"], check=True)
    ovlctl.umount("x", discard=True)
    assert not os.path.exists(stuck)


def test_discarding_what_was_in_memory_and_is_gone(base: str, state_dir: str) -> None:
    """With the tmpfs gone, as with its mount namespace, --discard still removes the directories made for it."""
    before = trees.everything(base)
    ovlctl.mount(ovlctl.Stack([f"{base}/a"]), allocate=ovlctl.TmpfsUpper(), name="x")
    umount2(f"{state_dir}/run/stacks/x/merged")
    umount2(f"{state_dir}/run/stacks/x/tmpfs")
    plan = ovlctl.umount("x", discard=True)
    assert plan.removed == (f"{state_dir}/run/stacks/x",)
    assert {path for path in trees.everything(base) if not path.startswith("state")} == {
        path for path in before if not path.startswith("state")
    }
    assert os.listdir(f"{state_dir}/run/stacks") == []


@capabilities.needs_root
def test_a_state_directory_on_a_read_only_disk(base: str, cli: Cli, state_dir: str) -> None:
    """What is mounted can be ended there; its record stays, and is stale."""
    ovlctl.mount(_own(base), f"{base}/t", name="x")
    mount(state_dir, state_dir, None, MS.BIND)
    mount(state_dir, state_dir, None, MS.BIND | MS.REMOUNT | MS.RDONLY)
    assert cli("umount", "x").status == 0
    umount2(state_dir)
    assert [str(each.standing) for each in ovlctl.overlays().overlays] == ["stale"]
    ovlctl.umount("x")


def test_an_upper_that_lives_on_is_not_discarded(base: str) -> None:
    """An upper stays while an overlay stands on the merged view of its stack, or somebody uses it detached."""
    inner = ovlctl.mount(ovlctl.Stack([f"{base}/a"]), f"{base}/t", allocate=ovlctl.KeptUpper(), name="in")
    outer = ovlctl.mount(ovlctl.Stack([f"{base}/t", f"{base}/b"]), f"{base}/t2", name="out")
    with pytest.raises(errors.DiscardRefused, match="nothing was removed"):
        ovlctl.umount("in", discard=True)
    assert os.path.isdir(inner.overlay.stack.upper or "")
    assert os.path.exists(f"{base}/t2/a")
    outer.umount()
    ovlctl.umount("in", discard=True)
    assert not ovlctl.overlays().overlays


@capabilities.needs_root
def test_a_kept_upper_is_read_as_it_was_written(base: str) -> None:
    """An upper written with metacopy is mounted with metacopy or not at all, as its files would be unreadable."""
    stack = ovlctl.Stack([f"{base}/a"])
    metacopy = ovlctl.Stack([f"{base}/a"], options=ovlctl.Options(metacopy=ovlctl.Switch.ON))
    with ovlctl.mount(stack, allocate=ovlctl.KeptUpper(), name="x"):
        pass
    with ovlctl.mount(metacopy, allocate=ovlctl.KeptUpper(), name="x") as mounted:
        os.chmod(f"{mounted.target}/f", 0o600)
    with pytest.raises(errors.KeptUpperDiffers, match="metacopy"):
        ovlctl.mount(stack, allocate=ovlctl.KeptUpper(), name="x")
    with (
        ovlctl.mount(metacopy, allocate=ovlctl.KeptUpper(), name="x", discard=True) as again,
        open(f"{again.target}/f") as file,
    ):
        assert file.read() == "a"
        file.close()


def test_one_directory_as_upper_and_work(base: str) -> None:
    """It is refused for what it is, and not for a lock that waits for itself."""
    with pytest.raises(errors.WorkOverlapsUpper):
        ovlctl.mount(ovlctl.Stack([f"{base}/a"], upper=f"{base}/u", work=f"{base}/u"), f"{base}/t")


def test_a_pipe_in_the_place_of_a_record(base: str, cli: Cli, state_dir: str) -> None:
    """Commands do not wait for a pipe, follow a link or stumble over a directory where a record should be."""
    with ovlctl.mount(_own(base), f"{base}/t", name="x"):
        os.mkfifo(f"{state_dir}/run/mounts/pipe.json")
        os.mkdir(f"{state_dir}/run/mounts/dir.json")
        os.symlink("x.json", f"{state_dir}/run/mounts/link.json")
        listed = cli("ls", "--json")
        assert [each["name"] for each in listed.data] == ["x"]
        assert len(listed.json["warnings"]) == 3


def test_an_upper_that_is_gone(base: str, cli: Cli) -> None:
    """Sizes are unknown where the upper cannot be read, and everything else is listed."""
    mount("t", f"{base}/u", "tmpfs")
    trees.make(f"{base}/u", {"u/": None, "w/": None})
    words = f"lowerdir={base}/a,upperdir={base}/u/u,workdir={base}/u/w"
    mount("o", f"{base}/t", "overlay", MS(0), (words + ("" if capabilities.root() else ",userxattr")).encode())
    umount2(f"{base}/u", MNT.DETACH)
    assert [each["upper_bytes"] for each in cli("ls", "--size", "--json").data] == [None]
    shown = cli("show", f"{base}/t")
    assert "No such file" in shown.stdout
    assert "not all layers can be looked at" in shown.stdout


def test_a_target_over_a_layer(base: str, cli: Cli) -> None:
    """A mount may cover one of its own layers, and is described without mistaking itself for it."""
    stack = ovlctl.Stack([f"{base}/a", f"{base}/b"], options=ovlctl.Options(xino=ovlctl.Xino.ON))
    with ovlctl.mount(stack, f"{base}/a", name="x") as mounted:
        assert not mounted.cautions
        layers = cli("show", "x", "--json").data["layers"]
        assert layers[0]["problem"] == "covered by this mount itself"


def test_a_working_directory_that_is_gone(base: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name needs no working directory; a relative path says that there is none."""
    ovlctl.mount(_own(base), f"{base}/t", name="x")
    monkeypatch.chdir(trees.make(f"{base}/gone", {}))
    os.rmdir(f"{base}/gone")
    assert "OVL-E002" in cli("show", "sub/dir").stderr
    assert cli("umount", "x").status == 0
    assert "OVL-E002" in cli("mount", f"{base}/t", "-l", f"{base}/a", "--upper", "u", "--work", "w").stderr
    assert "OVL-E071" in cli("ls", "--state-dir", "relative").stderr
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["x;touch pwned #", "it's", "$(id)", "a\nb", "\udcff", "-rf", "a b", "\\"])
def test_commands_that_are_shown_can_be_pasted(base: str, cli: Cli, name: str) -> None:
    """A path in a hint or in a dry run is one word to a shell, and the right one."""
    target = trees.make(os.path.join(base, name), {})
    command = f"printf %s {show_argument(target)}"
    pasted = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    assert pasted == os.fsencode(target)
    with ovlctl.mount(_own(base), target, name="x"):
        assert show_argument(target) in cli("umount", "x", "-n").stdout
        taken = cli("mount", target, "-l", f"{base}/a", "-l", f"{base}/b", "-r")
        assert f"`ovlctl umount {show_argument(target)}`" in taken.stderr


def test_another_locale_reads_the_same_names(base: str, state_dir: str) -> None:
    """A record written under one locale is understood under another."""
    target = trees.make(os.fsdecode(os.fsencode(base) + b"/\xc3\xa9\xff"), {})
    ovlctl.mount(_own(base), target, name="x")
    code = "import ovlctl; print([str(each.standing) for each in ovlctl.overlays().overlays])"
    for words in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"}):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **words}, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{[str(Standing.MOUNTED)]}\n"
    ovlctl.umount("x")


@pytest.mark.parametrize("kind", ["file", "link"])
def test_no_marker_where_one_would_be(base: str, kind: str) -> None:
    """What is called like the marker's directory and is none is the user's, and would be deleted."""
    trees.make(f"{base}/w/work", {})
    if kind == "file":
        trees.make(f"{base}/w/work", {"incompat": "mine"})
    else:
        os.symlink("/etc", f"{base}/w/work/incompat")
    with pytest.raises(errors.WorkHoldsFiles):
        ovlctl.mount(_own(base), f"{base}/t")
    assert os.path.lexists(f"{base}/w/work/incompat")


def test_a_killed_writer_leaves_nothing_for_long(base: str, state_dir: str) -> None:
    """A file that was being written when its writer was killed goes with the next command that writes there."""
    ovlctl.mount(_own(base), f"{base}/t", name="x")
    trees.make(f"{state_dir}/run/mounts", {".new-left": "half"})
    ovlctl.umount("x")
    assert os.listdir(f"{state_dir}/run/mounts") == []


@capabilities.needs_root
@pytest.mark.parametrize(
    "api", [Api.MOUNT, pytest.param(Api.FSCONFIG, marks=capabilities.needs_lowerdir_plus), Api.RELATIVE]
)
def test_an_unseen_upper_is_heard_of_on_every_rung(base: str, api: Api) -> None:
    """A live upper that no table shows is refused on the kernel's word, in whichever thread it was told."""
    ovlctl.mount(_own(base), f"{base}/t", name="x")
    holder = os.open(f"{base}/t", os.O_RDONLY)
    umount2(f"{base}/t", MNT.DETACH)
    fresh = trees.make(f"{base}/fresh", {})
    with pytest.raises(errors.UpperInUse):
        ovlctl.mount(ovlctl.Stack([f"{base}/a"], upper=f"{base}/u", work=fresh), f"{base}/t2", name="y", api=api)
    assert trees.everything(fresh) == {}
    os.close(holder)
    ovlctl.umount("x")


@capabilities.needs_root
@pytest.mark.parametrize("shared", ["upper", "work"])
def test_an_unseen_claim_where_the_log_cannot_be_read(base: str, shared: str) -> None:
    """Without /dev/kmsg, as in a container, the kernel is asked beforehand, whatever the capabilities."""
    ovlctl.mount(_own(base), f"{base}/t", name="x")
    holder = os.open(f"{base}/t", os.O_RDONLY)
    umount2(f"{base}/t", MNT.DETACH)
    upper = f"{base}/u" if shared == "upper" else trees.make(f"{base}/u2", {})
    work = f"{base}/w" if shared == "work" else trees.make(f"{base}/w2", {})
    before = trees.everything(base)
    # Nothing can be opened through a mount with nodev.
    mount("/dev/null", "/dev/kmsg", None, MS.BIND)
    mount(None, "/dev/kmsg", None, MS.BIND | MS.REMOUNT | MS.NODEV)
    try:
        with pytest.raises(errors.UpperInUse):
            ovlctl.mount(ovlctl.Stack([f"{base}/a"], upper=upper, work=work), f"{base}/t2", name="y")
    finally:
        umount2("/dev/kmsg")
        os.close(holder)
    assert trees.everything(base) == before
    ovlctl.umount("x")


def test_a_question_that_fails_is_no_answer(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the thread that asks is raised where the answer is wanted."""
    monkeypatch.setattr(in_use_module, "in_use", lambda _directory: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        in_use_module.Question(base).answer()


@capabilities.needs_root
def test_an_upper_shared_through_a_fresh_work_directory(base: str) -> None:
    """A live upper with a work directory that was never used is refused on the kernel's word, and left alone."""
    with ovlctl.mount(_own(base), f"{base}/t", name="x"):
        fresh = trees.make(f"{base}/fresh", {})
        before = trees.everything(fresh)
        with pytest.raises(errors.UpperInUse):
            ovlctl.mount(ovlctl.Stack([f"{base}/a"], upper=f"{base}/u", work=fresh), f"{base}/t2", name="y")
        assert trees.everything(fresh) == before
        assert [each.name for each in ovlctl.overlays().overlays] == ["x"]
