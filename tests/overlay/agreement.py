"""The resolver against a mount, name by name."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import ESCAPE, Mark, Prefix, decode_handle
from ovlctl.overlay.merged import Entry, listing
from ovlctl.overlay.resolution import Outcome, Place, Resolution, Verdict
from ovlctl.overlay.tree import Kind, xattrs
from tests.overlay.made import Seen, handle_of, mounted, seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.overlay.resolver import Resolver
    from ovlctl.overlay.stack import Stack


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
    plain = attributes.kind is not Kind.DIRECTORY
    return Seen(
        kind=attributes.kind,
        mode=attributes.mode,
        owner=(attributes.uid, attributes.gid),
        size=attributes.size if plain else 0,
        nlink=found.nlink,
        rdev=attributes.rdev,
        mtime_ns=attributes.mtime_ns if plain else 0,
        content=content,
        read_errno=found.data_errno,
        target=place.layer.tree.readlink(place.path) if attributes.kind is Kind.SYMLINK else "",
        xattrs=tuple(sorted(_through(xattrs(place.layer.tree, place.path), prefix).items())),
    )


def _through(found: dict[str, bytes], prefix: Prefix) -> dict[str, bytes]:
    # The merge hides its own marks, and shows escaped ones with one escape less.
    shown = {}
    for name, value in found.items():
        if name.startswith(prefix + ESCAPE):
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
            difference = _difference(resolver, found, point)
            if difference and stack is not None:
                # Does it share an inode with a name seen before?
                with mounted(stack, point + "-again") as again:
                    difference = _difference(resolver, found, again)
            if difference:
                yield f"{found.path!r}: {difference}; {found}"
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


def _difference(resolver: Resolver, found: Resolution, point: str) -> str:
    path = os.path.join(point, found.path)
    kernel, ours = seen(path), foretold(found, resolver.following.prefix)
    if kernel != ours:
        return f"kernel {kernel}, ours {ours}"
    if found.exists and (handle := handle_of(path)) is not None:
        # The kernel's own stack keeps metadata-only objects that a resolution has no use for.
        kept = [seen.place for seen in found.candidates if seen.verdict is Verdict.METADATA_ONLY]
        places = (*found.stack, *kept)
        handles = [known.handle for place in places if (known := place.layer.tree.handle(place.path)) is not None]
        if resolver.layers.upper is None:
            handles = handles[:1]
        elif (origin := _origin(resolver, found.stack[0])) is not None:
            # What was copied up goes by the handle of what it was copied from.
            handles.append(origin)
        if handle not in handles:
            return f"provided by {found.stack[0]}, says the resolver; the kernel names another object"
    return ""


def _origin(resolver: Resolver, place: Place) -> bytes | None:
    value = place.layer.tree.xattr(place.path, resolver.following.prefix + Mark.ORIGIN)
    record = None if value is None else decode_handle(value)
    return None if record is None else record.handle
