"""Read, modify, delete and create, each done once on a fresh scratch upper: for a page to replay."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops import reading
from ovlctl.ops.trying.example import CONFIG, example
from ovlctl.ops.trying.stage import stage
from ovlctl.ops.trying.values import Action, Recording, Wish
from ovlctl.overlay.layers import Role
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from ovlctl.ops.reading import Subject, View
    from ovlctl.ops.trying.values import Deed

_SMALLEST, _LARGEST = 1 << 10, 1 << 20
#: The search for a file ends after so many entries, or seconds.
_ENTRIES, _SECONDS = 20_000, 2.0
_NEW_NAMES = ("new.txt", *(f"new-{number}.txt" for number in range(1, 100)))


def record(subject: Subject, *, path: str | None = None, directory: str | None = None) -> Recording:
    """Read, modify and delete a file of *subject*, and create one beside it.

    What cannot be mounted, or has no file that fits, is replaced by the example, and the recording says why.

    Args:
        subject: A stack, mounted or not.
        path: The file; by default a regular one that a lower provides, of a KiB to a MiB where one is found soon.
        directory: As for :func:`ovlctl.ops.trying.stage.stage`.

    Raises:
        OvlError: The example cannot be mounted, either.
    """
    try:
        found = _recorded(subject, path, directory, because=None)
        if found is not None:
            return found
        because = "no regular file of a lower was found in it"
    except errors.OvlError as error:
        because = error.message(_quoted)
    with example(directory=directory) as instead:
        told = _recorded(instead, CONFIG, directory, because=because)
    assert told is not None, "the example has such files"  # noqa: S101 -- for the type checker
    return told


def _quoted(path: str) -> str:
    return path


def _recorded(subject: Subject, path: str | None, directory: str | None, because: str | None) -> Recording | None:
    with stage(subject, directory=directory) as ground:
        with reading.opened(ground.subject) as view:
            path = path or _fitting(view, has_upper=subject.stack.upper is not None)
            if path is None:
                return None
            new = _free(view, path)
        deeds: list[Deed] = []
        for wish in (
            Wish(action=Action.READ, path=path),
            Wish(action=Action.MODIFY, path=path),
            Wish(action=Action.DELETE, path=path),
            Wish(action=Action.CREATE, path=new),
        ):
            if deeds:
                ground.reset()
            deeds.append(ground.do(wish))
        return Recording(
            label=subject.label,
            example=because is not None,
            because=because,
            layers=ground.ground,
            kernel=os.uname().release,
            file_system=ground.file_system,
            deeds=tuple(deeds),
        )


def _fitting(view: View, *, has_upper: bool) -> str | None:
    end = time.monotonic() + _SECONDS
    second: str | None = None
    for count, entry in enumerate(walk(view.resolver)):
        if count >= _ENTRIES or time.monotonic() > end:
            break
        if not isinstance(entry, Entry):
            continue
        found = entry.resolution
        if found.kind is not Kind.FILE or found.attributes is None or found.data is None:
            continue
        provider = found.provider
        if provider is None or provider.role is not Role.LOWER or found.attributes.nlink > 1:
            continue
        if has_upper and provider.index == 0:
            continue  # it is the stack's own upper's
        if _SMALLEST <= found.attributes.size <= _LARGEST:
            return found.path
        if second is None and found.attributes.size <= _LARGEST:
            second = found.path
    return second


def _free(view: View, path: str) -> str:
    around = path.rpartition("/")[0]
    every = (f"{around}/{name}" if around else name for name in _NEW_NAMES)
    return next((new for new in every if not view.resolver.resolve(new).exists), f"{path}.new")
