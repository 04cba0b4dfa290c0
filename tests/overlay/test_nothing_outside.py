"""Nothing outside the layers is ever opened, and nothing in them that could hang or answer back: strace(1) shows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.tree import Kind
from tests import capabilities
from tests.overlay.made import Made, directory, file, link, whiteout, write_layer

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

# The resolver reads whatever there is to be read: every name, hidden ones too, all data, and what the upper changes.
_READER = """
import sys
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Following, Layers, open_layers
from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
prefix, work, upper, low, data = sys.argv[1:]
stack = Stack([low], upper=upper, work=work, data_only=[data])
following = Following(prefix=Prefix(prefix), metacopy=True)
read = 0
open("/dev/null").close()  # what is opened from here on counts
with open_layers(stack) as layers:
    resolver = Resolver(layers, following)
    for entry in walk(resolver, hidden=True):
        assert isinstance(entry, Entry), entry
        found = entry.resolution.data
        if found is not None:
            read += len(found.layer.tree.open(found.path).read())
    below = Resolver(Layers(lowers=layers.lowers, data=layers.data), following)
    every = list(changes(resolver, below, content=True))
print(read, len(every))
"""
_OPENING = "trace=open,openat,openat2,open_tree,open_by_handle_at,creat,execve,connect"


def _layers(base: str, prefix: Prefix) -> list[str]:
    out = b"/../../../../../../../../etc/passwd"
    upper: dict[str, Made] = {
        "etc": link("/etc"),
        "up": link("../../../../../../etc"),
        "d": directory(redirect=b"/etc"),
        "e": directory(redirect=b"/up/passwd"),
        "m": file(b"....", metacopy=b"", redirect=out),
        "n": file(b"....", metacopy=b"", redirect=b"/fifo"),
        "x": file(b"....", metacopy=b"", redirect=b"/etc/passwd"),
        "f": file(b"changed"),
        "w": whiteout(),
        "fifo2": Made(kind=Kind.FIFO, mode=0o666),
    }
    low = {
        "etc": link("/etc"),
        "up": link("/etc"),
        "d/f": file(b"x"),
        "m": link("/etc/passwd"),
        "f": file(b"unequal"),
        "w": link("/etc/passwd"),
        "l": file(b"....", metacopy=b"", redirect=out),
        "device": Made(kind=Kind.CHARACTER, mode=0o666, rdev=os.makedev(1, 5)),
        "fifo2": file(b"was a file"),
    }
    data = {"etc": link("/etc"), "fifo": Made(kind=Kind.FIFO, mode=0o666), "s": Made(kind=Kind.SOCKET, mode=0o666)}
    os.mkdir(f"{base}/work")
    named = {"upper": upper, "low": low, "data": data}
    return [f"{base}/work", *(write_layer(f"{base}/{name}", layer, prefix) for name, layer in named.items())]


def _opened(log: str) -> list[str]:
    """What was opened, as strace names it, by the path that a descriptor has in the end."""
    with open(log, encoding="utf-8", errors="replace") as lines:
        every = list(lines)
    begin = next(number for number, line in enumerate(every) if '"/dev/null"' in line)
    assert [line for line in every[begin + 1 :] if re.search(r"\b(execve|connect|open_by_handle_at)\(", line)] == []
    results = [re.search(r" = [0-9]+<(.*)>\s*$", line) for line in every[begin + 1 :]]
    return [match[1] for match in results if match is not None]


pytestmark = [
    capabilities.needs_root,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace(1) is not installed"),
]


def test_for_root(scratch: str) -> None:
    """Root looks through clones of the layers' mounts, in which paths begin at the layer: none leads to /etc."""
    layers = _layers(scratch, Prefix.TRUSTED)
    log = f"{scratch}/strace"
    argv = ["strace", "-f", "-y", "-e", _OPENING, "-o", log, sys.executable, "-c", _READER, Prefix.TRUSTED, *layers]
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, check=True, env=environment, capture_output=True, text=True, timeout=60)
    read, changed = map(int, done.stdout.split())
    assert read > 0
    assert changed > 5
    opened = _opened(log)
    assert len(opened) > 5
    assert [path for path in opened if path.startswith("/etc") or "passwd" in path or "fifo" in path] == []


def test_for_an_ordinary_user(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Somebody who may not clone mounts opens nothing but what is in the layers, and no special file there."""
    layers = _layers(scratch, Prefix.USER)
    log = f"{ordinary_user.home}/strace"
    argv = ["strace", "-f", "-y", "-e", _OPENING, "-o", log, sys.executable, "-c", _READER, Prefix.USER, *layers]
    done = ordinary_user.run(argv)
    assert done.stderr == ""
    read, changed = map(int, done.stdout.split())
    assert read > 0
    assert changed > 5
    opened = _opened(log)
    assert len(opened) > 5
    # Which mounts there are, and what it may do itself, it has to ask.
    assert [path for path in opened if not path.startswith((f"{scratch}/", "/proc/"))] == []
    assert [path for path in opened if os.path.basename(path) in {"fifo", "fifo2", "device", "s"}] == []
