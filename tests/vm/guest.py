"""The way from the host to a machine where tests run as root."""

from __future__ import annotations

import glob
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Words that run their last argument, a command line, somewhere: instead of ssh to the machine of Vagrant.
SHELL: Final = "OVLCTL_VM_SHELL"
#: The directory of the tests there.
SOURCE: Final = "OVLCTL_VM_SOURCE"
_PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: Under emulation a busy guest, or one of a busy machine, answers late by minutes; one that is gone refuses at once.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "60",
    "ControlMaster": "auto",
    "ControlPersist": "60",
    "LogLevel": "ERROR",
    "ServerAliveCountMax": "20",
    "ServerAliveInterval": "30",
}


class NoGuest(Exception):
    """There is no machine to run tests in; says why, and what helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A machine where tests can run.

    Attributes:
        name: For who reads the output.
        way: Words that run their last argument, a command line, there.
        source: Where the project is there.
        python: A command line that begins with Python, which finds the project and what it needs.
    """

    name: str
    way: tuple[str, ...] = field(repr=False)
    source: str
    python: str = field(repr=False)

    def start(self, said: IO[bytes], answers: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start :mod:`tests.vm.serving` there.

        Args:
            said: Takes what it says on standard error.
            answers: Takes its standard output.

        Returns:
            The way to it, with a pipe as standard input; in a session of its own, so that Ctrl-C does not reach it.
        """
        line = f"cd {shlex.quote(self.source)} && exec {self.python} -m tests.vm.serving"
        return subprocess.Popen(
            [*self.way, line], stdin=subprocess.PIPE, stdout=answers, stderr=said, start_new_session=True
        )


@contextmanager
def guest(project: str) -> Iterator[Guest]:
    """The machine, with *project* as it is now in it.

    Args:
        project: The directory of the tests, with ``vagrant/`` in it.

    Raises:
        NoGuest: There is none, or it cannot be reached.
    """
    words = os.environ.get(SHELL)
    if words:
        source = os.environ.get(SOURCE, project)
        python = f"env PYTHONPATH={shlex.quote(_PROJECT)} {shlex.quote(sys.executable)}"
        yield Guest(name=words, way=tuple(shlex.split(words)), source=source, python=python)
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    # Short: a socket's name has 108 bytes, and ssh adds some to it for a moment.
    with tempfile.TemporaryDirectory(prefix="ovl-", dir=runtime if os.access(runtime, os.W_OK) else "/tmp") as control:
        given = {**_OPTIONS, "ControlPath": f"{control}/s"}
        options = [word for name, value in given.items() for word in ("-o", f"{name}={value}")]
        ssh = ("ssh", "-F", _reachable(os.path.join(project, "vagrant"), options), *options)
        try:
            source = os.environ.get(SOURCE, "/opt/ovlctl/source")
            site = f"{os.path.dirname(source)}/site"
            _push(project, source, ssh)
            path = shlex.quote(f"{source}:{site}")
            python = f"sudo env PYTHONPATH={path} OVLCTL_TEST_DIR=/data/ext4 python3"
            yield Guest(name="the machine of vagrant/", way=(*ssh, "default"), source=source, python=python)
        finally:
            subprocess.run([*ssh, "-O", "exit", "default"], capture_output=True, check=False)


def _reachable(vagrant: str, options: Sequence[str]) -> str:
    # A file for ssh -F with which the machine answers. It is kept, since Vagrant takes seconds to say the same again;
    # a machine that was made anew has another port or key, so what does not work any more is asked for once.
    if not glob.glob(f"{glob.escape(vagrant)}/.vagrant/machines/*/*/id"):
        raise NoGuest("no virtual machine is there: `cd vagrant && vagrant up`")
    config = f"{vagrant}/.vagrant/ovlctl-ssh-config"
    if os.path.exists(config) and not _refused(config, options):
        return config
    _ask_vagrant(vagrant, config)
    refused = _refused(config, options)
    if refused:
        raise NoGuest(f"the virtual machine cannot be reached: {refused}: `cd vagrant && vagrant reload`")
    return config


def _ask_vagrant(vagrant: str, config: str) -> None:
    if shutil.which("vagrant") is None:
        raise NoGuest("a virtual machine was made, but vagrant is not installed any more")
    asked = subprocess.run(
        ["vagrant", "ssh-config"], cwd=vagrant, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise NoGuest("the virtual machine is not up: `cd vagrant && vagrant up`")
    new = f"{config}.{os.getpid()}"
    with open(new, "w", encoding="utf-8") as file:
        file.write(asked.stdout)
    os.rename(new, config)


def _refused(config: str, options: Sequence[str]) -> str:
    # -F: in a user namespace root's own files look as if they were a stranger's, and ssh refuses them.
    return _failure(["ssh", "-F", config, *options, "default", "true"])


def _push(project: str, source: str, ssh: Sequence[str]) -> None:
    vagrant = os.path.join(project, "vagrant")
    if not os.path.isdir(f"{vagrant}/site"):
        raise NoGuest("the packages for the guest are not there: `vagrant/site.sh`")
    site = f"{os.path.dirname(source)}/site"
    excluded = f"--exclude-from={vagrant}/rsync-excludes"
    compiled = "--exclude=__pycache__"  # made over there, at the first use
    for paths in ((excluded, f"{project}/", f"default:{source}/"), (compiled, f"{vagrant}/site/", f"default:{site}/")):
        # As root's, readable for everybody there, whoever has it here and with whatever umask.
        options = ("-a", "--delete", "--no-owner", "--no-group", "--chmod=a+rX", "--rsync-path=sudo rsync")
        failure = _failure(["rsync", *options, "-e", shlex.join(ssh), *paths])
        if failure:
            raise NoGuest(f"the source does not get to the virtual machine: {failure}")


def _failure(words: Sequence[str]) -> str:
    # The first line that a command said before it failed, or nothing. A pipe would stay open as long as the connection
    # does, which outlives the command.
    with tempfile.TemporaryFile() as said:
        try:
            status = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False).returncode
        except FileNotFoundError:
            return f"{words[0]} is not installed"
        said.seek(0)
        text = said.read().decode(errors="replace").strip().partition("\n")[0]
    return "" if status == 0 else text or f"{words[0]} ended with status {status}"
