"""Where engines keep their stores: by default, by configuration, by the command line of a running daemon."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.engines.keepers import Engine
from ovlctl.errors import EngineMissing, NotADirectory, PathMissing, StoreForbidden, strerror

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ovlctl.engines.configurations import Account, Said
    from ovlctl.engines.disk import Disk
    from ovlctl.errors import OvlError

#: The directory that is looked in instead of this machine: another one's disk, or a data root.
ROOT_VARIABLE = "OVLCTL_ENGINE_ROOT"
# Whose store an engine's things are in.
_KEEPERS = {
    Engine.DOCKER: (Engine.DOCKER,),
    Engine.PODMAN: (Engine.PODMAN,),
    Engine.BUILDAH: (Engine.PODMAN,),
    Engine.CONTAINERD: (Engine.CONTAINERD,),
    Engine.CRI: (Engine.CONTAINERD, Engine.PODMAN),
}
# What a data root has in it, one of them: the engine makes these directories when it first starts.
_MARKS = (
    (Engine.DOCKER, (("image", "overlay2"), ("image", "containers"), ("engine-id", "containers"))),
    (Engine.PODMAN, (("overlay-layers",), ("overlay-images",), ("vfs-layers",), ("btrfs-layers",))),
    (Engine.CONTAINERD, (("io.containerd.metadata.v1.bolt",),)),
)


class Origin(StrEnum):
    """How a place was found."""

    DEFAULT = "default"
    CONFIGURATION = "configuration"
    DAEMON = "daemon"
    GIVEN = "given"
    AROUND = "around"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The directories of one engine's store.

    Attributes:
        engine: DOCKER, PODMAN or CONTAINERD.
        root: Its data root: ``/var/lib/docker``, ``/var/lib/containers/storage``, ``/var/lib/containerd``.
        run: Where it keeps what lives until the next boot; None where there is none, as on another machine's disk.
        origin: How it was found.
        alive: Whether it is this machine's: then the kernel and a daemon can be asked, too.
        images: Roots of further stores that it reads images from, as Podman's additional image stores.
        metacopy: Whether its configuration says that overlays are mounted with ``metacopy=on``.
    """

    engine: Engine
    root: str
    run: str | None = None
    origin: Origin = Origin.DEFAULT
    alive: bool = True
    images: tuple[str, ...] = ()
    metacopy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What a search found.

    Attributes:
        found: The places whose root is there, each once.
        troubles: Configuration files that could not be read; what they say is not known.
    """

    found: tuple[Place, ...]
    troubles: tuple[OvlError, ...] = ()


def places(engines: Collection[Engine], *, root: str | None, environment: Mapping[str, str]) -> Places:
    """The stores of some engines.

    Args:
        engines: Whose; of none all.
        root: The root directory of a machine's disk, or a data root, known by its content; None: this machine.
        environment: Of the command: where this user has their directories, and ``OVLCTL_ENGINE_ROOT`` for *root*.

    Raises:
        PathMissing, NotADirectory, StoreForbidden: *root* is not there, is none, or may not be read.
    """
    from ovlctl.engines.disk import Disk

    root = root or environment.get(ROOT_VARIABLE) or None
    if root is not None:
        _check(root)
    keepers = {keeper for engine in engines or Engine for keeper in _KEEPERS.get(engine, ())}
    if root is None or os.path.realpath(root) == "/":
        disk = Disk("/")
        said = _of_this_machine(disk, environment)
    else:
        known = recognised(root)
        if known:
            found = tuple(_given(engine, root, environment) for engine in known if engine in keepers)
            return Places(found=found)
        disk = Disk(os.path.abspath(root))
        said = _of_disk(disk)
    return Places(found=tuple(_there(disk, said, keepers)), troubles=tuple(dict.fromkeys(disk.troubles)))


def none_found(engines: Collection[Engine], *, root: str | None, environment: Mapping[str, str]) -> EngineMissing:
    """That there is no store of *engines*; the arguments are those of :func:`places`."""
    words = " or ".join(sorted(engines))
    root = root or environment.get(ROOT_VARIABLE) or None
    if root is None:
        hint = "`--root DIR` names the directory of one, or a mounted disk"
        return EngineMissing(f"no store of {words} is found here", hint=hint)
    hint = "name the data root of an engine, such as /var/lib/docker, or the root directory of a disk that has one"
    return EngineMissing(f"no store of {words} is found in {{}}", root, hint=hint)


def _check(root: str) -> None:
    hint = f"`--root DIR`, or {ROOT_VARIABLE}, names the data root of an engine or a mounted disk"
    try:
        os.listdir(root)
    except FileNotFoundError as error:
        raise PathMissing("{} is not there", root, hint=hint, errno=error.errno) from error
    except PermissionError as error:
        why = f"{{}} cannot be read: {strerror(error)}"
        raise StoreForbidden(why, root, hint="ask as root", errno=error.errno) from error
    except OSError as error:
        why = f"{{}} is no directory that can be read: {strerror(error)}"
        raise NotADirectory(why, root, hint=hint, errno=error.errno) from error
    except ValueError as error:
        raise PathMissing("{} is no path", root, hint=hint) from error


def around(path: str, environment: Mapping[str, str] = os.environ) -> Place | None:
    """The store that *path* lies in, known by the content of a directory above it; None when it lies in none.

    Of stores in stores it is the outermost: what lies in a layer may look like a store, and is part of the layer. The
    path is taken as it is spelled, so that no link in a layer leads elsewhere.
    """
    at = os.path.abspath(path)
    above = [at]
    while (parent := os.path.dirname(at)) != at:
        at = parent
        above.append(at)
    for directory in reversed(above):
        known = recognised(directory)
        if known:
            return replace(_given(known[0], directory, environment), origin=Origin.AROUND)
    return None


def recognised(directory: str) -> tuple[Engine, ...]:
    """Whose data root a directory is, by what is in it; usually nobody's."""

    def has(mark: tuple[str, ...]) -> bool:
        # By name, not by a list: a path may lead to any directory, which is nobody's to list.
        return all(os.path.lexists(os.path.join(directory, name)) for name in mark)

    return tuple(engine for engine, marks in _MARKS if any(map(has, marks)))


