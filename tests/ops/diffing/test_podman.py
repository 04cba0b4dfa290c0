"""Podman's own answer: ``diff --format podman`` of a container is ``podman diff`` of it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import trees
from tests.capabilities import needs_overlay, needs_root
from tests.docker import image
from tests.overlay.actions import ACTIONS, do
from tests.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Cli, OrdinaryUser
    from tests.podman import Podman

pytestmark = [needs_overlay, needs_root]
Steps = list[tuple["Callable[[str, str], None]", str, str]]
_NAMES = ("d", "sub", "a", "f", "white", "new", "1", "type", "deep")
_paths = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join)
_steps = st.lists(st.tuples(st.sampled_from(ACTIONS), _paths, _paths), min_size=4, max_size=25)

_PROGRAMS = ("sh", "mkdir", "ln", "rm", "chmod", "chown", "touch", "mv", "mkfifo", "rmdir", "sleep", "cp", "mknod")
_BEFORE = """
mkdir -p /d/sub/deep /gone/a /type/x /opaque/old /opaque/kept /times /owner /keep /mode /white/a/b /back /turned
for f in /d/a /d/b /d/sub/c /d/sub/deep/e /gone/a/1 /gone/2 /type/x/y /opaque/old/1 /opaque/2 /opaque/kept/3
do echo content of $f > $f; done
for f in /owner/f /keep/f /keep/same /mode/f /white/a/b/c /white/1 /back/f /moved /turned/f; do echo $f > $f; done
ln -s a /d/link; ln -s sub /d/dirlink; ln -s nowhere /d/dangling; ln -s /d/a /d/far; ln -s ../../.. /d/out
ln -s sub/deep/../c /d/winding
echo file > /becomes; echo file > /empty; ln /d/a /d/hard; mkfifo /d/fifo
"""
_MIDDLE = """
rm /white/1; rm -r /white/a; mkdir /white/a; echo again > /white/a/again; rm /back/f; echo one > /middle
rm -r /turned; echo now a file > /turned; touch /keep/f; chmod 700 /mode; rm /d/winding; ln -s deep/e /d/winding
"""
_AFTER = """
echo more >> /d/a; chmod 600 /d/b; rm /d/sub/c; rm -r /gone; rm -r /type; echo f > /type
rm -r /opaque; mkdir /opaque; echo new > /opaque/new; echo again > /opaque/2; mkdir /opaque/kept
rm /becomes; mkdir /becomes; rm /empty; mkdir /empty; rmdir /empty; echo file again > /empty
touch -d @1000000000 /times; chown 7:8 /owner/f; chmod 751 /mode; chown 7 /owner
mkdir -p /new/dir/deeper; echo 1 > /new/dir/1; ln -s nowhere /new/link; mkfifo /new/fifo; rm /d/link; ln -s b /d/link
for one in dirlink dangling out winding; do rm /d/$one; echo $one > /d/$one; done
mv /d/sub/deep/e /d/sub/e; touch -r /keep/f /keep/f; : >> /keep/same; ln /new/dir/1 /new/dir/2; chmod 700 /d/sub/deep
mkdir /new/empty; rmdir /new/empty; echo x > '/new/name with  spaces'; ln /d/b /d/another
mkdir /white/1 /back/f; mv /moved /d/sub/moved; rm /turned; mkdir /turned; rm -r /white/a; mkdir -p /white/a/b/c
chmod 4755 /keep/f; mknod /new/null c 1 3; rm /d/fifo; echo no pipe > /d/fifo; touch -h /d/far; rm -r /keep; mkdir /keep
mkdir /etc/made; rm -f /etc/hosts; echo a > /run/a; echo b > /etc/passwd
"""


@pytest.fixture(scope="module")
def changed(podman_engine: Podman) -> Iterator[Podman]:
    """A container ``changed`` upon an image of three layers, which has many kinds of changes."""
    links = [(f"bin/{name}", "bin/busybox") for name in _PROGRAMS]
    podman_engine("import", "-", "localhost/commands:1", stdin=image("busybox", links=links))
    for number, script in ((1, _BEFORE), (2, _MIDDLE)):
        _run(podman_engine, "making-changes", number, script)
        podman_engine("commit", "--quiet", "making-changes", f"localhost/commands:{number + 1}")
        podman_engine("rm", "making-changes")
    _run(podman_engine, "changed", 3, _AFTER)
    yield podman_engine
    podman_engine("rm", "--force", "--time", "0", "changed")
    podman_engine("rmi", "localhost/commands:3", "localhost/commands:2", "localhost/commands:1")


def _run(podman: Podman, name: str, tag: int, script: str) -> None:
    podman("run", "--network", "none", "--name", name, f"localhost/commands:{tag}", "/bin/sh", "-c", script)


@pytest.fixture
def theirs(changed: Podman, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Podman says; ovlctl is led to its store."""
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", changed.environment["CONTAINERS_STORAGE_CONF"])
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", changed.root)
    return changed("diff", "changed").splitlines()


