"""A command as typed at a shell, read as mount(8) would: options, source, target."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.errors import BadUsage, NotAnOverlay, OvlError
from ovlctl.ops.why import words
from ovlctl.ops.why.values import Line
from ovlctl.overlay import live

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AS_ROOT = frozenset({"sudo", "doas", "su-exec", "pkexec"})
_PREFIXES = _AS_ROOT | {"env", "command", "exec", "time", "nice", "$", "#", "+", "&&", "RUN"}
#: Options of those prefixes that take a value of their own.
_PREFIX_VALUES = frozenset({"-u", "-g", "-C", "-h", "-n"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
#: What ends a command on a line: another one, or a redirection.
_ENDS = re.compile(r"(?:;|\|\|?|&&?)$|[0-9]{0,3}[<>]")
_FUSE = re.compile(r"fuse-overlayfs|fuse\.|mount\.fuse|unionfs|mergerfs")

#: mount(8): options that take a value, by every spelling.
_VALUED = {
    "-o": "options",
    "--options": "options",
    "-t": "types",
    "--types": "types",
    "--source": "source",
    "--target": "target",
    "-O": "",
    "--test-opts": "",
    "-N": "",
    "--namespace": "",
    "-T": "",
    "--fstab": "",
    "-L": "",
    "--label": "",
    "-U": "",
    "--uuid": "",
    "--target-prefix": "",
    "--options-mode": "",
    "--options-source": "",
    "--map-users": "",
    "--map-groups": "",
}
_OTHER_WORK = {
    "-B": "--bind",
    "--bind": "--bind",
    "-R": "--rbind",
    "--rbind": "--rbind",
    "-M": "--move",
    "--move": "--move",
    "-a": "--all",
    "--all": "--all",
}
_FLAG_WORDS = """
--all --no-canonicalize --fake --fork --internal-only --no-mtab --verbose --help --version --show-labels --read-only
--rw --read-write --bind --rbind --move --make-shared --make-slave --make-private --make-unbindable --make-rshared
--make-rslave --make-rprivate --make-runbindable --options-source-force --mkdir --onlyonce --exclusive --beneath
"""
_FLAGS = frozenset(_FLAG_WORDS.split())
_SOURCE_AND_TARGET = 2
_LONG = sorted({*_FLAGS, *(name for name in _VALUED if name.startswith("--"))})


def parse(argv: Sequence[str]) -> Line:
    """Read a command.

    Args:
        argv: Its words; the shell has removed quotes already.

    Raises:
        NotAnOverlay: when it mounts something else, a FUSE overlay for one.
        BadUsage: when there is no command at all.
    """
    rest, by_root = _without_prefix(argv)
    if not rest:
        raise BadUsage("there is no command to explain", hint="`ovlctl why -- mount -t overlay overlay -o ... /mnt`")
    program = _program(rest[0])
    if _FUSE.search(os.path.basename(rest[0])):
        raise _fuse(os.path.basename(rest[0]))
    if program is not None:
        rest = rest[1:]
    elif not rest[0].startswith("-"):
        unmounts = os.path.basename(rest[0]) == "umount"
        raise NotAnOverlay(
            "{} is no command that mounts",
            rest[0],
            hint="`ovlctl who DIR` says who holds a mount, and what ends each"
            if unmounts
            else "`ovlctl why -- mount -t overlay overlay -o ... /mnt`, or `ovlctl why -` for a pasted message",
        )
    given = _Given()
    given.read(rest)
    return given.line(by_root=by_root)


def parse_text(text: str) -> Line | None:
    """Read a command out of a line of text; None when there is none, or none of an overlay."""
    at = re.search(r"(?:^|[\s/$#>+;(])mount\s", text)
    if at is None or not ("lowerdir" in text or re.search(r"(?:-t|--types)[ =]?overlay", text)):
        return None
    try:
        lexer = shlex.shlex(text[at.start() :].lstrip("/$#>+;( \t"), posix=True, punctuation_chars=";|&")
        lexer.whitespace_split, lexer.commenters = True, ""
        argv = list(lexer)
    except ValueError:
        return None
    end = next((place for place, word in enumerate(argv) if _ENDS.match(word)), None)
    argv = argv[:end]
    by_root = any(word in _AS_ROOT for word in text[: at.start()].split()[-4:])
    try:
        given = _Given()
        given.read(argv[1:])
        if given.types is None and "lowerdir" not in ",".join(given.options):
            # Prose with the word in it.
            return None
        return given.line(by_root=by_root)
    except OvlError:
        return None


def _without_prefix(argv: Sequence[str]) -> tuple[list[str], bool]:
    rest, by_root, inside = list(argv), False, False
    if len(rest) == 1 and any(char.isspace() for char in rest[0]):
        # The whole command in one pair of quotes.
        rest = rest[0].split()
    while rest:
        word = rest[0]
        if word in _PREFIXES or _ASSIGNMENT.match(word):
            by_root, inside = by_root or word in _AS_ROOT, True
        elif inside and word.startswith("-") and "o" not in word and "t" not in word:
            if word in _PREFIX_VALUES:
                rest = rest[1:]
        else:
            break
        rest = rest[1:]
    return rest, by_root


def _program(word: str) -> str | None:
    name = os.path.basename(word)
    return name if name in {"mount", "busybox"} or name.startswith("mount.") else None


def _fuse(name: str) -> OvlError:
    return NotAnOverlay(
        "{} is a program in user space (FUSE) and not the kernel's overlay; what it refuses, and why, is its own",
        name,
        hint="run it with `-f` or `-d` to see its messages; to ask about the kernel's overlay instead: "
        "`ovlctl why -- mount -t overlay overlay -o ... DIR`",
    )


@dataclass
class _Given:
    """The words of one mount(8) command."""

    options: list[str] = field(default_factory=list)
    types: str | None = None
    source: str | None = None
    target: str | None = None
    plain: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)

    def read(self, argv: Sequence[str]) -> None:
        queue = list(argv)
        while queue:
            word = queue.pop(0)
            if word == "--":
                self.plain += queue
                return
            if word.startswith("--"):
                self._long(word, queue)
            elif word.startswith("-") and len(word) > 1:
                self._short(word, queue)
            else:
                self.plain.append(word)

    def _long(self, word: str, queue: list[str]) -> None:
        name, equals, value = word.partition("=")
        if name not in _LONG:
            # getopt_long(3) takes any beginning that only one option has.
            fitting = [each for each in _LONG if each.startswith(name)]
            name = fitting[0] if len(fitting) == 1 else name
        if name in _VALUED:
            self._value(_VALUED[name], value if equals else _next(queue, name))
        elif name in _FLAGS:
            self._flag(name)
        else:
            raise BadUsage("mount(8) has no option {}", word, hint="`mount --help` lists them")

    def _short(self, word: str, queue: list[str]) -> None:
        for at, letter in enumerate(word[1:], start=1):
            name = f"-{letter}"
            if name in _VALUED:
                self._value(_VALUED[name], word[at + 1 :] or _next(queue, name))
                return
            self._flag(name)

    def _value(self, meaning: str, value: str) -> None:
        if meaning == "options":
            # mount(8) drops the equals sign of `-o=...` no more than the kernel does; it is part of the word.
            self.options.append(value)
        elif meaning:
            setattr(self, meaning, value)

    def _flag(self, name: str) -> None:
        if name in _OTHER_WORK or name.startswith("--make-"):
            what = _OTHER_WORK.get(name, name)
            raise NotAnOverlay(
                "`mount {}` makes no overlay; only overlays are explained here",
                what,
                hint="leave it out, or ask `man mount` about it",
            )
        self.flags.add(name)

    def line(self, *, by_root: bool) -> Line:
        """What is to be mounted, with what is wrong about the words themselves."""
        if self.types is not None and _FUSE.search(self.types):
            raise _fuse(self.types)
        if self.types not in {None, "overlay", "overlayfs"}:
            raise NotAnOverlay(
                "a mount of type {} is no overlay; only overlays are explained here",
                self.types or "",
                hint="`ovlctl why -- mount -t overlay overlay -o ... DIR`",
            )
        options = ",".join(self.options)
        if "remount" in live.pieces(options, ","):
            raise BadUsage(
                "a remount changes `ro` and `rw` of an overlay and nothing else: its own options are ignored by "
                "mount(2) and refused by fsconfig(2), and without an upper `rw` is EROFS",
                hint="`ovlctl remount STACK` makes a new mount with other options and swaps it in; `ovlctl why DIR` "
                "explains the mount that is there",
            )
        faults = list(self._faults())
        # What stands where it does not belong is looked at as if it stood in its place.
        stray = [word for word in self.plain if re.match(r"(?:lowerdir|upperdir|workdir|datadir)\+?=", word)]
        plain = [word for word in self.plain if word not in stray]
        read = words.parse(",".join([options, *(word.strip(",") for word in stray)]).strip(","))
        named = [each for each in (self.source, *plain) if each is not None]
        return Line(
            stack=read.stack,
            target=self.target or (named[-1] if len(named) > 1 or (named and self.source is None) else None),
            data=read.data,
            read_only=read.read_only or bool(self.flags & {"-r", "--read-only"}),
            makes_target=read.makes_target or bool(self.flags & {"-m", "--mkdir"}),
            by_root=by_root,
            faults=(*faults, *read.faults),
            cautions=read.cautions,
        )

    def _faults(self) -> Iterator[OvlError]:
        if self.types is None:
            yield BadUsage(
                "the type is missing: without it mount(8) takes the source for a block device",
                hint="add `-t overlay`",
            )
        elif self.types == "overlayfs":
            yield BadUsage(
                "the type is `overlay` since Linux 3.18; `overlayfs` was its name in patched kernels before",
                hint="write `-t overlay`, and add a `workdir`",
            )
        stray = [word for word in self.plain if re.match(r"(?:lowerdir|upperdir|workdir|datadir)\+?=", word)]
        if stray:
            yield BadUsage(
                "{} stands outside the options: they are one word, separated by commas without spaces",
                stray[0],
                hint="write `-o lowerdir=L,upperdir=U,workdir=W`",
            )
        named = len(self.plain) - len(stray) + (self.source is not None) + (self.target is not None)
        if named == 0:
            yield BadUsage("neither a source nor a target is given", hint="end with `overlay DIR`")
        elif named == 1:
            yield BadUsage(
                "only one of source and target is given, and mount(8) then looks for it in /etc/fstab",
                hint="any word serves as the source of an overlay: end with `overlay DIR`",
            )
        elif named > _SOURCE_AND_TARGET:
            yield BadUsage(
                "mount(8) takes a source and a target, and {} is one word too many",
                self.plain[-1] if self.plain else "",
                hint="separate options by commas without spaces, and put names with spaces between quotes",
            )


def _next(queue: list[str], name: str) -> str:
    if not queue:
        raise BadUsage("`{}` of mount(8) needs a value", name, hint="`mount --help` shows how it is used")
    return queue.pop(0)
