"""The program itself, in a terminal: what it says it did is what there is, and nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from glob import glob
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.overlay.options import Options
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_overlay, needs_root, needs_userns_overlay
from tests.overlay.made import mounted
from tests.patience import eventually
from tests.tui.scenes import MARK_WORD, MARKS
from tests.tui.terminal import ENTER, Terminal, descendants, terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.conftest import OrdinaryUser

pytestmark = needs_overlay

_PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PREVIEW, _DONE = "what the kernel will do", "Done:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """Who runs the program.

    Attributes:
        prefix: Before its command line.
        home: A directory of theirs.
    """

    prefix: tuple[str, ...]
    env: Mapping[str, str]
    home: str

    @property
    def place(self) -> str:
        """Where scratch uppers are put."""
        return os.path.join(self.home, "tmp")

    def ovlctl(self, *args: str) -> list[str]:
        """A command line."""
        return [*self.prefix, sys.executable, "-m", "ovlctl", *args]

    def explain(self, path: str, words: Sequence[str]) -> Any:
        """What `ovlctl explain --json` says of a path."""
        done = subprocess.run(
            self.ovlctl("explain", path, *words, "--json"),
            env=self.env,
            capture_output=True,
            check=False,
            cwd=self.home,
        )
        return json.loads(done.stdout)["data"][0]


@pytest.fixture(params=[pytest.param("root", marks=needs_root), pytest.param("user", marks=needs_userns_overlay)])
def somebody(request: pytest.FixtureRequest, scratch: str) -> Somebody:
    """Root, and somebody who is not."""
    if request.param == "user":
        user: OrdinaryUser = request.getfixturevalue("ordinary_user")
        made = Somebody(prefix=user.prefix, env=user.env, home=user.home)
    else:
        home = os.path.join(scratch, "home")
        os.mkdir(home)
        made = Somebody(prefix=(), env={**os.environ, "PYTHONPATH": _PROJECT}, home=home)
    os.mkdir(made.place)
    _give(made.place, made.home)
    return Somebody(prefix=made.prefix, env={**made.env, "TMPDIR": made.place}, home=made.home)


def _give(path: str, like: str) -> None:
    status = os.stat(like)
    os.chown(path, status.st_uid, status.st_gid)


def _stack(who: Somebody) -> tuple[str, ...]:
    """Two lowers and an upper that all belong to them."""
    base = os.path.join(who.home, "stack")
    trees.make(f"{base}/low", {"app.conf": "port = 80\n" * 9, "lib.so": "x" * 5000, "share/doc/a": "a"})
    trees.make(f"{base}/top", {"share/doc/b": "b"})
    trees.make(f"{base}/own", {"mine": "m"})
    for directory, names, files in os.walk(base):
        for name in (".", *names, *files):
            _give(os.path.join(directory, name), who.home)
    return (*(f"--lower={base}/{name}" for name in ("top", "low")), f"--upper={base}/own", MARK_WORD)


def _everything(base: str) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(base):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            content = b""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            found[path] = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_nlink, content)
    return found


def _scratch_upper(who: Somebody) -> str:
    (upper,) = glob(f"{who.place}/ovlctl-try-*/*/upper")
    return upper


def _act(screen: Terminal, keys: str) -> str:
    """Press the keys of an action, do it, and return what was drawn at its end."""
    screen.press(keys)
    screen.wait(_PREVIEW)
    screen.press(ENTER)
    drawn = screen.wait(_DONE)
    screen.press(ENTER)
    screen.wait(lambda text: _DONE not in text)
    return drawn


def _go_to(screen: Terminal, name: str) -> None:
    """Find a path by its letters."""
    screen.press("f")
    screen.wait("Find a path")
    screen.press(name)
    screen.wait(lambda text: text.count(f"\u2502 {name}") > 1)  # in the line that is typed in, and below it
    screen.press(ENTER)
    screen.wait(lambda text: "Find a path" not in text and f" /{name}" in text.splitlines()[-2])


def test_what_it_draws_is_what_there_is(somebody: Somebody) -> None:
    """Read, modify, delete and create are seen in the real directories and by `ovlctl explain`; nothing is left."""
    words = _stack(somebody)
    base = os.path.join(somebody.home, "stack")
    before = _everything(base)
    argv = somebody.ovlctl("explore", *words, "--no-animation")
    with terminal(argv, somebody.env, cwd=somebody.home) as screen:
        screen.wait("lib.so")
        low = os.stat(f"{base}/low/app.conf")

        _go_to(screen, "app.conf")
        drawn = _act(screen, "ar")
        assert f"inode {low.st_ino} on" in drawn
        upper = _scratch_upper(somebody)
        assert os.listdir(upper) == []
        scratch_words = (f"--lower={base}/own", *words[:2], f"--upper={upper}", MARK_WORD)

        drawn = _act(screen, "am")
        copy = os.stat(f"{upper}/app.conf")
        assert f"inode {copy.st_ino} on" in drawn
        assert f"inode {low.st_ino} on" in drawn
        assert (copy.st_size, copy.st_ino == low.st_ino) == (low.st_size, False)
        told = somebody.explain("app.conf", scratch_words)
        assert told["provider"]["dir"] == upper
        assert [line for line in screen.lines if "~" in line and "app.conf" in line and "scratch" in line]

        _go_to(screen, "lib.so")
        drawn = _act(screen, "ad")
        assert "whiteout" in drawn
        status = os.lstat(f"{upper}/lib.so")
        assert stat.S_ISCHR(status.st_mode)
        assert status.st_rdev == 0
        assert somebody.explain("lib.so", scratch_words)["outcome"] == "absent"
        assert [line for line in screen.lines if line.startswith(" o ") and "lib.so" in line]

        screen.press("ac")
        screen.wait("Path of the new file")
        screen.press("new.txt")
        screen.wait("new.txt")
        drawn = _act(screen, ENTER)
        new = os.stat(f"{upper}/new.txt")
        assert f"inode {new.st_ino} on" in drawn
        assert new.st_size == 0
        assert somebody.explain("new.txt", scratch_words)["provider"]["dir"] == upper
        assert [line for line in screen.lines if line.startswith(" + ") and "new.txt" in line]

        assert _everything(base) == before
        screen.press("R")
        screen.wait("undone: 4 actions")
        screen.wait(lambda text: "new.txt" not in text)
        started = descendants(screen.process.pid)
        screen.press("q")
        assert screen.ended() == 0
    _nothing_is_left(somebody, started)
    assert _everything(base) == before


def _nothing_is_left(who: Somebody, processes: set[int]) -> None:
    assert eventually(lambda: not [pid for pid in processes if os.path.exists(f"/proc/{pid}")])
    assert os.listdir(who.place) == []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        assert who.place not in file.read()


@pytest.mark.parametrize("end", ["SIGTERM", "SIGHUP", "SIGKILL", "closed"])
def test_whatever_ends_it(somebody: Somebody, end: str) -> None:
    """A signal, or a terminal that is closed: no process and no mount is left; a directory goes with the next start."""
    with terminal(somebody.ovlctl("explore", "--no-animation"), somebody.env, cwd=somebody.home) as screen:
        screen.wait("lib.so")
        _act(screen, "am")
        started = descendants(screen.process.pid)
        assert len(started) >= 2  # what reads, and what has the mount
        if end == "closed":
            screen.close()
        else:
            screen.process.send_signal(signal.Signals[end])
        screen.ended()
        _gone(started)
        if end == "SIGKILL":
            with terminal(somebody.ovlctl("explore"), somebody.env, cwd=somebody.home) as again:
                again.wait("lib.so")
                assert len(os.listdir(somebody.place)) == 2
                again.press("q")
                assert again.ended() == 0
    _nothing_is_left(somebody, started)


def _gone(processes: set[int]) -> None:
    assert eventually(lambda: not [pid for pid in processes if os.path.exists(f"/proc/{pid}")])


def test_the_example(somebody: Somebody) -> None:
    """Without a STACK: Merged, upper and lower of the article, any size of terminal; nothing is left."""
    with terminal(somebody.ovlctl("explore"), somebody.env, size=(80, 24), cwd=somebody.home) as screen:
        text = screen.wait("lib.so")
        assert [line.split()[0] for line in text.splitlines()[2:4]] == ["upper", "lower:0"]
        assert "app.conf" in text
        screen.resize(160, 50)
        screen.wait(lambda text: len(text.splitlines()[0]) > 100)
        started = descendants(screen.process.pid)
        screen.press("q")
        assert screen.ended() == 0
    _nothing_is_left(somebody, started)


@needs_root
def test_live(scratch: str) -> None:
    """On the real mount each action is confirmed, with no at first; no scratch upper is made."""
    low = trees.make(f"{scratch}/low", {"app.conf": "a", "lib.so": "b"})
    for name in ("upper", "work", "tmp"):
        os.mkdir(f"{scratch}/{name}")
    stack = Stack([low], upper=f"{scratch}/upper", work=f"{scratch}/work", options=Options(userxattr=MARKS))
    env = {**os.environ, "TMPDIR": f"{scratch}/tmp"}
    with mounted(stack, f"{scratch}/merged") as point:
        argv = [sys.executable, "-m", "ovlctl", "explore", point, "--live", "--no-animation"]
        with terminal(argv, env) as screen:
            screen.wait("lib.so")
            screen.wait("LIVE")
            for answer, there in ((ENTER, True), ("y", False)):
                screen.press("a")
                screen.wait("Act on")
                screen.press("d")
                screen.wait(_PREVIEW)
                screen.press(ENTER)
                screen.wait("For good")
                screen.press(answer)
                screen.wait("nothing was done" if there else _DONE)
                assert os.path.lexists(f"{point}/app.conf") is there
            screen.press(ENTER)
            screen.wait(lambda text: [line for line in text.splitlines() if line.startswith(" o ")] != [])
            assert stat.S_ISCHR(os.lstat(f"{scratch}/upper/app.conf").st_mode)
            screen.press("R")
            screen.wait("stays done")
            screen.press("q")
            assert screen.ended() == 0
    assert os.listdir(f"{scratch}/tmp") == []


def test_live_needs_a_mount(scratch: str) -> None:
    """A stack that is not mounted is refused at once, in one line."""
    low = trees.make(f"{scratch}/low", {"app.conf": "a"})
    argv = [sys.executable, "-m", "ovlctl", "explore", f"--lower={low}", "--live"]
    with terminal(argv, os.environ) as screen:
        assert screen.ended() == 3
        assert "is not mounted here" in screen.text
        assert "Traceback" not in screen.text