def _given(engine: Engine, root: str, environment: Mapping[str, str]) -> Place:
    # A data root of this machine stays one, however it is named.
    from ovlctl.engines.disk import Disk

    root = os.path.realpath(root)
    disk = Disk("/")
    live = next((one for one in _there(disk, _of_this_machine(disk, environment), {engine}) if one.root == root), None)
    if live is not None:
        return replace(live, origin=Origin.GIVEN)
    return Place(engine=engine, root=root, origin=Origin.GIVEN, alive=False)


def _there(disk: Disk, said: Iterable[tuple[Origin, Said]], keepers: Collection[Engine]) -> Iterator[Place]:
    found: dict[tuple[Engine, str], Place] = {}
    for origin, one in said:
        root = disk.directory(one.root) if one.engine in keepers else None
        if root is None:
            continue
        known = found.get((one.engine, root))
        if known is not None:
            # The command line that said where it is has no mount options, a configuration file has.
            found[one.engine, root] = replace(known, metacopy=known.metacopy or one.metacopy)
            continue
        found[one.engine, root] = Place(
            engine=one.engine,
            root=root,
            run=one.run if disk.alive else None,
            origin=origin,
            alive=disk.alive,
            images=tuple(_image_stores(disk, one.images)),
            metacopy=one.metacopy,
        )
    yield from found.values()


def _image_stores(disk: Disk, images: Iterable[str]) -> Iterator[str]:
    for path in images:
        try:
            yield disk.at(path)
        except (OSError, ValueError):
            continue


def _of_this_machine(disk: Disk, environment: Mapping[str, str]) -> Iterator[tuple[Origin, Said]]:
    from ovlctl.engines import configurations, running

    # What runs is the surest; then what this user's environment says.
    for said in running.stores(disk):
        yield Origin.DAEMON, said
    given = environment.get("CONTAINERS_STORAGE_CONF") or environment.get("STORAGE_CONF")
    if given:
        config = (os.path.abspath(given),)
        yield (
            Origin.CONFIGURATION,
            configurations.podman(disk, config, configurations.PODMAN_ROOT, configurations.PODMAN_RUN, environment),
        )
    yield from _with_origin(configurations.of_machine(disk))
    for user in _accounts(environment):
        yield from _with_origin(configurations.of_user(disk, user))


def _of_disk(disk: Disk) -> Iterator[tuple[Origin, Said]]:
    from ovlctl.engines import configurations

    homes = {home: (name, uid) for name, uid, home in _passwd(disk)}
    for home in ("/root", *(f"/home/{name}" for name in disk.names("/home"))):
        homes.setdefault(home, (os.path.basename(home), 0))
    said = [*configurations.of_machine(disk)]
    for home, (name, uid) in homes.items():
        said += configurations.of_user(disk, configurations.account(uid, name, home))
    for one in said:
        yield Origin.GIVEN, one


def _with_origin(said: Iterable[Said]) -> Iterator[tuple[Origin, Said]]:
    for one in said:
        yield (Origin.CONFIGURATION if one.configured else Origin.DEFAULT), one


def _accounts(environment: Mapping[str, str]) -> Iterator[Account]:
    # Everybody's for root; their own for others, who may not look into other homes.
    import pwd

    from ovlctl.engines import configurations

    uid = os.geteuid()
    home = environment.get("HOME")
    if home is not None and home.startswith("/"):
        yield configurations.account(uid, environment.get("USER", ""), home, environment if uid else None)
    if uid == 0:
        for entry in pwd.getpwall():
            if entry.pw_dir.startswith("/") and entry.pw_dir != "/":
                yield configurations.account(entry.pw_uid, entry.pw_name, entry.pw_dir)


def _passwd(disk: Disk) -> Iterator[tuple[str, int, str]]:
    for line in (disk.text("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) > 5 and fields[2].isdecimal() and fields[5].startswith("/"):  # noqa: PLR2004 -- passwd(5)
            yield fields[0], int(fields[2]), fields[5]
