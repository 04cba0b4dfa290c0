# ruff: noqa: E501 -- a table: one row, one line
"""Layers that the kernel would never write, one row each: resolver and kernel agree, and the rule has its name."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

import pytest

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.kernel_habits import habits
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, Verity
from ovlctl.overlay.resolution import Rule
from ovlctl.overlay.tree import Kind
from tests import capabilities
from tests.overlay.agreement import disagreements
from tests.overlay.made import Case, Made, directory, file, link, mounted, new_directory, resolving, whiteout

FOLLOW = Options(redirect_dir=RedirectDir.FOLLOW)
NOFOLLOW = Options(redirect_dir=RedirectDir.NOFOLLOW)
METACOPY = Options(metacopy=Switch.ON)
USER = Options(userxattr=Flag.YES)
DEEP = "/".join("d" * 100)
LONG = "/".join(["n" * 250] * 17)
ANY_BYTE = os.fsdecode(bytes(set(range(1, 256)) - {ord("/")}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One corner.

    Attributes:
        path: The path it is about.
        rule: What the resolver says decided there.
        errno: What lstat(2) gives.
        content: Of the file, when it can be read; the errno of open(2) when it cannot.
        habit: What it takes of a kernel to be so.
        without: Rule, errno and content where the kernel is another.
    """

    name: str
    lowers: tuple[dict[str, Made], ...]
    path: str
    rule: Rule
    upper: dict[str, Made] | None = None
    data: tuple[dict[str, Made], ...] = ()
    options: Options = FOLLOW
    errno: int = 0
    content: bytes | int | None = None
    habit: Habit | None = None
    without: tuple[Rule, int, bytes | None] = (Rule.TOPMOST, 0, b"")

    @property
    def here(self) -> tuple[Rule, int, bytes | int | None]:
        """Rule, errno and content by the kernel that runs here."""
        other = self.habit is not None and habits(self.habit) is Answer.NO
        return self.without if other else (self.rule, self.errno, self.content)


