"""The process that keeps a user's mounts: a script of its own, run with nothing else of ovlctl loaded.

``holder.py RUN KEEP fresh|again TOKEN``, with a pipe as descriptor 3; the token is there to be read by others. It
stands in the user and mount namespace that it keeps alive, sleeps until something is mounted or unmounted there, and
ends with the last mount whose source begins with ``ovlctl:``. Before it ends it takes the lock that every command holds
for as long as it is at work in here: a command either finds it alive and keeps it so, or finds it gone and starts
another one.

Only what the interpreter has loaded anyway is imported, besides ``select`` and ``fcntl``: it stays for days.
"""

from __future__ import annotations

import os
import select
import sys
from fcntl import LOCK_EX, flock

TABLE = "/proc/self/mountinfo"
READY = 3


def main(run: str, keep: str, beginning: str) -> None:
    """Hold until the last mount has ended."""
    with open("/proc/self/comm", "w", encoding="ascii") as name:
        name.write("ovlctl-holder")
    table = os.open(TABLE, os.O_RDONLY | os.O_CLOEXEC)
    changes = select.poll()
    changes.register(table, select.POLLPRI)
    # What root's ovlctl had mounted when this namespace was made of root's is not held by this process.
    foreign = ours(table) if beginning == "fresh" else set()
    os.write(READY, b"%d\n" % os.getpid())
    os.close(READY)
    while True:
        present = ours(table)
        foreign &= present
        if present <= foreign and ended(run, keep, table, foreign):
            return
        changes.poll()


def ours(table: int) -> set[tuple[bytes, ...]]:
    """The mounts here that ovlctl made, without those that came here from outside later; reading awaits new changes.

    A mount that came from outside receives what happens there (``master:``); one that was made here does not.
    """
    os.lseek(table, 0, os.SEEK_SET)
    text = b""
    while block := os.read(table, 1 << 16):
        text += block
    found = set()
    for line in text.splitlines():
        before, _, after = line.partition(b" - ")
        fields = before.split(b" ")
        source = after.split(b" ")[1:2]
        if source and source[0].startswith(b"ovlctl:") and not any(tag.startswith(b"master:") for tag in fields[6:]):
            found.add((*fields[:5], source[0]))
    return found


def ended(run: str, keep: str, table: int, foreign: set[tuple[bytes, ...]]) -> bool:
    """Whether nothing is held once no command is at work; then what this process needed is removed."""
    lock = locked(os.path.join(run, "holder.lock"))
    if not ours(table) <= foreign:
        if lock is not None:
            os.close(lock)
        return False
    state = locked(os.path.join(run, "lock"))
    if lock is not None and state is not None:
        tidy(run, keep)
    return True


def locked(path: str) -> int | None:
    """The file *path*, locked; None when there is none, and so nobody who could wait for it."""
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            flock(lock, LOCK_EX)
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except OSError:
            # A file system without locks, or the file was removed meanwhile.
            pass
        os.close(lock)


def tidy(run: str, keep: str) -> None:
    """Remove the note about this process and, where they hold nothing of anybody's, the state directories.

    Both locks are held, so nobody is about to write there.
    """
    try:
        note = os.path.join(run, "holder.json")
        with open(note, "rb") as file:
            mine = b'"pid": %d,' % os.getpid() in file.read()
        if mine:
            os.unlink(note)
        inside = [os.path.join(run, name) for name in ("mounts", "stacks")]
        files = {"lock", "holder.lock", "probes.json"}
        if mine and set(os.listdir(run)) <= files | {"mounts", "stacks"} and not any(map(os.listdir, inside)):
            for directory in inside:
                os.rmdir(directory)
            for name in files.intersection(os.listdir(run)):
                os.unlink(os.path.join(run, name))
            os.rmdir(run)
            if "live" in os.listdir(keep):
                os.unlink(os.path.join(keep, "live"))
            os.rmdir(os.path.join(keep, "stacks"))
            os.rmdir(keep)
    except OSError:
        # Something is kept there, or the place is gone or read-only: it stays as it is.
        return


if __name__ == "__main__":
    main(*sys.argv[1:4])
