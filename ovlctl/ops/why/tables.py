"""Lines of mount tables: mountinfo, /proc/mounts, findmnt in all its forms, the output of mount, fstab."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ovlctl.kernel import mountinfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: As show_mnt_opts() in fs/proc_namespace.c writes them.
_VFS_FLAG_WORDS = "ro rw nosuid nodev noexec noatime nodiratime relatime nosymfollow sync dirsync mand lazytime"
_VFS_FLAGS = frozenset(_VFS_FLAG_WORDS.split())
#: Fields of fstab(5), the last two of which may be left out; /proc/mounts has all, findmnt four.
_FSTAB_LEAST, _FSTAB_MOST = 4, 6
_TREE = re.compile(r"^[\s│├└─|`-]+(?=/)")
_PAIR = re.compile(r'([A-Z][A-Z-]*)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One overlay in a mount table.

    Attributes:
        target: Its mount point.
        read_only: Whether the mount or its super block is read-only.
        options: The options of the file system, decoded; those of the mount are left out.
    """

    target: str
    read_only: bool
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fstab:
    """One overlay in fstab(5): its target and its options as they stand there, decoded."""

    target: str
    options: str


def entry(line: str) -> Entry | None:
    """Read one line that shows a live overlay; None when it is none."""
    for read in (_mountinfo, _pairs, _printed_by_mount, _proc_mounts, _findmnt):
        found = read(line)
        if found is not None:
            return found
    return None


def fstab(line: str) -> Fstab | None:
    """Read one line of a file system table (fstab) that mounts an overlay; None when it is none."""
    fields = line.split()
    if not _FSTAB_LEAST <= len(fields) <= _FSTAB_MOST or fields[0].startswith("#") or fields[2] != "overlay":
        return None
    if "dir=" not in fields[3] and "dir+=" not in fields[3]:
        return None
    return Fstab(target=_octal(fields[1]), options=_octal(fields[3]))


def json_entries(text: str) -> list[Entry]:
    """The overlays in the output of ``findmnt -J``; none when *text* is something else."""
    if not text.lstrip().startswith("{") or '"filesystems"' not in text:
        return []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return list(_json(value.get("filesystems") if isinstance(value, dict) else None))


def _json(value: Any) -> Iterator[Entry]:
    # A list instead of recursion: the depth is whatever somebody pasted.
    queue = [value]
    while queue:
        each = queue.pop()
        if isinstance(each, list):
            queue.extend(reversed(each))
        elif isinstance(each, dict):
            queue.append(each.get("children"))
            target, options = each.get("target"), each.get("options")
            if each.get("fstype") == "overlay" and isinstance(target, str) and isinstance(options, str):
                yield _made(target, options.split(","))


def _mountinfo(line: str) -> Entry | None:
    if " - overlay " not in line:
        return None
    start = re.search(r"(?:^|\s)(\d+ \d+ \d+:\d+ /)", line)
    if start is None:
        return None
    try:
        found = mountinfo.parse(os.fsencode(line[start.start(1) :].rstrip()))
    except (ValueError, UnicodeEncodeError):
        return None
    read_only = "ro" in {*found.mount_options, *found.super_options[:1]}
    return Entry(target=found.mount_point, read_only=read_only, options=found.super_options[1:])


def _pairs(line: str) -> Entry | None:
    pairs = dict(_PAIR.findall(line))
    if pairs.get("FSTYPE") != "overlay" or "TARGET" not in pairs:
        return None
    return _made(_hex(pairs["TARGET"]), [_hex(word) for word in pairs.get("OPTIONS", "").split(",")])


def _printed_by_mount(line: str) -> Entry | None:
    # No pattern: whatever is pasted, each of these looks at the line once.
    head, typed, options = line.strip().rpartition(" type overlay (")
    _, on, target = head.partition(" on /")
    return _made(f"/{target}", options[:-1].split(",")) if typed and on and options.endswith(")") else None


def _proc_mounts(line: str) -> Entry | None:
    fields = line.split()
    if len(fields) != _FSTAB_MOST or fields[2] != "overlay" or not fields[1].startswith("/"):
        return None
    words = fields[3].split(",")
    # An fstab line may begin with rw as well, but not go on as the kernel writes it.
    if words[0] not in {"ro", "rw"} or not (len(words) > 1 and (words[1] in _VFS_FLAGS or "dir" in words[1])):
        return None
    return _made(_octal(fields[1]), [_octal(word) for word in words])


def _findmnt(line: str) -> Entry | None:
    fields = _TREE.sub("", line).split()
    if len(fields) < _FSTAB_LEAST or not fields[0].startswith("/"):
        return None
    for at in range(1, len(fields) - 1):
        if fields[at] == "overlay" and fields[at + 1].partition(",")[0] in {"ro", "rw"}:
            options = _hex(" ".join(fields[at + 1 :]))
            return _made(_hex(" ".join(fields[: max(1, at - 1)])), options.split(","))
    return None


def _made(target: str, words: Sequence[str]) -> Entry:
    options = tuple(word for word in words if word not in _VFS_FLAGS)
    return Entry(target=target, read_only="ro" in words, options=options)


def _octal(field: str) -> str:
    try:
        return mountinfo.decode(os.fsencode(field))
    except UnicodeEncodeError:
        return field


def _hex(field: str) -> str:
    if "\\x" not in field:
        return field
    try:
        raw = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes((int(match[1], 16),)), os.fsencode(field))
    except UnicodeEncodeError:
        return field
    return os.fsdecode(raw)
