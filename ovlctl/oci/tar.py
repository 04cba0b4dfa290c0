"""The entries of a tar archive, as runtimes read them.

Docker, containerd, Podman and umoci read layers with Go's archive/tar. Where the formats (POSIX.1-1988 and 2001, GNU,
v7) leave room this does as that does: global extended headers count for nothing, a link has no data whatever its size
says, extended headers have a MiB at the most, names hold no NUL. Python's tarfile does otherwise in each of these,
keeps every header, and reads one of any length into memory.

What no reader would take is a :class:`DamagedError` that says why; nothing here knows what a layer is.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
#: Go's maxSpecialFileSize: the most that a header may bring with it.
_MOST_HEADER = 1 << 20
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12s")
_ZEROS = bytes(BLOCK)
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_DECIMAL = re.compile(rb"-?[0-9]{1,19}")
_TIME = re.compile(rb"(-?)([0-9]{1,12})(?:\.([0-9]*))?")
_MOST_ID = 0xFFFFFFFF
_MOST_SIZE = (1 << 63) - 1
_SECOND = 10**9
_FILES = {b"\0", b"0"}
_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"S": Kind.FILE,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}
_HARD_LINK = b"1"


class DamagedError(Exception):
    """The archive, or its compression, is not sound; the text says how."""


class Stream(Protocol):
    """An archive from its beginning on.

    Attributes:
        position: How far it was read.
    """

    @property
    def position(self) -> int:
        """How far it was read."""

    def read(self, size: int) -> bytes:
        """The next *size* bytes; fewer at the end only."""

    def skip(self, size: int) -> None:
        """Leave out *size* bytes. Raises DamagedError when there are fewer."""


class Piece(NamedTuple):
    """Some content of a file.

    Attributes:
        start: In the file.
        length: Bytes.
        offset: In the archive.
    """

    start: int
    length: int
    offset: int


class Entry(NamedTuple):
    """One entry.

    Attributes:
        name: As it stands there.
        kind: None for a hard link.
        target: Of a symbolic link; of a hard link the name it is another one of.
        size: Of a file, holes included.
        pieces: Its content, in order; between them are holes.
        rdev: Major and minor number of a device.
    """

    name: bytes
    kind: Kind | None
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    target: bytes = b""
    rdev: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] | None = None
    pieces: tuple[Piece, ...] = ()


def entries(stream: Stream) -> Iterator[Entry]:
    """The entries of an archive, to its end.

    Raises:
        DamagedError: On the way.
    """
    special = nothing = _Special()
    while (block := stream.read(BLOCK)) and not _is_end(block, stream):
        if len(block) < BLOCK:
            raise DamagedError("it ends within a header")
        fields = _HEADER.unpack(block)
        if not _sums_up(block, fields[6]):
            raise DamagedError(f"there is no header at byte {stream.position - BLOCK}")
        flag, size = fields[7], _number(fields[4])
        if size < 0:
            raise DamagedError("a size is negative")
        if flag in b"xgLK":
            special = _Special() if special is nothing else special
            special.take(flag, _whole(stream, size))
            continue
        entry, rest = _entry(stream, block, fields, special, size)
        yield entry
        stream.skip(rest)
        special = nothing
    if special.any:
        raise DamagedError("it ends after an extended header")


class _Special:
    """What the headers before an entry say of it."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.sparse: list[bytes] = []
        self.name: bytes | None = None
        self.target: bytes | None = None

    @property
    def any(self) -> bool:
        return bool(self.records) or self.name is not None or self.target is not None

    def take(self, flag: bytes, value: bytes) -> None:
        if flag == b"x":
            self.records, self.sparse = _records(value)
        elif flag == b"L":
            self.name = value.partition(b"\0")[0]
        elif flag == b"K":
            self.target = value.partition(b"\0")[0]


def _is_end(block: bytes, stream: Stream) -> bool:
    if block != _ZEROS:
        return False
    if stream.read(BLOCK) not in {_ZEROS, b""}:
        raise DamagedError("something follows a block of zeros")
    return True


