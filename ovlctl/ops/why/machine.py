"""A mount that somebody wrote down, looked at on this machine: every reason for which it would fail or surprise.

The checks are those of ``ovlctl mount`` (:mod:`ovlctl.ops.preflight`); what differs is that nothing is stated that
the line does not say: what it leaves open, the module's parameters decide.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, OvlError
from ovlctl.kernel import mounts
from ovlctl.ops import preflight
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.preflight import overlap
from ovlctl.ops.preflight.places import place
from ovlctl.ops.why import fixes
from ovlctl.ops.why.values import Certainty, Explanation, Finding, Kind, Verdict
from ovlctl.overlay import live, rules
from ovlctl.overlay.options import Flag, Switch
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.why.values import Line
    from ovlctl.overlay.options import Options

#: What one value of fsconfig(2) holds, as libmount 2.39 and later use it.
_VALUE_MAX = 255


def explain(line: Line, kind: Kind = Kind.COMMAND) -> Explanation:
    """What would become of *line* here and now.

    Nothing is mounted; the work directory is tried for what its file system can keep, as ``ovlctl mount`` does.
    """
    options = inherited(line.stack.options)
    looking = _Looking(
        line,
        Stack(
            line.stack.lowers,
            data_only=line.stack.data_only,
            upper=line.stack.upper,
            work=line.stack.work,
            options=options,
        ),
    )
    problems = [*line.faults, *looking.problems()]
    if line.by_root:
        problems = [each for each in problems if not isinstance(each, errors.MissingCapability)]
    if looking.mounted_already():
        problems = [each for each in problems if not isinstance(each, errors.UpperInUse | errors.LowerInUse)]
    if any(isinstance(each, errors.UpperReadOnly) for each in problems):
        # Nothing could be tried there.
        problems = [each for each in problems if not isinstance(each, errors.UpperFileSystemPoor)]
    told = looking.case.told if looking.case else options
    findings = tuple(
        Finding(
            error=fixes.in_words_of_mount(problem),
            certainty=Certainty.CERTAIN,
            verdict=Verdict.REFUSES if fixes.kernel_refuses(problem, index=told.index is Switch.ON) else Verdict.MOUNTS,
        )
        for problem in _distinct(problems)
    )
    return Explanation(kind=kind, line=line, findings=findings, cautions=(*line.cautions, *looking.cautions()))


def in_itself(line: Line) -> list[OvlError]:
    """What is wrong with *line* on any machine."""
    options, has_upper = inherited(line.stack.options), line.stack.upper is not None
    problems = list(line.faults)
    if not any(isinstance(each, errors.LowerdirMalformed) for each in problems):
        problems += rules.misshapen(line.stack)
    problems += rules.conflicts(options, has_upper=has_upper, trusted_xattrs=True)
    return _distinct(problems)


def inherited(options: Options) -> Options:
    """*options* of a line with what the module's parameters add to it.

    userxattr is stated: unlike ``ovlctl mount``, a line without it does not have it.
    """
    defaults = module_defaults()
    index = options.index
    if index is None and defaults.index is Switch.ON and options.nfs_export is None:
        index = Switch.ON
    return replace(options, index=index, userxattr=options.userxattr or Flag.NO)


def by_words(line: Line, kind: Kind) -> Explanation:
    """What is wrong with *line* wherever it is mounted, for a line that is none of this machine's."""
    return Explanation(
        kind=kind,
        line=line,
        findings=tuple(
            Finding(error=fixes.in_words_of_mount(each), certainty=Certainty.CERTAIN, verdict=Verdict.REFUSES)
            for each in in_itself(line)
        ),
        cautions=(*line.cautions, NOT_HERE),
        here=False,
    )


#: Said instead of a list of all layers as missing.
NOT_HERE = Note(
    "none of its layers is here: it is of another machine or mount namespace, and only its words were looked at"
)


def layers_here(stack: Stack) -> bool:
    """Whether any layer of *stack* exists here, so that looking at this machine makes sense for a pasted text."""
    return any(os.path.isdir(path) for path in _paths(stack))


def _paths(stack: Stack) -> tuple[str, ...]:
    return tuple(path for path in (*stack.lowers, *stack.data_only, stack.upper, stack.work) if path is not None)


def _distinct(problems: list[OvlError]) -> list[OvlError]:
    found: dict[tuple[object, ...], OvlError] = {}
    for problem in problems:
        found.setdefault((type(problem), problem.template, problem.paths), problem)
    return list(found.values())


