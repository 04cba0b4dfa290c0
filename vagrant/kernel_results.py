"""What tests and `ovlctl doctor` said on several kernels: read from junit files and JSON, and put side by side."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MARKS = {"yes": "yes", "no": "-", "unknown": "?"}
#: Scratch directories have another name in every session, and addresses differ.
_VARYING = re.compile(r"(?<=/ovlctl-test-)[0-9-]+(/[\w-]+)*|\b0x[0-9a-f]{6,}\b|\s+")


class Outcome(StrEnum):
    """How a test ended; the worst last, since a test may be told of twice, when what cleans up after it fails, too."""

    SKIPPED = "skipped"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One test on one kernel.

    Attributes:
        file: Its file without ``.py``, from the project's directory.
        name: What is unique in it, with its class and its parameters.
        outcome: How it ended.
        reason: Why it was skipped, or the first line of what failed.
    """

    file: str
    name: str
    outcome: Outcome
    reason: str = ""

    @property
    def group(self) -> str:
        """The directory that it is counted for: that of its file, three names at the most."""
        names = self.file.split("/")[:-1]
        return "/".join(names[:3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """One thing that a kernel can do or not.

    Attributes:
        asked: Who or where: ``root``, ``user``, or a kind of file system.
        name: As ``ovlctl doctor --need`` takes it.
        answer: ``yes``, ``no`` or ``unknown``.
        tried: What was tried, and what came of it.
    """

    asked: str
    name: str
    answer: str
    tried: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What happened on one kernel.

    Attributes:
        release: ``uname -r``.
        trouble: Why its tests did not run to their end; empty if they did.
        tests: In the order of the junit file.
        abilities: In the order of doctor.
        seconds: How long the tests took.
        commit: Of ovlctl, with ``-dirty`` when it is not quite that one; empty outside of a repository.
        day: When it was (UTC), as 2026-11-30.
        machine: ``emulated``, or what ran it: ``kvm``.
        chosen: The arguments of pytest that chose tests; empty when all ran that take root.
        releases: All kernels of the box.
    """

    release: str
    trouble: str = ""
    tests: tuple[Result, ...] = ()
    abilities: tuple[Ability, ...] = field(default=(), repr=False)
    seconds: float = 0
    commit: str = ""
    day: str = ""
    machine: str = ""
    chosen: str = ""
    releases: tuple[str, ...] = ()

    @property
    def fine(self) -> bool:
        """Whether all tests ran, and none failed."""
        return not self.trouble and bool(self.tests) and not any(test.outcome is Outcome.FAILED for test in self.tests)

    def count(self, outcome: Outcome, group: str | None = None) -> int:
        """How many tests, of one group or of all, ended like this."""
        return sum(test.outcome is outcome and group in {None, test.group} for test in self.tests)


def read_junit(text: str) -> tuple[Result, ...]:
    """The tests in a junit file of pytest's, each once.

    Raises:
        ValueError: It is no such file.
    """
    found: dict[tuple[str, str], Result] = {}
    try:
        cases = list(ET.fromstring(text).iter("testcase"))  # noqa: S314 -- from our own pytest
    except ET.ParseError as error:
        raise ValueError(f"not XML: {error}") from error
    for case in cases:
        test = _test(case)
        known = found.get((test.file, test.name))
        if known is None or list(Outcome).index(test.outcome) > list(Outcome).index(known.outcome):
            found[test.file, test.name] = test
    return tuple(found.values())


def _test(case: ET.Element) -> Result:
    # `tests.kernel.test_mount.TestIt`: no directory of the tests has a dot in its name.
    words = case.get("classname", "").split(".")
    end = next((place for place, word in enumerate(words) if word.startswith("test_")), len(words) - 1)
    name = ".".join((*words[end + 1 :], case.get("name", "")))
    outcome, reason = Outcome.PASSED, ""
    for child in case:
        if child.tag in {"failure", "error"}:
            outcome, reason = Outcome.FAILED, child.get("message") or child.text or ""
        elif child.tag == "skipped":  # an expected failure, too
            outcome, reason = Outcome.SKIPPED, child.get("message") or child.text or ""
    return Result(file="/".join(words[: end + 1]), name=name, outcome=outcome, reason=_one_line(reason))


def _one_line(reason: str) -> str:
    return _VARYING.sub(lambda found: " " if found[0].isspace() else "...", reason.strip())


def read_doctor(asked: str, document: Mapping[str, Any]) -> Iterator[Ability]:
    """What one ``ovlctl doctor --json`` says.

    Args:
        asked: Who asked: ``root`` or ``user``. What is said of directories is told of their kind of file system.
        document: Its output.
    """
    data = document["data"]
    for finding in (*data["host"]["findings"], *data["user"]["findings"]):
        yield from _abilities(asked, finding)
    for directory in data["directories"]:
        for finding in directory["findings"]:
            yield from _abilities(directory["fs"], finding)


def _abilities(asked: str, finding: Mapping[str, Any]) -> Iterator[Ability]:
    name, tried = str(finding["name"]), str(finding["tried"])
    yield Ability(asked=asked, name=name, answer=str(finding["answer"]), tried=_one_line(tried))
    for each in finding.get("values", ()):
        if each["value"] is not None:
            value = f"{name}={each['value']}"
            tried = "not known to the kernel" if each["known"] == "no" else "known to the kernel"
            yield Ability(asked=asked, name=value, answer=str(each["usable"]), tried=tried)


def heads(releases: Sequence[str]) -> tuple[str, ...]:
    """What columns are called: the series (6.12), or the whole release where two have the same."""
    series = [".".join(re.split(r"[.+-]", release)[:2]) for release in releases]
    return tuple(
        short if series.count(short) == 1 else release for short, release in zip(series, releases, strict=True)
    )


def groups(runs: Sequence[Run]) -> tuple[str, ...]:
    """All groups of tests, in order."""
    return tuple(sorted({test.group for run in runs for test in run.tests}))


def reasons(runs: Sequence[Run]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Each reason for skipping, with the number of tests on each kernel; those that tell kernels apart come first."""
    counted = [Counter(test.reason for test in run.tests if test.outcome is Outcome.SKIPPED) for run in runs]
    rows = {reason: tuple(each[reason] for each in counted) for each in counted for reason in each}
    return tuple(sorted(rows.items(), key=lambda row: (len(set(row[1])) == 1, -max(row[1]), row[0])))


def failures(runs: Sequence[Run]) -> tuple[tuple[Result, tuple[bool, ...]], ...]:
    """Each test that failed, as on the first kernel where it did, and on which kernels."""
    failed = [{(t.file, t.name): t for t in run.tests if t.outcome is Outcome.FAILED} for run in runs]
    names = {name: test for each in reversed(failed) for name, test in each.items()}
    return tuple((names[name], tuple(name in each for each in failed)) for name in sorted(names))


def abilities(runs: Sequence[Run]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Who asked, what, and the answer of each kernel: ``yes``, ``-`` for no, ``?``; empty where it was not asked."""
    told = [{(each.asked, each.name): each.answer for each in run.abilities} for run in runs]
    rows = dict.fromkeys(name for each in reversed(told) for name in each)  # the newest knows most
    return tuple((asked, name, tuple(_mark(each.get((asked, name))) for each in told)) for asked, name in rows)


def _mark(answer: str | None) -> str:
    return "" if answer is None else _MARKS[answer]
