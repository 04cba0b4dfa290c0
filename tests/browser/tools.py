"""What drives the page: Chromium, Node.js and the packages of scripts/browser-tools; and calls of its scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.needs import Answer

_HERE = os.path.dirname(os.path.abspath(__file__))
_PROJECT = os.path.dirname(os.path.dirname(_HERE))
PAGE = os.path.join(_PROJECT, "ovlctl", "show", "report", "page")
_NAMES_OF_CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@cache
def node() -> Answer:
    """Whether there is a Node.js that knows what the page's scripts use."""
    if shutil.which("node") is None:
        return Answer(able=False, reason="node is not installed")
    done = subprocess.run(
        ["node", "-e", "process.exit(typeof DecompressionStream === 'function' ? 0 : 1)"], check=False, timeout=60
    )
    return Answer(done.returncode == 0, "Node.js is older than 18")


@cache
def packages() -> tuple[str, Answer]:
    """Where the packages are; installed now when they are not there yet."""
    if not node():
        return "", node()
    done = subprocess.run(
        [os.path.join(_PROJECT, "scripts", "browser-tools"), os.path.join(sys.prefix, "cache", "browser")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    reason = done.stderr.strip().rpartition("\n")[2]
    return done.stdout.strip(), Answer(done.returncode == 0, reason)


@cache
def chromium() -> tuple[str, Answer]:
    """Where Chromium is."""
    found = next(filter(None, map(shutil.which, _NAMES_OF_CHROMIUM)), None)
    return found or "", Answer(found is not None, "chromium is not installed")


def browser() -> Answer:
    """Whether pages can be driven."""
    return packages()[1] if chromium()[1] else chromium()[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a scenario of drive.mjs saw.

    Attributes:
        result: Its own.
        noise: All that a page must not do: messages on the console, errors, dialogs, requests.
    """

    result: Any
    noise: tuple[str, ...]


def drive(scenario: str, page: str, **options: Any) -> Seen:
    """Run one scenario of drive.mjs on the file *page*."""
    done = subprocess.run(
        ["node", f"{_HERE}/drive.mjs", packages()[0], chromium()[0], scenario, page, json.dumps(options)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    noise = [f"{kind}: {each}" for kind in ("console", "errors", "dialogs", "requests") for each in seen[kind]]
    return Seen(result=seen["result"], noise=tuple(noise))


def call(expression: str, argument: Any, *scripts: str) -> Any:
    """What *expression* comes to among the page's *scripts*; ``ARGUMENT`` in it is *argument*."""
    done = subprocess.run(
        ["node", f"{_HERE}/calls.mjs", expression, *(os.path.join(PAGE, each) for each in scripts)],
        input=json.dumps(argument),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
