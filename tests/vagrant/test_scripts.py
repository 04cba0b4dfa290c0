"""The Vagrantfile and the scripts beside it."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.capabilities import needs_root

if TYPE_CHECKING:
    from pathlib import Path

_PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_VAGRANT = os.path.join(_PROJECT, "vagrant")
_SCRIPTS = sorted(glob.glob(f"{_VAGRANT}/*.sh"))


def _run(
    *words: str, cwd: str | Path = _VAGRANT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", _SCRIPTS, ids=os.path.basename)
def test_shell_can_read_it(script: str) -> None:
    """Each is executable, and whole as its shell sees it."""
    assert os.access(script, os.X_OK)
    with open(script, encoding="utf-8") as file:
        shell = "bash" if file.readline().rstrip().endswith("bash") else "sh"
    done = _run(shell, "-n", script)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck() -> None:
    """Nothing to object to."""
    done = _run("shellcheck", *_SCRIPTS, f"{_PROJECT}/.ci/run")
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not installed")
@pytest.mark.parametrize("kernel", ["", "5.10"])
def test_vagrant_can_read_it(tmp_path: Path, kernel: str) -> None:
    """The Vagrantfile is valid, with a kernel chosen, too; Vagrant's own files go elsewhere meanwhile."""
    home = {"HOME": str(tmp_path), "VAGRANT_HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path / "state")}
    chosen = {**({"OVLCTL_KERNEL": kernel} if kernel else {}), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    done = _run("vagrant", "validate", "--ignore-provider", env={**home, **chosen})
    assert "Vagrantfile validated successfully" in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("script", ["build-box.sh", "libvirtd.sh"])
def test_usage(script: str) -> None:
    """Without arguments they do nothing and say what they are for."""
    done = _run(f"{_VAGRANT}/{script}")
    assert done.returncode == 2
    assert f"vagrant/{script}" in done.stderr
    assert not any(line.startswith("#") for line in done.stderr.splitlines())


_RUNNING = os.uname().release


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """What stands in for /boot, with four kernels in it, of which one runs."""
    for release in ("6.12.118+deb13-cloud-amd64", "6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", _RUNNING):
        (tmp_path / f"vmlinuz-{release}").touch()
    (tmp_path / "extlinux").mkdir()
    (tmp_path / "extlinux" / "extlinux.conf").write_text("DEFAULT other\nPROMPT 0\nLABEL other\n", encoding="utf-8")
    return tmp_path


def _boot_kernel(boot: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = 'mount --bind "$0" /boot && exec sh boot-kernel.sh "$@"'
    return _run("unshare", "--mount", "sh", "-c", line, str(boot), *words)


@needs_root
def test_kernels_are_listed_by_number(boot: Path) -> None:
    """One a line, the oldest first."""
    done = _boot_kernel(boot)
    listed = [line for line in done.stdout.splitlines() if line != _RUNNING]
    assert listed == ["6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "6.12.118+deb13-cloud-amd64"]


@needs_root
def test_only_what_runs_is_kept(boot: Path) -> None:
    """The kernel that runs becomes the one of every boot; another one, or one that is not there, changes nothing."""
    menu = boot / "extlinux" / "extlinux.conf"
    for series, said in (
        ("6.1", "kernel 6.1 (6.1.0-56-cloud-amd64) was to boot, and"),
        ("6.1.0-5", "no kernel 6.1.0-5"),
    ):
        done = _boot_kernel(boot, "keep", series)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
    assert menu.read_text(encoding="utf-8").startswith("DEFAULT other\n")
    assert _boot_kernel(boot, "keep", _RUNNING).returncode == 0
    assert menu.read_text(encoding="utf-8") == f"DEFAULT {_RUNNING}\nPROMPT 0\nLABEL other\n"


@needs_root
def test_a_box_with_another_boot_loader(boot: Path) -> None:
    """There the kernel that runs is the only one that can be chosen."""
    shutil.rmtree(boot / "extlinux")
    assert [_boot_kernel(boot, word, _RUNNING).returncode for word in ("once", "keep")] == [0, 0]
    done = _boot_kernel(boot, "once", "6.12")
    assert done.returncode == 1
    assert "cannot choose in this box" in done.stderr
