"""Look at the machine, and mount, without a mount that is there: in a mount namespace of one thread.

The namespace is a private copy: what is mounted or unmounted in it is seen nowhere else, and it goes with the thread,
also when the whole process is killed. What leaves it is a detached mount, by its descriptor.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from ovlctl.kernel import namespaces
from ovlctl.kernel.mount import MNT, MS, mount, umount2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")


def without(points: Sequence[str], work: Callable[[], _T]) -> _T:
    """Call *work* in a thread for which the topmost mount at each of *points* is not there.

    /proc/self still tells of the first thread; /proc/thread-self is the one to ask. The old mounts are let go of
    before *work* begins, so that this copy keeps no file system alive.

    Args:
        points: Mount points; one that is named twice loses two mounts.
        work: What to do.

    Returns:
        What *work* returns.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN; and whatever *work* raises, of any class.
    """
    result: list[_T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            namespaces.unshare(namespaces.CLONE.NEWNS)
            mount(None, "/", None, MS.REC | MS.PRIVATE)
            for point in points:
                umount2(point, MNT.DETACH | MNT.UMOUNT_NOFOLLOW)
            result.append(work())
        except BaseException as error:  # noqa: BLE001 -- raised again where it can be caught
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]
