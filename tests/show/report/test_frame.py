"""The frame of a page: what its policy lets in, what the package brings along, and what the type checker says."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from ovlctl.show.report import assets
from tests.browser.tools import PAGE, packages
from tests.needs import unless

_PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


@pytest.fixture
def page() -> str:
    """A page about nothing."""
    return "".join(assets.page(None))


class _Elements(HTMLParser):
    """Takes a page apart.

    Attributes:
        found: Every start tag with its attributes.
        inline: The text of scripts and styles, by tag.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[tuple[str, dict[str, str | None], str]] = []
        self._within: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._within.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if self._within:
            tag, attributes = self._within[-1]
            self.inline.append((tag, attributes, data))


def _policy(page: str) -> dict[str, str]:
    (policy,) = (
        attributes["content"] or ""
        for tag, attributes in _Elements(page).found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    parts = (part.strip().partition(" ") for part in policy.split(";"))
    return {name: value for name, _, value in parts}


def test_policy(page: str) -> None:
    """Nothing is let in but the one script and the one style, by their hashes."""
    inline = _Elements(page).inline
    ours = {
        tag: "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"
        for tag, attributes, text in inline
        if attributes.get("type") != "application/octet-stream"
    }
    assert _policy(page) == {
        "default-src": "'none'",
        "script-src": ours["script"],
        "style-src": ours["style"],
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert [tag for tag, _, _ in inline] == ["style", "script", "script"]


def test_nothing_from_elsewhere(page: str) -> None:
    """No element names anything outside the page; no attribute has a style or a script."""
    for tag, attributes in _Elements(page).found:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in {"style", "src", "srcset", "action"}, (tag, name)
            assert name != "href" or (value or "").startswith("#")
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert page.isascii()


def test_nothing_makes_markup() -> None:
    """No script of the page knows a way from text to markup or to code, but for the one picture that ovlctl makes."""
    source = assets.asset(*assets.SCRIPTS)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"):
        assert word not in source, word
    assert source.count("DOMParser") == 1
    assert 'parseFromString(bench[kind], "image/svg+xml")' in source


def test_every_file_is_used() -> None:
    """What lies beside the page is part of it; facts.d.ts tells the type checker what the facts are."""
    assert set(os.listdir(PAGE)) == {*assets.SCRIPTS, *assets.STYLES, "page.html", "facts.d.ts"}
    for name in os.listdir(PAGE):
        with open(os.path.join(PAGE, name), encoding="ascii") as file:
            assert sum(1 for _ in file) <= 400, name


def test_colours_have_names() -> None:
    """Colours are written in one place, so that both themes have all of them."""
    for name in set(assets.STYLES) - {"page.css"}:
        assert not re.search(r"#[0-9a-f]{3,8}\b|rgb\(|hsl\(", assets.asset(name)), name


def test_the_wheel_has_it(scratch: str) -> None:
    """A built wheel brings every file of the page along."""
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, which builds the wheel")
    (built,) = hatchling.WheelBuilder(_PROJECT).build(directory=scratch, versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
    assert {f"ovlctl/show/report/page/{name}" for name in os.listdir(PAGE)} <= names


@unless(packages()[1], f"needs the packages of scripts/browser-tools: {packages()[1].reason}")
def test_types() -> None:
    """The scripts keep to the types that their comments state."""
    scripts = [name for name in os.listdir(PAGE) if name.endswith((".js", ".ts"))]
    options = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "ES2022"]
    libraries = ["--lib", "ES2023,DOM,DOM.Iterable"]
    done = subprocess.run(
        ["node", f"{packages()[0]}/typescript/bin/tsc", *options, *libraries, *scripts],
        cwd=PAGE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
