"""Stacks on disk with everything that a page has to show, and the names that it has to survive."""

from __future__ import annotations

import os
import shutil
import stat

from ovlctl.overlay.options import Flag, Options
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import root

MINE = Options() if root() else Options(userxattr=Flag.YES)

#: Names that would be markup, a script, a command of a terminal, another name, or nothing at all, were they believed.
HOSTILE = (
    b"<script>alert(1)</script>".replace(b"/", b"\\"),
    b"<img src=x onerror=alert(1)>",
    b"<!--",
    b"]]>&lt;",
    b"{{data}}",
    b"</title>".replace(b"/", b"\\"),
    b"javascript:alert(1)",
    b"\x1b[31mred\x1b]0;title\x07",
    b"[b]bold[/b]".replace(b"/", b"\\"),
    "bidi\u202egnp.exe".encode(),
    "zero\u200bwidth".encode(),
    "no\u00a0break".encode(),
    "\u3164".encode(),
    "na\u00efve \u65e5\u672c\u8a9e \U0001f600".encode(),
    b"new\nline",
    b"tab\tstop",
    b"quo'te\"s",
    b"back\\slash",
    b"$(touch pwned)`id`",
    b" blank ",
    b"not-utf8-\xff\xfe",
    b"cut-\xe2\x82",
    b"surrogate-\xed\xa0\x80",
    b"x" * 255,
)


def stack(base: str) -> Stack:
    """An upper over two lowers: something added, changed, copied up for nothing, deleted, and hostile names in each."""
    trees.make(f"{base}/app", {"etc/app.conf": "port = 80\n" * 40, "usr/bin/tool": b"t" * 5000, "usr/share/": None})
    trees.make(
        f"{base}/base",
        {"etc/app.conf": "port = 8080\n", "etc/old/gone.conf": "gone", "lib/lib.so": b"l" * 70_000, "var/log/": None},
    )
    trees.make(f"{base}/upper", {"etc/app.conf": "port = 81\n" * 40, "usr/bin/": None, "var/log/app.log": b"v" * 300})
    shutil.copy2(f"{base}/app/usr/bin/tool", f"{base}/upper/usr/bin/tool")
    os.symlink("app.conf", f"{base}/app/etc/link.conf")
    if root():
        os.mknod(f"{base}/upper/etc/old", stat.S_IFCHR | 0o644, 0)
    else:
        trees.make(f"{base}/upper", {"etc/old": ""})
        os.setxattr(f"{base}/upper/etc/old", "user.overlay.whiteout", b"y")
        os.setxattr(f"{base}/upper/etc", "user.overlay.opaque", b"x")
    for layer in ("app", "upper"):
        directory = os.fsencode(f"{base}/{layer}/hostile-{layer}")
        os.mkdir(directory)
        for name in HOSTILE:
            with open(os.path.join(directory, name), "xb") as file:
                file.write(name)
    os.mkdir(f"{base}/work")
    return Stack([f"{base}/app", f"{base}/base"], upper=f"{base}/upper", work=f"{base}/work", options=MINE)


def given(stack: Stack) -> list[str]:
    """The stack as words of a command line."""
    words = [word for lower in stack.lowers for word in ("--lower", lower)]
    words += [] if stack.upper is None else ["--upper", stack.upper]
    return [*words, *(["--userxattr"] if stack.options.userxattr is Flag.YES else [])]
