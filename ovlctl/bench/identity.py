"""What a copy-up does to a file's identity: st_ino, st_dev and hard links, measured case by case.

"Files in MergedDir share the same inode as in LowerDir until modified" and "hard links break on copy-up" are both
said of overlayfs in general, and both hold only sometimes: on whether the layers share a file system, on xino, and
on index. So each case is mounted, looked at, written to, unmounted and mounted again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.bench import stage
from ovlctl.bench.grounds import small_tmpfs
from ovlctl.bench.terms import Settings
from ovlctl.bench.values import FileStat, IdentityCase
from ovlctl.ops.workspace import remove_tree
from ovlctl.overlay.options import Options, Switch, Xino

if TYPE_CHECKING:
    from collections.abc import Generator

_OLD, _NEW = b"old data\n", b"new data\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case to try: one file system or two, one name or two, and the two options that matter."""

    two_file_systems: bool = False
    xino: Xino = Xino.OFF
    linked: bool = False
    index: Switch = Switch.OFF

    @property
    def name(self) -> str:
        """Such as ``two fs, xino=auto, hard link, index=on``."""
        parts = ["two fs" if self.two_file_systems else "same fs"]
        if self.two_file_systems:
            parts.append(f"xino={self.xino}")
        if self.linked:
            parts.append(f"hard link, index={self.index}")
        return ", ".join(parts)


CASES: tuple[Case, ...] = (
    Case(),
    Case(linked=True),
    Case(linked=True, index=Switch.ON),
    *(Case(two_file_systems=True, xino=xino) for xino in (Xino.OFF, Xino.AUTO, Xino.ON)),
    *(
        Case(two_file_systems=True, xino=xino, linked=True, index=index)
        for xino in (Xino.OFF, Xino.ON)
        for index in (Switch.OFF, Switch.ON)
    ),
)


def measure(root: str) -> Generator[IdentityCase, None, None]:
    """Try every case of :data:`CASES` below *root*, whose file system has the uppers.

    The lower of "two file systems" is a tmpfs, made for it.

    Raises:
        KernelRefused: A mount failed.
        OSError: A file could not be made.
    """
    base = os.path.join(root, "identity")
    os.mkdir(base, 0o700)
    try:
        with small_tmpfs(os.path.join(base, "tmpfs")) as other:
            for index, case in enumerate(CASES):
                lower = os.path.join(other if case.two_file_systems else base, f"lower{index}")
                yield _follow(case, lower, os.path.join(base, f"case{index}"))
    finally:
        remove_tree(base)


def _follow(case: Case, lower: str, base: str) -> IdentityCase:
    for path in (lower, *(os.path.join(base, name) for name in ("", "upper", "work", "merged"))):
        os.mkdir(path, 0o755)
    original = os.path.join(lower, "file")
    with open(original, "wb") as file:
        file.write(_OLD)
    if case.linked:
        os.link(original, os.path.join(lower, "link"))
    options = Options(xino=case.xino, index=case.index)
    with stage.mounted((lower,), base, options) as mounted:
        path, link = os.path.join(mounted.merged, "file"), os.path.join(mounted.merged, "link")
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.write(_NEW)
        after = os.stat(path)
        kept = _is_same_file(path, link) if case.linked else None
    with stage.mounted((lower,), base, options) as again:
        remounted = os.stat(os.path.join(again.merged, "file"))
        if kept:
            kept = _is_same_file(os.path.join(again.merged, "file"), os.path.join(again.merged, "link"))
    there = os.stat(original)
    effective = mounted.effective
    return IdentityCase(
        case=case.name,
        # On one file system xino means nothing and is not shown.
        options=Settings((("index", effective.index or "off"), ("xino", effective.xino or "off"))),
        lower=_facts(there),
        before=_facts(before),
        after=_facts(after),
        remounted=_facts(remounted),
        number_same_as_lower=before.st_ino == there.st_ino,
        device_same_as_lower=before.st_dev == there.st_dev,
        number_constant=before.st_ino == after.st_ino == remounted.st_ino,
        hardlink_kept=kept,
        note=_dropped(case, effective),
    )


def _dropped(case: Case, effective: Options) -> str | None:
    found = {"xino": (case.xino, effective.xino or Xino.OFF), "index": (case.index, effective.index or Switch.OFF)}
    if not case.two_file_systems:
        del found["xino"]
    lost = [f"{name}={got}" for name, (asked, got) in found.items() if asked != got]
    return f"the kernel made this {' and '.join(lost)}" if lost else None


def _is_same_file(path: str, link: str) -> bool:
    one, other = os.stat(path), os.stat(link)
    with open(link, "rb") as file:
        content = file.read()
    return os.path.samestat(one, other) and one.st_nlink == other.st_nlink == 2 and content == _NEW  # noqa: PLR2004


def _facts(found: os.stat_result) -> FileStat:
    return FileStat(st_ino=found.st_ino, st_dev=found.st_dev, st_nlink=found.st_nlink, st_blocks=found.st_blocks)
