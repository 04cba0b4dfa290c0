"""Sizes and durations, to and from text. Sizes are in IEC units: K is 1024 bytes, always."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ovlctl.errors import BadUsage, literal
from ovlctl.show.names import show_text

if TYPE_CHECKING:
    from fractions import Fraction

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>[KMGTPE]?)(?P<iec>(?:iB)?)", re.ASCII | re.IGNORECASE)
_LARGEST = 2**63 - 1  # loff_t: no file and no file system is larger
_HINT = "write sizes as 4096, 64K, 1.5M or 1GiB; K is 1024 bytes"


def parse_size(text: str) -> int:
    """Bytes that *text* stands for: ``4096``, ``64K``, ``1.5 GiB``.

    Raises:
        BadUsage: for anything else, for a decimal unit such as ``kB``, for what is no whole number of bytes, and
            for more than a file can hold.
    """
    from fractions import Fraction  # 2 ms, which every command would pay

    match = _SIZE.fullmatch(text.strip())
    if match is None or (match["iec"] and not match["unit"]):
        raise BadUsage(f"`{literal(show_text(text))}` is not a size", hint=_HINT)
    power = " KMGTPE".index(match["unit"].upper()) if match["unit"] else 0
    size = Fraction(match["number"]) * 1024**power
    if size.denominator != 1:
        raise BadUsage(f"`{literal(show_text(text))}` is not a whole number of bytes", hint=_HINT)
    if size > _LARGEST:
        raise BadUsage(f"`{literal(show_text(text))}` is more than a file can hold", hint=_HINT)
    return int(size)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Bytes of each size in a comma-separated list, in the order given.

    Raises:
        BadUsage: as :func:`parse_size`.
    """
    return tuple(parse_size(part) for part in text.split(","))


def format_size(size: int) -> str:
    """*size* bytes with at least three significant digits, at most one unit: ``512 B``, ``1.50 GiB``, ``64 KiB``.

    Law: ``parse_size(format_size(n))`` differs from n by at most half a percent; whole multiples are exact.
    """
    sign, size = ("-", -size) if size < 0 else ("", size)
    power = max(0, (size.bit_length() - 1) // 10)
    # A value that would round up to 1024 belongs to the next unit.
    if size * 2 >= 1024 ** (power + 1) * 2 - 1024**power:
        power += 1
    whole, rest = divmod(size, 1024**power)
    if not rest:
        return f"{sign}{whole} {_UNITS[power]}"
    value = size / 1024**power
    return f"{sign}{value:.{_decimals(value)}f} {_UNITS[power]}"


def format_ns(nanoseconds: float) -> str:
    """A duration with three significant digits: ``337 us``, ``1.17 ms``, ``12.3 ms``, ``1.20 s``."""
    from fractions import Fraction

    for limit, divisor, unit in ((999.5, 1, "ns"), (999.5e3, 1e3, "us"), (999.5e6, 1e6, "ms")):
        if abs(nanoseconds) < limit:
            return f"{_digits(Fraction(nanoseconds) / int(divisor))} {unit}"
    return f"{_digits(Fraction(nanoseconds) / 10**9)} s"


def _digits(value: Fraction) -> str:
    # three significant digits, none after the point when there is nothing to say there
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):.{_decimals(float(abs(value)))}f}"


def _decimals(value: float) -> int:
    return 2 if value < 9.995 else 1 if value < 99.95 else 0  # noqa: PLR2004 -- where rounding adds a digit
