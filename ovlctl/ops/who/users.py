"""Which overlays use a directory as a layer: Docker's, Podman's, anybody's, in every namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops.relative import absolute
from ovlctl.ops.who.answer import Command, Role, UsedAs, User
from ovlctl.overlay import live
from ovlctl.overlay.live import LiveStack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.kernel.mount_namespaces import MountNamespace
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.who.locations import Location
    from ovlctl.ops.who.scene import Scene

_Seen = list[tuple["MountNamespace", "Mount"]]


def users(scene: Scene, directory: Location, names: Mapping[int, str]) -> tuple[User, ...]:
    """The overlays that have *directory*, something inside it or something above it as a layer.

    A layer is looked up by the path in the mount table, in the own namespace when the overlay is mounted here, else
    where it is mounted, else here. It is what lies at that path now.

    Args:
        scene: Where to look.
        directory: What they use.
        names: ovlctl's names of overlays by mount id.
    """
    superblocks: dict[tuple[int, int], _Seen] = {}
    for namespace, mount in scene.mounts():
        if mount.fs_type == "overlay" and mount.dev != directory.dev:
            superblocks.setdefault(mount.dev, []).append((namespace, mount))
    found = []
    for seen in superblocks.values():
        uses = tuple(_uses(scene, seen, directory))
        if uses:
            found.append(_user(scene, seen, uses, names))
    return tuple(found)


def _uses(scene: Scene, seen: _Seen, directory: Location) -> Iterator[UsedAs]:
    shown = live.layers(seen[0][1].options)
    layers = [(Role.LOWER, path) for path in shown.lowers] + [(Role.DATA_ONLY, path) for path in shown.data_only]
    writes = ((Role.UPPER, shown.upper), (Role.WORK, shown.work))
    layers += [(role, path) for role, text in writes if text is not None for path in LiveStack.readings(text)]
    anchors = [path for _, path in reversed(layers) if path.startswith("/")] + [mount.mount_point for _, mount in seen]
    full = absolute((path for _, path in layers), anchors)
    namespaces = list({id(each): each for each, _ in seen}.values())
    if scene.own not in namespaces:
        # A mount made in a namespace whose root directory was changed afterwards shows the paths of before.
        namespaces.append(scene.own)
    for role, path in layers:
        if path not in full:
            continue
        places = (scene.lookup(each).location(full[path]) for each in namespaces)
        place = next((each for each in places if each is not None), None)
        relation = None if place is None else place.relation_to(directory)
        if relation is not None:
            yield UsedAs(role=role, layer=path, relation=relation)


def _user(scene: Scene, seen: _Seen, uses: tuple[UsedAs, ...], names: Mapping[int, str]) -> User:
    roots = (scene.container(namespace) for namespace, mount in seen if mount.mount_point == "/")
    container = next(filter(None, roots), None)
    name = next((names[mount.mount_id] for _, mount in seen if mount.mount_id in names), None)
    release = [container.stop] if container is not None else list(_ends(scene, seen, names))
    return User(
        name=name,
        uses=uses,
        points=tuple((namespace.inode, mount.mount_point) for namespace, mount in seen),
        container=container,
        release=tuple(release),
    )


def _ends(scene: Scene, seen: _Seen, names: Mapping[int, str]) -> Iterator[Command]:
    for namespace, mount in seen:
        if namespace is scene.own:
            yield ("ovlctl", "umount", names.get(mount.mount_id, mount.mount_point))
        elif (command := scene.ending(namespace, mount, seen[0][0])) is not None:
            yield command
