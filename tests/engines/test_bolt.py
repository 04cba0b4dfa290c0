"""Bolt databases: the same as containerd sees, of one state while it writes, and one error for what is damaged."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines import bolt
from ovlctl.engines.bolt import Bolt, Bucket, snapshot
from ovlctl.engines.files import Files
from ovlctl.errors import StoreDamaged
from tests.containerd import Containerd, daemon, packed

if TYPE_CHECKING:
    from collections.abc import Iterator

META = "io.containerd.metadata.v1.bolt/meta.db"
SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/metadata.db"


@pytest.fixture
def containerd(scratch: str) -> Iterator[Containerd]:
    """A containerd without content."""
    with daemon(scratch) as running:
        yield running


def count(bucket: Bucket) -> int:
    """How many values there are in a bucket and below."""
    return len(bucket.values) + sum(count(each) for each in bucket.buckets.values())


def keys(containerd: Containerd) -> list[str]:
    """The snapshots of the default namespace, as the database has them."""
    with Files(containerd.root) as files:
        found = snapshot(files, META).bucket(b"v1", b"default", b"snapshots", b"overlayfs")
    return [] if found is None else [key.decode() for key in found.buckets]


def test_many_keys(containerd: Containerd) -> None:
    """Buckets that need branch pages, and values that need several pages, are read to the last key, in order."""
    for number in range(150):
        containerd("snapshots", "prepare", f"snapshot-{number:04}-{'long' * 20}")
    for number in range(4):
        containerd("namespaces", "create", f"other{number}", *(f"label{word}={'v' * 4000}" for word in range(8)))
    said = [line.split()[0] for line in containerd("snapshots", "ls").splitlines()[1:]]
    assert keys(containerd) == sorted(said)
    assert len(said) == 150
    with Files(containerd.root) as files:
        read = snapshot(files, META)
        labels = read.bucket(b"v1", b"other3", b"labels")
        assert labels is not None
        assert dict(labels.values) == {f"label{word}".encode(): b"v" * 4000 for word in range(8)}
        assert read.bucket(b"v1", b"nobody", b"labels") is None
        assert read.root.get(b"v1") is None
        # What the snapshotter itself has is as much.
        mine = snapshot(files, SNAPSHOTS).bucket(b"v1", b"snapshots")
        assert mine is not None
        assert len(mine.buckets) == 150


def test_while_it_is_written(containerd: Containerd) -> None:
    """Every copy is of one state: a chain that is made and removed is there from the bottom to some height."""
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            for number in range(6):
                parent = [f"s{number - 1}"] if number else []
                containerd("snapshots", "prepare", f"w{number}", *parent)
                containerd("snapshots", "commit", f"s{number}", f"w{number}")
            for number in reversed(range(6)):
                containerd("snapshots", "rm", f"s{number}")

    writer = threading.Thread(target=write)
    writer.start()
    seen: set[tuple[str, ...]] = set()
    try:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            found = [key for key in keys(containerd) if key.startswith("s")]
            assert found == [f"s{number}" for number in range(len(found))]
            seen.add(tuple(found))
    finally:
        ended.set()
        writer.join()
    assert len(seen) > 3


def test_every_flipped_byte(containerd: Containerd, scratch: str) -> None:
    """Damage is StoreDamaged or goes unnoticed, whatever byte it is in; nothing else, and no endless work."""
    containerd("images", "import", packed(scratch, "example.org/t:1"))
    for number in range(60):
        containerd("snapshots", "prepare", f"snapshot-{number}")
    for name in (META, SNAPSHOTS):
        with Files(containerd.root) as files:
            whole = snapshot(files, name)
        content = bytes(whole._content)  # noqa: SLF001  what was copied
        assert count(whole.root) > 100
        chance = random.Random(1)
        damaged = 0
        for _ in range(400):
            broken = bytearray(content)
            for _ in range(chance.choice((1, 1, 4, 64))):
                # Where pages begin there is most to be hit.
                page = chance.randrange(len(broken) // 4096) * 4096
                value = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
                broken[page + int(chance.random() ** 4 * 4096)] = value
            damaged += not readable(bytes(broken))
        for length in range(0, len(content), 1024):
            damaged += not readable(content[:length])
        assert damaged > 50


def readable(content: bytes) -> bool:
    """Whether all of a database can be read; nothing but StoreDamaged may come of it."""
    start = time.monotonic()
    try:
        count(Bolt(content, "/it").root)
    except StoreDamaged:
        return False
    finally:
        assert time.monotonic() - start < 5
    return True


def test_older_meta_page(containerd: Containerd) -> None:
    """With the newest meta page torn, the state before it counts, as for bbolt; with both, nothing does."""
    containerd("snapshots", "prepare", "one")
    with Files(containerd.root) as files:
        content = bytearray(snapshot(files, META)._content)  # noqa: SLF001  what was copied
    newest = Bolt(bytes(content), "/it").meta
    content[newest.transaction % 2 * newest.page_size + 40] ^= 1
    assert Bolt(bytes(content), "/it").meta.transaction == newest.transaction - 1
    content[(newest.transaction + 1) % 2 * newest.page_size + 40] ^= 1
    with pytest.raises(StoreDamaged, match="both of its meta pages"):
        Bolt(bytes(content), "/it")


def test_never_still(containerd: Containerd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that changes during every copy is an error that says so."""
    monkeypatch.setattr(bolt, "_PAUSE_S", 0)
    pread = os.pread

    def slow(fd: int, length: int, offset: int) -> bytes:
        if length > 4096:
            containerd("namespaces", "create", f"n{time.monotonic_ns()}")
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", slow)
    with Files(containerd.root) as files, pytest.raises(StoreDamaged, match="written all the time"):
        snapshot(files, META)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\0" * 65536, b"\xff" * 20000, b"x" * 4096])
def test_no_database(scratch: str, content: bytes) -> None:
    """What is no database is said to be none."""
    with open(f"{scratch}/it", "wb") as file:
        file.write(content)
    with Files(scratch) as files, pytest.raises(StoreDamaged):
        snapshot(files, "it")


def test_no_lock(containerd: Containerd) -> None:
    """It is read while containerd holds the lock, and opened for reading only."""
    holder = subprocess.run(["flock", "-n", f"{containerd.root}/{META}", "true"], check=False)
    assert holder.returncode == 1
    assert keys(containerd) == []
