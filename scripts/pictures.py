#!/usr/bin/env python3
"""Draw docs/report.png: the page of `ovlctl report` about a stack made of this checkout, in headless Chromium.

Run as root: it mounts the stack in a mount namespace of its own, where /srv is in memory.
"""

from __future__ import annotations

import os
import shutil
import sys

_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, _PROJECT)

from ovlctl.cli.main import main as ovlctl  # noqa: E402 -- the checkout's own
from ovlctl.kernel import capabilities, namespaces  # noqa: E402
from ovlctl.kernel.capabilities import Capability  # noqa: E402
from ovlctl.kernel.mount import MS, mount  # noqa: E402
from tests.browser.tools import browser, drive  # noqa: E402


def main() -> int:
    """Make a stack, a page of it, and the picture."""
    able = browser()
    if not able or not capabilities.has(Capability.CAP_SYS_ADMIN):
        print(f"pictures: needs root and a browser: {able.reason}", file=sys.stderr)
        return 1
    namespaces.enter_private_mounts()
    mount("pictures", "/srv", "tmpfs", MS(0), b"size=256M,mode=0755")
    os.chdir("/srv")
    lay_out()
    os.environ["OVLCTL_STATE_DIR"] = "/srv/state"
    lowers = ("--lower", "app", "--lower", "libs", "--lower", "base")
    done = ovlctl(["mount", "web", *lowers, "--upper", "upper", "--work", "work", "--name", "web"])
    done = done or ovlctl(["report", "web", "--html", "page.html"])
    if done:
        return done
    # Of the tree: the first directory unfolded, and a file in it chosen.
    script = [{"click": "#rows .row:nth-child(1) .fold"}, {"click": "#rows .row:nth-child(2) .text"}]
    picture = {"file": f"{_PROJECT}/docs/report.png", "width": 1280, "height": 800, "fullPage": False}
    drive("screens", "/srv/page.html", pictures=[{**picture, "colorScheme": "light", "script": script}])
    return 0


def lay_out() -> None:
    """Four layers: a base, libraries, an application, and what was changed."""
    shutil.copytree(f"{_PROJECT}/ovlctl", "app/opt/ovlctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(f"{_PROJECT}/docs", "base/usr/share/doc", ignore=shutil.ignore_patterns("*.png"))
    put("base/etc/app.conf", b"port = 8080\n")
    put("base/etc/motd", b"welcome\n")
    put("base/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    put("base/usr/lib/lib.so", b"\x7fELF" * (3 << 16))
    put("libs/usr/lib/lib.so", b"\x7fELF" * (1 << 18))
    put("app/etc/app.conf", b"port = 80\nworkers = 4\n")
    put("app/usr/bin/tool", b"\x7fELF" * (3 << 17))
    put("upper/etc/app.conf", b"port = 81\nworkers = 8\n")
    put("upper/etc/app.d/local.conf", b"debug = true\n")
    put("upper/var/log/app.log", b"started\n" * 40_000)
    os.mkdir("upper/usr")
    os.mkdir("upper/usr/bin")
    shutil.copy2("app/usr/bin/tool", "upper/usr/bin/tool")
    os.mknod("upper/etc/motd", 0o020644, 0)
    os.mkdir("work")
    os.mkdir("web")


def put(path: str, content: bytes) -> None:
    """Make a file, and the directories that it is in."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    sys.exit(main())
