"""What is found out by mounting: on a tmpfs, in a child process that has a mount namespace of its own."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.errors import strerror
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops.doctor.values import Reply
from ovlctl.overlay import rules
from ovlctl.overlay.options import Flag, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.overlay.options import Key

#: Some directory to mount over, in the child's own namespace.
_POINTS = ("/tmp", "/run", "/mnt", "/var", "/usr")  # noqa: S108 -- a tmpfs of ours is mounted over it first

#: Whether an overlay can be mounted on a tmpfs, written to, and a lower file deleted in it.
OVERLAY = "overlay"
#: Whether, on that tmpfs, a directory of a lower can be removed and made again.
OPAQUE = "opaque"


def option_question(key: str, value: str | None) -> str:
    """Whether the kernel knows an option; *value* is None for a flag."""
    return f"option {key}" if value is None else f"option {key}={value}"


def values_of(key: Key) -> list[str | None]:
    """Every value of an option, None alone for a flag."""
    return [None] if key.values is Flag else list(key.values)


def use(*, userxattr: bool) -> dict[str, Reply]:
    """Mount an overlay on a tmpfs and use it; the working directory is on that tmpfs afterwards."""
    step = "mounting a tmpfs"
    replies = {}
    try:
        base = next(filter(os.path.isdir, _POINTS))
        mount("tmpfs", base, "tmpfs", MS.NOSUID | MS.NODEV, b"size=1m,mode=0700")
        os.chdir(base)
        for name in ("lower", "lower/directory", "upper", "work", "merged"):
            os.mkdir(name)
        for name in ("lower/file", "lower/directory/inside"):
            _write(name)
        step = "mounting an overlay"
        words = "lowerdir=lower,upperdir=upper,workdir=work" + (",userxattr" if userxattr else "")
        mount("ovlctl:doctor", "merged", "overlay", MS.NOSUID | MS.NODEV, words.encode("ascii"))
        step = "writing through the overlay"
        _write("merged/new")
        os.unlink("merged/file")
        replies[OVERLAY] = Reply(answer=Answer.YES)
        step = "replacing a directory in the overlay"
        os.unlink("merged/directory/inside")
        os.rmdir("merged/directory")
        os.mkdir("merged/directory")
        replies[OPAQUE] = Reply(answer=Answer.NO if os.listdir("merged/directory") else Answer.YES)
    except OSError as error:
        refused = Reply(answer=Answer.NO, reason=f"{step}: {strerror(error)}")
        replies.setdefault(OVERLAY, refused)
        replies.setdefault(OPAQUE, refused)
    return replies


def options(questions: Mapping[str, tuple[Key, str | None]], *, userxattr: bool) -> dict[str, Reply]:
    """Whether the kernel knows options, each tried in a mount of its own after :func:`use`.

    What the kernel knows and refuses this user all the same stays UNKNOWN.

    Args:
        questions: The option and its value (None for a flag) of each.
        userxattr: Whether to mount as in a user namespace.
    """
    replies = {}
    for number, (question, (key, value)) in enumerate(questions.items()):
        asked = Options().with_value(key.name, value or Flag.YES)
        if any(rules.conflicts(asked, has_upper=True, trusted_xattrs=not userxattr)):
            continue
        upper, work = f"upper{number}", f"work{number}"
        os.mkdir(upper)
        os.mkdir(work)
        words = [
            f"lowerdir=lower,upperdir={upper},workdir={work}",
            key.name if value is None else f"{key.name}={value}",
        ]
        if userxattr and key.name != "userxattr":
            words.append("userxattr")
        try:
            mount("ovlctl:doctor", "merged", "overlay", MS.NOSUID | MS.NODEV, ",".join(words).encode("ascii"))
        except OSError as error:
            answer = Answer.NO if error.errno == errno.EINVAL else Answer.UNKNOWN
            replies[question] = Reply(answer=answer, reason=strerror(error))
        else:
            replies[question] = Reply(answer=Answer.YES)
            umount2("merged", MNT(0))
    return replies


def _write(path: str) -> None:
    with open(path, "xb") as file:
        file.write(b"x")
