"""The data of a page: facts as JSON, and columns of numbers, as one compressed block of characters.

Decompressed, the block is: the length of the facts (4 bytes, little endian), the facts (JSON in ASCII), and the
columns, each at a multiple of 8 bytes, so that a browser makes arrays of them without looking at every number.

Law: the block holds nothing but the 64 characters of base64 and ``=``, whatever the facts and columns hold; so nothing
in it is markup.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any, Final

from ovlctl.show.envelope import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.ops.atlas.atlas import Atlas

    Column = memoryview[int] | array[int] | array[float]

_ALIGNED: Final = 8
# What typed arrays of JavaScript are called, by the type code of the array module.
_TYPES: Final = {"B": "Uint8", "H": "Uint16", "h": "Int16", "I": "Uint32", "d": "Float64"}
_SECOND: Final = 10**9
_GZIP: Final = 31
# Divides by three, so that pieces of base64 can be put together.
_PIECE: Final = 3 << 20


def columns(atlas: Atlas) -> dict[str, Column]:
    """What a browser needs to know of *atlas*.

    Where names begin follows from the slashes in them, who is in which directory from the depths. Sizes and times
    (whole seconds) are floating-point numbers, which are exact up to 2^53.
    """
    covered, status = atlas.covered, atlas.status
    found: dict[str, Column] = {
        "names": atlas.names,
        "depths": atlas.depths,
        "kinds": atlas.kinds,
        "signs": atlas.signs,
        "flags": atlas.flags,
        "providers": atlas.providers,
        "sizes": array("d", atlas.sizes),
        "coveredRows": covered.rows,
        "coveredLayers": covered.layers,
        "coveredKinds": covered.kinds,
        "coveredSizes": array("d", covered.sizes),
    }
    if status is not None:
        found |= {
            "modes": status.modes,
            "uids": status.uids,
            "gids": status.gids,
            "mtimes": array("d", (time // _SECOND for time in status.mtimes)),
        }
    return found


def block(facts: Mapping[str, Any], columns: Mapping[str, Column]) -> Iterator[str]:
    """The block, piece by piece; the facts get a member ``columns``, which says where each is."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    rest = b""
    for piece in _pieces(facts, columns):
        rest += compressor.compress(piece)
        whole = len(rest) - len(rest) % 3
        yield b2a_base64(rest[:whole], newline=False).decode("ascii")
        rest = rest[whole:]
    yield b2a_base64(rest + compressor.flush(), newline=False).decode("ascii")


def _pieces(facts: Mapping[str, Any], columns: Mapping[str, Column]) -> Iterator[bytes | memoryview]:
    places, at = {}, 0
    for name, column in columns.items():
        size = memoryview(column).nbytes
        places[name] = [_TYPES[memoryview(column).format], at, len(column)]
        at += _padded(size)
    head = dumps({**facts, "columns": places}).encode("ascii")
    yield len(head).to_bytes(4, "little")
    # The columns begin at a multiple, too.
    yield head + b" " * (_padded(4 + len(head)) - 4 - len(head))
    for column in columns.values():
        raw = memoryview(_little(column)).cast("B")
        for start in range(0, len(raw), _PIECE):
            yield raw[start : start + _PIECE]
        yield b"\0" * (_padded(len(raw)) - len(raw))


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _little(column: Column) -> Column:
    if sys.byteorder == "little":
        return column
    turned = array(memoryview(column).format)
    turned.frombytes(memoryview(column).cast("B"))
    turned.byteswap()
    return turned
