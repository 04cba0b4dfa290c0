"""docs/errors.md and the pages of errors."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ovlctl.errors import all_errors
from ovlctl.ops.why.pages import Page, pages
from ovlctl.show.why import list_text, page_text, pages_markdown

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SCRIPT = os.path.join(_ROOT, "scripts", "errors_page.py")


def test_the_file_is_what_would_be_written() -> None:
    """docs/errors.md has every class as it is now; `python scripts/errors_page.py` writes it anew."""
    with open(os.path.join(_ROOT, "docs", "errors.md"), encoding="utf-8") as file:
        same = file.read() == pages_markdown(pages())
    assert same, "docs/errors.md is out of date: run `python scripts/errors_page.py` (make docs)"
    assert subprocess.run([sys.executable, _SCRIPT, "--check"], check=False).returncode == 0


def test_all_errors_have_a_page() -> None:
    """Each class once, in the order of codes, in the list too."""
    found = pages()
    assert [page.code for page in found] == sorted(error.code for error in all_errors())
    assert len(list_text(found).splitlines()) == len(found)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.code)
def test_a_page_helps(page: Page) -> None:
    """A page says more than its summary, and fits a terminal but for its commands."""
    assert page.summary.endswith(".")
    assert page.text
    prose = [line for line in page_text(page).splitlines() if not line.startswith("    ")]
    assert max(map(len, prose)) <= 80
    assert "\t" not in page.text
