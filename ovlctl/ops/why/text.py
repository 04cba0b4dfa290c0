"""A pasted text: the causes that its messages name, the mounts it speaks of, and what this machine adds."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, NothingRecognised, OvlError
from ovlctl.ops.kernel_habits import PROBE
from ovlctl.ops.why import command, engine_words, errnos, fixes, kernel_words, machine, mounted, stores, tables, words
from ovlctl.ops.why.rule import PIECE_MAX
from ovlctl.ops.why.values import Certainty, Explanation, Finding, Kind, Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.why.rule import Rule
    from ovlctl.ops.why.tables import Entry

#: The most of a text that is looked at, in characters, and the longest line that is taken for a mount.
TEXT_MAX = 1 << 18
_LINE_MAX = 1 << 17
_LINES_MAX = 4000
_MOUNTS_MAX = 8
_EVIDENCE_MAX = 200
_MARKERS_MAX = 32

#: The kernel says it and mounts, or it is about an unmount; it settles nothing about a mount that failed.
_ONLY_WARNINGS = frozenset(
    {
        errors.LayerWithoutHandles,
        errors.OptionNeedsUpper,
        errors.NfsExportWithoutUpper,
        errors.WorkWithoutUpper,
        errors.WeakerThanAsked,
        errors.NotAnOverlay,
    }
)

_MARKER = re.compile(r"\boverlay(?:fs)?: ")
_TERMINAL = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_CONTEXT = re.compile(r"overlay|\bmount|lowerdir|snapshotter|rootfs|graphdriver", re.IGNORECASE)
_BREAKS = re.compile(r"[\s\"'\[\](){}<>]+")
_LAYER_WORD = re.compile(r"(?:^|,)(?:lowerdir\+?|datadir\+|upperdir|workdir)=.")
_OPTION_WORD = re.compile(
    r"(?:userxattr|volatile|default_permissions|(?:index|metacopy|redirect_dir|nfs_export|xino|uuid|verity|fsync)=\w{1,9})$"
)
_TARGET = re.compile(r"(?:overlay mount to|mount on|mounting|target:|mount:) \"?(/[^\s\":,]{1,4096})")


def explain(text: str) -> Explanation:
    """Find what went wrong in a text.

    Raises:
        NothingRecognised: when nothing in it is known.
    """
    cut = len(text) > TEXT_MAX
    if cut:
        # Half a line would be another mount than the whole one.
        text = text[:TEXT_MAX].rpartition("\n")[0] or text[:TEXT_MAX]
    text = _TERMINAL.sub("", text).replace("\0", "").replace("\\\n", " ")
    # Once each: logs repeat themselves.
    lines = list(dict.fromkeys(filter(None, map(str.strip, text.splitlines()))))
    cut = cut or len(lines) > _LINES_MAX or any(len(line) > _LINE_MAX for line in lines)
    alone = None if cut else _one_mount(text, lines)
    if alone is not None:
        return alone
    reading = _Reading()
    listed = tables.json_entries(text)
    for entry in listed:
        reading.shown(entry)
    for line in () if listed else lines[:_LINES_MAX]:
        reading.take(line)
    reading.look_here()
    if cut:
        reading.cautions.append(_CUT)
    found = reading.finished()
    if not found and not reading.about and not reading.tables:
        foreign = any(_OF_MOUNT.match(line) for line in lines)
        raise NothingRecognised(
            "nothing in the text is a mount of an overlay or a message about one",
            hint=_LESS if cut else _IN_ENGLISH if foreign else _TOGETHER,
        )
    about = reading.about[0] if reading.about else None
    return Explanation(kind=Kind.TEXT, line=about, findings=found, cautions=tuple(reading.cautions))


_CUT = Note(
    f"the text is too long to be read whole: looked at were {TEXT_MAX} characters, {_LINES_MAX} lines, and no mount in "
    f"a line of more than {_LINE_MAX} characters"
)
_LESS = "the text is too long to be read whole: give the lines around the failure, and the mount without its log"
_OF_MOUNT = re.compile(r"u?mount: ")
_IN_ENGLISH = (
    "messages of mount(8) are known in English: `LC_ALL=C mount ...` gives it; `ovlctl why -- mount ...` needs none"
)
_TOGETHER = "paste the command, the message and the kernel's log together: `sudo dmesg | grep overlay | tail`"


def _one_mount(text: str, lines: list[str]) -> Explanation | None:
    """The explanation of a text that is one mount and nothing else: a command, or a line of a table."""
    listed = tables.json_entries(text)
    if len(listed) == 1:
        return mounted.explain(listed[0])
    if lines and lines[0].split()[:2] == ["TARGET", "SOURCE"]:
        lines = lines[1:]
    if len(lines) != 1:
        return None
    (line,) = lines
    entry = tables.entry(line)
    if entry is not None:
        return mounted.explain(entry)
    declared = tables.fstab(line)
    if declared is not None:
        return _of_fstab(declared)
    asked = command.parse_text(line)
    if asked is None:
        return None
    return machine.explain(asked) if machine.layers_here(asked.stack) else machine.by_words(asked, Kind.COMMAND)


def _of_fstab(declared: tables.Fstab) -> Explanation:
    """What would become of a line of fstab; when it is mounted already, whether it is what the line says."""
    read = words.parse(declared.options)
    line = Line(
        stack=read.stack,
        target=declared.target,
        data=read.data,
        read_only=read.read_only,
        makes_target=read.makes_target,
        by_root=True,
        faults=read.faults,
        cautions=read.cautions,
    )
    if not machine.layers_here(line.stack):
        return machine.by_words(line, Kind.FSTAB)
    explained = machine.explain(line, Kind.FSTAB)
    if not any(isinstance(each.error, errors.TargetOccupied) for each in explained.findings):
        return explained
    kept = [each for each in explained.findings if not isinstance(each.error, errors.TargetOccupied)]
    weaker = [Finding(error=each, certainty=Certainty.CERTAIN) for each in mounted.weaker(line)]
    note = errors.Note("an overlay is mounted at {} already", (declared.target,))
    return replace(explained, findings=(*kept, *weaker), cautions=(note, *explained.cautions))


@dataclass
class _Reading:
    """A text, line by line."""

    found: list[Finding] = field(default_factory=list)
    about: list[Line] = field(default_factory=list)
    cautions: list[Note] = field(default_factory=list)
    tables: bool = False

    def take(self, line: str) -> None:
        """One line: messages of the kernel first, then of programs, then a bare errno."""
        plain = line.replace('\\"', '"')
        told = [finding for piece in _pieces(plain) for finding in _by_kernel(piece)]
        said = next(_by_program(plain), None)
        asked = self._mount(plain)
        if not told and said is None and (asked is None or not line.lstrip("$#+ ").startswith("mount")):
            said = _by_errno(plain)
        self.found += [*told, *([] if said is None else [said])]

    def _mount(self, line: str) -> Line | None:
        if len(line) > _LINE_MAX:
            return None
        asked = command.parse_text(line) or _options_within(line)
        entry = tables.entry(line) if asked is None else None
        if entry is not None:
            self.shown(entry)
        if asked is not None:
            self.about.append(asked)
        return asked

    def shown(self, entry: Entry) -> None:
        """One mount that a table in the text shows."""
        explained = mounted.explain(entry)
        self.found += explained.findings
        self.cautions += explained.cautions
        self.tables = True

    def look_here(self) -> None:
        """What the mounts in the text have wrong in themselves, and on this machine when their layers are here."""
        named = {path for each in self.found for path in each.error.paths[:1]}
        of_engines = [line for line in map(stores.line_of, sorted(named)) if line is not None]
        self.found = [stores.settled(each) if each.candidates else each for each in self.found]
        for line in [*self.about, *of_engines][:_MOUNTS_MAX]:
            if machine.layers_here(line.stack):
                here = machine.explain(line)
                self.found += here.findings
                self.cautions += here.cautions
            else:
                self.found += [
                    Finding(
                        error=fixes.in_words_of_mount(each),
                        certainty=Certainty.CERTAIN,
                        evidence=_shortened(line.data),
                    )
                    for each in machine.in_itself(line)
                ]

    def finished(self) -> tuple[Finding, ...]:
        """The causes, each once; guesses only when nothing is certain but what the kernel merely warned of."""
        certain: dict[type[OvlError], Finding] = {}
        for each in self.found:
            if each.certainty is Certainty.CERTAIN:
                known = certain.get(type(each.error))
                # What names paths says more.
                if known is None or (each.error.paths and not known.error.paths):
                    certain[type(each.error)] = each
        if set(certain) - _ONLY_WARNINGS:
            return tuple(certain.values())
        guesses = [each for each in self.found if each.certainty is Certainty.LIKELY]
        if self.about:
            # Had the words of the mount been the cause, they would have told.
            guesses = [_without_words(each) for each in guesses]
        # Of two guesses the one with fewer candidates knows more.
        least = min((len(each.candidates) for each in guesses), default=0)
        best = {type(each.error): each for each in reversed(guesses) if len(each.candidates) == least}
        return (*reversed(best.values()), *certain.values())


def _without_words(guess: Finding) -> Finding:
    left = tuple(each for each in guess.candidates if each.cause not in errnos.DECIDED_BY_WORDS)
    return replace(guess, candidates=left) if left and left[0] is guess.candidates[0] else guess


def _pieces(line: str) -> Iterator[str]:
    """What the kernel said in *line*, without prefix; the whole line when it has none."""
    starts = [match.end() for match in _MARKER.finditer(line)][:_MARKERS_MAX]
    for at, start in enumerate(starts):
        end = starts[at + 1] if at + 1 < len(starts) else len(line)
        yield line[start:end][:PIECE_MAX]
    if not starts:
        yield line[:PIECE_MAX]


def _by_kernel(piece: str) -> Iterator[Finding]:
    if PROBE in piece:
        return  # a mount of ours that was to be refused
    for rule in kernel_words.RULES:
        paths = rule.match(piece)
        if paths is not None:
            yield _finding(rule, paths, piece)
            return


def _by_program(line: str) -> Iterator[Finding]:
    for rule in engine_words.RULES:
        found = rule.pattern.search(line[:PIECE_MAX])
        if found is not None:
            yield _finding(rule, tuple(group for group in found.groups() if group is not None), line)


def _finding(rule: Rule, paths: tuple[str, ...], evidence: str) -> Finding:
    needed = rule.says.count("{}")
    says, fix = (rule.says, rule.fix) if len(paths) >= needed else (rule.says.replace("{}", "a layer"), rule.fix)
    fix = fix if paths else fix.replace("{0}", "DIR")
    certain = len(rule.causes) == 1
    return Finding(
        error=rule.causes[0](says, *paths, hint=fix),
        certainty=Certainty.CERTAIN if certain else Certainty.LIKELY,
        evidence=_shortened(evidence),
        candidates=() if certain else errnos.candidates(rule.causes),
    )


def _by_errno(line: str) -> Finding | None:
    line = line[:PIECE_MAX]
    if _CONTEXT.search(line) is None:
        return None
    number = errnos.of_text(line)
    generic = "wrong fs type, bad option, bad superblock" in line
    if generic:
        number = errno.EINVAL
    if number is None:
        return None
    causes = errnos.CAUSES[number]
    target = _TARGET.search(line)
    paths = () if target is None else (target[1],)
    where = " at {}" if paths else ""
    name = errno.errorcode[number]
    if len(causes) == 1:
        return Finding(
            error=causes[0](f"the mount{where} failed with {name}", *paths, errno=number, hint=_LOG),
            certainty=Certainty.CERTAIN,
            evidence=_shortened(line),
        )
    text = f"the mount{where} failed with {name}, which alone does not tell; the kernel's log does"
    return Finding(
        error=causes[0](text, *paths, errno=number, hint=_LOG),
        certainty=Certainty.LIKELY,
        evidence=_shortened(line),
        candidates=errnos.candidates(causes),
    )


_LOG = "`sudo dmesg | grep overlay | tail` and paste that too; or `ovlctl why -- mount ...` on that machine"


def _options_within(line: str) -> Line | None:
    """The options of a mount that a message quotes, by commas, or by spaces as Go prints a list."""
    tokens = _BREAKS.split(line)
    layers = [token.rstrip(":;.,").removeprefix("data=") for token in tokens if _LAYER_WORD.search(token)]
    layers = list(dict.fromkeys(layers))
    if sum("lowerdir=" in token for token in layers) > 1 or not any("lowerdir" in token for token in layers):
        # Several mounts in one line are none that could be told apart.
        return None
    others = [token.rstrip(",:") for token in tokens if _OPTION_WORD.match(token.rstrip(",:"))]
    read = words.parse(",".join([*layers, *others]))
    target = _TARGET.search(line[:PIECE_MAX])
    return Line(
        stack=read.stack,
        target=None if target is None else target[1],
        data=read.data,
        read_only=read.read_only,
        by_root=True,
        faults=read.faults,
        cautions=read.cautions,
    )


def _shortened(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _EVIDENCE_MAX else text[:_EVIDENCE_MAX] + "..."
