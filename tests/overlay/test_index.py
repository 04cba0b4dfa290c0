"""The index of an upper: hard links that stay one file, and records that do not fit (index=on, nfs_export=on)."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import KernelRefused
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.handles import name_to_handle_at
from ovlctl.ops.kernel_habits import habits
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.layers import Following, open_layers
from ovlctl.overlay.marks import Mark, Prefix
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, stated
from ovlctl.overlay.resolution import Rule
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_userxattr
from tests.overlay.agreement import disagreements
from tests.overlay.made import mounted, new_directory, resolving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.habits import Habits

# What spoils the upper, the options, the path it is about, the rule that decides there, and what lstat(2) gives.
Row = tuple[Callable[[str], None], Options, str, Rule, int]
EXPORT = Options(nfs_export=Switch.ON, redirect_dir=RedirectDir.ON)
METACOPY = Options(index=Switch.ON, metacopy=Switch.ON)


@pytest.fixture
def base(disk: str) -> Iterator[str]:
    """A directory for the layers of one test."""
    with new_directory(disk) as made:
        yield made


@pytest.mark.parametrize("metacopy", [Switch.OFF, Switch.ON])
def test_names_of_a_copied_up_link(base: str, metacopy: Switch) -> None:
    """A lower name whose other name was changed has the change, its link count, and the index as its provider."""
    trees.make(base, {"lower/a": "old", "lower/d/z": "alone", "upper/": None, "work/": None})
    for name in ("b", "c", "d/e"):
        os.link(f"{base}/lower/a", f"{base}/lower/{name}")
    os.link(f"{base}/lower/d/z", f"{base}/lower/y")
    options = Options(index=Switch.ON, metacopy=metacopy)
    stack = Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        os.chmod(f"{point}/y", 0o600)
        with open(f"{point}/a", "a", encoding="utf-8") as changed:
            changed.write(" and new")
        os.unlink(f"{point}/c")
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        found = resolver.resolve("d/e")
        assert found.rule is Rule.INDEXED
        assert found.nlink == os.lstat(f"{point}/d/e").st_nlink == 3
        assert found.data == found.stack[0]
        assert list(disagreements(resolver, point, ["a", "b", "c", "d", "e", "y", "z"], None)) == []


def _record(path: str, *, upper: bool = False) -> bytes:
    """The record of *path* as the kernel would write it, taken from one that it wrote on the same file system."""
    found = name_to_handle_at(path)
    base = path[: path.index("/lower") if "/lower" in path else path.index("/upper")]
    written = os.getxattr(f"{base}/upper/copied", f"{Prefix.TRUSTED}{Mark.ORIGIN}")
    header = bytes([0, 0xFB, 21 + len(found.handle), 4 if upper else written[3], found.type])
    return header + written[5:21] + found.handle


def _set(path: str, mark: Mark, value: bytes) -> None:
    os.setxattr(path, f"{Prefix.TRUSTED}{mark}", value)


def _index(base: str, record: bytes) -> str:
    return f"{base}/work/index/{record.hex()}"


def _forget_index(base: str) -> None:
    # With an entry for a directory that has no origin the kernel refuses to mount.
    shutil.rmtree(f"{base}/work/index")


def _origin_of_another_file(base: str) -> None:
    _set(f"{base}/upper/f", Mark.ORIGIN, _record(f"{base}/lower/g"))


def _origin_of_nothing(base: str) -> None:
    record = _record(f"{base}/lower/g")
    os.unlink(f"{base}/lower/g")
    _set(f"{base}/upper/f", Mark.ORIGIN, record)


def _origin_of_a_directory(base: str) -> None:
    _set(f"{base}/upper/f", Mark.ORIGIN, _record(f"{base}/lower/d"))


def _no_origin(base: str) -> None:
    os.removexattr(f"{base}/upper/f", f"{Prefix.TRUSTED}{Mark.ORIGIN}")


def _directory_of_another(base: str) -> None:
    _set(f"{base}/upper/d", Mark.ORIGIN, _record(f"{base}/lower/e"))


def _directory_of_nothing(base: str) -> None:
    _forget_index(base)
    _set(f"{base}/upper/d", Mark.ORIGIN, b"")


def _directory_of_a_newer_version(base: str) -> None:
    _forget_index(base)
    record = _record(f"{base}/lower/d")
    _set(f"{base}/upper/d", Mark.ORIGIN, b"\1" + record[1:])


def _directory_without_origin(base: str) -> None:
    _forget_index(base)
    os.removexattr(f"{base}/upper/d", f"{Prefix.TRUSTED}{Mark.ORIGIN}")


def _directory_moved_away(base: str) -> None:
    os.rename(f"{base}/upper/d", f"{base}/upper/moved")


def _directory_twice(base: str) -> None:
    os.makedirs(f"{base}/upper/again/d")
    _set(f"{base}/upper/again", Mark.REDIRECT, b"/d")
    _set(f"{base}/upper/again", Mark.ORIGIN, _record(f"{base}/lower/d"))


def _link_is_a_whiteout(base: str) -> None:
    os.mknod(_index(base, _record(f"{base}/lower/link")), 0o20000, 0)


def _link_counts_by_the_lower(base: str) -> None:
    _set(f"{base}/upper/hard", Mark.NLINK, b"L+3")


def _link_counts_badly(base: str) -> None:
    _set(f"{base}/upper/hard", Mark.NLINK, b"U-99")


def _lower_lost_its_links(base: str) -> None:
    for name in ("hard2", "hard3"):
        os.unlink(f"{base}/lower/{name}")
    _set(f"{base}/upper/hard", Mark.NLINK, b"U+5")


def _link_copied_apart(base: str) -> None:
    # As cp(1) does it: the name is another file than the entry.
    with open(f"{base}/upper/hard", "rb") as old:
        content = old.read()
    os.unlink(f"{base}/upper/hard")
    with open(f"{base}/upper/hard", "wb") as new:
        new.write(content)
    _set(f"{base}/upper/hard", Mark.ORIGIN, _record(f"{base}/lower/hard"))


ROWS: list[Row] = [
    (_origin_of_another_file, METACOPY, "f", Rule.ORIGIN_DIFFERS, errno.ESTALE),
    (_origin_of_nothing, METACOPY, "f", Rule.METACOPY, 0),
    (_origin_of_a_directory, METACOPY, "f", Rule.METACOPY, 0),
    (_no_origin, METACOPY, "f", Rule.METACOPY, 0),
    (_link_counts_by_the_lower, METACOPY, "hard", Rule.METACOPY, 0),
    (_link_counts_badly, METACOPY, "hard", Rule.METACOPY, 0),
    (_lower_lost_its_links, METACOPY, "hard", Rule.METACOPY, 0),
    (_link_is_a_whiteout, METACOPY, "link", Rule.INDEX_WRONG, errno.EIO),
    (_link_copied_apart, METACOPY, "hard", Rule.TOPMOST, 0),
    (_directory_of_another, METACOPY, "d/low", Rule.TOPMOST, 0),
    (_directory_of_another, EXPORT, "d/low", Rule.NOWHERE, errno.ENOENT),
    (_directory_of_nothing, EXPORT, "d/low", Rule.NOWHERE, errno.ENOENT),
    (_directory_of_a_newer_version, EXPORT, "d/low", Rule.NOWHERE, errno.ENOENT),
    (_directory_without_origin, EXPORT, "d/low", Rule.TOPMOST, 0),
    (_directory_moved_away, EXPORT, "d", Rule.INDEX_WRONG, errno.EIO),
    (_directory_twice, EXPORT, "again", Rule.INDEX_WRONG, errno.EIO),
    (_link_counts_by_the_lower, EXPORT, "hard", Rule.TOPMOST, 0),
    (_link_counts_badly, EXPORT, "hard", Rule.TOPMOST, 0),
    (_lower_lost_its_links, EXPORT, "hard", Rule.TOPMOST, 0),
    (_link_is_a_whiteout, EXPORT, "link", Rule.INDEX_WRONG, errno.EIO),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].__name__.strip('_')}, {row[1].nfs_export or 'index'}")
def test_records_that_do_not_fit(base: str, row: Row) -> None:
    """An upper that somebody changed by hand: the kernel refuses, or looks away, just where the resolver says so."""
    spoil, options, path, rule, number = here(row)
    stack = prepared(base, options)
    spoil(base)
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        found = resolver.resolve(path)
        assert (found.rule, found.errno) == (rule, number)
        assert _errno(f"{point}/{path}") == number
        names = ["f", "g", "d", "e", "low", "new", "again", "hard", "hard2", "link", "link2", "moved"]
        assert list(disagreements(resolver, point, names, None)) == []


def here(row: Row) -> Row:
    """A row as this kernel has it."""
    spoil, options, path, _, _ = row
    if spoil is _origin_of_a_directory and habits(Habit.ORIGIN_KINDS) is Answer.YES:
        return spoil, options, path, Rule.ORIGIN_OTHER_KIND, errno.EIO
    return row


def prepared(base: str, options: Options) -> Stack:
    """A stack below *base* in which everything that a row spoils was copied up."""
    trees.make(base, {"lower/f": "f", "lower/g": "g", "lower/copied": "c", "lower/d/low": "x", "lower/e/other": "x"})
    trees.make(base, {"lower/hard": "h", "lower/link": "l", "upper/": None, "work/": None})
    for name in ("hard", "link"):
        for more in ("2", "3"):
            os.link(f"{base}/lower/{name}", f"{base}/lower/{name}{more}")
    stack = Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        for name in ("f", "copied", "d", "hard"):
            os.chmod(f"{point}/{name}", 0o700)
        os.mkdir(f"{point}/d/new")
    return stack


@needs_userxattr
def test_links_that_can_have_no_records(base: str) -> None:
    """With userxattr the index takes in links that can have no origin: not certain, and the next mount is refused."""
    trees.make(base, {"lower/": None, "upper/": None, "work/": None})
    os.symlink("target", f"{base}/lower/a")
    os.link(f"{base}/lower/a", f"{base}/lower/b", follow_symlinks=False)
    options = Options(index=Switch.ON, userxattr=Flag.YES)
    stack = Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        # The entry is made, and then the copy-up fails.
        with pytest.raises(PermissionError):
            os.lchown(f"{point}/a", 1000, 1000)
        with resolving(stack) as resolver:
            assert not resolver.resolve("a").certain
            assert not resolver.resolve("b").certain
            assert resolver.root().certain
    with pytest.raises(KernelRefused, match="ENODATA"), mounted(stack, f"{base}/merged"):
        pass


def _errno(path: str) -> int:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno or 0
    return 0


def _of(answer: Answer) -> Habits:
    """The habits of a kernel that has LINK_MARKS, or not; of the others nothing is known."""
    return lambda habit: answer if habit is Habit.LINK_MARKS else Answer.UNKNOWN


def test_link_count_that_kernels_count_differently(base: str) -> None:
    """How this kernel counts is found out, by root; where it is not known, such a link count is not certain."""
    stack = prepared(base, EXPORT)
    told = stated(stack.options, trusted_xattrs=True)
    assert habits(Habit.LINK_MARKS) in {Answer.YES, Answer.NO}
    with open_layers(stack, index=True) as layers:
        found = {answer: Resolver(layers, Following.of(told, habits=_of(answer))).resolve("f") for answer in Answer}
    assert {answer: each.certain for answer, each in found.items()} == {
        Answer.YES: True,
        Answer.NO: True,
        Answer.UNKNOWN: False,
    }
    assert (found[Answer.YES].nlink, found[Answer.NO].nlink) == (1, 2)
