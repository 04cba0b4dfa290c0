"""Small projects whose tests are run by pytest as an ordinary user, and a fake guest for them: this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.patience import PATIENCE
from tests.vm.guest import SHELL, SOURCE
from tests.vm.serving import GUEST

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

_CONFIGURATION = """\
[pytest]
addopts = --import-mode=importlib -p tests.vm.plugin -p no:cacheprovider
"""
#: What each file of tests begins with.
_HEAD = """\
import os, signal, subprocess, sys, time, unittest
import pytest
from tests.vm.elsewhere import IN_GUEST, anywhere, elsewhere
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A directory with tests.

    Attributes:
        directory: Where it is.
        user: Whose it is, who runs them.
        env: What the environment has in addition.
    """

    directory: str
    user: OrdinaryUser
    env: dict[str, str] = field(default_factory=dict)

    def write(self, **files: str) -> None:
        """Write tests: ``test_x="..."`` goes into ``test_x.py``."""
        for name, text in files.items():
            Path(self.path(f"{name}.py")).write_text(f"{_HEAD}\n{text}", encoding="utf-8")

    def path(self, name: str) -> str:
        """Where a file is."""
        return os.path.join(self.directory, name)

    def read(self, name: str) -> str:
        """What is in a file that a test wrote; nothing when there is none."""
        path = Path(self.path(name))
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def pytest(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the tests; privileged ones go to the guest."""
        argv = [sys.executable, "-m", "pytest", *options]
        return self.user.run(argv, env={**self.env, **env}, cwd=self.directory, timeout=PATIENCE)

    def here(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run all of them here, as if this were the guest."""
        return self.pytest(*options, **{GUEST: "1"})

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start what :meth:`pytest` runs; nothing of what it says is kept but its standard output."""
        argv = [*self.user.prefix, sys.executable, "-m", "pytest", *options]
        return subprocess.Popen(
            argv, env={**self.user.env, **self.env}, cwd=self.directory, stdout=subprocess.PIPE, text=True
        )


@pytest.fixture
def project(ordinary_user: OrdinaryUser, scratch: str) -> Project:
    """An empty project, and a guest that is this machine, reached by sh(1)."""
    directory = os.path.join(ordinary_user.home, "project")
    os.mkdir(directory)
    os.chown(directory, ordinary_user.uid, ordinary_user.gid)
    Path(directory, "pytest.ini").write_text(_CONFIGURATION, encoding="ascii")
    # Plugins that are installed, such as that of hypothesis, would take most of the time.
    env = {SHELL: "sh -c", SOURCE: directory, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "240"}
    env["TMPDIR"] = ordinary_user.home  # a guest that is killed leaves something there
    return Project(directory=directory, user=ordinary_user, env=env)


def lives(pid: str) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