def _sums_up(block: bytes, field: bytes) -> bool:
    said = _number(field)
    unsigned = sum(block) - sum(field) + len(field) * 0x20
    if said == unsigned:
        return True
    # Some old writers took bytes for signed.
    return said == unsigned - 256 * sum(byte > 127 for byte in block[:148] + block[156:])  # noqa: PLR2004 -- the sign


def _entry(stream: Stream, block: bytes, fields: tuple[bytes, ...], special: _Special, size: int) -> tuple[Entry, int]:
    """The entry of a header, and how many bytes are left of it in the stream."""
    records, flag = special.records, fields[7]
    name = special.name or records.get(_SPARSE + b"name") or records.get(b"path") or _name(fields)
    kind = _KINDS.get(flag)
    if kind is None and flag != _HARD_LINK:
        raise DamagedError(f"an entry has the type {flag!r}")
    if flag == b"\0" and name.endswith(b"/"):
        kind = Kind.DIRECTORY
    whole, left = 0, 0
    pieces: tuple[Piece, ...] = ()
    if kind is Kind.FILE:
        whole, pieces, left = _content(stream, block, _decimal(records.get(b"size")) or size, special)
    xattrs = (
        {key[len(_XATTR) :]: value for key, value in records.items() if key.startswith(_XATTR)} if records else None
    )
    seconds = records.get(b"mtime")
    entry = Entry(
        name,
        kind,
        _number(fields[1]) & 0o7777,
        _id(records.get(b"uid"), fields[2]),
        _id(records.get(b"gid"), fields[3]),
        _time(seconds) if seconds else _number(fields[5]) * _SECOND,
        whole,
        special.target or records.get(b"linkpath") or _text(fields[8]),
        (_number(fields[13]), _number(fields[14])) if kind is Kind.CHARACTER or kind is Kind.BLOCK else (0, 0),
        xattrs or None,
        pieces,
    )
    return entry, left


def _content(stream: Stream, block: bytes, size: int, special: _Special) -> tuple[int, tuple[Piece, ...], int]:
    # The size of a file, where its content is, and how many bytes are left of it in the stream.
    if size < 0:
        raise DamagedError("a size is negative")
    sparse = block[156:157] == b"S"
    padded = size + -size % BLOCK
    if not sparse and not special.records:
        return size, (Piece(0, size, stream.position),) if size else (), padded
    began = stream.position
    whole, pieces = _pieces(stream, block, size, special, sparse=sparse)
    if whole > _MOST_SIZE:
        raise DamagedError("a file is longer than any can be")
    # The old map is not counted by the size.
    return whole, pieces, padded if sparse else padded - (stream.position - began)


def _pieces(
    stream: Stream, block: bytes, size: int, special: _Special, *, sparse: bool
) -> tuple[int, tuple[Piece, ...]]:
    # The size of a file, and where its content is.
    records = special.records
    if sparse:
        return _checked(_number(block[483:495]), _old_map(stream, block), stream.position, size)
    version = (records.get(_SPARSE + b"major", b""), records.get(_SPARSE + b"minor", b""))
    whole = records.get(_SPARSE + b"realsize") or records.get(_SPARSE + b"size")
    if version == (b"1", b"0") and whole:
        began = stream.position
        numbers = _map_in_data(stream, size)
        return _checked(_decimal(whole), numbers, stream.position, size - (stream.position - began))
    listed = records.get(_SPARSE + b"map")
    if whole and (listed or special.sparse):
        numbers = [_decimal(each) for each in (listed.split(b",") if listed else special.sparse)]
        return _checked(_decimal(whole), numbers, stream.position, size)
    return size, (Piece(0, size, stream.position),) if size else ()


