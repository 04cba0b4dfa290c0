"""Archives read entry by entry, against Python's tarfile and GNU tar."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ovlctl.oci.blobs import Blob, Digest
from ovlctl.oci.compression import Compression
from ovlctl.oci.content import Content, File
from ovlctl.oci.streams import Flowing, Leaping
from ovlctl.oci.tar import DamagedError, Entry, entries
from ovlctl.overlay.tree import Kind
from tests.oci.images import archive, directory, entry, hard_link, link

_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.FIFOTYPE: Kind.FIFO,
    tarfile.LNKTYPE: None,
}
_FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def blob_of(data: bytes) -> Blob:
    """An open file with *data*, of no name."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return Blob(os.dup(file.fileno()))


def read(data: bytes) -> list[Entry]:
    """The entries of an archive; both ways of reading say the same."""
    leaping = list(entries(Leaping(blob_of(data))))
    pieces = (data[at : at + 700] for at in range(0, len(data), 700))
    assert list(entries(Flowing(pieces, "sha256"))) == leaping
    return leaping


def whole(data: bytes, one: Entry) -> bytes:
    """The content of an entry."""
    blob = blob_of(data)
    with File(Content(blob, Compression.NONE, blob.size, Digest("")), one.pieces, one.size) as opened:
        return opened.read()


_NAMES = some.text(some.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=120)
_TYPES = some.sampled_from(list(_KINDS))


@settings(max_examples=60)
@given(
    names=some.lists(some.tuples(_NAMES, _TYPES, some.binary(max_size=1500)), max_size=6),
    form=some.sampled_from(_FORMATS),
    numbers=some.tuples(some.integers(0, 0o7777), some.integers(0, 0o7777777), some.integers(0, 0o77777777777)),
)
def test_entries_are_those_of_tarfile(
    names: list[tuple[str, bytes, bytes]], form: int, numbers: tuple[int, int, int]
) -> None:
    """In every format, each entry has the name, type, mode, owner, time, target and content that was written."""
    mode, owner, time = numbers
    written = []
    for name, kind, content in names:
        if form == tarfile.USTAR_FORMAT and len(name.encode()) > 99:
            continue
        held = content if kind == tarfile.REGTYPE else b""
        target = "t" + name[:90] if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
        if form == tarfile.USTAR_FORMAT and len(target.encode()) > 99:
            continue
        fields = {"type": kind, "mode": mode, "uid": owner, "gid": owner + 1, "mtime": time, "linkname": target}
        written.append(entry(name, held, **fields))
    data = archive(*written, form=form)
    found = read(data)
    assert len(found) == len(written)
    for one, (info, content) in zip(found, written, strict=True):
        assert os.fsdecode(one.name).rstrip("/") == info.name
        assert one.kind is _KINDS[info.type]
        assert (one.mode, one.uid, one.gid, one.mtime_ns) == (mode, owner, owner + 1, time * 10**9)
        assert os.fsdecode(one.target) == info.linkname
        assert whole(data, one) == content


def test_extended_headers() -> None:
    """Attributes have their bytes, times their nanoseconds, and numbers that fit no field their value."""
    records = {"SCHILY.xattr.user.x": "a=b\nc", "mtime": "-1.5", "uid": "4000000000", "SCHILY.xattr.user.é": "\udcff"}
    (found,) = read(archive(entry("f", b"x", pax_headers=records)))
    assert found.xattrs == {b"user.x": b"a=b\nc", "user.é".encode(): b"\xff"}
    assert (found.mtime_ns, found.uid) == (-1_500_000_000, 4_000_000_000)
    (large,) = read(archive(entry("f", b"x", uid=1 << 30), form=tarfile.GNU_FORMAT))
    assert large.uid == 1 << 30


