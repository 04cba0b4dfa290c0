"""Run a program as an ordinary user from a test that runs as root.

``python -m tests.as_user UID DIRECTORY... -- PROGRAM ARGUMENT...``: in a mount namespace of its own, make each
DIRECTORY reachable for UID even when it lies below one that only root may enter, give up root, and execute.

How: a fresh tmpfs with mode 0755 covers the closed ancestor, and the wanted trees are bound to where they were.
Nobody else sees that, and it is gone with the process.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from typing import TYPE_CHECKING

from ovlctl.kernel.mount import MS, mount
from ovlctl.kernel.namespaces import enter_private_mounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Processes that run tests side by side have different ones: tests/side_by_side.py.
_FIRST_UID = 64123 + 10 * int(os.environ.get("OVLCTL_TESTS_PART", "0"))


def unused_uid() -> int:
    """A uid (and gid) that no account on this machine has."""
    taken = {account.pw_uid for account in pwd.getpwall()}
    return next(uid for uid in range(_FIRST_UID, 65534) if uid not in taken)


def account_name(uid: int) -> str:
    """Name of the account with this *uid*, or the number when there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def needed_trees() -> list[str]:
    """What an interpreter like this one, running this project, has to reach."""
    project = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    trees = [sys.prefix, sys.base_prefix, sys.exec_prefix, project, *filter(os.path.isdir, sys.path)]
    return sorted({path for tree in trees for path in (os.path.abspath(tree), os.path.realpath(tree))})


def main(argv: list[str]) -> None:
    """Never returns: the process becomes the program."""
    cut = argv.index("--")
    uid, directories, program = int(argv[0]), argv[1:cut], argv[cut + 1 :]
    here = os.getcwd()
    enter_private_mounts()
    expose(directories)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.chdir(here)  # by name again: it may lie on a tree that was bound anew
    os.execvp(program[0], program)  # noqa: S606 -- the very point


def expose(directories: Iterable[str]) -> None:
    """Make *directories* reachable for everybody, in this (private) mount namespace only."""
    closed: dict[str, list[str]] = {}
    for directory in directories:
        ancestor = next(_closed_ancestors(directory), None)
        if ancestor is not None:
            closed.setdefault(ancestor, []).append(directory)
    # Handles first: the cover hides the names. An outer tree brings those inside it along.
    handles = {path: os.open(path, os.O_PATH) for trees in closed.values() for path in _outermost(trees)}
    for ancestor, trees in closed.items():
        mount("tmpfs", ancestor, "tmpfs", MS.NOSUID | MS.NODEV, b"mode=0755")
        for tree in _outermost(trees):
            os.makedirs(tree, mode=0o755, exist_ok=True)
            mount(f"/proc/self/fd/{handles[tree]}", tree, None, MS.BIND | MS.REC)
    for handle in handles.values():
        os.close(handle)


def _closed_ancestors(directory: str) -> Iterator[str]:
    path = ""
    for part in directory.split("/")[1:]:
        path = f"{path}/{part}"
        if not os.stat(path).st_mode & stat.S_IXOTH:
            yield path


def _outermost(trees: list[str]) -> list[str]:
    return [tree for tree in trees if not any(tree.startswith(f"{other}/") for other in trees)]


if __name__ == "__main__":
    os.umask(0o022)
    main(sys.argv[1:])