def _checked(whole: int, numbers: list[int], offset: int, size: int) -> tuple[int, tuple[Piece, ...]]:
    # A map of data and holes must be in order and fit both the file and what the archive has of it.
    if len(numbers) % 2:
        raise DamagedError("the map of a sparse file is cut off")
    pieces, end = list[Piece](), 0
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if length < 0 or start < end or start + length > whole or length > size:
            raise DamagedError("the map of a sparse file is wrong")
        if length:
            pieces.append(Piece(start, length, offset))
        end, offset, size = start + length, offset + length, size - length
    return whole, tuple(pieces)


def _old_map(stream: Stream, block: bytes) -> list[int]:
    numbers, more, at = list[int](), block[482], 386
    count = 4
    while True:
        for place in range(at, at + 24 * count, 24):
            if not block[place]:
                break
            numbers += (_number(block[place : place + 12]), _number(block[place + 12 : place + 24]))
        if not more:
            return numbers
        if len(numbers) * 12 > _MOST_HEADER:
            raise DamagedError("the map of a sparse file is too long")
        block = _exactly(stream, BLOCK)
        more, at, count = block[504], 0, 21


def _map_in_data(stream: Stream, size: int) -> list[int]:
    # Lines of decimal numbers: how many pairs, then the pairs; padded to whole blocks.
    text = bytearray()
    wanted: int | None = None
    lines = 0
    while wanted is None or lines < wanted:
        if len(text) >= min(size, _MOST_HEADER):
            raise DamagedError("the map of a sparse file is too long")
        block = _exactly(stream, BLOCK)
        text += block
        lines += block.count(b"\n")
        if wanted is None and lines:
            wanted = 1 + 2 * _decimal(bytes(text.partition(b"\n")[0]))
    return [_decimal(line) for line in bytes(text).split(b"\n")[1:wanted]]


def _records(data: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The records of an extended header, and the pairs that the oldest sparse format repeats."""
    records: dict[bytes, bytes] = {}
    sparse: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = _decimal(data[at:space]) if space > at else 0
        record = data[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if not (equals and key and record.endswith(b"\n") and at + length <= len(data)):
            raise DamagedError("an extended header is malformed")
        if b"\0" in (value if key in {b"path", b"linkpath"} else key):
            raise DamagedError("an extended header holds a NUL")
        if key in {_SPARSE + b"offset", _SPARSE + b"numbytes"}:
            sparse.append(value)
        records[key] = value
        at += length
    return records, sparse


def _whole(stream: Stream, size: int) -> bytes:
    if size > _MOST_HEADER:
        raise DamagedError(f"an extended header has {size} bytes")
    value = _exactly(stream, size)
    stream.skip(-size % BLOCK)
    return value


def _exactly(stream: Stream, size: int) -> bytes:
    value = stream.read(size)
    if len(value) < size:
        raise DamagedError("it ends within a header")
    return value


def _name(fields: tuple[bytes, ...]) -> bytes:
    name, prefix = _text(fields[0]), fields[15]
    if fields[9] != b"ustar\0":
        return name
    # The format of star keeps times in the last 24 bytes.
    prefix = _text(prefix[:131] if fields[16].endswith(b"tar\0") else prefix)
    return prefix + b"/" + name if prefix else name


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        return value - (1 << 8 * len(field)) if field[0] & 0x40 else value & ~(0x80 << 8 * (len(field) - 1))
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    # int() would take signs, prefixes and underscores.
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise DamagedError("a header holds no number where one has to be")
    return int(digits, 8)


def _decimal(text: bytes | None) -> int:
    if not text:
        return 0
    if not _DECIMAL.fullmatch(text):
        raise DamagedError("an extended header holds no number where one has to be")
    return int(text)


def _id(record: bytes | None, field: bytes) -> int:
    number = _decimal(record) if record else _number(field)
    if not 0 <= number <= _MOST_ID:
        raise DamagedError("there is no owner of that number")
    return number


def _time(text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise DamagedError("an extended header holds no time where one has to be")
    sign, seconds, fraction = match.groups()
    value = int(seconds) * _SECOND + int((fraction or b"")[:9].ljust(9, b"0"))
    return -value if sign else value
