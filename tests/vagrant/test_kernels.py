"""What `make kernels` makes of junit files and of ``ovlctl doctor --json``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from vagrant.kernel_results import (
    Ability,
    Outcome,
    Result,
    Run,
    abilities,
    failures,
    heads,
    read_doctor,
    read_junit,
    reasons,
)
from vagrant.kernel_tables import markdown, text
from vagrant.kernels import Trouble, choose, kept, whole

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

_OLD, _NEW = "5.10.0-46-cloud-amd64", "7.3.4+deb13-cloud-amd64"

_SUITE = """
import pytest

class TestIt:
    @pytest.mark.parametrize("word", ["a.b/c", "<&|>"])
    def test_passes(self, word): pass

def test_fails():
    assert 1 == 2

@pytest.fixture
def breaking():
    yield
    raise OSError("teardown")

def test_breaks_afterwards(breaking): pass

@pytest.mark.skipif(True, reason="needs x: /data/ovlctl-test-1-22-333/t-abc says no")
def test_is_skipped(): pass

@pytest.mark.xfail(raises=AssertionError)
def test_is_known(): assert False
"""


def _junit(directory: Path, path: str = "tests/deep/er/than/three/test_it.py") -> str:
    file = directory / path
    file.parent.mkdir(parents=True)
    file.write_text(_SUITE, encoding="utf-8")
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    words = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--junit-xml=out.xml")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "OVLCTL"))}
    subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=directory, env=environment, capture_output=True, check=False
    )
    return (directory / "out.xml").read_text(encoding="utf-8")


def test_junit(tmp_path: Path) -> None:
    """Every test is there once, with its worst outcome; an expected failure counts as skipped."""
    tests = read_junit(_junit(tmp_path))
    file = "tests/deep/er/than/three/test_it"
    assert {(test.file, test.name, test.outcome) for test in tests} == {
        (file, "TestIt.test_passes[a.b/c]", Outcome.PASSED),
        (file, "TestIt.test_passes[<&|>]", Outcome.PASSED),
        (file, "test_fails", Outcome.FAILED),
        (file, "test_breaks_afterwards", Outcome.FAILED),
        (file, "test_is_skipped", Outcome.SKIPPED),
        (file, "test_is_known", Outcome.SKIPPED),
    }
    assert {test.group for test in tests} == {"tests/deep/er"}
    told = {test.name: test.reason for test in tests}
    assert told["test_is_skipped"] == "needs x: /data/ovlctl-test-... says no"
    assert told["test_fails"] == "assert 1 == 2"


@pytest.mark.parametrize("broken", ["", "<testsuites><testsuite>", "no XML"])
def test_a_junit_file_that_was_cut_off(broken: str) -> None:
    """It is told, and no result."""
    with pytest.raises(ValueError, match="not XML"):
        read_junit(broken)


def test_doctor(cli: Cli) -> None:
    """All that this machine's doctor says is read, each value of an option with it; directories by file system."""
    document = cli("doctor", "--json").json
    found = list(read_doctor("root", document))
    findings = [*document["data"]["host"]["findings"], *document["data"]["user"]["findings"]]
    assert {each["name"] for each in findings} <= {each.name for each in found if each.asked == "root"}
    assert {each.answer for each in found} <= {"yes", "no", "unknown"}
    values = [value for each in findings for value in each.get("values", ()) if value["value"] is not None]
    assert sum("=" in each.name for each in found) == len(values)
    assert {each.asked for each in found} == {"root", document["data"]["directories"][0]["fs"]}


def test_heads() -> None:
    """Columns are series, as long as that is enough."""
    assert heads([_OLD, _NEW]) == ("5.10", "7.3")
    assert heads(["6.12.118+deb13-cloud-amd64", "6.12.9", "6.1"]) == ("6.12.118+deb13-cloud-amd64", "6.12.9", "6.1")


def _run(release: str, *tests: tuple[str, Outcome, str], **more: Any) -> Run:
    made = tuple(Result(file="tests/kernel/test_it", name=name, outcome=how, reason=why) for name, how, why in tests)
    return Run(release=release, tests=made, **more)


def _ability(name: str, answer: str, tried: str = "") -> Ability:
    return Ability(asked="root", name=name, answer=answer, tried=tried)


_RUNS = (
    _run(
        _OLD,
        ("a", Outcome.PASSED, ""),
        ("b", Outcome.FAILED, "boom"),
        ("c", Outcome.SKIPPED, "needs fsync: what a|b"),
        ("d", Outcome.SKIPPED, "needs docker"),
        abilities=(_ability("fsync", "no", "the *kernel* does not know"), _ability("index", "yes")),
    ),
    _run(
        _NEW,
        ("a", Outcome.PASSED, ""),
        ("b", Outcome.PASSED, ""),
        ("c", Outcome.PASSED, ""),
        ("d", Outcome.SKIPPED, "needs docker"),
        abilities=(_ability("index", "yes"), _ability("fsync", "yes"), _ability("fsync=auto", "unknown")),
    ),
)


