"""What ``doctor`` found, as text and as JSON."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.doctor.catalogue import COSTS
from ovlctl.show.names import json_path, json_paths, show_argument, show_name, show_text
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.errors import Note
    from ovlctl.ops.doctor.needs import Met, Need
    from ovlctl.ops.doctor.values import Diagnosis, DirectoryReport, Finding, HostReport, UserReport

_WIDTH = 80
_MARKS = {Answer.YES: "ok", Answer.NO: "no", Answer.UNKNOWN: "? "}


def diagnosis_text(diagnosis: Diagnosis, *, everything: bool) -> str:
    """All of it for people: what is there in one line, what is missing with its cost and what would help.

    Args:
        diagnosis: What was found.
        everything: Tell of what is there in full, too, and of limits and defaults.
    """
    parts = [
        _section(_host_head(diagnosis.host), diagnosis.host.findings, everything=everything),
        "\n".join(_host_facts(diagnosis.host, everything=everything)),
        _section(_user_head(diagnosis.user), diagnosis.user.findings, everything=everything),
        *(
            _section(_directory_head(directory), directory.findings, everything=everything)
            for directory in diagnosis.directories
        ),
    ]
    return "\n\n".join(filter(None, parts))


def needs_text(met: Sequence[Met]) -> str:
    """Each need on a line of its own, what is not met with its cost and what would help."""
    rows = []
    for each in met:
        name = each.need.name if each.directory is None else f"{each.need.name} in {show_name(each.directory.path)}"
        rows.append((each.answer, name, each.finding))
    width = min(max((len(name) for _, name, _ in rows), default=0), 24)
    return "\n".join(line for row in rows for line in _lines(*row, width, everything=False))


def names_text(needs: Sequence[Need]) -> str:
    """What ``--need help`` prints: every name that can be needed, and what is lost without it."""
    plain = [need.ability for need in needs if need.value is None]
    valued = [need.name for need in needs if need.value is not None]
    margin = max(map(len, plain)) + 4
    lines = [
        _fill(COSTS[ability], initial_indent=f"  {ability:{margin - 4}}  ", subsequent_indent=" " * margin)
        for ability in plain
    ]
    values = _fill(" ".join(valued), initial_indent="  ", subsequent_indent="  ")
    return "\n".join(("names for --need, and what their lack costs", *lines, "single values of options", values))


def _section(head: str, findings: Sequence[Finding], *, everything: bool) -> str:
    lines = [head]
    fine = [finding.ability.value for finding in findings if finding.answer is Answer.YES]
    if fine and not everything:
        lines.append(_fill(" ".join(fine), initial_indent="  ok  ", subsequent_indent="      "))
    told = [finding for finding in findings if everything or finding.answer is not Answer.YES]
    alike = {} if everything else _alike(told)
    width = max((len(finding.ability) for finding in told if finding.ability not in alike), default=0)
    reasons = []
    for finding in told:
        if finding.ability not in alike:
            lines += _lines(finding.answer, finding.ability, finding, width, everything=everything)
        elif alike[finding.ability] not in reasons:
            reasons.append(alike[finding.ability])
    for reason in reasons:
        names = " ".join(ability for ability, known in alike.items() if known == reason)
        lines.append(_fill(names, initial_indent="  ?   ", subsequent_indent="      "))
        lines.append(_fill(reason, initial_indent="      ", subsequent_indent="      "))
    return "\n".join(lines)


def _alike(findings: Sequence[Finding]) -> dict[str, str]:
    """The reason of each ability that is unknown for a reason that others share."""
    reasons = {finding.ability: _told(finding.tried) for finding in findings if finding.answer is Answer.UNKNOWN}
    shared = list(reasons.values())
    return {ability: reason for ability, reason in reasons.items() if shared.count(reason) > 1}


def _lines(answer: Answer, name: str, finding: Finding, width: int, *, everything: bool) -> Iterator[str]:
    first = f"  {_MARKS[answer]}  {name:{width}}  "
    if len(name) > width:
        yield first.rstrip()
        first = " " * 6
    yield _fill(_told(finding.tried), initial_indent=first, subsequent_indent=" " * len(first))
    if answer is Answer.YES:
        if everything:
            yield _fill(finding.cost, initial_indent="      without: ", subsequent_indent=" " * 15)
        return
    yield _fill(finding.cost, initial_indent="      cost: ", subsequent_indent=" " * 12)
    if finding.fix is not None:
        fix = show_text(finding.fix.text(show_argument))
        # A command with a path in it stays in one piece, to be copied.
        whole = f"      fix:  {fix}"
        yield whole if finding.fix.paths else _fill(whole, subsequent_indent=" " * 12)


def _fill(text: str, *, initial_indent: str = "", subsequent_indent: str = "") -> str:
    return fill(
        text,
        _WIDTH,
        initial_indent=initial_indent,
        subsequent_indent=subsequent_indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _told(note: Note) -> str:
    return show_text(note.text(show_name))


def _host_head(host: HostReport) -> str:
    return show_text(f"host  Linux {host.release}, {host.machine}")


def _host_facts(host: HostReport, *, everything: bool) -> Iterator[str]:
    differing = [parameter for parameter in host.parameters if parameter.differs]
    if differing:
        yield "  defaults of the overlay module that differ from the kernel's own"
        for parameter in differing:
            yield f"      {parameter.name}={show_name(parameter.value or '')} instead of {parameter.upstream}"
        yield "      ovlctl states its options itself; mounts by mount(8) and by engines follow these"
    if host.selinux is not None:
        yield f"  SELinux is {host.selinux}"
    if host.apparmor is not None:
        yield f"  AppArmor is on, the profile of this process is {show_name(host.apparmor)}"
    for advice in host.advice:
        yield _fill(advice, initial_indent="      ", subsequent_indent="      ")
    if everything:
        yield "  limits"
        for limit in host.limits:
            value = "?" if limit.value is None else str(limit.value)
            yield _fill(limit.meaning, initial_indent=f"      {value:>10}  ", subsequent_indent=" " * 18)


def _user_head(user: UserReport) -> str:
    where = "" if user.initial_namespace else ", inside a user namespace"
    return f"user  uid {user.uid}, gid {user.gid}{where}"


def _directory_head(directory: DirectoryReport) -> str:
    facts = [f"{show_name(directory.fs_type)} mounted at {show_name(directory.mount_point)}"]
    if directory.read_only:
        facts.append("read-only")
    if directory.overlay_depth > 1:
        facts.append("an overlay on an overlay")
    if directory.is_subvolume:
        facts.append("the top of a subvolume")
    if directory.project:
        facts.append(f"quota project {directory.project}")
    if directory.label is not None:
        facts.append(f"label {show_name(directory.label)}")
    if directory.free_bytes is not None:
        facts.append(f"{format_size(directory.free_bytes)} free")
    if directory.free_inodes is not None:
        facts.append(f"{directory.free_inodes} inodes free")
    details = _fill(", ".join(facts), initial_indent="      ", subsequent_indent="      ")
    return f"directory  {show_name(directory.path)}\n{details}"


def diagnosis_json(diagnosis: Diagnosis, met: Sequence[Met]) -> dict[str, Any]:
    """All of it, and what was needed."""
    host, user = diagnosis.host, diagnosis.user
    return {
        "host": {
            "release": host.release,
            "machine": host.machine,
            "selinux": host.selinux,
            "apparmor": None if host.apparmor is None else show_name(host.apparmor),
            "advice": list(host.advice),
            "module_parameters": [
                {
                    "name": parameter.name,
                    "value": parameter.value,
                    "upstream": parameter.upstream,
                    "differs": parameter.differs,
                }
                for parameter in host.parameters
            ],
            "limits": [{"name": each.name, "value": each.value, "meaning": each.meaning} for each in host.limits],
            "findings": list(map(_finding_json, host.findings)),
        },
        "user": {
            "uid": user.uid,
            "gid": user.gid,
            "initial_user_namespace": user.initial_namespace,
            "findings": list(map(_finding_json, user.findings)),
        },
        "directories": list(map(_directory_json, diagnosis.directories)),
        "needs": [
            {
                "name": each.need.name,
                "met": each.answer is Answer.YES,
                "answer": each.answer,
                **json_path("directory", None if each.directory is None else each.directory.path),
            }
            for each in met
        ],
    }


def _directory_json(directory: DirectoryReport) -> dict[str, Any]:
    return {
        **json_path("path", directory.path),
        **json_path("mount_point", directory.mount_point),
        "fs": show_name(directory.fs_type),
        **json_path("source", directory.source),
        "read_only": directory.read_only,
        "overlay_depth": directory.overlay_depth,
        "is_subvolume": directory.is_subvolume,
        **json_paths("subvolumes", directory.subvolumes),
        "project": directory.project,
        "selinux_label": None if directory.label is None else show_name(directory.label),
        "free_bytes": directory.free_bytes,
        "free_inodes": directory.free_inodes,
        "losses": list(directory.losses),
        "findings": list(map(_finding_json, directory.findings)),
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    members: dict[str, Any] = {
        "name": finding.ability,
        "answer": finding.answer,
        "tried": _told(finding.tried),
        "cost": finding.cost,
        "fix": None if finding.fix is None else show_text(finding.fix.text(show_argument)),
    }
    if finding.values:
        members["values"] = [
            {"value": each.value, "known": each.known, "usable": each.usable} for each in finding.values
        ]
    return members
