"""Law 4 for copies: whatever comes in between, the destination is there in full or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ContentUnreadable, OutputFailed
from ovlctl.ops.extracting.destination import check_private, sweep
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees
from tests.capabilities import needs_mounting, needs_root
from tests.ops.extracting.copies import copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeFs, OrdinaryUser

_BIG = 4 << 20


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack with a directory of many files and one that is big."""
    with tempfile.TemporaryDirectory(dir=capabilities.session().directory) as base:
        trees.make(base, {"top/": None, "low/big": os.urandom(_BIG), "low/many/first": "x"})
        for at in range(30):
            os.mkdir(f"{base}/low/many/{at}")
            for name in range(10):
                os.mknod(f"{base}/low/many/{at}/{name}")
        yield Stack([f"{base}/top", f"{base}/low"])


@needs_mounting
@pytest.mark.parametrize("path", ["big", "/"])
def test_a_full_disk(stack: Stack, make_fs: MakeFs, path: str) -> None:
    """ENOSPC in the middle leaves nothing, and says so."""
    small = make_fs("tmpfs", 1 << 20)
    with pytest.raises(OutputFailed) as caught:
        copy(stack, path, f"{small}/copy")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(small) == []


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("replace", [False, True])
def test_a_write_that_fails(stack: Stack, scratch: str, *, replace: bool) -> None:
    """What was to be replaced is as it was."""
    trees.make(scratch, {"dest/": None, **({"dest/big": "mine"} if replace else {})})
    before = trees.everything(f"{scratch}/dest")
    with _files_of_at_most(_BIG // 2), pytest.raises(OutputFailed):
        copy(stack, "big", f"{scratch}/dest", replace=replace)
    assert trees.everything(f"{scratch}/dest") == before


def test_a_read_that_fails(scratch: str) -> None:
    """A file that cannot be read leaves nothing, either; /proc/self/mem gives EIO."""
    trees.make(scratch, {"dest/": None})
    with pytest.raises(ContentUnreadable) as caught:
        copy(Stack(["/proc/self/attr", "/proc/self"]), "mem", f"{scratch}/dest")
    assert caught.value.errno == errno.EIO
    assert os.listdir(f"{scratch}/dest") == []


# The copy stops itself in the middle of the many files, so that whatever comes in between does come in between.
_COPY = """
import os, signal, sys
from ovlctl.cli.main import main
made = 0
def look(event, _arguments):
    global made
    if event == "os.mkdir":
        made += 1
        if made == 20:
            os.kill(os.getpid(), signal.SIGSTOP)
sys.addaudithook(look)
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def _copying(stack: Stack, dest: str) -> Iterator[subprocess.Popen[bytes]]:
    """A copy of all of it, which stands still among the many files until :func:`_end`."""
    options = [word for lower in stack.lowers for word in ("--lower", lower)]
    argv = [sys.executable, "-c", _COPY, "cp", "-r", "--no-userxattr", *options, "/", f"{dest}/copy"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as copying:
        stopped = os.waitid(os.P_PID, copying.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert stopped is not None
        assert stopped.si_code == os.CLD_STOPPED
        assert any(os.path.isdir(f"{dest}/{name}/many") for name in os.listdir(dest))
        yield copying


def _end(copying: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Let it go on, or come to its end."""
    copying.send_signal(signal.SIGCONT)
    _, said = copying.communicate()
    return copying.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal(stack: Stack, scratch: str, number: signal.Signals) -> None:
    """The copy cleans up after itself before it ends."""
    dest = trees.make(f"{scratch}/dest", {})
    with _copying(stack, dest) as copying:
        copying.send_signal(number)
        assert _end(copying) == (128 + number, b"")
    assert os.listdir(dest) == []


def test_killed(stack: Stack, scratch: str) -> None:
    """Killed outright, the destination is not there; the next copy to the same directory removes what is left."""
    dest = trees.make(f"{scratch}/dest", {"other": "x", ".ovlctl-cp-1-2-3-4": "not ours"})
    with _copying(stack, dest) as copying:
        copying.kill()
        _end(copying)
    (left,) = set(os.listdir(dest)) - {"other", ".ovlctl-cp-1-2-3-4"}
    assert left.startswith(".ovlctl-cp-")
    copy(stack, "big", dest)
    assert sorted(os.listdir(dest)) == [".ovlctl-cp-1-2-3-4", "big", "other"]


@capabilities.needs_root
def test_a_copy_at_work_is_not_swept(stack: Stack, scratch: str) -> None:
    """What a living process writes stays."""
    dest = trees.make(f"{scratch}/dest", {})
    with _copying(stack, dest) as copying:
        descriptor = os.open(dest, os.O_PATH)
        sweep(descriptor)
        os.close(descriptor)
        assert _end(copying) == (0, b"")
    assert os.listdir(dest) == ["copy"]


@needs_root
@pytest.mark.parametrize(("owner", "mode"), [(64123, 0o700), (0, 0o750), (0, 0o707)])
def test_another_directory_in_its_place(scratch: str, owner: int, mode: int) -> None:
    """Nothing is written into a directory that is somebody else's, or that somebody else may enter."""
    for mine, right in ((scratch + "/mine", True), (scratch + "/other", False)):
        os.mkdir(mine, 0o700)
        if not right:
            os.chmod(mine, mode)
            os.chown(mine, owner, owner)
        descriptor = os.open(mine, os.O_RDONLY)
        with nullcontext() if right else pytest.raises(PermissionError):
            check_private(descriptor)
        os.close(descriptor)


def test_what_came_meanwhile_is_not_overwritten(stack: Stack, scratch: str) -> None:
    """Between the look and the rename somebody makes the destination: theirs stays."""
    dest = trees.make(f"{scratch}/dest", {})
    with _copying(stack, dest) as copying:
        trees.make(f"{dest}/copy", {"theirs": "x"})
        status, said = _end(copying)
    assert status == 2
    assert b"OVL-E157" in said
    assert trees.everything(dest) == {"copy": "d", "copy/theirs": "-"}


def test_directories_that_keep_their_maker_out(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Also without root, what was made with modes that let nobody in is removed when the disk is full."""
    script = """
        mkdir -p top low/a/b dest; echo x >low/a/b/f; chmod 0 low/a/b/f; echo x >low/a/g; chmod 555 low/a/b low/a
        head -c 3000000 /dev/urandom >low/z
        ulimit -f 1000
        "$0" -m ovlctl cp -r -l top -l low / dest/copy
        status=$?
        ls -A dest
        chmod -R u+rwx low
        exit $status
    """
    done = ordinary_user.run(["sh", "-c", script, sys.executable])
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert "OVL-E093" in done.stderr
