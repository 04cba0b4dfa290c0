"""systemd units for the stacks of a stack file.

For root one mount unit per stack, which asks mount(8) for ``FILE#NAME`` of type ovlctl: the file stays the one place
where the stack is described, and whatever ovlctl checks, keeps and makes works at boot as well. A plain unit, of type
overlay, needs nothing but mount(8), and has to be written anew when the file changes. Ordinary users get a service,
because their managers can mount nothing into the user's own namespaces.

Sources: systemd.mount(5), systemd.service(5), systemd.unit(5).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel.mount import MAX_DATA
from ovlctl.ops import keeping
from ovlctl.ops.boot import order
from ovlctl.ops.boot.systemd_words import argument, assignment, unit_name, value, word
from ovlctl.ops.keeping import TmpfsUpper
from ovlctl.ops.sets.graph import declared
from ovlctl.ops.state import name_from
from ovlctl.overlay import encode
from ovlctl.overlay.options import stated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ovlctl.ops.boot.order import Ordered
    from ovlctl.ops.sets.declared import StackFile

#: How the first line of every file begins that :func:`write` may replace.
HEADER = "# Made by `ovlctl unit` from "
#: What mount(8) splits or unescapes in an option string, differently from version to version.
_NOT_PLAIN = frozenset(',:\\"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit file.

    Attributes:
        name: Its file name.
        text: Its lines.
        stacks: Names of the stacks that it mounts.
        target: The mount point, for a mount unit.
    """

    name: str
    text: str
    stacks: tuple[str, ...]
    target: str | None = None


def mounts(
    file: StackFile, names: Sequence[str] = (), *, plain: bool = False, required: bool = False
) -> tuple[tuple[Unit, ...], tuple[Note, ...]]:
    """A mount unit for each of the stacks *names*, or for all that have a target; and remarks.

    Args:
        file: What declares them.
        names: Which; none means all.
        plain: Write units of type overlay, which need no ovlctl at boot.
        required: Let the boot stop in the emergency shell when one cannot be mounted, instead of going on.

    Raises:
        StackUndeclared, NoMountPoint: as :func:`ovlctl.ops.boot.order.ordered`.
        NotWritable: when a unit file cannot hold a name.
        NotPlain: when *plain* is asked for a stack that needs ovlctl.
    """
    found, notes = order.ordered(file, names)
    environment = _environment(file)
    if plain:
        bodies = [_plain_mount(each) for each in found]
    else:
        bodies = [_helper_mount(each, file, environment) for each in found]
    made = tuple(
        Unit(
            name=unit_name(each.target),
            text=_mount_text(each, file, body, required=required),
            stacks=(each.stack.name,),
            target=each.target,
        )
        for each, body in zip(found, bodies, strict=True)
    )
    return made, notes


