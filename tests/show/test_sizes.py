"""Sizes and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.errors import BadUsage
from ovlctl.show.sizes import format_ns, format_size, parse_size, parse_sizes

SIZES = st.integers(0, 2**63 - 1) | st.builds(lambda n, p: n << p, st.integers(0, 1024), st.integers(0, 52))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4k", 4096),
        ("64K", 65536),
        ("1M", 1 << 20),
        ("1.5G", 3 << 29),
        ("1 GiB", 1 << 30),
        ("0.5KiB", 512),
        ("7E", 7 << 60),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """K is 1024, fractions are exact, case and one space do not matter."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "K", "-1", "1kB", "1KB", "1.5", "0.3K", "1e3", "8E", "1 iB", "٣", "4K\x1b", "1,5K"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """A decimal unit, part of a byte, too much, or no number: one clear, printable error with a hint."""
    with pytest.raises(BadUsage) as caught:
        parse_size(text)
    assert caught.value.message().isprintable()
    assert caught.value.hint()


def test_lists_keep_their_order() -> None:
    """A list of sizes is read as it is written."""
    assert parse_sizes("64K,4K, 1M") == (65536, 4096, 1 << 20)


@given(SIZES)
def test_shown_sizes_are_close(size: int) -> None:
    """A shown size is within half a percent, and below 1024 of its unit."""
    shown = format_size(size)
    number, unit = shown.split(" ")
    assert float(number) < 1024
    scale = 1024 ** ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB").index(unit)
    assert abs(float(number) * scale - size) <= size * 0.005


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1 << 26, "64 MiB"),
        (3 << 29, "1.50 GiB"),
        ((1 << 20) - 1, "1.00 MiB"),
        (-2048, "-2 KiB"),
    ],
)
def test_shown_sizes(size: int, shown: str) -> None:
    """Whole units without a point, three digits otherwise."""
    assert format_size(size) == shown


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (999.7, "1.00 us"),
        (337_000, "337 us"),
        (1_165_000, "1.17 ms"),
        (12_276_000, "12.3 ms"),
        (999_600_000, "1.00 s"),
        (1_200_000_000, "1.20 s"),
        (-15_300, "-15.3 us"),
    ],
)
def test_durations(nanoseconds: float, shown: str) -> None:
    """Three significant digits in the unit that fits."""
    assert format_ns(nanoseconds) == shown