LOWER = {"d": directory(), "d/f": file(b"below"), "f": file(b"lower")}
META = file(b"....", metacopy=b"")
ROWS = [
    Row(name="plain", lowers=({}, LOWER), path="f", rule=Rule.TOPMOST, content=b"lower"),
    Row(name="merged", lowers=({"d": directory()}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="whiteout", lowers=({"f": whiteout()}, LOWER), path="f", rule=Rule.WHITEOUT, errno=errno.ENOENT),
    Row(name="whiteout over nothing", lowers=({"n": whiteout()}, LOWER), path="n", rule=Rule.WHITEOUT, errno=errno.ENOENT),
    Row(name="whiteout of upper alone", lowers=(LOWER,), upper={"u": directory(), "u/w": whiteout()}, path="u/w", rule=Rule.WHITEOUT, errno=errno.ENOENT),
    Row(name="empty file as whiteout, directory says so", lowers=({"d": directory(opaque=b"x"), "d/f": file(whiteout=b"")}, LOWER), path="d/f", rule=Rule.WHITEOUT, errno=errno.ENOENT, habit=Habit.XATTR_WHITEOUTS),
    Row(name="empty file as whiteout, directory is silent", lowers=({"d": directory(), "d/f": file(whiteout=b"y")}, LOWER), path="d/f", rule=Rule.WHITEOUT, errno=errno.ENOENT, habit=Habit.XATTR_WHITEOUTS),
    Row(name="full file with the mark", lowers=({"d/f": file(b"full", whiteout=b"")}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"full"),
    Row(name="whiteout of the root's x", lowers=({"": directory(opaque=b"x"), "f": file(whiteout=b"")}, LOWER), path="f", rule=Rule.WHITEOUT, errno=errno.ENOENT, habit=Habit.XATTR_WHITEOUTS),
    Row(name="opaque", lowers=({"d": directory(opaque=b"y")}, LOWER), path="d/f", rule=Rule.NOWHERE, errno=errno.ENOENT),
    Row(name="opaque itself", lowers=({"d": directory(opaque=b"y")}, LOWER), path="d", rule=Rule.OPAQUE),
    Row(name="opaque=yes", lowers=({"d": directory(opaque=b"yes")}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="opaque root", lowers=({"": directory(opaque=b"y")}, LOWER), path="f", rule=Rule.TOPMOST, content=b"lower"),
    Row(name="file over directory over directory", lowers=({"d": file(b"file")}, LOWER, LOWER), path="d/f", rule=Rule.PARENT_NOT_DIRECTORY, errno=errno.ENOTDIR),
    Row(name="directory over file over directory", lowers=({"d": directory()}, {"d": file()}, LOWER), path="d/f", rule=Rule.NOWHERE, errno=errno.ENOENT),
    Row(name="below nothing", lowers=({}, LOWER), path="no/where", rule=Rule.PARENT_ABSENT, errno=errno.ENOENT),
    Row(name="redirect", lowers=({"new": directory(redirect=b"d")}, LOWER), path="new/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="redirect itself", lowers=({"new": directory(redirect=b"/d")}, LOWER), path="new", rule=Rule.REDIRECTED),
    Row(name="redirect not followed", lowers=({"new": directory(redirect=b"d")}, LOWER), path="new/f", rule=Rule.REDIRECT_NOT_FOLLOWED, errno=errno.EPERM, options=NOFOLLOW),
    Row(name="redirect with userxattr", lowers=({"new": directory(redirect=b"d")}, LOWER), path="new", rule=Rule.REDIRECT_NOT_FOLLOWED, errno=errno.EPERM, options=USER),
    Row(name="redirect in the last layer, not followed", lowers=({}, {"new": directory(redirect=b"d")}), path="new", rule=Rule.TOPMOST, options=NOFOLLOW),
    Row(name="dangling redirect", lowers=({"new": directory(redirect=b"/no/where")}, LOWER), path="new", rule=Rule.TOPMOST),
    Row(name="redirect to a file", lowers=({"new": directory(redirect=b"/f")}, LOWER), path="new", rule=Rule.TOPMOST),
    Row(name="redirect through a file", lowers=({"new": directory(redirect=b"/f/x")}, LOWER), path="new", rule=Rule.TOPMOST),
    Row(name="redirect to a whiteout", lowers=({"new": directory(redirect=b"/w")}, {"w": whiteout()}, {"w": directory(), "w/f": file()}), path="new/f", rule=Rule.NOWHERE, errno=errno.ENOENT),
    Row(name="redirect through a redirect", lowers=({"new": directory(redirect=b"/a/s")}, {"a": directory(redirect=b"b"), "a/s": directory()}, {"b/s/f": file(b"far")}), path="new/f", rule=Rule.TOPMOST, content=b"far"),
    Row(name="redirect past an opaque parent", lowers=({"o": directory(opaque=b"y"), "o/new": directory(redirect=b"/d")}, LOWER), path="o/new/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="redirects that change places", lowers=({"a": directory(redirect=b"b"), "b": directory(redirect=b"a")}, {"a/1": file(), "b/2": file()}), path="a/2", rule=Rule.TOPMOST, content=b""),
    Row(name="redirect to a directory above", lowers=(LOWER,), upper={"d": directory(), "d/loop": directory(redirect=b"/d")}, path="d/loop", rule=Rule.REDIRECT_LOOP, errno=errno.ESTALE),
    Row(name="redirect to a directory above, no upper", lowers=({"t/loop": directory(redirect=b"/t")}, {"t/f": file()}, {}), path="t/loop/loop", rule=Rule.NOWHERE, errno=errno.ENOENT),
    *(
        Row(name=f"invalid redirect {value!r}", lowers=({"new": directory(redirect=value)}, LOWER), path="new", rule=Rule.REDIRECT_INVALID, errno=errno.EINVAL)
        for value in (b"../d", b"", b"/", b"//d", b"/d/", b"a/b")
    ),
    *(
        Row(name=f"refused redirect {value!r}", lowers=({"new": directory(redirect=value)}, LOWER), path="new", rule=Rule.REDIRECT_REFUSED, errno=errno.EACCES)
        for value in (b".", b"..", b"/d/..", b"/./d", b"\0d")
    ),
    Row(name="redirect cut at NUL", lowers=({"new": directory(redirect=b"d\0x")}, LOWER), path="new/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="invalid redirect in the last layer", lowers=({}, {"new": directory(redirect=b"../d")}), path="new", rule=Rule.TOPMOST),
    Row(name="metacopy", lowers=({"f": META}, LOWER), path="f", rule=Rule.METACOPY, content=b"lower", options=METACOPY),
    Row(name="metacopy through redirect", lowers=({"m": file(b"....", metacopy=b"", redirect=b"/d/f")}, LOWER), path="m", rule=Rule.METACOPY, content=b"below", options=METACOPY),
    Row(name="metacopy of metacopy", lowers=({"f": META}, {"f": META}, LOWER), path="f", rule=Rule.METACOPY, content=b"lower", options=METACOPY),
    Row(name="metacopy without data", lowers=({"n": META}, LOWER), path="n", rule=Rule.METACOPY_WITHOUT_DATA, errno=errno.EIO, options=METACOPY),
    Row(name="metacopy over a directory", lowers=({"d": META}, LOWER), path="d", rule=Rule.METACOPY_WITHOUT_DATA, errno=errno.EIO, options=METACOPY),
    Row(name="metacopy over a whiteout", lowers=({"f": META}, {"f": whiteout()}, LOWER), path="f", rule=Rule.METACOPY_WITHOUT_DATA, errno=errno.EIO, options=METACOPY),
    Row(name="metacopy over a symbolic link", lowers=({"f": META}, {"f": link("/etc/passwd")}, LOWER), path="f", rule=Rule.METACOPY_WITHOUT_DATA, errno=errno.EIO, options=METACOPY),
    Row(name="metacopy, option off", lowers=({"f": META}, LOWER), path="f", rule=Rule.METACOPY_NOT_FOLLOWED, errno=errno.EPERM),
    Row(name="metacopy in the last layer", lowers=({}, {"f": META}), path="f", rule=Rule.METACOPY_WITHOUT_DATA, errno=errno.EIO, options=METACOPY),
    Row(name="metacopy mark too short", lowers=({"f": file(b"x", metacopy=b"\0")}, LOWER), path="f", rule=Rule.METACOPY_INVALID, errno=errno.EIO, options=METACOPY, habit=Habit.METACOPY_VALUES, without=(Rule.METACOPY, 0, b"lower")),
    Row(name="metacopy mark too short, option off", lowers=({"f": file(b"x", metacopy=b"\0")}, LOWER), path="f", rule=Rule.METACOPY_INVALID, errno=errno.EIO, habit=Habit.METACOPY_VALUES, without=(Rule.METACOPY_NOT_FOLLOWED, errno.EPERM, None)),
    Row(name="metacopy on a directory", lowers=({"d": directory(metacopy=b"")}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"below", options=METACOPY),
    Row(name="metacopy in the upper", lowers=(LOWER,), upper={"f": META}, path="f", rule=Rule.METACOPY, content=b"lower", options=METACOPY),
    Row(name="metacopy in the upper alone, option off", lowers=(LOWER,), upper={"n": META}, path="n", rule=Rule.METACOPY_NOT_FOLLOWED, errno=errno.EPERM, habit=Habit.REFUSES_FIRST, without=(Rule.METACOPY_WITHOUT_DATA, errno.EIO, None)),
    Row(name="metacopy in the upper, option off", lowers=(LOWER,), upper={"f": META}, path="f", rule=Rule.METACOPY_NOT_FOLLOWED, errno=errno.EPERM),
    Row(name="redirect in the upper to nothing, not followed", lowers=(LOWER,), upper={"n": directory(redirect=b"no")}, path="n", rule=Rule.REDIRECT_NOT_FOLLOWED, errno=errno.EPERM, options=NOFOLLOW, habit=Habit.REFUSES_FIRST, without=(Rule.TOPMOST, 0, None)),
    Row(name="redirect in the upper, not followed", lowers=(LOWER,), upper={"n": directory(redirect=b"d")}, path="n", rule=Rule.REDIRECT_NOT_FOLLOWED, errno=errno.EPERM, options=NOFOLLOW),
    Row(name="metacopy without a digest", lowers=({"f": META}, LOWER), path="f", rule=Rule.METACOPY, content=errno.EIO, options=Options(metacopy=Switch.ON, verity=Verity.REQUIRE)),
    Row(name="data-only", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/o/1")},), data=({"o/1": file(b"data")},), path="f", rule=Rule.METACOPY, content=b"data", options=METACOPY),
    Row(name="data-only, second", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/1")},), data=({}, {"1": file(b"2nd")}), path="f", rule=Rule.METACOPY, content=b"2nd", options=METACOPY),
    Row(name="data-only, missing", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/o/2")},), data=({"o/1": file()},), path="f", rule=Rule.METACOPY, content=errno.ENOENT, options=METACOPY),
    Row(name="data-only, missing, below a metacopy of the upper", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/o/2")},), upper={"f": META}, data=({"o/1": file()},), path="f", rule=Rule.METACOPY, content=errno.ENOENT, options=METACOPY),
    Row(name="data-only, a directory", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/o")},), data=({"o/1": file()},), path="f", rule=Rule.METACOPY, content=errno.ENOENT, options=METACOPY),
    Row(name="data-only, a symbolic link", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/s")},), data=({"s": link("/etc/passwd")},), path="f", rule=Rule.METACOPY, content=errno.ENOENT, options=METACOPY),
    Row(name="data-only, through a symbolic link", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/s/passwd")},), data=({"s": link("/etc")},), path="f", rule=Rule.METACOPY, content=errno.ELOOP, options=METACOPY),
    Row(name="data-only, through a file", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/1/2")},), data=({"1": file()},), path="f", rule=Rule.METACOPY, content=errno.ENOTDIR, options=METACOPY),
    Row(name="data-only, out of the layer", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/../../etc/passwd")},), data=({"etc/passwd": file(b"!")},), path="f", rule=Rule.METACOPY, content=errno.EXDEV, options=METACOPY),
    Row(name="data-only, options off", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/1")},), data=({"1": file(b"data")},), path="f", rule=Rule.METACOPY, content=b"data", options=NOFOLLOW, habit=Habit.REFUSES_FIRST, without=(Rule.METACOPY_NOT_FOLLOWED, errno.EPERM, None)),
    Row(name="data-only, relative redirect", lowers=({"f": file(b"....", metacopy=b"", redirect=b"1")},), data=({"1": file(b"data")},), path="f", rule=Rule.METACOPY_WITHOUT_DATA, errno=errno.EIO, options=METACOPY),
    Row(name="escaped marks", lowers=({"d": directory(**{"overlay.opaque": b"y", "overlay.overlay.redirect": b"x"})}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="marks of the other namespace", lowers=({"d": Made(kind=Kind.DIRECTORY, mode=0o755, xattrs={"user.overlay.opaque": b"y"})}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="marks in user attributes", lowers=({"d": directory(opaque=b"y")}, LOWER), path="d/f", rule=Rule.NOWHERE, errno=errno.ENOENT, options=USER),
    Row(name="any byte in a name", lowers=({ANY_BYTE: directory()}, {f"{ANY_BYTE}/{ANY_BYTE}": file(b"x")}), path=f"{ANY_BYTE}/{ANY_BYTE}", rule=Rule.TOPMOST, content=b"x"),
    Row(name="redirect to any byte", lowers=({"n": directory(redirect=os.fsencode(ANY_BYTE))}, {f"{ANY_BYTE}/f": file(b"x")}), path="n/f", rule=Rule.TOPMOST, content=b"x"),
    Row(name="deep", lowers=({f"{DEEP}/f": file(b"deep")}, {f"{DEEP}/g": file()}), path=f"{DEEP}/f", rule=Rule.TOPMOST, content=b"deep"),
    Row(name="deep name too long", lowers=({}, LOWER), path="d/" + "n" * 256, rule=Rule.NAME_TOO_LONG, errno=errno.ENAMETOOLONG),
    Row(name="redirect of 300 components", lowers=({"d": directory(redirect=b"/" + b"/".join([b"n"] * 300))}, {"/".join("n" * 300) + "/f": file(b"far")}), path="d/f", rule=Rule.TOPMOST, content=b"far"),
    Row(name="redirect as long as an attribute", lowers=({"d": directory(redirect=b"/d" * 32768)}, LOWER), path="d/f", rule=Rule.NOWHERE, errno=errno.ENOENT),
    Row(name="redirect of one name, as long as an attribute", lowers=({"d": directory(redirect=b"d" * 65536)}, LOWER), path="d/f", rule=Rule.NOWHERE, errno=errno.ENOENT),
    Row(name="opaque as long as an attribute", lowers=({"d": directory(opaque=b"y" * 65536)}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"below"),
    Row(name="digest as long as an attribute", lowers=({"f": file(b"....", metacopy=b"\0" * 65536)}, LOWER), path="f", rule=Rule.METACOPY, content=b"lower", options=METACOPY),
    Row(name="data-only, longer than a path", lowers=({"f": file(b"....", metacopy=b"", redirect=os.fsencode("/" + LONG + "/1"))},), data=({f"{LONG}/1": file(b"data")},), path="f", rule=Rule.METACOPY, content=errno.ENAMETOOLONG, options=METACOPY),
    Row(name="data-only, as long as a path", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/1" * 2047)},), data=({},), path="f", rule=Rule.METACOPY, content=errno.ENOENT, options=METACOPY),
    Row(name="data-only, a name too long", lowers=({"f": file(b"....", metacopy=b"", redirect=b"/" + b"n" * 256)},), data=({},), path="f", rule=Rule.METACOPY, content=errno.ENAMETOOLONG, options=METACOPY),
    Row(name="redirect to a name too long", lowers=({"d": directory(redirect=b"n" * 256)}, LOWER), path="d", rule=Rule.TOPMOST),
    Row(name="character device", lowers=({"c": Made(kind=Kind.CHARACTER, mode=0o600, rdev=os.makedev(1, 3))}, LOWER), path="c", rule=Rule.TOPMOST),
    Row(name="block device 0:0 is no whiteout", lowers=({"f": Made(kind=Kind.BLOCK, mode=0o600)}, LOWER), path="f", rule=Rule.TOPMOST),
    Row(name="socket", lowers=({"f": Made(kind=Kind.SOCKET, mode=0o755)}, LOWER), path="f", rule=Rule.TOPMOST),
    Row(name="fifo", lowers=({"f": Made(kind=Kind.FIFO)}, LOWER), path="f", rule=Rule.TOPMOST),
    Row(name="symbolic link to /etc", lowers=({"d": link("/etc")}, LOWER), path="d", rule=Rule.TOPMOST),
    Row(name="redirect through a symbolic link", lowers=({"new": directory(redirect=b"/s/f")}, {"s": link("d"), **LOWER}), path="new", rule=Rule.TOPMOST),
    Row(name="nobody may read it", lowers=({"d": Made(kind=Kind.DIRECTORY, mode=0)}, LOWER), path="d/f", rule=Rule.TOPMOST, content=b"below"),
]  # fmt: skip


def _needs(row: Row) -> list[pytest.MarkDecorator]:
    found = []
    if row.data:
        found.append(capabilities.needs_data_only)
    if row.options.userxattr is Flag.YES:
        found.append(capabilities.needs_userxattr)
    if row.options.verity is not None:
        found.append(capabilities.needs_option(f"metacopy=on,verity={row.options.verity}"))
    return found


#: The rows, each with what it needs of the kernel.
CORNERS = [pytest.param(row, id=row.name, marks=_needs(row)) for row in ROWS]


@pytest.mark.parametrize("row", CORNERS)
def test_resolver_equals_kernel_in_the_corner(room: str, row: Row) -> None:
    """The kernel gives what the row says, the resolver says what the kernel gives, there and at every other name."""
    case = Case(lowers=row.lowers, upper=row.upper, data=row.data, options=row.options)
    with new_directory(room) as base:
        stack = case.write(base)
        with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
            found = resolver.resolve(row.path)
            rule, number, content = row.here
            assert (found.rule, found.errno) == (rule, number)
            assert found.certain
            assert _kernel_errno(os.path.join(point, row.path)) == number
            if content is not None:
                assert _content(os.path.join(point, row.path)) == content
            names = {name for layer in (*row.lowers, row.upper or {}) for path in layer for name in path.split("/")}
            assert list(disagreements(resolver, point, names - {""}, stack)) == []


def _kernel_errno(path: str) -> int:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno or 0
    return 0


def _content(path: str) -> bytes | int:
    try:
        with open(path, "rb") as opened:
            return opened.read()
    except OSError as error:
        return error.errno or 0
