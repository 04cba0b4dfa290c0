"""Copies and contents without root: what cannot be kept or read is said, as cp(1) would go on."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ExitStatus
from tests import trees
from tests.capabilities import needs_root

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

pytestmark = needs_root


@pytest.fixture
def layers(scratch: str) -> tuple[str, ...]:
    """Options for a stack that root made, open to everybody but for some of it."""
    trees.make(scratch, {"top/open/f": "f", "low/open/g": "g", "low/shut/x": "x", "low/secret": "s", "low/tool": "t"})
    os.chmod(f"{scratch}/low/shut", 0o700)
    os.chmod(f"{scratch}/low/secret", 0o600)
    os.chmod(f"{scratch}/low/tool", 0o6755)
    os.mknod(f"{scratch}/low/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(f"{scratch}/low/fifo")
    return ("-l", f"{scratch}/top", "-l", f"{scratch}/low", "--userxattr")


def test_a_directory(layers: tuple[str, ...], ordinary_user: OrdinaryUser) -> None:
    """What may be read is there, as one's own; the rest is listed, and the exit status is 6."""
    done = ordinary_user.ovlctl("cp", "-r", *layers, "/", f"{ordinary_user.home}/copy")
    assert done.status == ExitStatus.PARTIAL, done.stderr
    made = f"{ordinary_user.home}/copy"
    assert trees.everything(made) == {"open": "d", "open/f": "-", "open/g": "-", "shut": "d", "tool": "-", "fifo": "p"}
    assert os.stat(f"{made}/tool").st_uid == ordinary_user.uid
    assert stat.S_IMODE(os.stat(f"{made}/tool").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(f"{made}/shut").st_mode) == 0o700
    warnings = done.stderr.splitlines()
    assert len(warnings) == 3
    assert any("low/shut in lower:1 could not be read: Permission denied (EACCES)" in line for line in warnings)
    assert any("the content of secret, in lower:1, cannot be read" in line for line in warnings)
    assert any("null is a device" in line for line in warnings)


@pytest.mark.parametrize(("path", "code"), [("secret", "OVL-E005"), ("null", "OVL-E005"), ("shut/x", "OVL-E005")])
def test_one_file(layers: tuple[str, ...], ordinary_user: OrdinaryUser, path: str, code: str) -> None:
    """A single file that cannot be had is an error, and nothing is made."""
    done = ordinary_user.ovlctl("cp", *layers, path, f"{ordinary_user.home}/copy")
    assert done.status == ExitStatus.PERMISSION
    assert f"[{code} " in done.stderr
    assert os.listdir(ordinary_user.home) == []
    if path != "null":
        assert ordinary_user.ovlctl("cat", *layers, path).status == ExitStatus.PERMISSION


def test_where_nothing_may_be_written(layers: tuple[str, ...], ordinary_user: OrdinaryUser, scratch: str) -> None:
    """The destination is named."""
    done = ordinary_user.ovlctl("cp", *layers, "open/f", f"{scratch}/top/copy")
    assert done.status == ExitStatus.PERMISSION
    assert "top/copy cannot be written: Permission denied (EACCES)" in done.stderr


def test_marks_that_cannot_be_seen(layers: tuple[str, ...], ordinary_user: OrdinaryUser) -> None:
    """Of a stack with trusted marks, every answer is given and none is certain."""
    words = (*layers[:-1], "--no-userxattr")
    done = ordinary_user.ovlctl("cat", *words, "open/f")
    assert (done.status, done.stdout) == (ExitStatus.PARTIAL, "f")
    assert "trusted.overlay.*" in done.stderr
    done = ordinary_user.ovlctl("cp", *words, "open/f", ordinary_user.home)
    assert done.status == ExitStatus.PARTIAL
    assert os.listdir(ordinary_user.home) == ["f"]


def test_metadata_only_that_cannot_be_seen(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """A file that may have metadata only is never given out as zeros, and its layer's own files are given."""
    trees.make(scratch, {"top/written": "w", "low/f": "data"})
    with open(f"{scratch}/top/f", "wb") as hole:
        hole.truncate(4)
    os.setxattr(f"{scratch}/top/f", "trusted.overlay.metacopy", b"")
    words = ("-l", f"{scratch}/top", "-l", f"{scratch}/low", "--no-userxattr", "--metacopy", "on")
    for verb in (("cat", *words, "f"), ("cp", *words, "f", f"{ordinary_user.home}/copy")):
        done = ordinary_user.ovlctl(*verb)
        assert (done.status, done.stdout) == (ExitStatus.PERMISSION, "")
        assert "nothing but a hole" in done.stderr
    done = ordinary_user.ovlctl("cat", *words, "written")
    assert (done.status, done.stdout) == (ExitStatus.PARTIAL, "w")
