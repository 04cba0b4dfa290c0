"""Directories to try things in: swept when their process is dead, and nothing else ever is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import probes
from ovlctl.kernel import scratch as kernel_scratch
from ovlctl.kernel.mount import MS, mount
from ovlctl.kernel.probes import Answer
from ovlctl.kernel.temporary_names import start_time
from tests.capabilities import needs_mounting, needs_root, root
from tests.kernel.children import child

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

_HOLD = "import sys\nfrom ovlctl.kernel.scratch import scratch\nheld = scratch(sys.argv[1])\nprint(held.__enter__())"


def left_behind(directory: str) -> str:
    """Name of what a killed process left in *directory*, holding one of each kind that a probe makes."""
    code = f"""{_HOLD.replace("print(held.__enter__())", "path = held.__enter__()")}
from ovlctl.kernel import features
features._make(path + "/source", b"x")
try:
    features._rename_whiteout(path)
except OSError:
    pass
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, directory], check=False)
    assert done.returncode == -signal.SIGKILL
    (name,) = os.listdir(directory)
    return name


@pytest.mark.parametrize("probe", ["directory_features", "xattr_kept"])
def test_the_next_probe_sweeps(scratch: str, probe: str) -> None:
    """What a probe killed in the middle left is gone after the next probe of the same directory."""
    left = left_behind(scratch)
    assert {"source", "new"} <= set(os.listdir(os.path.join(scratch, left)))
    if probe == "directory_features":
        probes.directory_features(scratch)
    else:
        probes.xattr_kept(scratch, "user.overlay.")
    assert os.listdir(scratch) == []


def test_a_living_process_keeps_its_own(scratch: str) -> None:
    """While its process lives it stays."""
    with child(_HOLD.replace("print(held.__enter__())", "held.__enter__()"), scratch):
        (held,) = os.listdir(scratch)
        kernel_scratch.sweep(scratch)
        assert os.listdir(scratch) == [held]
    kernel_scratch.sweep(scratch)
    assert os.listdir(scratch) == []


def test_what_differs_stays(scratch: str) -> None:
    """Another name, kind, content or pid namespace, or a process number used again: none of it is removed."""
    name = left_behind(scratch)
    pid, start, namespace, number = name.removeprefix(".ovlctl-probe-").split("-")
    path = os.path.join(scratch, name)
    with open(os.path.join(path, "precious"), "wb"):
        pass
    kept = [
        f".ovlctl-probe-{pid}-{start}-{namespace}-{number}\n",
        f".ovlctl-probe-{pid}-{start}-{namespace}-",
        f".ovlctl-probe-{pid}-{start}-{int(namespace) + 1}-{number}",
        f"x.ovlctl-probe-{pid}-{start}-{namespace}-{number}",
        ".ovlctl-probe-abcdefgh",
        f".ovlctl-probe-{os.getpid()}-{start_time(os.getpid())}-{namespace}-{number}",
    ]
    for each in kept:
        os.mkdir(os.path.join(scratch, each))
    os.symlink(path, os.path.join(scratch, f".ovlctl-probe-{pid}-{start}-{namespace}-9998"))
    with open(os.path.join(scratch, f".ovlctl-probe-{pid}-{start}-{namespace}-9999"), "wb"):
        pass
    deep = os.path.join(scratch, f".ovlctl-probe-{pid}-{start}-{namespace}-9997")
    os.makedirs(os.path.join(deep, "types"))
    before = sorted(os.listdir(scratch))
    kernel_scratch.sweep(scratch)
    assert sorted(os.listdir(scratch)) == before
    assert {"precious", "source", "new"} <= set(os.listdir(path))
    assert os.listdir(deep) == ["types"]
    # And with these in the way a probe still works.
    assert probes.directory_features(scratch).d_type is Answer.YES
    assert sorted(os.listdir(scratch)) == before


def test_a_used_number_is_not_the_process(scratch: str) -> None:
    """A living process with the same number that started at another time is somebody else."""
    namespace = os.stat("/proc/self/ns/pid").st_ino
    os.mkdir(os.path.join(scratch, f".ovlctl-probe-{os.getpid()}-1-{namespace}-0"))
    kernel_scratch.sweep(scratch)
    assert os.listdir(scratch) == []


@needs_root
def test_what_belongs_to_others_stays(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Root removes nothing that an ordinary user made, whatever its name; neither as a whole nor inside."""
    place = os.path.join(scratch, "place")
    os.mkdir(place)
    left = left_behind(place)
    os.chown(os.path.join(place, left, "source"), ordinary_user.uid, -1)
    kernel_scratch.sweep(place)
    assert os.listdir(place) == [left]
    os.chown(os.path.join(place, left, "source"), 0, -1)
    os.chown(os.path.join(place, left), ordinary_user.uid, -1)
    kernel_scratch.sweep(place)
    assert os.listdir(place) == [left]
    os.chown(os.path.join(place, left), 0, -1)
    kernel_scratch.sweep(place)
    assert os.listdir(place) == []


@needs_root
def test_what_the_file_system_gives_to_others_goes(scratch: str) -> None:
    """On a file system that makes everything somebody else's (NFS without root, FUSE) a probe cleans up as well."""
    with kernel_scratch.scratch(scratch) as inside:
        os.chown(inside, 12345, 12345)
    assert os.listdir(scratch) == []


@needs_mounting
def test_xattr_kept(scratch: str) -> None:
    """A tmpfs keeps trusted attributes for real root; where nothing can be made is an OSError."""
    mount("t", scratch, "tmpfs", MS(0))
    expected = Answer.YES if root() else Answer.UNKNOWN
    assert probes.xattr_kept(scratch, "trusted.overlay.") is expected
    features = probes.directory_features(scratch)
    assert probes.xattr_kept(scratch, "user.overlay.") is features.user_xattr
    assert os.listdir(scratch) == []
    with pytest.raises(FileNotFoundError):
        probes.xattr_kept("/proc/self", "user.overlay.")


@needs_mounting
def test_xattr_kept_on_ramfs(scratch: str) -> None:
    """A file system without attributes is a no."""
    try:
        mount("ramfs", scratch, "ramfs", MS(0))
    except OSError as error:
        pytest.skip(f"no ramfs for this user: {error}")
    assert probes.xattr_kept(scratch, "user.overlay.") is Answer.NO
