"""Bolt databases, read: what containerd and BuildKit keep their metadata in.

PyPI has only boltdb 0.0.2, which is abandoned, so the format is read here, as bbolt writes it (internal/common of
go.etcd.io/bbolt): pages of one size; two meta pages that transactions write in turns, each with a checksum; a B+tree of
branch and leaf pages for every bucket, the pages of a big node following one another; a small bucket as a leaf page
inside the value that stands for it. Numbers are little-endian, as on every machine that engines run on but s390x.

A database is hostile: an offset, a count, a page number that leads out of its bounds, a page that comes twice, keys out
of order, all are :class:`StoreDamaged`, and the work is never more than the file is long.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from ovlctl.errors import StoreDamaged, strerror

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.engines.files import Files

#: The longest database that is read, in bytes; containerd's has some megabytes after years.
DATABASE_MAX = 1 << 30
_ATTEMPTS = 40
_PAUSE_S = 0.05

# Page sizes are powers of two; bbolt looks from 1 KiB to 16 MiB.
_SIZES = tuple(1 << power for power in range(10, 25))
_MAGIC = 0xED0CDAED
_VERSION = 2
_BRANCH, _LEAF = 0x01, 0x02
_IS_BUCKET = 0x01

_HEADER = struct.Struct("<QHHI")  # page number, kind, elements, pages that follow and belong to it
_META = struct.Struct("<IIII QQ QQ Q")  # ..., root page and sequence, free list, pages in use, transaction
_CHECKSUM = struct.Struct("<Q")
_BRANCH_ELEMENT = struct.Struct("<IIQ")  # where its key is, how long; page number
_LEAF_ELEMENT = struct.Struct("<IIII")  # flags, where key and value are, how long the key, how long the value
_BUCKET = struct.Struct("<QQ")  # root page, 0 when the bucket is what follows; sequence
_META_LENGTH = _HEADER.size + _META.size + _CHECKSUM.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a meta page says.

    Attributes:
        page_size: In bytes.
        root: The number of the page that the tree begins with.
        pages: How many pages of the file are in use, counted from its beginning.
        transaction: The number of the one that wrote it.
    """

    page_size: int
    root: int
    pages: int
    transaction: int

    @property
    def length(self) -> int:
        """Bytes of the file that are in use."""
        return self.pages * self.page_size


class Bolt:
    """A database.

    Args:
        content: All of it, from the first page on.
        path: Where it is from, for errors.

    Raises:
        StoreDamaged: It has no valid meta page.
    """

    def __init__(self, content: bytes, path: str) -> None:
        self._content = memoryview(content)
        self._path = path
        self._seen: set[int] = set()
        self.meta = _newest(self._at, path)

    def _at(self, offset: int, length: int) -> bytes:
        return bytes(self._content[offset : offset + length])

    @cached_property
    def root(self) -> Bucket:
        """The bucket that all others are in."""
        return Bucket(self, self.meta.root)

    def bucket(self, *path: bytes) -> Bucket | None:
        """The bucket at *path*, None when there is none.

        Raises:
            StoreDamaged: A page on the way is not what it has to be.
        """
        return self.root.bucket(*path)

    def damaged(self, what: str) -> StoreDamaged:
        """An error about this database; *what* has no braces."""
        return StoreDamaged(f"{{}} is damaged: {what}", self._path)

    def page(self, number: int) -> memoryview:
        """A page and those that belong to it. Every page belongs to one tree, once.

        Raises:
            StoreDamaged: It is outside of the file, or was met before, or says that it is another.
        """
        size = self.meta.page_size
        start = number * size
        if number >= self.meta.pages or start + size > len(self._content):
            raise self.damaged(f"page {number} is outside of it")
        said, _, _, following = _HEADER.unpack_from(self._content, start)
        end = start + (following + 1) * size
        if said != number or end > len(self._content):
            raise self.damaged(f"page {number} has no valid header")
        numbers = range(number, number + following + 1)
        if not self._seen.isdisjoint(numbers):
            raise self.damaged(f"page {number} is in two places")
        self._seen.update(numbers)
        return self._content[start:end]


