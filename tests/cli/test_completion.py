"""What Tab offers in the place of a STACK: names of engines' things, and none that a shell would misread."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.engines.docker_root import DockerRoot

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each would be more than one word, or something else than a word, to a shell or to a terminal.
HOSTILE = (
    "we b",
    "we'b",
    'we"b',
    "we$(touch made)",
    "we`touch made`",
    "we;touch made",
    "we>made",
    "we*",
    "we\\b",
    "we~",
    "we\x1b[31m",
    "we\nb",
    "we\u202eb",
)


@pytest.fixture
def environment(scratch: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a shell that finds ``ovlctl``, in a directory with a store of Docker's and nothing else."""
    docker = DockerRoot(f"{scratch}/docker")
    top = docker.layer("base")
    for name in ("web", "web-2", "other", *HOSTILE):
        docker.container(name, top)
    docker.image("alpine", "lower", "upper")
    os.makedirs(f"{scratch}/bin")
    with open(f"{scratch}/bin/ovlctl", "x", encoding="utf-8") as script:
        script.write(f'#!/bin/sh\nexec {sys.executable} -m ovlctl "$@"\n')
        os.fchmod(script.fileno(), 0o755)
    monkeypatch.chdir(scratch)
    return os.environ | {
        "PATH": f"{scratch}/bin:{os.environ['PATH']}",
        "OVLCTL_ENGINE_ROOT": f"{scratch}/docker",
        "HOME": scratch,
        "TERM": "dumb",
        "PS1": "$ ",
    }


def offered(environment: dict[str, str], shell: str, **variables: str) -> list[str]:
    """What a shell gets, line by line."""
    done = subprocess.run(
        ["ovlctl"],
        env={**environment, "_OVLCTL_COMPLETE": f"complete_{shell}", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]  # an empty one is nothing to a shell


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("docker : we", ["web", "web-2"]),
        ("docker :", ["alpine:latest", "other", "web", "web-2"]),
        ("docker:we", ["docker:web", "docker:web-2"]),
        ("docke", ["docker:alpine:latest", "docker:other", "docker:web", "docker:web-2"]),
        ("docker : alpine : la", ["latest"]),
        ("docker : x", []),
        ("docker : web etc", []),
    ],
    ids=["colon", "behind-colon", "no-break", "engine", "two-colons", "nothing", "path"],
)
def test_words_as_bash_has_them(environment: dict[str, str], words: str, expected: list[str]) -> None:
    """Words that bash broke are one again, and it gets what it puts in the place of the last."""
    parts = ["ovlctl", "explain", *words.split()]
    variables = {"COMP_WORDS": "\n".join(parts), "COMP_CWORD": str(len(parts) - 1)}
    assert sorted(offered(environment, "bash", **variables)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--by = im", ["image"]),
        ("--by = ", ["container", "image", "layer", "path", "pod", "stack"]),
        ("--by im", ["image"]),
    ],
    ids=["equals", "behind-equals", "apart"],
)
def test_values_of_options(environment: dict[str, str], words: str, expected: list[str]) -> None:
    """``--by=im`` is three words to bash, too."""
    parts = ["ovlctl", "du", *words.split()]
    variables = {"COMP_WORDS": "\n".join(parts), "COMP_CWORD": str(len(parts) - 1)}
    assert sorted(offered(environment, "bash", **variables)) == expected


def test_zsh(environment: dict[str, str]) -> None:
    """The words are as they are in zsh, which gets its own form, in which colons of names are escaped."""
    shown = "\n".join(offered(environment, "zsh", _TYPER_COMPLETE_ARGS="ovlctl explain docker:we"))
    assert re.findall(r'"([^"]*)"', shown) == [r"docker\\:web", r"docker\\:web-2"]


def test_fish(environment: dict[str, str]) -> None:
    """The words are as they are in fish, which gets names."""
    variables = {"_TYPER_COMPLETE_ARGS": "ovlctl explain docker:we", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert offered(environment, "fish", **variables) == ["docker:web", "docker:web-2"]


@pytest.fixture
def bash(environment: dict[str, str]) -> Iterator[Bash]:
    """A bash on a terminal that has learnt the completion from ``ovlctl --show-completion``."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    running = Bash(environment)
    yield running
    running.end()


class Bash:
    """An interactive bash.

    Args:
        environment: Its.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._leader, follower = pty.openpty()
        words = ("bash", "--noprofile", "--norc", "-i")
        self._process = subprocess.Popen(
            words, env=environment, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
        )
        os.close(follower)
        # Written in two parts, the word that is waited for is not in the echo of the command that prints it.
        self._send("bind 'set bell-style none'; unset HISTFILE; . <(ovlctl --show-completion bash)\n")
        self._send("show() { printf '<%s>' \"$@\"; echo en''d; }; echo rea''dy\n")
        self._until("ready")

    def completed(self, line: str) -> list[str]:
        """The words of a line that begins as *line* does and is completed with Tab; it is shown, and not run."""
        self._send(f"ovlctl {line}\t\x01show \n")  # Control-A: to the beginning of the line
        return re.findall("<([^>]*)>", self._until("end"))

    def end(self) -> None:
        """End it."""
        os.close(self._leader)
        self._process.wait(10)

    def _send(self, text: str) -> None:
        os.write(self._leader, text.encode())

    def _until(self, marker: str) -> str:
        seen = b""
        deadline = time.monotonic() + 30
        while f"{marker}\r\n".encode() not in seen:
            assert select.select([self._leader], [], [], max(deadline - time.monotonic(), 0))[0], seen
            seen += os.read(self._leader, 4096)
        return seen.decode()


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("explain docker:oth", "docker:other"),
        ("explain docker:we", "docker:web"),
        ("explain dock", "docker:"),
        ("explain docker:alpine:", "docker:alpine:latest"),
        ("du --by=im", "--by=image"),
    ],
)
def test_tab_in_bash(bash: Bash, typed: str, word: str) -> None:
    """What stands on the line after Tab is the word as far as it is certain."""
    verb = typed.partition(" ")[0]
    assert bash.completed(typed) == ["ovlctl", verb, word]
    assert not os.path.exists("made")
