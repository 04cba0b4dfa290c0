"""Rules that a build checks."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from ovlctl import errors
from ovlctl.ops.du import gates
from ovlctl.ops.du.gates import Limit, Outcome, Rule
from ovlctl.ops.du.values import Directory, Marks, Part, Split, Tally, Usage
from ovlctl.overlay.fates import Fate
from ovlctl.show.sizes import parse_size

MIB = 1 << 20


def _split(**sizes: int) -> Split:
    return Split(tuple(Tally(inodes=1, bytes=sizes.get(fate.name, 0)) for fate in Fate))


def _directory(part: Part, split: Split, whiteouts: int = 0) -> Directory:
    return Directory(
        part=part,
        index=0,
        directory="/x",
        stacks=(0,),
        split=split,
        files=0,
        allocated=0,
        shared=0,
        unmeasured=0,
        marks=Marks(whiteouts=whiteouts),
    )


#: 100 MiB: an upper of 40, half of it unchanged, over a lower of 60 with 9 shadowed and 11 hidden.
USAGE = Usage(
    stacks=("app",),
    directories=(
        _directory(Part.UPPER, _split(VISIBLE=20 * MIB, UNCHANGED=20 * MIB), 7),
        _directory(
            Part.LOWER, _split(VISIBLE=40 * MIB, SHADOWED=9 * MIB, WHITED_OUT=5 * MIB, BEHIND_OPAQUE=6 * MIB), 3
        ),
    ),
)


@pytest.mark.parametrize(
    ("limit", "actual"),
    [
        (Limit.FAIL_OVER, 20 * MIB),
        (Limit.TOTAL, 100 * MIB),
        (Limit.UPPER, 40 * MIB),
        (Limit.RECLAIMABLE, 20 * MIB),
        (Limit.SHADOWED, 9 * MIB),
        (Limit.HIDDEN, 11 * MIB),
        (Limit.WHITEOUTS, 10),
        (Limit.RECLAIMABLE_PERCENT, 50),
        (Limit.SHADOWED_PERCENT, 9),
        (Limit.HIDDEN_PERCENT, 11),
    ],
)
def test_a_limit_is_the_most_that_passes(limit: Limit, actual: int) -> None:
    """Exactly the limit passes, one less fails; where not everything is known, passing is undecided, failing is not."""
    for most, outcome in ((actual, Outcome.PASS), (actual + 1, Outcome.PASS), (actual - 1, Outcome.FAIL)):
        rule = Rule(limit=limit, most=most)
        (verdict,) = gates.judge([rule], USAGE)
        assert (verdict.actual, verdict.outcome) == (actual, outcome)
        (partial,) = gates.judge([rule], replace(USAGE, unread=1))
        assert partial.outcome is (Outcome.FAIL if outcome is Outcome.FAIL else Outcome.UNDECIDED)


def test_percent_alone_fails_nothing_small() -> None:
    """Fifty percent are too much only when they are more than the floor, too."""
    for floor, outcome in ((20 * MIB, Outcome.PASS), (20 * MIB - 1, Outcome.FAIL)):
        rule = Rule(limit=Limit.RECLAIMABLE_PERCENT, most=10, floor=floor)
        assert [each.outcome for each in gates.judge([rule], USAGE)] == [outcome]


def test_percent_of_nothing() -> None:
    """A stack without an upper, and one that takes nothing, pass."""
    empty = Usage(stacks=("app",), directories=(_directory(Part.LOWER, _split()),))
    rules = [Rule(limit=limit, most=0) for limit in Limit]
    assert {each.outcome for each in gates.judge(rules, empty)} == {Outcome.PASS}


def _write(scratch: str, content: bytes) -> str:
    path = os.path.join(scratch, "rules.toml")
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_every_key_of_a_file(scratch: str) -> None:
    """Sizes as text or numbers, whole numbers of names, percentages with a fraction, and one floor for all of these."""
    content = b'max_total = "1G"\nmax_upper = 5\nmax_whiteouts = 7\nmax_hidden_percent = 2.5\npercent_floor = "2M"\n'
    assert gates.load(_write(scratch, content), size=parse_size) == (
        Rule(limit=Limit.TOTAL, most=1 << 30),
        Rule(limit=Limit.UPPER, most=5),
        Rule(limit=Limit.WHITEOUTS, most=7),
        Rule(limit=Limit.HIDDEN_PERCENT, most=2.5, floor=2 * MIB),
    )
    (rule,) = gates.load(_write(scratch, b"max_reclaimable_percent = 10"), size=parse_size)
    assert rule.floor == gates.PERCENT_FLOOR


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no rule"),
        (b'percent_floor = "1M"', "has no rule"),
        (b"max_reclaimible = 1", "did you mean `max_reclaimable`?"),
        (b"fail_over = 1", "`fail_over`"),
        (b"[du]\nmax_hidden = 1", "`du`"),
        (b"{}", "is not TOML"),
        (b"\xff", "is not TOML"),
        (b"max_hidden = [1]", "must be a size"),
        (b"max_hidden = true", "must be a size"),
        (b"max_hidden = -1", "must be a size"),
        (b"max_hidden = 1.5", "must be a size"),
        (b'max_hidden = "{50}MB"', "is not a size"),
        (b'max_whiteouts = "1M"', "must be a whole number"),
        (b"max_hidden_percent = 101", "must be a number from 0 to 100"),
        (b"max_hidden_percent = nan", "must be a number from 0 to 100"),
        (b'max_hidden_percent = "5"', "must be a number from 0 to 100"),
        (b'"{0} \\u001b[31m" = 1', "is no rule"),
        (b"max_hidden = 1\n#" + b"x" * (1 << 20), "larger than 1 MiB"),
        (b"a." * 5000 + b"b = 1", ""),
    ],
)
def test_a_file_that_is_wrong(scratch: str, content: bytes, words: str) -> None:
    """Nothing in it is ignored; the message names the key, and the nearest one that there is."""
    with pytest.raises(errors.BadUsage) as caught:
        gates.load(_write(scratch, content), size=parse_size)
    assert words in f"{caught.value.message()} {caught.value.hint()}"


def test_a_file_that_cannot_be_read(scratch: str) -> None:
    """A missing file, a directory and a pipe are errors, and none is waited for."""
    with pytest.raises(errors.PathMissing):
        gates.load(f"{scratch}/none", size=parse_size)
    os.mkfifo(f"{scratch}/pipe")
    for place in (scratch, f"{scratch}/pipe"):
        with pytest.raises(errors.BadUsage, match="no plain file"):
            gates.load(place, size=parse_size)