class Bucket:
    """A bucket: what maps keys to values and to buckets below it. Read when it is first asked for anything.

    Args:
        bolt: The database that it is in.
        start: The number of its page, or the page itself.
    """

    def __init__(self, bolt: Bolt, start: int | memoryview) -> None:
        self._bolt = bolt
        self._start = start

    @property
    def values(self) -> Mapping[bytes, bytes]:
        """Keys that have values, in order.

        Raises:
            StoreDamaged: A page is not what it has to be.
        """
        return self._items[0]

    @property
    def buckets(self) -> Mapping[bytes, Bucket]:
        """Keys that are buckets, in order.

        Raises:
            StoreDamaged: A page is not what it has to be.
        """
        return self._items[1]

    def get(self, key: bytes) -> bytes | None:
        """The value of *key*, None when it has none.

        Raises:
            StoreDamaged: A page is not what it has to be.
        """
        return self.values.get(key)

    def bucket(self, *path: bytes) -> Bucket | None:
        """The bucket at *path* below this one, None when there is none.

        Raises:
            StoreDamaged: A page on the way is not what it has to be.
        """
        found: Bucket | None = self
        for key in path:
            found = found.buckets.get(key) if found is not None else None
        return found

    @cached_property
    def _items(self) -> tuple[dict[bytes, bytes], dict[bytes, Bucket]]:
        values: dict[bytes, bytes] = {}
        buckets: dict[bytes, Bucket] = {}
        last: bytes | None = None
        for flags, key, value in self._elements():
            if last is not None and key <= last:
                raise self._bolt.damaged("keys are out of order")
            last = key
            if flags & _IS_BUCKET:
                buckets[key] = self._below(value)
            else:
                values[key] = bytes(value)
        return values, buckets

    def _below(self, value: memoryview) -> Bucket:
        if len(value) < _BUCKET.size:
            raise self._bolt.damaged("a bucket is cut short")
        root, _ = _BUCKET.unpack_from(value)
        return Bucket(self._bolt, root or value[_BUCKET.size :])

    def _elements(self) -> Iterator[tuple[int, bytes, memoryview]]:
        pages = [self._start]
        while pages:
            start = pages.pop()
            page = self._bolt.page(start) if isinstance(start, int) else start
            if len(page) < _HEADER.size:
                raise self._bolt.damaged("a bucket is cut short")
            _, kind, count, _ = _HEADER.unpack_from(page)
            if kind == _LEAF:
                yield from self._leaves(page, count)
            elif kind == _BRANCH and isinstance(start, int):
                pages.extend(reversed(self._branches(page, count)))
            else:
                raise self._bolt.damaged("a page is neither branch nor leaf")

    def _leaves(self, page: memoryview, count: int) -> Iterator[tuple[int, bytes, memoryview]]:
        free = self._after_elements(page, count)
        for at in range(_HEADER.size, free, _LEAF_ELEMENT.size):
            flags, offset, key, value = _LEAF_ELEMENT.unpack_from(page, at)
            start, middle, end = at + offset, at + offset + key, at + offset + key + value
            # bbolt writes keys and values one after the other in the order of the elements: so none are read twice.
            if start < free or end > len(page):
                raise self._bolt.damaged("a key or value is outside of its page")
            free = end
            yield flags, bytes(page[start:middle]), page[middle:end]

    def _branches(self, page: memoryview, count: int) -> list[int]:
        end = self._after_elements(page, count)
        return [_BRANCH_ELEMENT.unpack_from(page, at)[2] for at in range(_HEADER.size, end, _BRANCH_ELEMENT.size)]

    def _after_elements(self, page: memoryview, count: int) -> int:
        end = _HEADER.size + count * _LEAF_ELEMENT.size
        if end > len(page):
            raise self._bolt.damaged("a page has more elements than fit into it")
        return end


def snapshot(files: Files, name: str) -> Bolt:
    """The database *name* as one transaction left it, though a daemon may be writing; no lock is taken.

    A transaction writes to pages that nothing uses, then a meta page. What it replaced is used again by the next one
    (``beginRWTx`` and the free list of bbolt). So a copy is of one state when the newest meta page is the same before
    and after; else it is made again.

    Args:
        files: The directory that it is below.
        name: The file.

    Raises:
        FileNotFoundError: It is not there.
        StoreForbidden, StoreMisleads, StoreDamaged: It cannot be read, or is no database, or is too long, or never
            stood still.
    """
    path = files.path(name)
    fd = files.open(name)

    def at(offset: int, length: int) -> bytes:
        return os.pread(fd, length, offset)

    try:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_S)
            before = _newest(at, path)
            length = min(before.length, os.fstat(fd).st_size)
            if length > DATABASE_MAX:
                raise StoreDamaged(f"{{}} is longer than {DATABASE_MAX} bytes", path)
            content = os.pread(fd, length, 0)
            if _newest(at, path) == before:
                return Bolt(content, path)
    except OSError as error:
        raise StoreDamaged(f"{{}} cannot be read: {strerror(error)}", path, errno=error.errno) from error
    finally:
        os.close(fd)
    raise StoreDamaged(
        f"{{}} was being written all the time, {_ATTEMPTS} copies were not of one state", path, hint="ask again"
    )


class _At(Protocol):
    def __call__(self, offset: int, length: int, /) -> bytes: ...


def _newest(at: _At, path: str) -> Meta:
    # The second one is at a page's size, which the first one says when it is whole.
    found = [meta for offset in (0, *_SIZES) if (meta := _valid(at, offset)) is not None]
    if not found:
        raise StoreDamaged("{} is no bolt database, or both of its meta pages are damaged", path)
    return max(found, key=lambda meta: meta.transaction)


def _valid(at: _At, offset: int) -> Meta | None:
    raw = at(offset, _META_LENGTH)
    if len(raw) < _META_LENGTH:
        return None
    body = raw[_HEADER.size : _HEADER.size + _META.size]
    magic, version, page_size, _, root, _, _, pages, transaction = _META.unpack(body)
    if magic != _MAGIC or version != _VERSION or _CHECKSUM.unpack_from(raw, _HEADER.size + _META.size)[0] != _fnv(body):
        return None
    # A page with the bytes of a meta page elsewhere, such as a value, is none.
    if page_size not in _SIZES or offset not in {0, page_size}:
        return None
    return Meta(page_size=page_size, root=root, pages=pages, transaction=transaction)


def _fnv(content: bytes) -> int:
    # FNV-1a of 64 bits.
    checksum = 0xCBF29CE484222325
    for byte in content:
        checksum = (checksum ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return checksum
