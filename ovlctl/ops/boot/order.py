"""What has to be there before a stack of a stack file can be mounted at boot."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal
from ovlctl.kernel import mounts
from ovlctl.ops.keeping import TmpfsUpper
from ovlctl.ops.sets.graph import graph
from ovlctl.ops.sets.resolve import wish
from ovlctl.ops.state import State, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ovlctl.ops.sets.declared import Declared, StackFile
    from ovlctl.ops.sets.graph import Graph
    from ovlctl.ops.sets.resolve import Wish

#: Where mount(8) looks for helpers; its path is compiled in.
HELPER = "/sbin/mount.ovlctl"
#: What chooses another state directory.
STATE_VARIABLE = "OVLCTL_STATE_DIR"
#: As :mod:`ovlctl.ops.sets.paths` reads them; two dollars are one that is meant as such.
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
#: A path that begins at the user's home.
_HOME = re.compile(r"""["']~[/"']""")
#: File systems that come after the network, as systemd knows them (basic/mountpoint-util.c).
_NETWORK = frozenset(
    {
        *("afs", "ceph", "cifs", "davfs", "gfs", "gfs2", "glusterfs", "lustre"),
        *("ncp", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "sshfs"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A stack with its surroundings.

    Attributes:
        stack: The stack.
        target: Its mount point, without symbolic links, as systemd wants it.
        wish: What a mount of it is asked for.
        paths: What has to be reachable before: layers, upper and work.
        after: Mount points of stacks that it stands on.
        alone: Whether no other stack has to be mounted together with it.
        network: Whether one of the paths lies on a network file system.
    """

    stack: Declared
    target: str
    wish: Wish
    paths: tuple[str, ...]
    after: tuple[str, ...]
    alone: bool
    network: bool


def ordered(file: StackFile, names: Sequence[str] = ()) -> tuple[tuple[Ordered, ...], tuple[Note, ...]]:
    """The stacks *names* of *file*, or all of them, with what each needs; remarks on those left out.

    A stack without a target is left out when nobody asked for it by name: it is mounted with the first stack that
    stands on it.

    Raises:
        StackUndeclared: when the file has no stack of such a name.
        StacksInCircle, StackTooDeep: as :func:`ovlctl.ops.sets.graph.graph`.
        NoMountPoint: when one asked for has no target, or none is left.
    """
    known = graph(file)
    for name in names:
        if known.stack(name).target is None:
            raise _no_target(file, name)
    chosen = [known.stack(name) for name in dict.fromkeys(names)] or [stack for stack in file.stacks if stack.target]
    if not chosen:
        raise _no_target(file, file.stacks[0].name)
    left = [] if names else [stack.name for stack in file.stacks if stack.target is None]
    borne = known.with_grounds(stack.name for stack in chosen)
    return tuple(_order(known, stack) for stack in chosen), tuple(_left_out(each, borne=each in borne) for each in left)


def _no_target(file: StackFile, name: str) -> errors.NoMountPoint:
    hint = 'write `target = "/some/directory"` into it, or use `ovlctl unit --user`'
    if os.path.isdir(file.path):
        hint = "a stack directory names no target: add `{} /some/directory ovlctl nofail 0 0` to /etc/fstab yourself"
    return errors.NoMountPoint(f"stack {literal(name)} of {{}} has no target to be mounted at", file.path, hint=hint)


def _left_out(name: str, *, borne: bool) -> Note:
    if borne:
        return Note(literal(f"{name} has no target and no unit of its own: it is mounted with the first stack on it"))
    return Note(literal(f"{name} has no target and is left out: nothing mounts it at boot"))


def _order(known: Graph, stack: Declared) -> Ordered:
    paths: list[str] = []
    after: list[str] = []
    for each in _mounted_together(known, stack):
        paths.extend(_paths(wish(known.file, each, root_state())))
        for below in sorted(known.mounted_first[each]):
            target = known.stack(below).target
            if target is not None:
                after.append(os.path.realpath(target))
    unique = outermost_left_out(paths)
    return Ordered(
        stack=stack,
        target=os.path.realpath(stack.target or ""),
        wish=wish(known.file, stack.name, root_state()),
        paths=unique,
        after=tuple(dict.fromkeys(after)),
        alone=len(_mounted_together(known, stack)) == 1,
        network=any(map(_on_network, unique)),
    )


def _mounted_together(known: Graph, stack: Declared) -> list[str]:
    """Names of *stack* and of those it stands on that no unit mounts, as they have no target."""
    found: list[str] = []
    left = [stack.name]
    while left:
        name = left.pop()
        found.append(name)
        left += [each for each in sorted(known.mounted_first[name]) if known.stack(each).target is None]
    return list(dict.fromkeys(found))


def _paths(wanted: Wish) -> Iterator[str]:
    yield from (*wanted.stack.lowers, *wanted.stack.data_only)
    # One in memory lies below /run, which is always there.
    if not isinstance(wanted.allocate, TmpfsUpper):
        yield from filter(None, (wanted.upper, wanted.work))


def outermost_left_out(paths: Iterable[str]) -> tuple[str, ...]:
    """*paths* without those that lie above another one: whoever waits for ``/a/b`` waits for ``/a``."""
    unique = tuple(dict.fromkeys(paths))
    return tuple(path for path in unique if not any(other.startswith(f"{path.rstrip('/')}/") for other in unique))


def helper_paths(file: StackFile) -> tuple[str, ...]:
    """What the helper itself needs: the stack file, and the interpreter's trees when they may come after /usr."""
    prefixes = (sys.prefix, sys.base_prefix, os.path.dirname(errors.__path__[0]))
    return (file.path, *(path for path in prefixes if path != "/usr" and not path.startswith("/usr/")))


def root_state() -> State:
    """The state directories of what is mounted at boot, which is root's, whoever asks."""
    if os.environ.get(STATE_VARIABLE):
        return locate()
    return State(run="/run/ovlctl", keep="/var/lib/ovlctl")


def _on_network(path: str) -> bool:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    try:
        return mounts.mount_at(path).fs_type.removeprefix("fuse.") in _NETWORK
    except OSError:
        # A directory that may not be looked at; whoever may will be told by systemd.
        return False


def variables(path: str) -> dict[str, str]:
    """The environment variables that the stack file *path* names and that are set now.

    Raises:
        PathMissing, AccessDenied: when it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError as error:
        raise errors.PathMissing("{} does not exist", path, errno=error.errno) from error
    except IsADirectoryError:
        # A stack directory has no variables.
        return {}
    except OSError as error:
        raise errors.AccessDenied(f"cannot read {{}}: {errors.strerror(error)}", path, errno=error.errno) from error
    names = [*filter(None, _VARIABLE.findall(text)), *(["HOME"] if _HOME.search(text) else [])]
    return {name: os.environ[name] for name in dict.fromkeys(names) if name in os.environ}


def helper_missing() -> Note | None:
    """How to put the helper where mount(8) looks, when it is not there."""
    if os.path.exists(HELPER):
        return None
    return Note(f"mount(8) needs the helper, which is not there yet: `ln -sf {{}} {HELPER}`", (own_program(HELPER),))


def own_program(name: str) -> str:
    """Where the console script called like *name* lies."""
    base = os.path.basename(name)
    beside = os.path.join(os.path.dirname(sys.executable), base)
    if os.path.exists(beside):
        return beside
    import shutil

    return shutil.which(base) or beside
