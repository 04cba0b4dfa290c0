"""The parser of mountinfo, against the kernel's way to escape and against the kernel."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.kernel import mountinfo
from tests.capabilities import needs_mounting

NAMES = st.binary(max_size=40).map(lambda raw: raw.replace(b"\0", b"\n"))
WORDS = st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\0", b"\\"))


def escape(raw: bytes, special: bytes) -> bytes:
    """What seq_escape() does, written down anew from lib/string_helpers.c: ESCAPE_OCTAL of *special*."""
    return b"".join(b"\\%03o" % byte if byte in special else bytes([byte]) for byte in raw)


@given(NAMES, st.sampled_from([b" \t\n\\", b" \t\n\\#", b", \t\n\\", b",= \t\n\\"]))
def test_decode_undoes_escape(name: bytes, special: bytes) -> None:
    """decode(escape(name)) == name, for every set of characters that some caller in the kernel escapes."""
    assert mountinfo.decode(escape(name, special)) == os.fsdecode(name)


@given(
    root=WORDS,
    point=WORDS,
    source=NAMES,
    options=st.lists(st.tuples(WORDS, NAMES), max_size=6),
    tags=st.lists(st.sampled_from(["shared:1", "master:22", "propagate_from:3", "unbindable"]), max_size=3),
    fs_type=st.sampled_from(["overlay", "ext4", "fuse.sshfs"]),
)
def test_parse_reads_what_the_kernel_writes(
    *, root: bytes, point: bytes, source: bytes, options: list[tuple[bytes, bytes]], tags: list[str], fs_type: str
) -> None:
    """A line made as show_mountinfo() makes it gives back every byte, whatever the names hold."""
    fields = [b"36 35 98:0", escape(root, b" \t\n\\"), escape(point, b" \t\n\\"), b"rw,noatime"]
    fields += [os.fsencode(tag) for tag in tags]
    own = [escape(key, b",= \t\n\\") + b"=" + escape(value, b", \t\n\\") for key, value in options]
    fields += [b"-", os.fsencode(fs_type), escape(source, b" \t\n\\#"), b",".join([b"ro", *own])]
    parsed = mountinfo.parse(b" ".join(fields) + b"\n")
    assert parsed == mountinfo.MountInfo(
        mount_id=36,
        parent_id=35,
        dev=(98, 0),
        root=os.fsdecode(root),
        mount_point=os.fsdecode(point),
        mount_options=("rw", "noatime"),
        propagation=tuple(tags),
        fs_type=fs_type,
        source=os.fsdecode(source),
        super_options=("ro", *(os.fsdecode(key + b"=" + value) for key, value in options)),
    )


@pytest.mark.parametrize("line", [b"", b"1 2 3", b"a b c d e f - g h i", b"1 2 0:1 / / rw - only two", b"\xff" * 9])
def test_other_lines_are_refused(line: bytes) -> None:
    """What is no line of mountinfo is a ValueError that shows it."""
    with pytest.raises(ValueError, match="mountinfo"):
        mountinfo.parse(line)


def test_every_line_here_parses() -> None:
    """Each line of this machine gives one value, and the root directory is among them."""
    found = mountinfo.read()
    assert len(found) == len(mountinfo.read_raw())
    assert "/" in {entry.mount_point for entry in found}
    assert found == mountinfo.read(os.getpid())


def test_missing_process() -> None:
    """A process that does not exist is FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        mountinfo.read(2**22 + 1)


@needs_mounting
def test_empty_source_keeps_the_fields_apart(scratch: str) -> None:
    """An empty source leaves two spaces in a row; the options are still the options."""
    from ovlctl.kernel.mount import MS, mount

    mount("", scratch, "tmpfs", MS(0), b"size=64k")
    (found,) = (entry for entry in mountinfo.read() if entry.mount_point == scratch)
    assert found.source == ""
    assert found.super_options[0] == "rw"
    assert "size=64k" in found.super_options