def test_the_same_as_podman_diff(theirs: list[str], cli: Cli) -> None:
    """Writes, modes, owners, deletions, replaced types and directories, links and times of a real container."""
    ours = cli("diff", "podman:changed", "--format", "podman")
    assert ours.status == 0, ours.stderr
    # A link of a lower to /d/a was replaced: Podman looks for that on the host, which has none.
    assert "A /d/far" in theirs
    assert ours.stdout.splitlines() == ["C /d/far" if line == "A /d/far" else line for line in theirs]
    assert {"A /new/dir/1", "C /d/b", "D /gone", "D /opaque", "C /opaque/2", "C /type", "C /d/out"} <= {*theirs}


def test_some_paths(theirs: list[str], cli: Cli) -> None:
    """With paths it is those lines that are at or below them."""
    ours = cli("diff", "podman:changed", "--format", "podman", "--path", "d/sub", "--path", "new", "--exit-code")
    assert ours.status == 1
    wanted = [line for line in theirs if line[3:].startswith(("d/sub", "new"))]
    assert ours.stdout.splitlines() == wanted
    assert cli("diff", "podman:changed", "--format", "podman", "--path", "bin", "--exit-code").status == 0


def test_of_a_lower(theirs: list[str], changed: Podman, cli: Cli) -> None:
    """What the layer of an image changes is what Podman says of the image."""
    assert theirs
    ours = cli("diff", "podman:localhost/commands:3", "--layer", "0", "--format", "podman")
    assert ours.stdout.splitlines() == changed("diff", "localhost/commands:3").splitlines()


def test_with_redirects(theirs: list[str], changed: Podman, cli: Cli) -> None:
    """With metacopy=on Podman compares views, and has other words for the same changes."""
    option = ("--storage-opt", "overlay.mountopt=nodev,metacopy=on")
    within = ("--network", "none", "--cgroup-parent", f"/{changed.cgroup}", "--name", "redirected")
    script = f"{_AFTER}\necho in > /becomes/it; echo finished; exec sleep 600"
    changed(*option, "run", "-d", *within, "localhost/commands:3", "/bin/sh", "-c", script)
    try:
        assert eventually(lambda: "finished" in changed("logs", "redirected"))
        (said,) = changed.json("container", "inspect", "redirected")
        os.setxattr(f"/proc/{said['State']['Pid']}/root/d/hard", "user.mine", b"1")
        views = changed(*option, "diff", "redirected").splitlines()
        ours = cli("diff", "podman:redirected", "--format", "podman")
    finally:
        changed("rm", "--force", "--time", "0", "redirected")
    assert (ours.status, ours.stderr) == (0, "")
    assert sorted(ours.stdout.splitlines()) == sorted(views)
    assert {"C /d/hard", "C /becomes", "A /becomes/it", "D /opaque/old"} <= {*views} - {*theirs}


