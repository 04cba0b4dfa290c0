"""Nothing but the layout is ever opened, whatever an image says: strace(1) shows it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from ovlctl.kernel.namespaces import in_initial_user_namespace
from tests.needs import Answer, needs
from tests.oci.images import Layout, Made, archive, directory, entry, hard_link, link

_READER = """
import sys
from ovlctl.oci.layout import find
from ovlctl.oci.opening import FOLLOWING, open_image
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.resolver import Resolver
open("/dev/null").close()  # what is opened from here on counts
read = 0
for entry in walk(Resolver(open_image(find(sys.argv[1])), FOLLOWING), hidden=True):
    found = entry.resolution.data if isinstance(entry, Entry) else None
    if found is not None:
        read += len(found.layer.tree.open(found.path).read())
print(read)
"""
_OPENING = "trace=open,openat,openat2,open_tree,open_by_handle_at,creat,execve,connect"

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace(1) is not installed"),
    needs(Answer(in_initial_user_namespace(), "not in the initial user namespace"), "to trace processes"),
]


def test_only_the_layout_is_opened(scratch: str) -> None:
    """Links, names and devices that lead out lead nowhere; a compressed layer has one temporary file without a name."""
    layer = archive(
        link("etc", "/../../real/etc"),
        entry("etc/passwd", b"mine"),
        entry("../../../../../../etc/shadow", b"mine"),
        entry("/etc/group", b"mine"),
        hard_link("hard", "/etc/passwd"),
        link("up", "../../../../../.."),
        entry("up/etc/hosts", b"mine"),
        entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        entry("fifo", type=tarfile.FIFOTYPE),
        directory("proc"),
        link("proc/self", "/proc/1"),
    )
    Layout(f"{scratch}/l").image("it", layer, Made(archive(entry("packed", b"p" * 9000)), "gzip"))
    log = f"{scratch}/strace"
    argv = ["strace", "-f", "-y", "-e", _OPENING, "-o", log, sys.executable, "-c", _READER, f"{scratch}/l:it"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": scratch}
    done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert int(done.stdout) == 9000 + 4 * 5
    with open(log, encoding="utf-8", errors="replace") as lines:
        every = list(lines)
    begin = next(number for number, line in enumerate(every) if '"/dev/null"' in line)
    after = every[begin + 1 :]
    assert [line for line in after if re.search(r"\b(execve|connect|open_by_handle_at)\(", line)] == []
    opened = [match[1] for line in after if (match := re.search(r" = [0-9]+<(.*)>\s*$", line))]
    assert len(opened) > 5
    inside = (f"{scratch}/l/", f"{scratch}/#")
    assert [path for path in opened if path != f"{scratch}/l" and not path.startswith(inside)] == []
