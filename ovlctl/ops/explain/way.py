"""What stands on the way to a path: the resolver follows no symbolic link, people do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops.explain.values import Obstacle
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.resolver import Resolver

# As many as the kernel follows: MAXSYMLINKS in linux/namei.h.
_MOST_LINKS = 40


def obstacle(resolver: Resolver, path: str) -> Obstacle | None:
    """The first parent of *path* that is no directory; None when all of them are."""
    names = [name for name in path.split("/") if name not in {"", "."}]
    here = ""
    for name in names[:-1]:
        here = join(here, name)
        found = resolver.resolve(here)
        if found.is_directory:
            continue
        found = resolver.resolve(here, complete=True)
        if found.kind is not Kind.SYMLINK:
            return Obstacle(resolution=found)
        target = _target(found)
        return Obstacle(resolution=found, target=target, instead=None if target is None else led_to(resolver, path))
    return None


def led_to(resolver: Resolver, path: str) -> str | None:
    """Where *path* leads when symbolic links on the way are followed, from the root of the merged view on.

    The last component is not followed. Law: each component is looked up in a directory that exists.

    Returns:
        A path without symbolic links on the way; None when something on it does not exist, is no directory, cannot be
        read, or is one link too many.
    """
    pending = [name for name in reversed(path.split("/")) if name not in {"", "."}]
    here, links = "", 0
    while pending:
        name = pending.pop()
        if name == "..":
            here = here.rpartition("/")[0]
            continue
        found = resolver.resolve(join(here, name))
        if found.kind is Kind.SYMLINK and pending:
            target = _target(found)
            links += 1
            if target is None or links > _MOST_LINKS:
                return None
            pending.extend(part for part in reversed(target.split("/")) if part not in {"", "."})
            here = "" if target.startswith("/") else here
        elif not found.exists or (pending and not found.is_directory):
            return None
        else:
            here = found.path
    return here


def _target(found: Resolution) -> str | None:
    try:
        return found.stack[0].layer.tree.readlink(found.stack[0].path)
    except OSError:
        return None
