"""Layers of Docker's graph driver overlay2: what ``image/overlay2/layerdb`` says, and the directories it names.

Read as moby's ``layer/filestore.go`` and ``graphdriver/overlay2/overlay.go`` write it: ``sha256/CHAIN/{cache-id, diff,
parent, size}`` for a layer of images, where CHAIN is the digest of the parent's chain and the layer's own digest;
``mounts/CONTAINER/{mount-id, init-id, parent}`` for the two layers of a container. A layer that is being removed is
renamed to ``CHAIN-NUMBER-removing`` first.
"""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ovlctl.engines.documents import digest, is_name, number
from ovlctl.engines.entries import short_link
from ovlctl.engines.files import misleads
from ovlctl.engines.values import Layer, Role
from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ovlctl.engines.files import Files
    from ovlctl.engines.gathering import Gathering

PLACES = "overlay2"
LINKS = f"{PLACES}/l"
LAYERDB = "image/overlay2/layerdb"
_CHAINS = f"{LAYERDB}/sha256"
_MOUNTS = f"{LAYERDB}/mounts"
_HEX = re.compile(r"[0-9a-f]{64}")
_REMOVING = re.compile(r"[0-9a-f]{64}-.*-removing")


def chain_id(digests: Iterable[str]) -> str | None:
    """The id of the topmost of layers with these *digests*, lowest first; None when there are none.

    The image specification of OCI, "Layer ChainID".
    """
    chain: str | None = None
    for one in digests:
        chain = one if chain is None else f"sha256:{hashlib.sha256(f'{chain} {one}'.encode()).hexdigest()}"
    return chain


def layer(
    files: Files,
    name: str,
    *,
    parent: str | None,
    role: Role,
    id: str | None = None,  # noqa: A002 - as the field
    digest: str | None = None,
    size: int | None = None,
) -> Layer:
    """The layer whose directory is *name*, which need not be there; its id is *name*, too, unless it has another.

    Raises:
        StoreMisleads: It, or its ``diff``, is a symbolic link.
        StoreForbidden, StoreDamaged: It cannot be looked at, or is no directory, or its link is no name.
    """
    if not is_name(name):
        raise StoreDamaged("{} is no name of a layer's directory, in {}", name, files.path(LAYERDB))
    place = f"{PLACES}/{name}"
    status = files.status(f"{place}/diff")
    if status is not None and not stat.S_ISDIR(status.st_mode):
        if stat.S_ISLNK(status.st_mode):
            raise misleads(files.path(f"{place}/diff"))
        raise StoreDamaged("{} is no directory", files.path(f"{place}/diff"))
    return Layer(
        id=id or name,
        name=name,
        parent=parent,
        role=role,
        directory=files.path(place),
        diff=files.path(f"{place}/diff"),
        work=files.path(f"{place}/work"),
        merged=files.path(f"{place}/merged"),
        link=short_link(files, place),
        digest=digest,
        size=size,
    )


def of_images(gathering: Gathering) -> list[Layer]:
    """Layers of images, without an order; what they are for is still to be found out."""
    names = gathering.names(_CHAINS)
    read = partial(_of_image, gathering.files)
    found = [one for name in names if (one := gathering.one(f"{_CHAINS}/{name}", read)) is not None]
    known = {f"sha256:{name}" for name in names}
    for one in found:
        if one.parent is not None and one.parent not in known and one.id.startswith("sha256:"):
            at = gathering.files.path(f"{_CHAINS}/{one.id.removeprefix('sha256:')}")
            gathering.tell(StoreDamaged(f"{{}} lies on {one.parent}, which is not there", at))
    return found


def _of_image(files: Files, at: str) -> Layer | None:
    name = at.rpartition("/")[2]
    going = _REMOVING.fullmatch(name) is not None
    if not going and not _HEX.fullmatch(name):
        return None
    made = digest(files.text(f"{at}/diff"))
    parent = _digest(files, f"{at}/parent")
    # A parent of its own choice would put any layer below any other, and in a circle.
    if made is None or chain_id([*([parent] if parent else []), made]) != f"sha256:{name[:64]}":
        raise StoreDamaged("{} is not the layer that its digest and its parent make", files.path(at))
    return layer(
        files,
        files.text(f"{at}/cache-id"),
        parent=parent,
        role=Role.OTHER,
        id=name if going else f"sha256:{name}",
        digest=made,
        size=number(files.text(f"{at}/size")),
    )


def _digest(files: Files, name: str) -> str | None:
    try:
        parent = files.text(name)
    except FileNotFoundError:
        return None
    if digest(parent) is None:
        raise StoreDamaged("{} is no digest", files.path(name))
    return parent


def of_containers(gathering: Gathering) -> dict[str, Sequence[Layer]]:
    """The layers of each container, by its id: the one below first, the writable one last.

    What BuildKit mounts for a step has an entry, too, of a name that no container has.
    """
    read = partial(_mount, gathering.files)
    found = {name: gathering.one(f"{_MOUNTS}/{name}", read) for name in gathering.names(_MOUNTS)}
    return {name: layers for name, layers in found.items() if layers is not None}


def _mount(files: Files, at: str) -> tuple[Layer, ...]:
    of_container = _HEX.fullmatch(at.rpartition("/")[2]) is not None
    parent = _digest(files, f"{at}/parent")
    upper = layer(
        files,
        files.text(f"{at}/mount-id"),
        parent=parent,
        role=Role.WRITABLE if of_container else Role.BUILD_CACHE,
    )
    try:
        name = files.text(f"{at}/init-id")
    except FileNotFoundError:
        return (upper,)
    init = layer(files, name, parent=parent, role=Role.INIT if of_container else Role.BUILD_CACHE)
    return init, replace(upper, parent=init.id)
