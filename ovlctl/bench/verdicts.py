"""The two claims about identity, judged by the measured cases and by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.bench.values import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.bench.values import IdentityCase

SAME_INODE = "files in the merged directory share the inode of the lower until modified"
LINKS_BREAK = "hard links break on copy-up"


def verdicts(cases: Sequence[IdentityCase]) -> tuple[Verdict, ...]:
    """One verdict for each claim that *cases* can judge."""
    single = [case for case in cases if case.hardlink_kept is None]
    linked = [case for case in cases if case.hardlink_kept is not None]
    return (*([_same_inode(single, linked)] if single else []), *([_links_break(linked)] if linked else []))


def _same_inode(single: Sequence[IdentityCase], linked: Sequence[IdentityCase]) -> Verdict:
    number = [case for case in single if case.number_same_as_lower]
    device = [case for case in single if case.device_same_as_lower]
    written = [case for case in single if case.after.st_ino != case.before.st_ino]
    remounted = [case for case in single if case.remounted.st_ino != case.after.st_ino]
    if number == device == written == list(single):
        word = "true"
    elif not number:
        word = "false"
    else:
        word = "half true"
    reasons = [
        f"the number was the lower's in {_count(number, single)}"
        + (f" (not with {_names(single, number)})" if len(number) < len(single) else ""),
        "st_dev never was the lower's" if not device else f"st_dev was the lower's in {_count(device, single)}",
        f"the first write changed the number in {_count(written, single)}"
        if written
        else "the first write kept the number",
        f"a remount changed it in {_count(remounted, single)}" if remounted else "a remount kept it",
    ]
    torn = [case for case in linked if not case.number_constant]
    if torn:
        reasons.append(f"for a file with two names it changed in {_count(torn, linked)}")
    return Verdict(claim=SAME_INODE, verdict=word, reason="; ".join(reasons))


def _links_break(linked: Sequence[IdentityCase]) -> Verdict:
    outcomes = {
        setting: [case.hardlink_kept for case in linked if case.options.get("index") == setting]
        for setting in ("off", "on")
    }
    said = [
        f"with index={setting} they were {_held(kept)} in {len(kept)} of {len(kept)} cases"
        for setting, kept in outcomes.items()
        if kept and len(set(kept)) == 1
    ]
    said += [f"with index={setting} it depends on the case" for setting, kept in outcomes.items() if len(set(kept)) > 1]
    if not outcomes["on"]:
        said.append("index=on was not to be had here")
    if all(case.hardlink_kept for case in linked):
        word = "false"
    elif not any(case.hardlink_kept for case in linked):
        word = "true"
    else:
        word = "true with index=off, false with index=on"
    return Verdict(claim=LINKS_BREAK, verdict=word, reason="; ".join(said))


def _held(kept: Sequence[bool | None]) -> str:
    return "kept" if kept[0] else "broken"


def _count(some: Sequence[IdentityCase], of: Sequence[IdentityCase]) -> str:
    return f"{len(some)} of {len(of)} cases"


def _names(of: Sequence[IdentityCase], without: Sequence[IdentityCase]) -> str:
    return "; ".join(case.case for case in of if case not in without)
