"""However it ends, no mount, process or directory is left; and an ordinary user's stage."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.ops import own_process
from ovlctl.ops.trying.example import CONFIG, example
from ovlctl.ops.trying.stage import Stage, stage
from ovlctl.ops.trying.values import Action, Wish
from tests.capabilities import needs_overlay, needs_root, needs_userns_overlay
from tests.patience import eventually

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

pytestmark = needs_overlay

_HOLD = """
import sys, time
from ovlctl.ops.trying.example import example
from ovlctl.ops.trying.stage import stage
from ovlctl.ops.trying.values import Action, Wish
with example(directory=sys.argv[1]) as subject, stage(subject, directory=sys.argv[1]) as ground:
    ground.do(Wish(action=Action.MODIFY, path="app.conf"))
    print(ground._process.pid, flush=True)
    time.sleep(1000)
"""


def _held(directory: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, directory], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_the_mount_ends_with_its_starter(scratch: str, number: signal.Signals) -> None:
    """Killed: the child ends, the mount with it; what is left goes with the next start."""
    process, child = _held(scratch)
    os.kill(process.pid, number)
    process.communicate()
    assert eventually(lambda: not os.path.exists(f"/proc/{child}"))
    with example(directory=scratch) as subject, stage(subject, directory=scratch):
        assert len(os.listdir(scratch)) == 2
    assert os.listdir(scratch) == []


_COPY = """
import os, sys
from ovlctl.ops import reading
from ovlctl.ops.trying.stage import stage
from ovlctl.ops.trying.values import Action, Wish
from ovlctl.overlay.stack import Stack
with stage(reading.of_directories(Stack([sys.argv[1] + "/low"])), directory=sys.argv[1]) as ground:
    print(ground._process.pid, flush=True)
    ground.do(Wish(action=Action.MODIFY, path="large"))
    print("done")
"""


@needs_root
def test_killed_in_the_middle_of_a_copy(scratch: str) -> None:
    """The child does not finish a long copy-up for nobody."""
    os.mkdir(f"{scratch}/low")
    with open(f"{scratch}/low/large", "wb") as file:
        file.writelines(bytes(1 << 20) for _ in range(256))
    process = subprocess.Popen([sys.executable, "-c", _COPY, scratch], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.communicate()
    assert eventually(lambda: not os.path.exists(f"/proc/{child}"))
    with example(directory=scratch):
        pass
    assert os.listdir(scratch) == ["low"]


def test_both_killed(scratch: str) -> None:
    """The mount goes with the namespace, the directories with the next start."""
    process, child = _held(scratch)
    os.kill(process.pid, signal.SIGSTOP)
    os.kill(child, signal.SIGKILL)
    process.kill()
    process.communicate()
    assert eventually(lambda: not os.path.exists(f"/proc/{child}"))
    assert len(os.listdir(scratch)) == 2
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        assert scratch not in file.read()
    with example(directory=scratch):
        assert len(os.listdir(scratch)) == 1
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_child_starts(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C, which goes to both processes, leaves the end to the one that started the other, without a traceback."""
    process = own_process.start("ovlctl.ops.trying.child")
    for _ in range(20):
        process.send_signal(number)
        time.sleep(0.01)
    process.communicate()
    assert process.returncode == 1  # the end of the pipe
    assert capfd.readouterr().err == ""


def test_another_child_may_hold_the_pipe(scratch: str) -> None:
    """A fork that lives on, as a process that scans does, keeps the stage from nothing."""
    with example(directory=scratch) as subject:
        with stage(subject, directory=scratch) as ground:
            other = os.fork()
            if other == 0:
                signal.pause()
                os._exit(0)
        assert ground._process.returncode == 0, "ended by itself, not by what waited for it"  # noqa: SLF001 -- what ended
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    assert os.listdir(scratch) == []


def test_a_child_that_is_killed_is_an_error(scratch: str) -> None:
    """Not a hang, and not silence."""
    with example(directory=scratch) as subject, stage(subject, directory=scratch) as ground:
        os.kill(_pid(ground), signal.SIGKILL)
        with pytest.raises(errors.StageLost, match="SIGKILL"):
            ground.do(Wish(action=Action.READ, path=CONFIG))
    assert os.listdir(scratch) == []


def _pid(ground: Stage) -> int:
    return ground._process.pid  # noqa: SLF001 -- who would be killed


_AS_USER = """
import errno, os, sys
from ovlctl.ops import reading
from ovlctl.overlay.stack import Stack
from ovlctl.ops.trying.example import example
from ovlctl.ops.trying.stage import stage
from ovlctl.ops.trying.values import Action, Wish
here = os.environ["HOME"]
with example(directory=here) as subject, stage(subject, directory=here) as ground:
    upper = ground.ground[0].directory
    for action, path in ((Action.READ, "app.conf"), (Action.MODIFY, "app.conf"), (Action.DELETE, "lib.so"),
                         (Action.CREATE, "new"), (Action.MKDIR, "share/d"), (Action.DELETE, "share/d")):
        wish = Wish(action=action, path=path)
        foretold, deed = ground.preview(wish), ground.do(wish)
        assert not deed.errno, deed
        assert [step.kind for step in foretold.steps] == [step.kind for step in deed.steps]
        seen = deed.after[0].layers[0].sight
        if seen is not None:
            status = os.lstat(os.path.join(upper, path))
            assert (seen.ino, seen.uid, seen.gid) == (status.st_ino, status.st_uid, status.st_gid), seen
    with stage(reading.of_directories(Stack(["/etc"], options=subject.stack.options)), directory=here) as others:
        deed = others.do(Wish(action=Action.MODIFY, path="passwd"))
        assert deed.errno == errno.EACCES, deed
        status = os.lstat("/etc/passwd")
        for seen in (deed.before[0].merged, deed.before[0].layers[-1].sight):
            assert (seen.uid, seen.gid) == (status.st_uid, status.st_gid), seen
    print(ground.differences, os.getuid(), sorted(os.listdir(upper)))
"""


@needs_userns_overlay
def test_as_an_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """The same in a user namespace; ids are told as the user knows them, and nothing is left."""
    done = ordinary_user.run([sys.executable, "-c", _AS_USER])
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"() {ordinary_user.uid} ['app.conf', 'lib.so', 'new', 'share']\n"
    assert os.listdir(ordinary_user.home) == []