def test_side_by_side() -> None:
    """What tells kernels apart comes first, and what was not asked on one stays empty there."""
    assert reasons(_RUNS) == (("needs fsync: what a|b", (1, 0)), ("needs docker", (1, 1)))
    assert [(test.name, on) for test, on in failures(_RUNS)] == [("b", (True, False))]
    assert abilities(_RUNS) == (
        ("root", "index", ("yes", "yes")),
        ("root", "fsync", ("-", "yes")),
        ("root", "fsync=auto", ("", "?")),
    )
    assert [run.fine for run in _RUNS] == [False, True]
    assert not Run(release=_OLD, trouble="did not boot").fine
    assert not Run(release=_OLD).fine


def test_text() -> None:
    """The terminal gets one table after the other, none wider than it has to be."""
    shown = text((*_RUNS, Run(release="6.1.0-56-cloud-amd64", trouble="did not boot: no ssh")))
    lines = shown.splitlines()
    assert "6.1      6.1.0-56-cloud-amd64: did not boot: no ssh" in lines
    (row,) = [line for line in lines if line.startswith("tests/kernel")]
    assert row.split() == ["tests/kernel", "1/1/2", "3/0/1"]
    assert "  on 5.10: tests/kernel/test_it.py::b" in lines
    assert [line.split() for line in lines if line.startswith("fsync ")] == [["fsync", "-", "yes"]]
    assert "On all of them: index" not in lines  # on 6.1 nothing is known


def test_markdown() -> None:
    """The page has the same, and nothing in it becomes markup."""
    page = markdown(_RUNS)
    assert page.startswith("# Which kernel can what\n\nWritten by `make kernels`")
    assert "| `fsync` | - | yes |" in page
    assert "On all of them: `index`." in page
    assert r"- `fsync`, root, on 5.10: the \*kernel\* does not know" in page
    assert r"| needs fsync: what a\|b | 1 | 0 |" in page
    assert "- 5.10: `tests/kernel/test_it.py::b`" in page
    assert all(line.count(" | ") == 2 for line in page.splitlines() if line.startswith("| `"))


def test_what_is_kept(tmp_path: Path, cli: Cli) -> None:
    """Kernels come in the order of their numbers; one whose tests left nothing says so."""
    for release in (_NEW, "5.4.1", _OLD):
        (tmp_path / release).mkdir()
    (tmp_path / "5.4.1" / "trouble").write_text("did not boot: timed out", encoding="utf-8")
    (tmp_path / _NEW / "tests.xml").write_text('<t><testcase classname="tests.test_a" name="b"/></t>', encoding="utf-8")
    (tmp_path / _NEW / "root.json").write_text(json.dumps(cli("doctor", "--json").json), encoding="utf-8")
    made = {"day": "2026-11-30", "commit": "abc", "machine": "kvm", "chosen": "-k x", "releases": [_OLD, _NEW]}
    (tmp_path / _NEW / "made-from.json").write_text(json.dumps(made), encoding="utf-8")
    (tmp_path / _NEW / "pytest.log").write_bytes(b"\xff")
    runs = kept(tmp_path)
    assert [(run.release, run.trouble) for run in runs] == [
        ("5.4.1", "did not boot: timed out"),
        (_OLD, "its tests did not end"),
        (_NEW, ""),
    ]
    assert runs[2].fine
    assert (runs[2].releases, runs[2].day, runs[2].chosen) == ((_OLD, _NEW), "2026-11-30", "-k x")
    assert runs[2].abilities
    assert kept(tmp_path / "none") == []


def test_when_the_page_is_written() -> None:
    """When every kernel of the box had its turn with all tests, whenever that was; failures are told there, too."""
    old, new = (replace(run, releases=(_OLD, _NEW), day="2026-11-29") for run in _RUNS)
    assert whole([old, new]) == [old, new]
    assert whole([new]) == []
    assert whole([old, replace(new, trouble="did not boot")]) == []
    assert whole([old, replace(new, chosen="-k mount")]) == []
    since = replace(new, day="2026-11-30", releases=(_OLD, _NEW, "8.0"))
    assert whole([old, since]) == []
    assert whole([_run("5.4", ("a", Outcome.PASSED, "")), old, new]) == [old, new], "5.4 was in the box before"


def test_choosing() -> None:
    """A series is what its numbers say, each once, the newest of it; one that is not there is told."""
    releases = ["6.1.0-55-cloud-amd64", "6.1.0-56-cloud-amd64", "6.12.118+deb13-cloud-amd64"]
    assert choose(releases, []) == releases
    assert choose(releases, ["6.1", "6.12.118", "6.1.0-56-cloud-amd64"]) == releases[1:]
    with pytest.raises(Trouble, match=r"no kernel 6\.1\.0-5 in the box, which has: 6\.1\.0-55"):
        choose(releases, ["6.12", "6.1.0-5"])
