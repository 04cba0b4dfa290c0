"""Identity over copy-up: measured, and compared with what is known of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.bench.identity import CASES
from ovlctl.bench.verdicts import LINKS_BREAK, SAME_INODE, verdicts
from tests import capabilities

if TYPE_CHECKING:
    from ovlctl.bench.values import IdentityCase, Result

# number_same_as_lower, number_constant, hardlink_kept; as found on Linux 6.18 for ext4, xfs, btrfs and tmpfs.
_KNOWN = {
    "same fs": (True, True, None),
    "same fs, hard link, index=off": (True, False, False),
    "same fs, hard link, index=on": (True, True, True),
    "two fs, xino=off": (True, True, None),
    "two fs, xino=auto": (False, True, None),
    "two fs, xino=on": (False, True, None),
    "two fs, xino=off, hard link, index=off": (True, False, False),
    "two fs, xino=off, hard link, index=on": (True, True, True),
    "two fs, xino=on, hard link, index=off": (False, False, False),
    "two fs, xino=on, hard link, index=on": (False, True, True),
}


def test_every_case_is_measured(result: Result) -> None:
    """Ten cases: one file system and two, xino off, auto and on, one name and two, index off and on."""
    assert [case.case for case in result.identity] == [case.name for case in CASES]
    assert set(_KNOWN) == {case.name for case in CASES}


@capabilities.needs_root
def test_cases_are_as_known(result: Result) -> None:
    """The number is the lower's, stays, and links hold, exactly where the kernel is known to do so."""
    measured = {
        case.case: (case.number_same_as_lower, case.number_constant, case.hardlink_kept) for case in result.identity
    }
    assert measured == _KNOWN
    assert not any(case.device_same_as_lower for case in result.identity)


def test_flags_follow_from_the_facts(result: Result) -> None:
    """Each yes and no follows from the stat results that stand beside it."""
    for case in result.identity:
        assert case.number_same_as_lower == (case.before.st_ino == case.lower.st_ino)
        assert case.device_same_as_lower == (case.before.st_dev == case.lower.st_dev)
        assert case.number_constant == (len({case.before.st_ino, case.after.st_ino, case.remounted.st_ino}) == 1)
        assert (case.hardlink_kept is None) == (case.lower.st_nlink == 1)


@capabilities.needs_root
def test_verdicts_on_the_claims(result: Result) -> None:
    """One is half true, the other depends on index."""
    assert {verdict.claim: verdict.verdict for verdict in result.verdicts} == {
        SAME_INODE: "half true",
        LINKS_BREAK: "true with index=off, false with index=on",
    }


def test_verdicts_follow_the_cases(result: Result) -> None:
    """Nothing is said of claims that no case tests; cases without index=on say so."""
    assert verdicts(()) == ()
    broken: list[IdentityCase] = [case for case in result.identity if case.hardlink_kept is False]
    (links,) = (verdict for verdict in verdicts(broken) if verdict.claim == LINKS_BREAK)
    assert links.verdict == "true"
    assert "not to be had" in links.reason
