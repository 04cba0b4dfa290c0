"""The two questions: who holds a mount, and who holds a layer."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ovlctl.kernel import backing, holders, namespaces, xattr
from ovlctl.kernel.detached import Detached, detached_overlays
from ovlctl.ops.preflight.in_use import in_use as ask_kernel
from ovlctl.ops.who.answer import Answer, Asked, Copy, Group, Lost, Role, Submount
from ovlctl.ops.who.backing import devices
from ovlctl.ops.who.locations import Location, location_on, shown_at
from ovlctl.ops.who.scene import name_of
from ovlctl.ops.who.users import users

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ovlctl.kernel.holders import Holder
    from ovlctl.kernel.mount_namespaces import MountNamespace
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.who.answer import User
    from ovlctl.ops.who.scene import Scene

_UUID_SIZE = 16
_UUIDS = ("trusted.overlay.uuid", "user.overlay.uuid")


def about_mount(scene: Scene, mount: Mount, name: str | None, names: Mapping[int, str]) -> Answer:
    """Who holds *mount*, or keeps its superblock alive.

    Args:
        scene: One look at the machine, taken while the mount was there.
        mount: It, of whatever namespace.
        name: ovlctl's name for it.
        names: ovlctl's names of overlays by mount id.
    """
    copies = [(space, each) for space, each in scene.mounts() if holders.same_superblock(each, mount)]
    home = next((space for space, each in copies if each.mount_id == mount.mount_id), scene.own)
    where = {each.mount_id: each.mount_point for _, each in copies}
    found = list(holders.search(scene.tasks, where, devs={mount.dev}))
    whole = Location(dev=mount.dev, position=())
    return Answer(
        asked=Asked.MOUNT,
        path=mount.mount_point,
        name=name,
        groups=tuple(
            _groups(scene, found, [(space, each, _role(each, mount, space, home)) for space, each in copies], home)
        ),
        users=users(scene, whole, names),
        lost=tuple(_lost(scene, each, sure=True) for each in _detached(scene, mount.dev) if each.dev == mount.dev),
        devices=tuple(
            devices((each.mount_point for space, each in copies if space is scene.own), scene.own.mounts or ())
        ),
        in_use=None,
        unreadable=scene.unreadable,
        unread=scene.unread,
        complete=scene.complete,
    )


def about_layer(
    scene: Scene, directory: str, name: str | None, names: Mapping[int, str], *, in_use: bool | None = None
) -> Answer:
    """Who uses *directory* as a layer, or holds it itself.

    Args:
        scene: One look at the machine.
        directory: An absolute path without symbolic links.
        name: ovlctl's name of the stack whose layer it is, when that was asked for.
        names: ovlctl's names of overlays by mount id.
        in_use: Whether the kernel said that an overlay writes to it; None asks.
    """
    place = scene.lookup(scene.own).location(directory)
    using = () if place is None else users(scene, place, names)
    shown = [] if place is None else [(space, each, path) for space, each, path in _showing(scene, place)]
    where = {each.mount_id: path for _, each, path in shown}
    found = [] if place is None else holders.search(scene.tasks, where, devs={place.dev}, whole=False)
    return Answer(
        asked=Asked.LAYER,
        path=directory,
        name=name,
        groups=tuple(
            _groups(scene, found, [] if place is None else _binds(shown, place, scene.own, directory), scene.own)
        ),
        users=using,
        lost=tuple(_lost_users(scene, directory)),
        devices=tuple(devices((directory,), scene.own.mounts or ())),
        in_use=_asked(directory, using) if in_use is None else in_use,
        unreadable=scene.unreadable,
        unread=scene.unread,
        complete=scene.complete,
    )


def _role(each: Mount, mount: Mount, space: MountNamespace, home: MountNamespace) -> Role:
    if each.mount_id == mount.mount_id:
        return Role.ITSELF
    return Role.COPY if space is not home and each.root == mount.root else Role.BIND


def _showing(scene: Scene, place: Location) -> Iterator[tuple[MountNamespace, Mount, str]]:
    for space, each in scene.mounts():
        path = shown_at(each, place)
        if path is not None:
            yield space, each, path


def _binds(
    shown: Iterable[tuple[MountNamespace, Mount, str]], place: Location, own: MountNamespace, directory: str
) -> list[tuple[MountNamespace, Mount, Role]]:
    """The mounts that show nothing but the directory or a part of it."""
    found = []
    for space, each, path in shown:
        root = location_on(each, each.mount_point)
        if path == each.mount_point and root is not None and root.relation_to(place) is not None:
            itself = space is own and path == directory
            found.append((space, each, Role.ITSELF if itself else Role.BIND))
    return found


def _groups(
    scene: Scene,
    found: Iterable[Holder],
    copies: list[tuple[MountNamespace, Mount, Role]],
    home: MountNamespace,
) -> Iterator[Group]:
    by_namespace: dict[int | None, list[Holder]] = {}
    for holder in found:
        by_namespace.setdefault(holder.namespace, []).append(holder)
    for space in scene.namespaces:
        own = [(each, role) for at, each, role in copies if at is space]
        holding = by_namespace.pop(space.inode, [])
        if own or holding:
            yield _group(scene, space, own, holding, home)


def _group(
    scene: Scene, space: MountNamespace, copies: list[tuple[Mount, Role]], holding: list[Holder], home: MountNamespace
) -> Group:
    container = scene.container(space)
    ids = {each.mount_id for each, _ in copies}
    # What is on top of a copy elsewhere ends with the copy.
    table = (space.mounts or ()) if space is home else ()
    on_top = [each for each in table if each.parent_id in ids and each.mount_id not in ids]
    pids = sorted({task.pid for task in space.tasks} - scene.but_not)
    ends = {each.mount_id: scene.ending(space, each, home) for each, _ in copies}
    return Group(
        namespace=space.inode,
        own=space is scene.own and not scene.moved,
        pids=tuple(pids),
        command=name_of(pids[0]) if pids else None,
        container=container,
        keepers=() if space is scene.own else scene.keepers(space),
        copies=tuple(Copy(role=role, mount=each, release=ends[each.mount_id]) for each, role in copies),
        submounts=tuple(Submount(mount=each, release=scene.unmounting(space, each)) for each in on_top),
        processes=scene.processes(holding),
    )


def _detached(scene: Scene, dev: tuple[int, int] | None = None) -> list[Detached]:
    devs = {mount.dev for mount in scene.listed.values()} - {dev}
    return detached_overlays(scene.tasks, listed=scene.listed, devs=devs)


def _lost(scene: Scene, each: Detached, *, sure: bool | None) -> Lost:
    found = holders.search(scene.tasks, {each.mount_id: "/"}, devs={each.dev})
    return Lost(
        mount_id=each.mount_id,
        sure=sure,
        processes=scene.processes(holder for holder in found if holder.mount_id == each.mount_id),
    )


def _lost_users(scene: Scene, directory: str) -> Iterator[Lost]:
    fsid = _fsid_of_overlay(directory)
    for each in _detached(scene):
        # An overlay with a uuid of its own keeps it in its upper and shows it in f_fsid.
        if any(_is_backed_by(link, directory) for link in each.links) or (fsid is not None and each.fsid == fsid):
            yield _lost(scene, each, sure=True)
        elif fsid is None:
            yield _lost(scene, each, sure=None)


def _is_backed_by(link: str, directory: str) -> bool:
    """Whether what *link* leads to is really an object at or below *directory*; no answer is a no."""
    with suppress(OSError):
        real = backing.real_object(link)
        path = None if real is None else backing.path_of(real, directory)
        return path is not None and holders.lies_below(path, directory)
    return False


def _fsid_of_overlay(directory: str) -> int | None:
    """f_fsid of the overlay whose upper *directory* is or was; None when nothing is recorded there."""
    for name in _UUIDS:
        with suppress(OSError):
            uuid = xattr.get(directory, name)
            if uuid is not None and len(uuid) == _UUID_SIZE:
                # uuid_to_fsid() in linux/statfs.h.
                return int.from_bytes(uuid[:8], "little") ^ int.from_bytes(uuid[8:], "little")
    return None


def _asked(directory: str, using: tuple[User, ...]) -> bool | None:
    """Ask the kernel whether an overlay writes here, where the tables do not say so already."""
    writing = {Role.UPPER, Role.WORK}
    if any(use.role in writing and use.relation == "same" for user in using for use in user.uses):
        return True
    if not os.path.isdir(directory) or not namespaces.may_mount():
        return None
    return ask_kernel(directory)
