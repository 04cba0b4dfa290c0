"""The inode story in words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.ops.explain.terms import DeviceOf, Donor, Known, LinkFate, Stays
from ovlctl.show.explain_lines import wrapped
from ovlctl.show.explain_words import BECAUSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.explain.terms import Because
    from ovlctl.ops.explain.values import InodeStory

_DONORS = {
    Donor.UPPER: "the number of the upper's object",
    Donor.LOWER: "the number of the lower's object",
    Donor.OWN: "a number of the overlay's own",
    Donor.UNKNOWN: "the upper's or the lower's, which cannot be told",
}
_DEVICES = {
    DeviceOf.OVERLAY: "the overlay's own",
    DeviceOf.PER_FILE_SYSTEM: "one that stands for the layer's file system",
}
_STAYS = {Stays.YES: "stays", Stays.NO: "changes", Stays.PERHAPS: "unsure", Stays.UNKNOWN: "unsure"}
_LINKS = {
    LinkFate.KEPT: "the first change keeps them together (index=on)",
    LinkFate.BROKEN: "the first change breaks this one off; the others keep the old file (index=off)",
    LinkFate.NONE_TO_COME: "all of them show each change",
}


def inode_lines(story: InodeStory) -> Iterator[str]:
    """What numbers an object has, and which of them stay."""
    yield wrapped(f"{_number(story)}: {_donor(story)}", "  st_ino  ")
    if (device := _device(story)) is not None:
        yield wrapped(device, "  st_dev  ")
    remount = (story.after_remount, story.remount_because)
    if story.after_copy_up is None or story.copy_up_because is None:
        yield _fate("with the next mount", *remount)
    elif (story.after_copy_up, story.copy_up_because) == remount:
        yield _fate("with the first change, and with the next mount", *remount)
    else:
        yield _fate("with the first change", story.after_copy_up, story.copy_up_because)
        yield _fate("with the next mount", *remount)
    if story.links is not LinkFate.SINGLE:
        yield wrapped(f"{story.nlink} names: {_LINKS[story.links]}", "  links   ")


def _number(story: InodeStory) -> str:
    if story.ino is None:
        return "unknown"
    return f"{story.ino} ({story.known})"


def _donor(story: InodeStory) -> str:
    text = _DONORS[story.donor]
    differs = story.known is Known.MEASURED and story.predicted not in {None, story.ino}
    return f"{text}; a new mount would give {story.predicted}" if differs else text


def _device(story: InodeStory) -> str | None:
    if story.device_of is None:
        return None if story.dev is None else f"{_pair(story.dev)} (measured)"
    text = _DEVICES[story.device_of]
    return text if story.dev is None else f"{_pair(story.dev)} (measured): {text}"


def _pair(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _fate(when: str, stays: Stays, because: Because) -> str:
    return wrapped(f"{when}: {BECAUSE[because]}", f"  {_STAYS[stays]:8}")