def user_service(file: StackFile, names: Sequence[str] = ()) -> Unit:
    """A service of the user's own manager that brings *names*, or all stacks, up when the user logs in.

    Raises:
        StackUndeclared: when the file has no stack of such a name.
        NotWritable: when a unit file cannot hold a name.
    """
    for name in names:
        declared(file, name)
    program = argument(order.own_program("ovlctl"))
    words = " ".join(map(argument, (file.path, *names)))
    lines = [
        _header(file, names),
        "[Unit]",
        f"Description=Overlays of {value(_shown(file.path))}",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStart={program} up {words}",
        f"ExecStop={program} down {words}",
        "# The process that holds the mounts may hold those of other stack files too: only `down` ends it.",
        "KillMode=process",
        *(f"Environment={assignment(*pair)}" for pair in _environment(file).items()),
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    stem = os.path.basename(file.path).removesuffix(".toml").removesuffix(".mstack")
    chosen = tuple(names) or tuple(stack.name for stack in file.stacks)
    return Unit(name=f"ovlctl-{name_from('/' + stem)}.service", text="\n".join(lines), stacks=chosen)


def _header(file: StackFile, names: Sequence[str]) -> str:
    spec = _shown(file.path) + ("#" + ",".join(names) if names else "")
    return f"{HEADER}{spec}; changes go into a drop-in, as it is replaced when made anew."


def _shown(path: str) -> str:
    """*path* for a comment or a description, which must not break the line."""
    return path.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n").replace("\r", "\\r").rstrip("\\")


def _environment(file: StackFile) -> dict[str, str]:
    """What of this environment decides what the file means."""
    found = order.variables(file.path)
    if state := os.environ.get(order.STATE_VARIABLE):
        found[order.STATE_VARIABLE] = os.path.abspath(state)
    return found


def _mount_text(each: Ordered, file: StackFile, body: _Body, *, required: bool) -> str:
    wanted = "remote-fs.target" if each.network else "local-fs.target"
    paths = order.outermost_left_out(map(_waitable, (*each.paths, *body.paths)))
    lines = [
        _header(file, (each.stack.name,)),
        "[Unit]",
        f"Description=Overlay {each.stack.name} of {value(_shown(file.path))}",
        *(f"RequiresMountsFor={word(path)}" for path in paths),
        *(f"{key}={unit_name(target)}" for target in each.after for key in ("Requires", "After")),
        *body.unit,
        "",
        "[Mount]",
        *body.mount,
        "",
        "[Install]",
        f"{'RequiredBy' if required else 'WantedBy'}={wanted}",
        "",
    ]
    return "\n".join(lines)


def _waitable(path: str) -> str:
    """*path*, or the nearest directory above without a backslash: mounts lie there at the latest."""
    while "\\" in path:
        path = os.path.dirname(path)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """What differs between the two kinds: lines of [Mount] and [Unit], and paths needed before."""

    mount: tuple[str, ...]
    unit: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def _helper_mount(each: Ordered, file: StackFile, environment: Mapping[str, str]) -> _Body:
    lines = [f"What={value(f'{file.path}#{each.stack.name}')}", f"Where={value(each.target)}", "Type=ovlctl"]
    if each.network:
        lines.append("Options=_netdev")
    lines += [f"Environment={assignment(*pair)}" for pair in environment.items()]
    unit: tuple[str, ...] = ()
    if isinstance(each.stack.upper, TmpfsUpper):
        # The memory is given back when the unit stops: umount(8) ends the overlay alone, without a word to ovlctl.
        tmpfs = unit_name(keeping.layout(order.root_state(), each.stack.name, in_memory=True).tmpfs)
        unit = (f"After={tmpfs}", f"PropagatesStopTo={tmpfs}")
    return _Body(mount=tuple(lines), unit=unit, paths=order.helper_paths(file))


def _plain_mount(each: Ordered) -> _Body:
    name = literal(each.stack.name)
    if each.wish.allocate is not None:
        raise errors.NotPlain(
            f"the upper of {name} is made by ovlctl",
            hint="leave `--plain` out, or write `upper = {{dir = ..., work = ...}}` into the stack",
        )
    if not each.alone:
        raise errors.NotPlain(
            f"{name} stands on a stack that has no target, and so no unit", hint="leave `--plain` out, or give it one"
        )
    stack = each.wish.whole
    for path in (*stack.layers(), *filter(None, [stack.work])):
        if not _NOT_PLAIN.isdisjoint(path):
            raise errors.NotPlain(
                "{} holds a character that the option string of mount(8) cannot carry in all its versions",
                path,
                hint="leave `--plain` out",
            )
    data = os.fsdecode(encode.mount_data(stack, stated(stack.options, trusted_xattrs=True)))
    if len(os.fsencode(data)) > MAX_DATA:
        raise errors.NotPlain(
            f"the options of {name} have {len(os.fsencode(data))} bytes; mount(2) takes {MAX_DATA}",
            hint="leave `--plain` out",
        )
    flags = [*(["ro"] if stack.read_only else []), *(["_netdev"] if each.network else [])]
    options = ",".join([*flags, data])
    lines = ["What=overlay", f"Where={value(each.target)}", "Type=overlay", f"Options={value(options)}"]
    if any(len(os.fsencode(each)) > encode.FSCONFIG_STRING_MAX for each in data.split(",")):
        # mount(8) of util-linux 2.39 and later sets options one by one, and the kernel takes 255 bytes of each.
        lines.append("Environment=LIBMOUNT_FORCE_MOUNT2=always")
    return _Body(mount=tuple(lines))


def paths(units: Sequence[Unit], directory: str) -> tuple[str, ...]:
    """Where *units* would be written in *directory*.

    Raises:
        PathMissing, NotADirectory: when there is no such directory.
        ForeignFile: when something is in the way that :func:`write` did not write.
    """
    if not os.path.isdir(directory):
        kind = errors.NotADirectory if os.path.lexists(directory) else errors.PathMissing
        raise kind("{} is no directory to write units into", directory, hint="`mkdir -p {}`")
    places = tuple(os.path.join(directory, unit.name) for unit in units)
    for path in places:
        _check_ours(path)
    return places


def write(units: Sequence[Unit], directory: str) -> tuple[str, ...]:
    """Write *units* into *directory*, each by write, fsync and rename; the paths.

    Raises:
        PathMissing, NotADirectory, ForeignFile: as :func:`paths`; nothing has changed then.
        StateUnusable: when the file system says no.
    """
    places = paths(units, directory)
    for unit, path in zip(units, places, strict=True):
        _replace(path, unit.text)
    return places


def _check_ours(path: str) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return
    except OSError:
        # A link, such as one that masks the unit, a directory, a pipe.
        first = b""
    if not first.startswith(HEADER.encode()):
        raise errors.ForeignFile(
            "{} was not written by `ovlctl unit`", path, hint="look at it, then move it away: `mv {} /root/`"
        )


def _replace(path: str, text: str) -> None:
    directory = os.path.dirname(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=".ovlctl-", dir=directory)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise errors.StateUnusable(f"cannot write {{}}: {strerror(error)}", path, errno=error.errno) from error


def verify(units: Sequence[Unit], *, user: bool = False) -> tuple[str, ...] | None:
    """What ``systemd-analyze verify`` has to say about *units*, line by line; None where it is not installed."""
    with tempfile.TemporaryDirectory(prefix="ovlctl-units-") as directory:
        files = write(units, directory)
        manager = "--user" if user else "--system"
        # The standard directories stay in sight: local-fs.target and its like are there.
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"}
        try:
            done = subprocess.run(
                ["systemd-analyze", "verify", manager, "--man=no", "--recursive-errors=no", *files],
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=60,
                env=environment,
            )
        except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
            return None
    lines = os.fsdecode(done.stderr).replace(f"{directory}/", "").splitlines()
    return tuple(line for line in lines if any(unit.name in line for unit in units))
