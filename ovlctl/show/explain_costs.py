"""What a change would do, what it would take, and who would not see it: in words."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.object_users import UseKind
from ovlctl.ops.explain.terms import Act, Data, Remark, Through
from ovlctl.show.explain_lines import view_path, wrapped
from ovlctl.show.explain_words import REMARKS, STALENESS
from ovlctl.show.names import show_name, show_text
from ovlctl.show.sizes import format_ns, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.bench.prediction import Prediction
    from ovlctl.ops.explain.values import Cost, User, Users

_ACTS = {Act.WRITE: "write", Act.CHMOD: "chmod", Act.RENAME: "rename", Act.UNLINK: "remove"}
#: How many processes are named; the rest is counted.
_NAMED = 10
_USES = {UseKind.FD: "open", UseKind.MAP: "mapped", UseKind.EXE: "running"}


def cost_lines(costs: Sequence[Cost], size: int, predictions: Sequence[Prediction]) -> Iterator[str]:
    """Each change with its cost; the directories that come along first, once for all.

    Args:
        costs: In order.
        size: Of the merged file, in bytes.
        predictions: Of their times.
    """
    if all(cost.errno == errno.EROFS for cost in costs):
        yield f"  fails with EROFS: {REMARKS[Remark.READ_ONLY]}"
        return
    parents = next((cost.parents for cost in costs if cost.parents), ())
    if parents:
        yield wrapped(f"{_parents(parents)} into the upper, without content", "  first   ")
    for cost in costs:
        own = [each for each in predictions if each.act is cost.act]
        yield wrapped(_cost(cost, size, _time(own)), f"  {_ACTS[cost.act]:6}  ")
    if predictions:
        yield wrapped(_source(predictions), "  times   ")


def _cost(cost: Cost, size: int, time: str) -> str:
    told = [_remark(cost, remark) for remark in cost.remarks if not _goes_without_saying(cost, remark)]
    if cost.errno:
        return f"fails with {errno.errorcode.get(cost.errno, cost.errno)}" + (f": {'; '.join(told)}" if told else "")
    parts = [_moved(cost, size), "leaves a whiteout" if cost.whiteout else ""]
    done = ", ".join(filter(None, parts)) or "copies nothing"
    return done + (f" ({'; '.join(told)})" if told else "") + time


def cost_text(cost: Cost) -> str:
    """The remarks on a change, in words; empty where there is nothing to remark."""
    return "; ".join(_remark(cost, remark) for remark in cost.remarks)


def _remark(cost: Cost, remark: Remark) -> str:
    elsewhere = remark is Remark.REDIRECT_TOO_LONG and not cost.errno
    return f"into another directory EXDEV, as {REMARKS[remark]}" if elsewhere else REMARKS[remark]


def _goes_without_saying(cost: Cost, remark: Remark) -> bool:
    # Said once, at chmod; and in the inode story.
    return (remark is Remark.WITHOUT_METACOPY and cost.act is not Act.CHMOD) or remark is Remark.BREAKS_LINK


def _moved(cost: Cost, size: int) -> str:
    if cost.data is Data.COPIED:
        if cost.copies_bytes is None:
            return f"copies up to {format_size(cost.at_most or 0)}"
        perhaps = ", or clones it" if cost.reflink is Answer.UNKNOWN else ""
        holes = f" of {format_size(size)}, the rest is holes" if cost.copies_bytes < size else ""
        return f"copies {format_size(cost.copies_bytes)}{holes}{perhaps}"
    if cost.data is Data.CLONED:
        return "clones the data (reflink), copies none"
    if cost.data is Data.METADATA:
        return "copies metadata only, no data"
    return "copies the object, no data" if cost.copies_object else ""


def _time(predictions: Sequence[Prediction]) -> str:
    if not predictions:
        return ""
    from ovlctl.bench.terms import Cache

    told = [
        f"{format_ns(each.ns)}{' if not cached' if each.cache is Cache.COLD and len(predictions) > 1 else ''}"
        for each in predictions
    ]
    return f"; about {', '.join(told)} (predicted)"


def _source(predictions: Sequence[Prediction]) -> str:
    from ovlctl.bench.prediction import Basis
    from ovlctl.bench.terms import Cache

    first = predictions[0]
    beyond = any(each.basis is Basis.BEYOND for each in predictions)
    cold = {each.cache for each in predictions} == {Cache.COLD}
    return (
        f"predicted from bench-copyup of {show_text(first.measured)} on {show_name(first.fs)}, "
        f"{format_size(first.smallest)} to {format_size(first.largest)}"
        + (f", {first.depth} director{'y' if first.depth == 1 else 'ies'} copied up with each" if first.depth else "")
        + (", data not cached" if cold else "")
        + ("; this file is larger than any that was measured" if beyond else "")
    )


def _parents(parents: Sequence[str]) -> str:
    first, last = view_path(parents[0]), view_path(parents[-1])
    if len(parents) == 1:
        return f"the directory {first} comes"
    return f"{len(parents)} directories, {first} down to {last}, come"


def user_lines(users: Users) -> Iterator[str]:
    """Processes that have the file, with what each of them would see."""
    for user in users.found[:_NAMED]:
        yield from _user(user)
    if len(users.found) > _NAMED:
        yield f"  and {len(users.found) - _NAMED} more; --json lists all"
    if users.unreadable:
        count = len(users.unreadable)
        some = f"{count} process{'' if count == 1 else 'es'}"
        more = "; root sees more" if users.root_sees_more else ""
        yield f"  {'' if users.found else 'nobody that can be seen; '}not looked into: {some}{more}"


def _user(user: User) -> Iterator[str]:
    use = user.use
    fd = "" if use.fd is None else f" as descriptor {use.fd}"
    way = "" if user.through is Through.MERGED else " in the layer itself"
    yield f"  pid {use.pid} {show_name(use.name)}: {_USES[use.kind]}{fd}{way}, {show_name(use.path)}"
    yield wrapped(STALENESS[user.staleness], "    ")
