#!/usr/bin/env python3
"""Draw the pictures of the README: the explorer, and the page of `ovlctl report`, of a stack made of this checkout.

    docs/explore.svg       the explorer at a file
    docs/explore-move.svg  what became of a file that was modified on a scratch upper
    docs/report.png        the page, in headless Chromium

Run as root: it mounts the stack in a mount namespace of its own, where /srv is in memory.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, _PROJECT)

from ovlctl.cli.main import main as ovlctl  # noqa: E402 -- the checkout's own
from ovlctl.kernel import capabilities, namespaces  # noqa: E402
from ovlctl.kernel.capabilities import Capability  # noqa: E402
from ovlctl.kernel.mount import MS, mount  # noqa: E402
from ovlctl.ops import reading  # noqa: E402
from ovlctl.ops.state import locate  # noqa: E402
from ovlctl.overlay.stack import Stack  # noqa: E402
from tests.browser.tools import browser, drive  # noqa: E402
from tests.tui import scenes  # noqa: E402
from tests.tui.doing import LETTERS, go, window  # noqa: E402

if TYPE_CHECKING:
    from tests.tui.scenes import Driven

_SCREEN = (132, 36)


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
    layers = Stack([f"/srv/{name}" for name in ("app", "libs", "base")], upper="/srv/upper", work="/srv/work")
    scenes.drive(layers, explore, size=_SCREEN, subject=reading.subject(locate(None), "web"))
    # Of the tree: the first directory unfolded, and a file in it chosen.
    script = [{"click": "#rows .row:nth-child(1) .fold"}, {"click": "#rows .row:nth-child(2) .text"}]
    picture = {"file": f"{_PROJECT}/docs/report.png", "width": 1280, "height": 800, "fullPage": False}
    drive("screens", "/srv/page.html", pictures=[{**picture, "colorScheme": "light", "script": script}])
    return 0


async def explore(it: Driven) -> None:
    """The explorer at a file, and after it was modified."""
    from ovlctl.tui.action_windows import PreviewWindow
    from ovlctl.tui.move_window import MoveWindow

    await go(it, "etc/app.conf")
    save(it, "explore")
    await go(it, "usr/lib/lib.so")
    await it.pilot.press("a", LETTERS["modify"])
    await window(it, PreviewWindow)
    await it.pilot.press("enter")
    await window(it, MoveWindow)
    await it.pilot.press("left", "left")
    await it.pilot.pause(0.2)
    save(it, "explore-move")
    await it.pilot.press("escape")
    await it.settle()


def save(it: Driven, name: str) -> None:
    """The screen as a picture that loads nothing: Textual's names a font of somebody else's server."""
    picture = re.sub(r"@font-face \{.*?\}", "", it.app.export_screenshot(title="ovlctl explore web"), flags=re.DOTALL)
    with open(f"{_PROJECT}/docs/{name}.svg", "w", encoding="utf-8") as file:
        file.write("\n".join(line.rstrip() for line in picture.splitlines() if line.strip()) + "\n")


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