class _Looking:
    """One line on this machine."""

    def __init__(self, line: Line, stack: Stack) -> None:
        self.line = line
        self.unresolved: list[OvlError] = []
        self.target = self._target()
        resolved = self._resolved(stack)
        self.stack = resolved or stack
        self.case: preflight.Case | None = None
        if resolved is not None and resolved.lowers:
            target, missing = self.target or "/nonexistent", () if self.target else ("/nonexistent",)
            self.case = preflight.Case(stack=resolved, target=target, to_make=missing)

    def problems(self) -> Iterator[OvlError]:
        """Everything that is wrong, what is wrong in itself first."""
        yield from self._too_long_for_libmount()
        if self.case is None:
            yield from in_itself(replace(self.line, faults=(), stack=self.stack))
            yield from self._misread()
            yield from self.unresolved
            return
        malformed = any(isinstance(each, errors.LowerdirMalformed) for each in self.line.faults)
        try:
            for problem in preflight.problems(self.case):
                shapeless = isinstance(problem, errors.OneLowerWithoutUpper | errors.NoLower)
                if not (malformed and shapeless):
                    yield problem
        except OvlError as error:
            yield error
        yield from self.unresolved

    def _misread(self) -> Iterator[OvlError]:
        """Names that are there, and that the kernel reads otherwise than they were meant."""
        missing = {each.paths[0] for each in self.unresolved if isinstance(each, errors.PathMissing)}
        for top, below in pairwise(self.line.stack.lowers):
            meant = f"{top}:{below}"
            if missing & {top, below} and os.path.isdir(meant):
                self._forget({top, below})
                yield errors.LowerdirMalformed(
                    "the colon in {} separates two lowers",
                    meant,
                    errno=errno.ENOENT,
                    hint="write `\\:` for it, and put the options between single quotes",
                )
        for path in missing:
            if path[0] == path[-1] and path[0] in "'\"" and os.path.exists(path[1:-1]):
                self._forget({path})
                yield errors.BadUsage(
                    "the quotation marks were passed on and belong to the name: {}",
                    path,
                    errno=errno.ENOENT,
                    hint="one pair around all options is enough: `-o 'lowerdir=L,upperdir=U,workdir=W'`",
                )

    def _forget(self, explained: set[str]) -> None:
        self.unresolved = [each for each in self.unresolved if each.paths[0] not in explained]

    def cautions(self) -> Iterator[Note]:
        """What works and will surprise."""
        if self.case is None:
            return
        try:
            case = self.case
            yield from overlap.cautions(case.lowers, case.upper, case.work, case.point, case.table)
            if self.line.read_only and case.upper is not None:
                yield Note("`ro` makes the merged view read-only although there is an upper")
            if case.upper is None:
                yield Note("without an upper the merged view is read-only")
            if not preflight.trusted_xattrs() and self.line.stack.options.userxattr is None and case.upper is not None:
                yield Note(
                    "without `userxattr` a user namespace cannot write opaque marks: rmdir and mkdir of one name "
                    "fails with EIO"
                )
        except (OvlError, OSError):
            # What cannot be looked at is a problem, and is said there.
            return

    def mounted_already(self) -> bool:
        """Whether this very stack is mounted at the target."""
        if self.case is None or self.target is None:
            return False
        try:
            found = mounts.mount_at(self.target)
        except OSError:
            return False
        if found.fs_type != "overlay" or found.mount_point != self.target or self.stack.upper is None:
            return False
        shown = live.layers(found.options).upper
        return shown is not None and any(_same(path, self.stack.upper) for path in live.LiveStack.readings(shown))

    def _target(self) -> str | None:
        target = self.line.target
        if target is None:
            return None
        found = self._try(preflight.real, target)
        if found is None and self.line.makes_target:
            self.unresolved = [each for each in self.unresolved if not isinstance(each, errors.PathMissing)]
        if found is not None and self._try(place, found) is None:
            return None
        return found

    def _resolved(self, stack: Stack) -> Stack | None:
        before = len(self.unresolved)
        real = {path: self._try(_directory, path) for path in dict.fromkeys(_paths(stack))}
        if len(self.unresolved) > before:
            return None

        def at(path: str | None) -> str | None:
            return None if path is None else real[path]

        return Stack(
            [real[path] or path for path in stack.lowers],
            data_only=[real[path] or path for path in stack.data_only],
            upper=at(stack.upper),
            work=at(stack.work),
            options=stack.options,
        )

    def _try(self, look: Callable[[str], object], path: str) -> str | None:
        try:
            found = look(path)
        except OvlError as error:
            self.unresolved.append(error)
            return None
        return found if isinstance(found, str) else path

    def _too_long_for_libmount(self) -> Iterator[OvlError]:
        for word in self.line.data.split(",lowerdir=") if len(self.line.data) > _VALUE_MAX else ():
            value = word.removeprefix("lowerdir=").partition(",")[0]
            version = _libmount() if len(os.fsencode(value)) > _VALUE_MAX else None
            if version is not None and version >= (2, 39):
                yield errors.OptionsTooLong(
                    f"a value has {len(os.fsencode(value))} bytes; mount(8) {version[0]}.{version[1]} passes values by "
                    f"fsconfig(2), which takes {_VALUE_MAX}",
                    errno=errno.EINVAL,
                    hint="`LIBMOUNT_FORCE_MOUNT2=always mount ...`, one `lowerdir+=` per layer, or `ovlctl mount`",
                )


def _directory(path: str) -> str:
    found = preflight.real(path)
    if not os.path.isdir(found):
        raise errors.NotADirectory("{} is not a directory", path, errno=errno.EINVAL)
    return found


def _same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _libmount() -> tuple[int, int] | None:
    """The version of the mount(8) here; None when there is none that says."""
    import subprocess

    try:
        done = subprocess.run(["mount", "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"util-linux (\d+)\.(\d+)", done.stdout[:200])
    return None if found is None else (int(found[1]), int(found[2]))
