"""What tests ask as somebody else, in a process of its own: importing this makes no sandbox."""

from __future__ import annotations

import json
import os

from ovlctl.kernel import namespaces
from ovlctl.kernel.apart import apart
from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.doctor import diagnose, practice
from ovlctl.ops.doctor.catalogue import OPTIONS
from ovlctl.ops.doctor.practice import values_of
from ovlctl.overlay.options import KEYS


def usable() -> dict[tuple[str, str | None], Answer]:
    """What the doctor, run by who calls this, says of each value of each option."""
    findings = {finding.ability: finding for finding in diagnose([]).host.findings}
    return {(key.name, each.value): each.usable for key in KEYS for each in findings[OPTIONS[key.name]].values}


def by_mounting() -> dict[str, str]:
    """The answers where the kernel cannot be asked before mounting (before 6.5), got here in the same way."""

    def attempt() -> bytes:
        userxattr = os.geteuid() != 0
        if userxattr:
            namespaces.enter_user_namespace()
        else:
            namespaces.enter_private_mounts()
        questions = {f"{key.name}={value}": (key, value) for key in KEYS for value in values_of(key)}
        assert practice.use(userxattr=userxattr)[practice.OVERLAY].answer is Answer.YES
        replies = practice.options(questions, userxattr=userxattr)
        return json.dumps({question: reply.answer for question, reply in replies.items()}).encode("ascii")

    content = apart(attempt)
    assert content is not None
    found: dict[str, str] = json.loads(content)
    return found
