"""Images of Docker's own store: ``image/overlay2/imagedb``, and their names in ``repositories.json``."""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from typing import TYPE_CHECKING

from ovlctl.engines.docker.layers import chain_id
from ovlctl.engines.documents import digest, mapping, nanoseconds, sequence, text
from ovlctl.engines.values import Image, Step
from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ovlctl.engines.files import Files
    from ovlctl.engines.gathering import Gathering

_CONFIGURATIONS = "image/overlay2/imagedb/content/sha256"
_REPOSITORIES = "image/overlay2/repositories.json"
_HEX = re.compile(r"[0-9a-f]{64}")


def steps(configuration: object) -> tuple[Step, ...]:
    """The history in the configuration of an image, oldest first."""
    history = map(mapping, sequence(mapping(configuration).get("history")))
    return tuple(
        Step(created_by=text(line.get("created_by")) or "", empty=line.get("empty_layer") is True) for line in history
    )


def digests(configuration: object) -> tuple[str, ...] | None:
    """The digests of the layers of an image, lowest first; None when its configuration has other things there."""
    root = mapping(configuration).get("rootfs")
    listed = mapping(root).get("diff_ids")
    found = tuple(map(digest, sequence(listed)))
    if not isinstance(root, dict) or not isinstance(listed, list | None) or None in found:
        return None
    return tuple(one for one in found if one is not None)


def images(gathering: Gathering) -> list[Image]:
    """Every image, by id."""
    names = gathering.one(_REPOSITORIES, partial(_names, gathering)) or {}
    read = partial(_image, gathering.files, names)
    entries = gathering.one(_CONFIGURATIONS, gathering.files.names) or ()
    found = (gathering.one(f"{_CONFIGURATIONS}/{name}", read) for name in entries if _HEX.fullmatch(name))
    return [image for image in found if image is not None]


def _names(gathering: Gathering, at: str) -> Mapping[str, Sequence[str]]:
    # {"Repositories": {NAME: {NAME:TAG or NAME@DIGEST: the id of the image}}}
    repositories = mapping(gathering.files.json(at)).get("Repositories")
    found: dict[str, list[str]] = {}
    damaged = not isinstance(repositories, dict)
    for references in mapping(repositories).values():
        damaged |= not isinstance(references, dict)
        for reference, image in mapping(references).items():
            id_, name = digest(image), text(reference)
            if id_ is None or name is None:
                damaged = True
            else:
                found.setdefault(id_, []).append(name)
    if damaged:
        gathering.tell(StoreDamaged("{} has names that are of no image", gathering.files.path(at)))
    return found


def _image(files: Files, names: Mapping[str, Sequence[str]], at: str) -> Image:
    name = at.rpartition("/")[2]
    content = files.bytes(at)
    if hashlib.sha256(content).hexdigest() != name:
        raise StoreDamaged("{} is not what its name is the digest of", files.path(at))
    try:
        configuration = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StoreDamaged("{} is no JSON document", files.path(at)) from error
    layers = digests(configuration)
    if layers is None:
        raise StoreDamaged("{} has digests of layers that are none", files.path(at))
    return Image(
        id=f"sha256:{name}",
        names=tuple(sorted(names.get(f"sha256:{name}", ()))),
        layer=chain_id(layers),
        steps=steps(configuration),
        created_ns=nanoseconds(mapping(configuration).get("created")),
    )
