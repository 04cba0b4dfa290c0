"""exec and shell as root meets them; tests/ops/rootless has them without root."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import mounts
from ovlctl.kernel.mount import umount2
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli

pytestmark = [capabilities.needs_root, capabilities.needs_overlay]


@pytest.fixture
def stack(scratch: str, state_dir: str, cli: Cli) -> Iterator[str]:
    """The mount point of a stack called x, which has a file f and a directory d."""
    trees.make(scratch, {"a/f": "a", "a/d/inside": "", "t/": None})
    made = cli("mount", f"{scratch}/t", "-l", f"{scratch}/a", "--name", "x")
    assert made.status == 0, made.stderr
    yield f"{scratch}/t"
    for each in reversed(mounts.mounts("overlay")):
        if each.mount_point.startswith(scratch):
            umount2(each.mount_point)


def _run(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ovlctl", *args]
    return subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, check=False)


def test_where_a_command_runs(stack: str) -> None:
    """In the merged view or a directory of it, with what it is called in the environment, in this very namespace."""
    script = 'pwd; cat f; echo "$OVLCTL_STACK $OVLCTL_TARGET $OVLCTL_NAMESPACE."; readlink /proc/self/ns/mnt; id -u'
    done = _run("exec", "x", "--", "sh", "-c", script)
    own = os.readlink("/proc/self/ns/mnt")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{stack}\nax {stack} .\n{own}\n0\n"
    assert _run("exec", "x", "--cwd", "d", "--", "ls").stdout == "inside\n"
    assert _run("exec", f"{stack}/d/inside", "--", "pwd").stdout == f"{stack}\n"
    assert _run("exec", "x", "--keep-id", "--", "id", "-u").stdout == "0\n"


def test_arguments_arrive_as_they_are(stack: str) -> None:
    """What follows ``--`` is the command's, dashes, options, empty words and bytes that are no UTF-8 included."""
    words = ["--json", "--", "-h", "", "a b", "\udcff", "\n"]
    command = [sys.executable, "-m", "ovlctl", "exec", "x", "--", "printf", "[%s]", *words]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.stdout == b"".join(b"[" + os.fsencode(word) + b"]" for word in words)


def test_exit_statuses_and_signals_pass_through(stack: str) -> None:
    """The process is the command: its status, its signals, its standard streams, and SIGPIPE as programs expect it."""
    assert _run("exec", "x", "--", "sh", "-c", "exit 42").returncode == 42
    assert _run("exec", "x", "--", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    command = [sys.executable, "-m", "ovlctl", "exec", "x", "--", "sh", "-c", "trap 'exit 9' INT; echo up; read word"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 9
    ignored = _run("exec", "x", "--", "sed", "-n", "s/SigIgn:.//p", "/proc/self/status").stdout
    assert int(ignored, 16) & (1 << (signal.SIGPIPE - 1)) == 0
    opened = _run("exec", "x", "--", "ls", "/proc/self/fd").stdout.split()
    assert opened == ["0", "1", "2", "3"]  # the last one is that of ls itself


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        pytest.param(("exec", "x", "--", "no-such-program"), 127, "OVL-E124", id="missing"),
        pytest.param(("exec", "x", "--", "./no-such-program"), 127, "OVL-E124", id="missing path"),
        pytest.param(("exec", "x", "--", "f/sub"), 127, "OVL-E124", id="through a file"),
        pytest.param(("exec", "x", "--", "./f"), 126, "OVL-E125", id="not executable"),
        pytest.param(("exec", "x", "--", "./d"), 126, "OVL-E125", id="a directory"),
        pytest.param(("exec", "x", "--", ""), 127, "OVL-E124", id="empty"),
        pytest.param(("exec", "x", "--", "bad\x1b[31m\nname"), 127, "OVL-E124", id="control characters"),
        pytest.param(("exec", "y", "--", "true"), 3, "OVL-E007", id="no such stack"),
        pytest.param(("exec", "x", "--cwd", "nope", "--", "true"), 3, "OVL-E002", id="no such directory"),
        pytest.param(("exec", "x", "--cwd", "f", "--", "true"), 2, "OVL-E003", id="cwd is a file"),
        pytest.param(("exec", "x"), 2, "OVL-E001", id="no command"),
        pytest.param(("exec",), 2, "OVL-E001", id="nothing"),
        pytest.param(("shell",), 2, "OVL-E001", id="no stack"),
        pytest.param(("shell", "/"), 3, "OVL-E006", id="no overlay"),
    ],
)
def test_bad_input(stack: str, *, words: tuple[str, ...], status: int, code: str) -> None:
    """One line with the code, and the exit status; 126 and 127 as env(1) has them."""
    done = _run(*words)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"ovlctl: error[{code} ")
    assert all(line.startswith("hint: ") for line in rest)
    assert "\x1b" not in done.stderr


def test_a_stack_that_is_not_mounted(stack: str, cli: Cli) -> None:
    """A stale stack and one of which only the upper is kept are known, and nothing to run in."""
    umount2(stack)
    stale = _run("exec", "x", "--", "true")
    assert (stale.returncode, "OVL-E123" in stale.stderr, "its mount has ended" in stale.stderr) == (3, True, True)
    assert cli("umount", "x").status == 0
    kept = _run("shell", "x")
    assert (kept.returncode, "OVL-E123" in kept.stderr, "only its upper is kept" in kept.stderr) == (3, True, True)


def test_a_shell_on_a_terminal(stack: str) -> None:
    """`shell` is $SHELL in the merged view, with the terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["SHELL"] = "/bin/sh"
        os.execvp(sys.executable, [sys.executable, "-m", "ovlctl", "shell", "x"])  # noqa: S606 -- the very point
    os.write(terminal, b"test -t 0 && echo seen-$(ls)-$PWD; exit 5\n")
    seen = b""
    try:
        while block := os.read(terminal, 4096):
            seen += block
    except OSError:
        # EIO: nobody has the terminal any more.
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert f"seen-d f-{stack}" in b" ".join(seen.split()).decode() or f"seen-d\nf-{stack}" in seen.decode()


@pytest.mark.parametrize("wish", ["", "bash", "/nowhere/sh", "/etc/passwd"])
def test_a_shell_that_cannot_be(stack: str, wish: str) -> None:
    """A SHELL that is none gives way to that of the account, and to /bin/sh."""
    command = [sys.executable, "-m", "ovlctl", "shell", "x"]
    env = {**os.environ, "SHELL": wish}
    done = subprocess.run(command, env=env, input="pwd\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{stack}\n")
