"""The way to the machine of Vagrant: with an ssh and a vagrant that lead back here, and the real rsync."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.needs import unless
from tests.vm.guest import SHELL, SOURCE

if TYPE_CHECKING:
    from tests.vm.conftest import Project

pytestmark = unless(shutil.which("rsync"), "rsync is not installed")

#: Says where the machine is, and that it was asked; or that there is none.
_VAGRANT = """#!/bin/sh
echo "$*" >>{top}/asked
cat {top}/machine
"""
#: Reaches the machine if the file after -F says where it is now.
_SSH = """#!/bin/sh
while [ "$1" != default ]; do
    case $1 in -F) file=$2 ;; -O) exit 0 ;; esac
    shift
done
shift
cmp -s "$file" {top}/machine || {{ echo 'refused, since it is another one' >&2; exit 255; }}
exec sh -c "$*"
"""
_SUDO = """#!/bin/sh
exec "$@"
"""
_PYTHON = """#!/bin/sh
PYTHONPATH=$PYTHONPATH:{path} exec {python} "$@"
"""
_TEST = """
@elsewhere
def test_there():
    assert os.getcwd().endswith("/guest/source")
    assert not os.path.exists("vagrant/.vagrant")
    print(open("content").read(), open("../site/module.py").read(), file=open("{top}/ran", "a"))
"""


@pytest.fixture
def vagrant(project: Project) -> Project:
    """A project with a machine that is up."""
    top = project.user.home
    programs = {"vagrant": _VAGRANT, "ssh": _SSH, "sudo": _SUDO, "python3": _PYTHON}
    for directory in ("bin", "guest", "project/vagrant/.vagrant/machines/default/libvirt", "project/vagrant/site"):
        os.makedirs(f"{top}/{directory}")
    for name, text in programs.items():
        Path(f"{top}/bin/{name}").write_text(
            text.format(top=top, path=project.user.env["PYTHONPATH"], python=sys.executable), encoding="utf-8"
        )
        os.chmod(f"{top}/bin/{name}", 0o755)
    files = {
        "machine": "Port 1\n",
        "project/content": "one",
        "project/vagrant/rsync-excludes": "/vagrant/.vagrant/\n/vagrant/site/\n",
        "project/vagrant/site/module.py": "site",
        "project/vagrant/.vagrant/machines/default/libvirt/id": "1",
    }
    for name, text in files.items():
        Path(f"{top}/{name}").write_text(text, encoding="ascii")
    for path, _, _ in os.walk(top):
        os.chown(path, project.user.uid, project.user.gid)
    project.write(test_a=_TEST.format(top=top))
    del project.env[SHELL]
    project.env[SOURCE] = f"{top}/guest/source"
    project.env["PATH"] = f"{top}/bin:{project.user.env['PATH']}"
    return project


def _asked(project: Project) -> int:
    path = Path(project.path("../asked"))
    return len(path.read_text(encoding="ascii").splitlines()) if path.exists() else 0


def test_a_machine_made_anew(vagrant: Project) -> None:
    """Vagrant is asked where the machine is when that is not known, or not true any more; the source is the newest."""
    first, second = vagrant.pytest(), vagrant.pytest()
    assert (first.returncode, second.returncode, _asked(vagrant)) == (0, 0, 1), first.stdout + first.stderr
    Path(vagrant.path("../machine")).write_text("Port 2\n", encoding="ascii")
    Path(vagrant.path("content")).write_text("two", encoding="ascii")
    third = vagrant.pytest()
    assert (third.returncode, _asked(vagrant)) == (0, 2), third.stdout
    assert vagrant.read("../ran") == "one site\none site\ntwo site\n"


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("../machine", "the virtual machine is not up: `cd vagrant && vagrant up`"),
        ("../bin/sudo", "the source does not get to the virtual machine: sh: 1: "),
        ("vagrant/site", "the packages for the guest are not there: `vagrant/site.sh`"),
    ],
)
def test_no_way(vagrant: Project, lost: str, why: str) -> None:
    """Where the machine cannot be had, the tests are skipped, and the reason says what is amiss."""
    os.rename(vagrant.path(lost), vagrant.path("../lost"))
    done = vagrant.pytest("-rs")
    assert done.returncode == 0
    assert f"needs another place: this is here; {why}" in done.stdout


def test_a_machine_that_refuses(vagrant: Project) -> None:
    """A machine that is up and lets nobody in is told as such, with what ssh said."""
    Path(vagrant.path("../bin/ssh")).write_text("#!/bin/sh\necho keys differ >&2; exit 255\n", encoding="ascii")
    done = vagrant.pytest("-rs")
    assert "the virtual machine cannot be reached: keys differ: `cd vagrant && vagrant reload`" in done.stdout
