"""Extended attributes as bytes, and file handles."""

from __future__ import annotations

import errno
import os

import pytest

from ovlctl.kernel import handles, xattr
from ovlctl.kernel.bootcache import Answer
from tests.capabilities import needs_overlay, needs_overlay_handles, needs_root
from tests.kernel import overlays, refusals
from tests.kernel.children import child


def test_round_trip(scratch: str) -> None:
    """What is stored comes back, whatever bytes; what is removed is gone."""
    value = bytes(range(256))
    xattr.set(scratch, "user.ovlctl", value)
    assert xattr.get(scratch, "user.ovlctl") == value
    assert "user.ovlctl" in xattr.names(scratch)
    assert xattr.remove(scratch, "user.ovlctl")
    assert not xattr.remove(scratch, "user.ovlctl")
    assert xattr.get(scratch, "user.ovlctl") is None


def test_empty_is_not_absent(scratch: str) -> None:
    """An empty value is a value (overlay.metacopy has one)."""
    xattr.set(scratch, "user.empty", b"")
    assert xattr.get(scratch, "user.empty") == b""


def test_by_descriptor(scratch: str) -> None:
    """The same through an open file."""
    with open(os.path.join(scratch, "file"), "wb") as file:
        xattr.set(file.fileno(), "user.ovlctl", b"x")
        assert xattr.get(file.fileno(), "user.ovlctl") == b"x"
        assert "user.ovlctl" in xattr.names(file.fileno())
        assert xattr.remove(file.fileno(), "user.ovlctl")
        assert xattr.get(file.fileno(), "user.ovlctl") is None


def test_flags(scratch: str) -> None:
    """CREATE wants it absent, REPLACE wants it there."""
    with pytest.raises(OSError, match="No data") as caught:
        xattr.set(scratch, "user.flags", b"x", xattr.XATTR_REPLACE)
    assert caught.value.errno == errno.ENODATA
    xattr.set(scratch, "user.flags", b"x", xattr.XATTR_CREATE)
    with pytest.raises(FileExistsError):
        xattr.set(scratch, "user.flags", b"y", xattr.XATTR_CREATE)


@needs_root
def test_symbolic_links_are_not_followed(scratch: str) -> None:
    """The link has its own attributes; those of its target stay out of sight and untouched."""
    link = os.path.join(scratch, "link")
    target = os.path.join(scratch, "target")
    os.mkdir(target)
    os.symlink(target, link)
    xattr.set(target, "trusted.ovlctl", b"target")
    assert xattr.get(link, "trusted.ovlctl") is None
    xattr.set(link, "trusted.ovlctl", b"link")
    assert xattr.get(target, "trusted.ovlctl") == b"target"
    assert xattr.remove(link, "trusted.ovlctl")
    assert "trusted.ovlctl" not in xattr.names(link)
    assert "trusted.ovlctl" in xattr.names(target)


def test_file_system_without_attributes() -> None:
    """Where no attributes exist none is there, and that is no error."""
    assert xattr.get("/proc/self/status", "user.ovlctl") is None
    assert not xattr.remove("/proc/self/status", "user.ovlctl")
    assert isinstance(xattr.names("/proc/self/status"), tuple)


def test_missing_file_is_an_error(scratch: str) -> None:
    """A missing file is FileNotFoundError, not None."""
    with pytest.raises(FileNotFoundError):
        xattr.get(os.path.join(scratch, "missing"), "user.x")


def test_handle_names_the_object(scratch: str) -> None:
    """Equal handles mean one object: hard links share one, different files do not."""
    one, same, other = (os.path.join(scratch, name) for name in ("one", "same", "other"))
    for path in (one, other):
        with open(path, "wb"):
            pass
    os.link(one, same)
    if not handles.has_handles(scratch):
        pytest.skip("no file handles on the scratch file system")
    assert handles.name_to_handle_at(one) == handles.name_to_handle_at(same)
    assert handles.name_to_handle_at(one).handle != handles.name_to_handle_at(other).handle
    directory = os.open(scratch, os.O_PATH)
    try:
        assert handles.name_to_handle_at("one", directory) == handles.name_to_handle_at(one)
        assert handles.name_to_handle_at("", directory) == handles.name_to_handle_at(scratch)
    finally:
        os.close(directory)


def test_handle_of_link_or_target(scratch: str) -> None:
    """A link is followed when asked to, and only then."""
    target, link = os.path.join(scratch, "target"), os.path.join(scratch, "link")
    os.mkdir(target)
    os.symlink(target, link)
    if not handles.has_handles(scratch):
        pytest.skip("no file handles on the scratch file system")
    assert handles.name_to_handle_at(link, follow=True) == handles.name_to_handle_at(target)
    assert handles.name_to_handle_at(link) != handles.name_to_handle_at(target)


def test_no_handles() -> None:
    """Proc has none: an answer, not an error. Of what cannot be reached nothing is known."""
    assert handles.openable("/proc/self") is Answer.NO
    assert not handles.has_handles("/proc/self")
    assert handles.openable("/no-such-path") is Answer.UNKNOWN
    with pytest.raises(FileNotFoundError):
        handles.name_to_handle_at("/no-such-path")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EOPNOTSUPP, Answer.NO),
        (errno.EOVERFLOW, Answer.NO),
        (errno.EPERM, Answer.UNKNOWN),
        (errno.ENOSYS, Answer.UNKNOWN),
        (errno.EIO, Answer.UNKNOWN),
    ],
)
def test_what_an_errno_says_of_handles(number: int, expected: Answer) -> None:
    """The two errnos by which a file system says it has none are a no; a sandbox's or a server's say nothing."""
    if refusals.NAME_TO_HANDLE_AT is None:
        pytest.skip("the number of name_to_handle_at(2) on this architecture is not known to the test")
    code = """
import sys
from ovlctl.kernel import handles
from tests.kernel.refusals import refuse
refuse(int(sys.argv[1]), int(sys.argv[2]))
assert handles.openable("/") == sys.argv[3], handles.openable("/")
assert handles.has_handles("/") == (sys.argv[3] != "no")
"""
    with child(code, str(number), str(refusals.NAME_TO_HANDLE_AT), expected):
        pass


@needs_overlay
def test_overlay_gives_no_handles_for_opening(scratch: str) -> None:
    """Not without nfs_export."""
    merged = overlays.simple(scratch, userxattr=os.geteuid() != 0)
    assert handles.openable(os.path.join(merged, "file")) is Answer.NO


@needs_overlay_handles
def test_overlay_gives_identifying_handles(scratch: str) -> None:
    """On an overlay without nfs_export a handle is for identification (AT_HANDLE_FID)."""
    merged = overlays.simple(scratch, userxattr=os.geteuid() != 0)
    path = os.path.join(merged, "file")
    first = handles.name_to_handle_at(path, fid=True)
    assert first == handles.name_to_handle_at(path, fid=True)
    assert first.handle != handles.name_to_handle_at(os.path.join(merged, "sub"), fid=True).handle
