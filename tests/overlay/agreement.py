"""The resolver against a mount, name by name."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.kernel_habits import habits
from ovlctl.ops.reading import witness
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import ESCAPE, Mark, Prefix, decode_handle
from ovlctl.overlay.merged import Entry, listing, walk
from ovlctl.overlay.resolution import Outcome, Place, Resolution, Verdict
from ovlctl.overlay.tree import Kind, xattrs
from tests.overlay.made import Seen, mounted, seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.overlay.resolution import Candidate
    from ovlctl.overlay.resolver import Resolver
    from ovlctl.overlay.stack import Stack

# OVL_FH_FLAG_PATH_UPPER.
_UPPER = 4


def foretold(found: Resolution, prefix: Prefix) -> Seen:
    """What the resolver says a mount would say."""
    assert found.outcome is not Outcome.UNKNOWN, found
    if not found.exists:
        return Seen(errno=found.errno)
    place, attributes = found.stack[0], found.attributes
    assert attributes is not None
    content = None
    if found.data is not None:
        with found.data.layer.tree.open(found.data.path) as opened:
            # All of it, whatever the size that a metadata-only file itself has.
            content = opened.read()
    return Seen(
        kind=attributes.kind,
        mode=attributes.mode,
        owner=(attributes.uid, attributes.gid),
        size=attributes.size if attributes.kind is not Kind.DIRECTORY else 0,
        nlink=found.nlink,
        rdev=attributes.rdev,
        mtime_ns=attributes.mtime_ns,
        content=content,
        read_errno=found.data_errno,
        target=place.layer.tree.readlink(place.path) if attributes.kind is Kind.SYMLINK else "",
        xattrs=tuple(sorted(_through(xattrs(place.layer.tree, place.path), prefix).items())),
    )


def _through(found: dict[str, bytes], prefix: Prefix) -> dict[str, bytes]:
    # The merge hides its own marks, and newer kernels show escaped ones with one escape less.
    shown = {}
    escapes = habits(Habit.ESCAPES) is not Answer.NO
    for name, value in found.items():
        if escapes and name.startswith(prefix + ESCAPE):
            shown[prefix + name.removeprefix(prefix + ESCAPE)] = value
        elif not name.startswith(prefix):
            shown[name] = value
    return shown


def disagreements(resolver: Resolver, point: str, names: Iterable[str], stack: Stack | None) -> Iterator[str]:
    """One line per name of which resolver and kernel say different things.

    Args:
        resolver: Made before the mount.
        point: Where the stack is mounted.
        names: To be looked for in every directory, besides those that are listed.
        stack: To be mounted again where the kernel's answer may be due to what it had looked up before; None for one
            that cannot be mounted twice.
    """
    pending = [resolver.root()]
    while pending:
        directory = pending.pop()
        entries = [entry for entry in listing(resolver, directory) if isinstance(entry, Entry)]
        wrong = _listing_difference(directory, entries, point)
        if wrong and stack is not None:
            with mounted(stack, point + "-again") as again:
                wrong = _listing_difference(directory, entries, again)
        if wrong:
            yield f"{directory.path!r}: {wrong}"
        for name in sorted({*names, *(entry.name for entry in entries)}):
            found = resolver.child(directory, name)
            wrong = difference(resolver, found, point)
            if wrong and stack is not None:
                # Does it share an inode with a name seen before?
                with mounted(stack, point + "-again") as again:
                    wrong = difference(resolver, found, again)
            if wrong:
                yield f"{found.path!r}: {wrong}; {found}"
            elif found.is_directory:
                pending.append(found)


def _listing_difference(directory: Resolution, entries: list[Entry], point: str) -> str:
    listed = {entry.name for entry in entries if entry.listed}
    # Where the upper is impure, or has empty files as whiteouts, readdir(3) looks names up. One that is refused is left
    # out then, or is the error of the call, by where it stands in the buffer.
    refused = {entry.name for entry in entries if entry.resolution.outcome is Outcome.REFUSED}
    # So are two names in one directory that lead to one lower directory: whichever is looked up second.
    identities = [entry.resolution.lineage[-1].place for entry in entries if entry.resolution.lineage]
    refused |= {
        entry.name
        for entry in entries
        if entry.resolution.lineage and identities.count(entry.resolution.lineage[-1].place) > 1
    }
    loose = directory.has_whiteout_marks or directory.stack[0].layer.role is Role.UPPER
    unsure = refused if loose else set[str]()
    try:
        shown = set(os.listdir(os.path.join(point, directory.path)))
    except OSError as error:
        expected = {entry.resolution.errno or errno.ESTALE for entry in entries if entry.name in unsure}
        return "" if error.errno in expected else f"listing it gives {error.strerror}"
    if shown - unsure == listed - unsure:
        return ""
    return f"listed by kernel {sorted(shown)}, by us {sorted(listed)}"


def difference(resolver: Resolver, found: Resolution, point: str, *, live: bool = False) -> str:
    """What the mount at *point* says otherwise of *found*; empty for nothing.

    Args:
        resolver: The stack's.
        found: From *resolver*.
        point: Where the stack is mounted.
        live: The mount has changed the upper. It remembers the origin of what it copied up, also where it wrote none:
            of a hard link without an index, of a symbolic link with userxattr.
    """
    path = os.path.join(point, found.path)
    kernel, ours = seen(path), foretold(found, resolver.following.prefix)
    if found.exists and (not found.certain or (live and _counts_the_index(resolver, found, kernel))):
        ours = replace(ours, nlink=kernel.nlink)
    if kernel != ours:
        return f"kernel {kernel}, ours {ours}"
    # With nfs_export the kernel copies directories up before it answers.
    asks = found.exists and not (resolver.following.verify_lower and found.is_directory)
    record = witness.record_of(path) if asks else None
    if record is None:
        return ""
    expected, upper = _named(resolver, found)
    if (record.handle, bool(record.flags & _UPPER)) == (expected, upper) or (live and upper and not found.is_directory):
        return ""
    top = found.stack[0]
    return f"provided by {top.layer.directory}: {top.path!r}; the kernel names {record}, not {expected!r}, {upper=}"


def _counts_the_index(resolver: Resolver, found: Resolution, kernel: Seen) -> bool:
    # With nfs_export a mount that copied a file up knows its link count; later ones count the index entry too.
    return resolver.following.verify_lower and not found.is_directory and kernel.nlink == found.nlink - 1


def _named(resolver: Resolver, found: Resolution) -> tuple[bytes | None, bool]:
    # Whose handle an overlay gives for its object, and whether it is the upper's: ovl_check_encode_origin().
    top = found.stack[0]
    lower = next((seen.place for seen in found.candidates if _is_lower_part(seen)), None)
    in_upper = top.layer.role is Role.UPPER
    unindexed = resolver.following.verify_lower and in_upper and not found.indexed
    if in_upper and (not found.path or lower is None or unindexed):
        origin = _origin(resolver, top)
        if found.kind is Kind.DIRECTORY or origin is None or unindexed:
            known = top.layer.tree.handle(top.path)
            return None if known is None else known.handle, True
        # What was copied up with its data goes by the handle of what it was copied from.
        return origin, False
    assert lower is not None, found
    known = lower.layer.tree.handle(lower.path)
    return None if known is None else known.handle, False


def _is_lower_part(seen: Candidate) -> bool:
    return seen.place.layer.role is Role.LOWER and seen.verdict in {
        Verdict.PROVIDES,
        Verdict.MERGED,
        Verdict.METADATA_ONLY,
        Verdict.DATA,
    }


def _origin(resolver: Resolver, place: Place) -> bytes | None:
    value = place.layer.tree.xattr(place.path, resolver.following.prefix + Mark.ORIGIN)
    record = None if value is None else decode_handle(value)
    if record is None:
        return None
    # One that leads to an object of another kind is as good as none, where it is not refused.
    below = (layer.tree.by_handle(record.type, record.handle) for layer in resolver.layers.lowers)
    origin, own = next(filter(None, below), None), place.layer.tree.lstat(place.path)
    return None if origin is not None and own is not None and origin.kind is not own.kind else record.handle


def aliased(resolver: Resolver) -> bool:
    """Whether two names lead to one object: what the kernel says of the one then depends on the other."""
    entries = [entry.resolution for entry in walk(resolver) if isinstance(entry, Entry)]
    places = [place for found in entries for place in found.stack]
    return len(places) != len(set(places))
