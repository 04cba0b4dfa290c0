"""The page around the data: HTML, style and script from the package, and the policy that lets nothing else in."""

from __future__ import annotations

import time
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from ovlctl.show.report.columns import block, columns
from ovlctl.show.report.facts import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.bench.values import Result
    from ovlctl.ops.reporting import Report

#: In the order in which they are put together.
SCRIPTS: Final = (
    "names.js",
    "data.js",
    "find.js",
    "outline.js",
    "parts.js",
    "layers.js",
    "tree.js",
    "details.js",
    "workspace.js",
    "frames.js",
    "stage.js",
    "sizes.js",
    "main.js",
)
STYLES: Final = ("page.css", "parts.css", "details.css", "files.css", "stage.css")
# Nothing may be loaded, sent, framed or embedded, and no script or style runs but the one whose hash is named.
_POLICY: Final = "default-src 'none'; script-src '{script}'; style-src '{style}'; base-uri 'none'; form-action 'none'"


def page(report: Report | None, bench: Result | None = None) -> Iterator[str]:
    """The page, piece by piece, in ASCII.

    Law: what comes from a layer is in it as base64 only.

    Args:
        report: Of a stack; None for a page about *bench* alone.
        bench: A result of bench-copyup to show beside it.
    """
    before, after = _frame()
    yield before
    yield from block(facts(report, bench, time.time_ns()), {} if report is None else columns(report.atlas))
    yield after


def asset(*names: str) -> str:
    """The content of files of the page, one after the other."""
    return "\n".join(files("ovlctl.show.report").joinpath("page", name).read_text("ascii") for name in names)


def hashed(text: str) -> str:
    """What a policy calls an inline script or style: CSP 3, section 2.3.1."""
    return "sha256-" + b64encode(sha256(text.encode("ascii")).digest()).decode("ascii")


@cache
def _frame() -> tuple[str, str]:
    script, style = asset(*SCRIPTS), asset(*STYLES)
    policy = _POLICY.format(script=hashed(script), style=hashed(style))
    before, marker, after = asset("page.html").partition("{{data}}")
    before = before.replace("{{policy}}", policy).replace("{{style}}", style)
    return before, after.replace("{{script}}", script) if marker else ""