def test_global_headers_count_for_nothing() -> None:
    """As to Go's reader, and so to every runtime: a global header names nobody."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"path": "evil"}) as tar:
        tar.addfile(*entry("f")[:1])
    assert [one.name for one in read(made.getvalue())] == [b"f"]


@pytest.mark.skipif(shutil.which("tar") is None, reason="GNU tar is not installed")
@pytest.mark.parametrize(
    "form", ["--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0"]
)
def test_sparse_files(scratch: str, form: str) -> None:
    """In each of the four formats a sparse file has its size, its content and its holes."""
    path = f"{scratch}/sparse"
    with open(path, "wb") as new:
        for at in range(0, 60 << 16, 1 << 17):
            new.seek(at)
            new.write(os.urandom(5000))
        new.truncate(10 << 20)
    with open(f"{scratch}/after", "wb") as new:
        new.write(b"after")
    options = [form] if form == "--format=gnu" else ["--format=posix", form]
    subprocess.run(
        ["tar", "-C", scratch, "--sparse", *options, "-cf", f"{scratch}/t.tar", "sparse", "after"], check=True
    )
    with open(f"{scratch}/t.tar", "rb") as file:
        data = file.read()
    assert len(data) < 1 << 20
    found = read(data)
    assert [(one.name, one.kind, one.size) for one in found] == [
        (b"sparse", Kind.FILE, 10 << 20),
        (b"after", Kind.FILE, 5),
    ]
    with open(path, "rb") as file:
        assert whole(data, found[0]) == file.read()
    assert whole(data, found[1]) == b"after"
    assert sum(piece.length for piece in found[0].pieces) < 1 << 20


def test_seeking() -> None:
    """Content can be read from anywhere, and past its end is nothing."""
    data = archive(entry("f", bytes(range(256)) * 8))
    (one,) = read(data)
    blob = blob_of(data)
    with File(Content(blob, Compression.NONE, blob.size, Digest("")), one.pieces, one.size) as opened:
        assert opened.seek(-3, os.SEEK_END) == 2045
        assert opened.read() == b"\xfd\xfe\xff"
        assert opened.seek(300) == opened.tell() == 300
        assert opened.read(2) == b"\x2c\x2d"
        opened.seek(5000)
        assert opened.read(1) == b""


def _cut(data: bytes, at: int) -> bytes:
    return data[:at]


def _changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _signed(block: bytes) -> bytes:
    # With the checksum that it should have.
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


_FILE = archive(entry("f", b"x" * 600), entry("g"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_cut(_FILE, 100), "within a header"),
        (_cut(_FILE, 900), "within a file"),
        (_changed(_FILE, 0, b"F"), "no header at byte 0"),
        (_changed(_FILE, 148, b"zzzzzzzz"), "no number"),
        (_signed(_changed(_FILE[:512], 124, b"\xff" * 12)), "negative"),
        (_signed(_changed(_FILE[:512], 124, b"\x80" + b"\xff" * 11)), "within a file"),
        (_signed(_changed(_FILE[:512], 156, b"V")), "the type"),
        (_signed(_changed(_FILE[:512], 100, b"0o777\0")), "no number"),
        (_signed(_changed(_FILE[:512], 156, b"x")), "within a header"),
        (_signed(_changed(_changed(_FILE[:512], 156, b"x"), 124, b"77777777777\0")), "extended header has"),
        (bytes(512) + _FILE, "follows a block of zeros"),
        (archive(entry("f", pax_headers={"size": "-1"})), "negative"),
        (archive(entry("f", pax_headers={"mtime": "soon"})), "no time"),
        (archive(entry("f", pax_headers={"uid": "99999999999"})), "no owner"),
        (archive(entry("f", pax_headers={"path": "a\0b"})), "NUL"),
        (archive(entry("f", b"x", pax_headers={"GNU.sparse.map": "0,9", "GNU.sparse.size": "5"})), "sparse"),
        (archive(entry("f", b"x", pax_headers={"GNU.sparse.map": "0,1,0,1", "GNU.sparse.size": "5"})), "sparse"),
        (archive(entry("f", b"x", pax_headers={"GNU.sparse.map": "0", "GNU.sparse.size": "5"})), "sparse"),
        (
            archive(entry("f", b"x", pax_headers={"GNU.sparse.map": "9" * 19 + ",0", "GNU.sparse.size": "9" * 19})),
            "long",
        ),
        (
            archive(
                entry(
                    "f",
                    b"999999999\n" + b"1\n" * 4000,
                    pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"},
                )
            ),
            "too long",
        ),
        (_cut(archive(entry("n" * 200), form=tarfile.GNU_FORMAT), 1024), "after an extended header"),
    ],
)
def test_damaged_archives(data: bytes, said: str) -> None:
    """What no reader would take is one error that says why, whichever way it is read."""
    with pytest.raises(DamagedError, match=said):
        list(entries(Leaping(blob_of(data))))
    with pytest.raises(DamagedError, match=said):
        list(entries(Flowing(iter([data]), "sha256")))


@given(some.binary(max_size=3000), some.integers(0, 2000))
def test_noise(noise: bytes, at: int) -> None:
    """Whatever bytes there are, they are entries or an error, and never anything else."""
    data = _changed(archive(entry("f", b"x" * 600), directory("d"), link("l", "f"), hard_link("h", "f")), at, noise)
    for read_them in (Leaping(blob_of(data)), Flowing(iter([data]), "sha256")):
        try:
            list(entries(read_them))
        except DamagedError:
            continue
