"""Layers of somebody else, read by an ordinary user: an answer that is certain is right, and what was not read is said.

A right answer is root's, which other tests compare with the kernel's.
"""

from __future__ import annotations

import ctypes
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from ovlctl.kernel.libc import check, function
from ovlctl.overlay.change import Change
from ovlctl.overlay.changes import changes
from ovlctl.overlay.layers import Following, Layers, open_layers
from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.merged import walk
from ovlctl.overlay.resolution import Outcome, Resolution, Unreadable
from ovlctl.overlay.resolver import Resolver
from tests import capabilities
from tests.as_user import unused_uid
from tests.forks import in_child
from tests.overlay.made import new_directory
from tests.overlay.test_fuzz import EXAMPLES, NAMES, cases

if TYPE_CHECKING:
    from ovlctl.overlay.stack import Stack
    from tests.overlay.made import Case

ROOT = capabilities.needs_root
_PR_SET_DUMPABLE = 4
_PATHS = [f"{one}/{other}" for one in NAMES for other in NAMES]
_PATHS += [*NAMES, *(f"{path}/a" for path in _PATHS)]


def _told(stack: Stack, prefix: Prefix) -> dict[str, Any]:
    """What is said of every path that there can be, of what a walk finds, and of what the upper changes."""
    following = Following(prefix=prefix, metacopy=True)
    with open_layers(stack) as layers:
        resolver = Resolver(layers, following)
        paths = {path: _outline(resolver.resolve(path)) for path in _PATHS}
        walked, lost = set(), 0
        for entry in walk(resolver):
            if isinstance(entry, Unreadable):
                lost += 1
            elif entry.resolution.exists:
                walked.add(entry.resolution.path)
            elif entry.resolution.outcome is Outcome.UNKNOWN:
                lost += 1
        below = Resolver(Layers(lowers=layers.lowers, data=layers.data), following)
        changed = [] if layers.upper is None else list(changes(resolver, below, content=True))
        return {
            "paths": paths,
            "walked": sorted(walked),
            "lost": lost,
            "changed": [f"{one.path} {one.change} {one.fields}" for one in changed if isinstance(one, Change)],
            "unchanged_for_all_we_know": sum(isinstance(one, Unreadable) for one in changed),
            "certain": resolver.certain,
        }


def _outline(found: Resolution) -> dict[str, Any]:
    return {
        "certain": found.certain,
        "unreadable": len(found.unreadable),
        "answer": [
            found.outcome,
            found.errno,
            found.kind,
            [(place.layer.role, place.layer.index, place.path) for place in found.stack],
            found.data_errno,
            found.nlink,
        ],
    }


def _as_somebody_else(stack: Stack, prefix: Prefix, answer: str) -> None:
    uid = unused_uid()
    descriptor = os.open(answer, os.O_WRONLY | os.O_CREAT, 0o600)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Whoever changes ids without execve(2) is not dumpable, and so does not own /proc/self: proc(5).
    check(function("prctl", ctypes.c_int, ctypes.c_int, ctypes.c_ulong)(_PR_SET_DUMPABLE, 1))
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(_told(stack, prefix), file)


@ROOT
@pytest.mark.parametrize("prefix", Prefix)
@settings(max_examples=EXAMPLES // 10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_never_a_wrong_answer(room: str, prefix: Prefix, case: Case) -> None:
    """Whatever the layers: an answer without root is root's, or it is not certain and says what could not be read."""
    with new_directory(room) as base:
        os.chmod(base, 0o755)
        stack = case.write(base, prefix)
        right = json.loads(json.dumps(_told(stack, prefix)))
        assert in_child(lambda: _as_somebody_else(stack, prefix, f"{base}/answer")) == 0
        with open(f"{base}/answer", encoding="utf-8", errors="surrogateescape") as file:
            told = json.load(file)
    for path, said in told["paths"].items():
        if said["certain"]:
            assert said["answer"] == right["paths"][path]["answer"], path
        assert said["certain"] or prefix is Prefix.TRUSTED or said["unreadable"], path
        assert (said["answer"][0] == Outcome.UNKNOWN) <= (said["unreadable"] > 0), path
    if told["certain"] and not told["lost"]:
        assert told["walked"] == right["walked"]
    if told["certain"] and not told["unchanged_for_all_we_know"]:
        assert told["changed"] == right["changed"]
    assert told["certain"] is (prefix is Prefix.USER)
