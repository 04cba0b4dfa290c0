"""Tests that run in a guest are reported as if they had run here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from tests.vm.conftest import Project

#: Whatever can come out of a test.
_EVERYTHING = """
@elsewhere
def test_passes():
    print("never seen")

def test_stays_here():
    assert not IN_GUEST or os.environ.get("PYTEST_VERSION")

@elsewhere
@pytest.mark.parametrize("word", ["a b", "c::d[1]", "\\u00e9\\x1b[31m"])
def test_parameters(word):
    assert len(word) > 3, f"too short: {word!r}"

@elsewhere
def test_fails(capfd, request):
    request.node.user_properties.append(("seen", {1, 2}))
    print("to standard output")
    print("to standard error", file=sys.stderr)
    os.write(1, b"\\xff\\xfe")
    with capfd.disabled():
        pass
    inner = {"left": [1, 2, 3]}
    try:
        inner["right"]
    except KeyError as error:
        raise AssertionError("chained") from error

@elsewhere
def test_skips():
    pytest.skip("for a reason of its own")

@elsewhere
@pytest.mark.skipif(IN_GUEST, reason="for a mark")
def test_is_skipped():
    pass

@elsewhere
@pytest.mark.xfail(reason="known", strict=False)
def test_xfails():
    assert 0

@elsewhere
@pytest.mark.xfail(reason="no more", strict=False)
def test_xpasses():
    pass

@pytest.fixture
def broken():
    raise OSError("set-up")

@pytest.fixture
def leaves():
    yield
    print("at the end")
    raise OSError("tear-down")

@elsewhere
def test_error_before(broken):
    pass

@elsewhere
def test_error_after(leaves):
    pass

@elsewhere
def test_parts(subtests):
    for number in range(3):
        with subtests.test("one of them"):
            assert number != 1

@elsewhere
class TestOld(unittest.TestCase):
    def test_method(self):
        self.assertEqual(1, 2)
"""


def _told(output: str) -> list[str]:
    # Line by line, without where it ran, times, addresses, and how far the run is.
    for told in (r"-+ Where -+\n.*\n", r"=+ virtual machine =+\n.*\n", r"\d+ of them in .*\n"):
        output = re.sub(f"(?m)^{told}", "", output)
    output = re.sub(r"\d+\.\d+s|0x[0-9a-f]+| *\[ *\d+%\]", "", output)
    return [line.strip("= ") for line in output.splitlines()]


def _xml(project: Project) -> list[object]:
    # Names and results, without times and places.
    cases = ET.fromstring(project.read("out.xml")).iter("testcase")  # noqa: S314 -- pytest wrote it
    return [
        (case.get("classname"), case.get("name"), [(part.tag, part.get("message")) for part in case]) for case in cases
    ]


@pytest.mark.parametrize(
    "options",
    [("-v", "-ra"), ("-x", "-vv", "-l"), ("-q", "--maxfail=2", "-k", "fails or parameters or parts", "--tb=short")],
    ids=" ".join,
)
def test_as_if_here(project: Project, options: tuple[str, ...]) -> None:
    """Status, tracebacks, captured output, reasons, counts and the XML are those of a run here, but for the order."""
    project.write(test_all=_EVERYTHING)
    more = ("--junitxml=out.xml", "--deselect=test_all.py::test_stays_here")
    here = project.here(*options, *more)
    as_here = _xml(project)
    there = project.pytest(*options, *more)
    assert (there.returncode, there.stderr) == (here.returncode, "")
    assert _told(there.stdout) == _told(here.stdout)
    assert _xml(project) == as_here
