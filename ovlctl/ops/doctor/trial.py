"""What can only be asked by who may mount, asked in a child process whose mounts nobody sees and that end with it.

Who may mount here asks in a mount namespace of its own, everybody else in a throw-away user namespace, where the same
system calls answer. So an ordinary user gets the kernel's answers, too, unless user namespaces are forbidden.
"""

from __future__ import annotations

import codecs
import ctypes
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.errors import NoUserNamespace, literal, strerror
from ovlctl.kernel import facilities, namespaces, probes
from ovlctl.kernel.apart import apart
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.libc import check, function
from ovlctl.ops.doctor import practice
from ovlctl.ops.doctor.practice import option_question, values_of
from ovlctl.ops.doctor.values import Reply
from ovlctl.overlay.options import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NOBODY = 65534
_PR_SET_DUMPABLE = 4  # linux/prctl.h
_prctl = function("prctl", ctypes.c_int, ctypes.c_int, ctypes.c_ulong)


class Way(StrEnum):
    """Where the child asked."""

    HERE = "here"
    USER_NAMESPACE = "user-namespace"
    NOWHERE = "nowhere"


_SILENCE = Reply(answer=Answer.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the child found.

    Attributes:
        way: Where it asked.
        barred: Whether the kernel forbids user namespaces, which is more than not having come so far.
        refusal: Why it could ask nowhere.
        fix: What would help against that.
        replies: By the name of the question.
    """

    way: Way
    barred: bool = False
    refusal: str = ""
    fix: str | None = None
    replies: dict[str, Reply] = field(default_factory=dict)

    def reply(self, question: str) -> Reply:
        """The answer to *question*, UNKNOWN with the refusal when it could not be asked."""
        return self.replies.get(
            question, Reply(answer=Answer.UNKNOWN, reason=self.refusal) if self.refusal else _SILENCE
        )


def layer_question(path: str, key: str) -> str:
    """Whether the kernel takes the directory *path* for the key ``lowerdir+`` or ``upperdir``."""
    return f"{key} {path}"


LOWERDIR_PLUS = "lowerdir+"
DESCRIPTORS = "descriptors"
BENEATH = "beneath"
SETATTR = "setattr"


def conduct(directories: Sequence[str]) -> Trial:
    """Ask everything, as this user; *directories* are absolute paths."""
    return _apart(_enter_here_or_there, directories)


def conduct_as_ordinary_user(mine: Trial) -> Trial:
    """Ask what somebody without any privilege gets: that is this user, or for root ``nobody``.

    Args:
        mine: What this user got.
    """
    if os.geteuid() != 0 or not namespaces.in_initial_user_namespace():
        # Inside a user namespace there may be no other user; one more namespace inside it is the same question.
        return mine if mine.way is not Way.HERE else _apart(_enter_user_namespace, ())
    return _apart(_become_nobody, ())


def _enter_here_or_there() -> Way:
    if namespaces.may_mount():
        # A container may have the capability and still be refused: then a user namespace may do.
        with suppress(OSError):
            namespaces.enter_private_mounts()
            return Way.HERE
    return _enter_user_namespace()


def _enter_user_namespace() -> Way:
    namespaces.enter_user_namespace()
    return Way.USER_NAMESPACE


def _become_nobody() -> Way:
    # Python may be installed where only root can read, so what is loaded on first use has to be loaded before.
    codecs.lookup("ascii")
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # Whoever changes ids without execve(2) is not dumpable, and so does not own /proc/self: proc(5).
    check(_prctl(_PR_SET_DUMPABLE, 1))
    return _enter_user_namespace()


def _apart(enter: Callable[[], Way], directories: Sequence[str]) -> Trial:
    try:
        content = apart(lambda: _encode(_tried(enter, directories)))
    except OSError as error:
        return Trial(way=Way.NOWHERE, refusal=f"no process can be made: {strerror(error)}")
    return (
        Trial(way=Way.NOWHERE, refusal="the process that tried failed or was killed")
        if content is None
        else _decode(content)
    )


def _tried(enter: Callable[[], Way], directories: Sequence[str]) -> Trial:
    try:
        way = enter()
    except NoUserNamespace as error:
        return Trial(way=Way.NOWHERE, barred=True, refusal=error.message(), fix=error.hint())
    except OSError as error:
        return Trial(way=Way.NOWHERE, refusal=f"cannot become an ordinary user: {strerror(error)}")
    replies = {
        LOWERDIR_PLUS: Reply(answer=probes.lowerdir_plus_known()),
        DESCRIPTORS: Reply(answer=probes.fd_layers_known()),
        BENEATH: Reply(answer=facilities.mount_beneath()),
        SETATTR: Reply(answer=facilities.mount_setattr()),
    }
    for key in KEYS:
        for value in values_of(key):
            replies[option_question(key.name, value)] = Reply(answer=probes.option_known(key.name, value))
    for path in directories:
        for role in ("lowerdir+", "upperdir"):
            replies[layer_question(path, role)] = _layer(path, role)
    userxattr = not namespaces.in_initial_user_namespace()
    replies |= practice.use(userxattr=userxattr)
    if replies[practice.OVERLAY].answer is Answer.YES:
        # Kernels before 6.5 take any option at first, and look at it when mounting.
        unasked = {
            question: (key, value)
            for key in KEYS
            for value in values_of(key)
            if replies[question := option_question(key.name, value)].answer is Answer.UNKNOWN
        }
        replies |= practice.options(unasked, userxattr=userxattr)
    return Trial(way=way, replies=replies)


def _layer(path: str, role: str) -> Reply:
    try:
        answer, reason = probes.layer_refusal(path, role)
    except OSError as error:
        return Reply(answer=Answer.UNKNOWN, reason=strerror(error))
    return Reply(answer=answer, reason=reason)


def _encode(trial: Trial) -> bytes:
    replies = {question: [reply.answer, reply.reason] for question, reply in trial.replies.items()}
    return json.dumps([trial.way, trial.barred, trial.refusal, trial.fix, replies]).encode("ascii")


def _decode(content: bytes) -> Trial:
    way, barred, refusal, fix, replies = json.loads(content)
    return Trial(
        way=Way(way),
        barred=barred,
        refusal=refusal,
        fix=fix,
        replies={
            question: Reply(answer=Answer(answer), reason=reason) for question, (answer, reason) in replies.items()
        },
    )


def said(reason: str) -> str:
    """*reason* for the inside of a note: the kernel's words, after a colon."""
    return f": {literal(reason)}" if reason else ""