def test_stopped_with_metacopy(
    theirs: list[str], changed: Podman, cli: Cli, scratch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that had metacopy=on and runs no more is read with it, as it is asked for or as it is configured."""
    asked = ("--storage-opt", "overlay.mountopt=nodev,metacopy=on")
    script = "mv /d /elsewhere; chmod 600 /elsewhere/b"
    changed(*asked, "run", "--network", "none", "--name", "meta", "localhost/commands:3", "/bin/sh", "-c", script)
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{scratch}/nobody")  # a service would tell of itself

    def driver() -> bool:
        (told,) = cli("driver", "podman", "--json").data["engines"]
        metacopy: bool = told["metacopy"]
        return metacopy

    try:
        with open(f"{changed(*asked, 'mount', 'meta')}/elsewhere/b", encoding="ascii") as file:
            content = file.read()
        changed("umount", "meta")
        by_chance = cli("cat", "podman:meta", "elsewhere/b")
        of_all = driver()
        layer = changed("diff", "meta").splitlines()
        ours = cli("diff", "podman:meta", "--format", "podman")
        _configure_metacopy(changed, scratch, monkeypatch)
        views = changed(*asked, "diff", "meta").splitlines()
        configured = cli("diff", "podman:meta", "--format", "podman")
        by_configuration = cli("cat", "podman:meta", "elsewhere/b")
        assert driver()
    finally:
        changed("rm", "--force", "--time", "0", "meta")
    assert content
    assert (by_chance.stdout, by_configuration.stdout) == (content, content), by_chance.stderr
    assert not of_all
    assert sorted(ours.stdout.splitlines()) == sorted(layer)
    assert sorted(configured.stdout.splitlines()) == sorted(views)
    assert views != layer


def _configure_metacopy(changed: Podman, scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(changed.environment["CONTAINERS_STORAGE_CONF"], encoding="utf-8") as file:
        text = file.read()
    with open(f"{scratch}/storage.conf", "x", encoding="utf-8") as file:
        file.write(f'{text}[storage.options.overlay]\nmountopt = "nodev,metacopy=on"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", f"{scratch}/storage.conf")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=_steps)
def test_whatever_is_done(theirs: list[str], changed: Podman, cli: Cli, steps: Steps) -> None:
    """Whatever is done to a container, it is what Podman says, where it does."""
    assert theirs
    changed("create", "--network", "none", "--name", "random", "localhost/commands:3", "true")
    try:
        point = changed("mount", "random")
        do(point, steps)
        asked = subprocess.run(
            [*changed.words, "diff", "random"], env=changed.environment, capture_output=True, text=True, check=False
        )
        ours = cli("diff", "podman:random", "--format", "podman")
    finally:
        changed("rm", "--force", "--time", "0", "random")
    assert ours.status == 0, ours.stderr
    if asked.returncode == 0:
        assert ours.stdout.splitlines() == asked.stdout.splitlines()
    else:
        assert "not a directory" in asked.stderr


def _told(cli: Cli, scratch: str, *lowers: str) -> list[str]:
    words = [word for lower in lowers for word in ("--lower", f"{scratch}/{lower}")]
    done = cli("diff", *words, "--upper", f"{scratch}/upper", "--format", "podman")
    assert done.status == 0, done.stderr
    return done.stdout.splitlines()


def test_where_podman_fails(scratch: str, cli: Cli) -> None:
    """Links in circles, and a file in whose place a directory is with something in it: Podman ends with an error."""
    trees.make(f"{scratch}/lower", {"was/": None, "file": "", "keep": ""})
    trees.make(f"{scratch}/upper", {"file/in/it": "", "loop": "", "other": "", "through": ""})
    os.symlink("loop", f"{scratch}/lower/loop")
    os.symlink("other", f"{scratch}/lower/another")
    os.symlink("another", f"{scratch}/lower/other")
    os.symlink("keep/nothing", f"{scratch}/lower/through")
    told = _told(cli, scratch, "lower")
    assert told == ["C /file", "A /file/in", "A /file/in/it", "C /loop", "C /other", "A /through"]


def test_no_link_leads_out(scratch: str, cli: Cli) -> None:
    """A link of a lower is something that is there; what it leads to outside is not looked at, nor what is in it."""
    trees.make(f"{scratch}/lower", {"in/it": "", "deep/in/it": ""})
    trees.make(f"{scratch}/upper", {"etc/passwd": "", "up/passwd": "", "round/it": "", "deep/round/it": ""})
    for link, target in (("etc", "/etc"), ("up", "../../../../../../../etc"), ("round", "deep/../in")):
        os.symlink(target, f"{scratch}/lower/{link}")
    os.symlink("../deep/in", f"{scratch}/lower/deep/round")
    told = _told(cli, scratch, "lower")
    assert [line for line in told if "/it" in line or "passwd" in line] == [
        "C /deep/round/it",
        "A /etc/passwd",
        "C /round/it",
        "A /up/passwd",
    ]
    assert {"C /etc", "C /up"} <= {*told}


def test_marks_of_lowers(scratch: str, cli: Cli) -> None:
    """A whiteout ends the search, of the name or of a directory above it; an opaque mark of a lower does not."""
    trees.make(f"{scratch}/low", {"gone/x": "", "opaque/x": "", "file": ""})
    trees.make(f"{scratch}/mid", {"opaque/": None})
    os.mknod(f"{scratch}/mid/gone", 0o600 | 0o020000, 0)
    os.mknod(f"{scratch}/mid/file", 0o600 | 0o020000, 0)
    os.setxattr(f"{scratch}/mid/opaque", "trusted.overlay.opaque", b"y")
    trees.make(f"{scratch}/upper", {"gone/x": "", "opaque/x": "", "file": ""})
    told = _told(cli, scratch, "mid", "low")
    assert {"A /gone", "A /gone/x", "A /file", "C /opaque/x"} <= {*told}


def test_words_that_do_not_go_together(scratch: str, cli: Cli) -> None:
    """It is about one upper, and has no other changes than its own."""
    trees.make(scratch, {"lower/": None, "upper/": None, "other/": None})
    given = ("diff", "--lower", f"{scratch}/lower", "--upper", f"{scratch}/upper", "--format", "podman")
    for words in (("--only", "added"), ("--stat",), ("--json",)):
        assert cli(*given, *words).status == 2
    assert cli("diff", f"{scratch}/lower", f"{scratch}/other", "--format", "podman").status == 2


def test_what_cannot_be_read(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """A directory that may not be read is a warning, and the rest is told."""
    trees.make(scratch, {"lower/a": "", "upper/closed/b": "", "upper/open/c": ""})
    os.chmod(f"{scratch}/upper/closed", 0)
    done = ordinary_user.ovlctl(
        *("diff", "--lower", f"{scratch}/lower", "--upper", f"{scratch}/upper", "--format", "podman")
    )
    assert done.status == 6
    assert done.stdout.splitlines() == ["A /closed", "A /open", "A /open/c"]
    assert "closed" in done.stderr
