"""Whether a directory is the upper or the work directory of an overlay that is alive, asked of the kernel itself.

Mount tables cannot tell: an overlay may live in another mount namespace, may be detached lazily and still be used, may
be held by an overlay on top of it; and what a table shows is a string, which whoever owns the directory can make lead
anywhere. The kernel keeps a flag on the directory for as long as the superblock lives.

The question is a mount that cannot succeed: the directory as upper and as its own work directory, with index=on. The
kernel looks at the flag first and answers EBUSY when it is set (ovl_get_upper in fs/overlayfs/super.c), then refuses
work inside upper with EINVAL, before anything is written. Seen on 6.18 to leave no trace but a line in the kernel log
("workdir and upperdir must be separate subtrees"), so it is asked where something is at stake only.
"""

from __future__ import annotations

import errno
import os
import threading
import time

from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.namespaces import enter_user_namespace, in_initial_user_namespace

#: Another ovlctl that asks at the same instant holds the flag for a moment; a real user keeps it.
_PAUSES = (0.002, 0.01, 0.03)


def in_use(directory: str) -> bool:
    """Whether a live overlay writes to *directory* or works in it.

    False also where the kernel does not get as far as looking, because no upper can be there at all, or because this
    process may not mount: for what must not be wrong then there is :func:`surely`.
    """
    return _patiently(directory) is Answer.YES


def surely(directory: str) -> Answer:
    """:func:`in_use`, asked in a user namespace of a child's where this process may not mount.

    UNKNOWN when the kernel cannot be asked so either. For processes of one thread.
    """
    answer = _patiently(directory)
    if answer is not Answer.UNKNOWN:
        return answer
    # Only what must not be wrong pays for the import.
    from ovlctl.kernel.apart import apart

    def ask() -> bytes:
        enter_user_namespace()
        return _patiently(directory).encode()

    said = apart(ask)
    return Answer.UNKNOWN if said is None else Answer(said.decode())


def _patiently(directory: str) -> Answer:
    for pause in _PAUSES:
        answer = _asked(directory)
        if answer is not Answer.YES:
            return answer
        time.sleep(pause)
    return Answer.YES


class Question:
    """:func:`in_use`, asked in a thread of its own: the kernel spends its millisecond waiting, not working."""

    def __init__(self, directory: str) -> None:
        self._answer = False
        self._failure: BaseException | None = None
        self._directory = directory
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._answer = in_use(self._directory)
        except BaseException as error:  # noqa: BLE001 -- raised where the answer is wanted: no answer is no "no"
            self._failure = error

    def answer(self) -> bool:
        """Whether the directory is in use; waits for the kernel."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._answer


def _asked(directory: str) -> Answer:
    try:
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return Answer.NO
    own = f"/proc/self/fd/{place}"
    words = f"lowerdir=/,upperdir={own},workdir={own},index=on"
    if not in_initial_user_namespace():
        words += ",userxattr"
    try:
        mount("ovlctl:probe", directory, "overlay", MS(0), words.encode())
    except OSError as error:
        return {errno.EBUSY: Answer.YES, errno.EPERM: Answer.UNKNOWN}.get(error.errno or 0, Answer.NO)
    finally:
        os.close(place)
    umount2(directory, MNT.UMOUNT_NOFOLLOW)
    message = f"the kernel took {directory!r} as upper and as its own work directory"
    raise AssertionError(message)
