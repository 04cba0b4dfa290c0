"""What goes wrong while tests run in the guest: the status is right, and what is said helps."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.patience import PATIENCE, eventually
from tests.vm.conftest import lives

if TYPE_CHECKING:
    from tests.vm.conftest import Project

#: A test whose process leaves its number, and that of a daemon, and stays.
_STAYS = """
@elsewhere
def test_stays():
    daemon = subprocess.Popen(["setsid", "sleep", "600"])
    with open("pids.new", "w") as file:
        print(os.getpid(), daemon.pid, file=file)
    os.rename("pids.new", "pids")
    time.sleep(600)
"""
_FINE = """
@elsewhere
def test_fine():
    pass
"""


def _gone(project: Project) -> bool:
    return eventually(lambda: not any(map(lives, project.read("pids").split())))


def test_a_guest_that_dies(project: Project) -> None:
    """Each test that it did not finish is an error that says so; what it finished counts."""
    dies = """
@elsewhere
def test_dies():
    while not os.path.exists("told"):
        time.sleep(0.01)
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

@elsewhere
def test_more():
    pass
"""
    tells = """
def pytest_runtest_logfinish(nodeid):
    if not IN_GUEST and nodeid.endswith("test_fine"):
        open("told", "x").close()
"""
    project.write(conftest=tells, test_a=_FINE + dies)
    done = project.pytest("-rA")
    assert done.returncode == 1
    assert "1 passed" in done.stdout
    assert len(re.findall(r"(FAILED|ERROR) .* - the guest is gone: .* ended with status -9", done.stdout)) == 2


def test_a_pytest_that_dies(project: Project) -> None:
    """The test during which it does fails, with what was said last; the others go on in another session."""
    dies = """
@elsewhere
def test_dies():
    print("captured")
    os.write(2, b"nobody sees it")
    subprocess.run(["sh", "-c", "echo last words >/proc/$PPID/fd/1"])
    os._exit(7)
"""
    project.write(test_a=dies + _FINE)
    done = project.pytest("-rA")
    assert done.returncode == 1
    assert "1 failed, 1 passed in" in done.stdout
    assert "FAILED test_a.py::test_dies - pytest ended there with status 7" in done.stdout


#: The clock of the host goes on by 100 s with each byte of a file, which a test that hangs makes grow.
_CLOCK = """
import os, time
from tests.vm import forwarding
class Clock:
    sleep = time.sleep
    @staticmethod
    def monotonic():
        return 100 * (os.path.getsize("ticks") if os.path.exists("ticks") else 0)
forwarding.time = Clock
"""
_HANGS = """
@elsewhere
def test_hangs():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        with open("ticks", "a") as file:
            file.write("x")
        time.sleep(0.02)
"""


def test_a_test_that_hangs(project: Project) -> None:
    """It fails with that reason, whatever it ignores, and the others go on in another session."""
    project.write(conftest=_CLOCK, test_a=_HANGS + _FINE + _HANGS.replace("hangs", "hangs_too"))
    done = project.pytest("--vm-patience=500", "-rA")
    assert done.returncode == 1
    assert "2 failed, 1 passed in" in done.stdout
    assert "FAILED test_a.py::test_hangs - nothing came from the guest for 500 s" in done.stdout
    assert "FAILED test_a.py::test_hangs_too - nothing came from the guest for 500 s" in done.stdout


def test_interrupted(project: Project) -> None:
    """Ctrl-C is pytest's own: status 2, and what runs in the guest ends, daemons too."""
    project.write(test_a=_FINE + _STAYS)
    with project.start("-v") as running:
        assert eventually(lambda: project.read("pids"))
        assert running.stdout is not None
        said = ""
        while "test_fine PASSED" not in said:  # no line, as long as no other test is told
            said += os.read(running.stdout.fileno(), 4096).decode()
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 2
    assert "KeyboardInterrupt" in said
    assert "1 passed in" in said
    assert _gone(project)


def test_killed(project: Project) -> None:
    """When the host's pytest is killed, what runs in the guest ends."""
    project.write(test_a=_STAYS)
    with project.start() as running:
        assert eventually(lambda: project.read("pids"))
        running.kill()
    assert _gone(project)


def test_a_failure_here_ends_it(project: Project) -> None:
    """With -x a test that fails here ends those in the guest; they are neither waited for nor told."""
    fails = """
def test_fails():
    while not os.path.exists("pids"):
        time.sleep(0.01)
    assert 0
"""
    project.write(test_a=fails + _STAYS)
    done = project.pytest("-x")
    assert done.returncode == 1
    assert "1 failed in" in done.stdout
    assert _gone(project)


def test_what_a_test_leaves_behind(project: Project) -> None:
    """A daemon that a test does not end, ends with the session."""
    leaves = _STAYS.replace("    time.sleep(600)\n", "")
    project.write(test_a=leaves)
    done = project.pytest()
    assert done.returncode == 0, done.stdout
    assert _gone(project)


@pytest.mark.parametrize(
    ("shell", "why"),
    [
        ("echo no route >&2; exit 255", "the guest is gone: ssh ended with status 255\nno route\n"),
        ("echo Welcome", "the guest says what is no event: b'Welcome'\n"),
        ("""echo '{"event": "begun", "pytest": "1.2"}'; cat""", "pytest is 1.2 in the guest and "),
    ],
)
def test_no_session(project: Project, shell: str, why: str) -> None:
    """Where no session begins, each test is an error that says why."""
    project.write(test_a=_FINE + _FINE.replace("fine", "also"))
    done = project.pytest(OVLCTL_VM_SHELL=f"sh -c '{shell}'" if "'" not in shell else f'sh -c "{_quoted(shell)}"')
    assert done.returncode == 1
    assert "2 errors in" in done.stdout
    assert done.stdout.count(f"\n{why}") == 2


def _quoted(script: str) -> str:
    return script.replace('"', '\\"')
