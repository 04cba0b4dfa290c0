"""Images of containers/storage: images.json, and the configurations beside it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.engines.docker.images import steps
from ovlctl.engines.documents import is_name
from ovlctl.engines.entries import Entry, image_id, listed
from ovlctl.engines.values import Image
from ovlctl.errors import OvlError, StoreDamaged

if TYPE_CHECKING:
    from ovlctl.engines.files import Files

_PLAIN = re.compile(r"[.0-9a-z]+", re.ASCII)
_CONFIG_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """An image, and every layer that it names: its topmost, and copies of that with other owners."""

    image: Image
    layers: tuple[str, ...]


def big_data_name(key: str) -> str:
    """The name of the file that holds the data *key*, as ``makeBigDataBaseName`` of containers/storage makes it."""
    return key if _PLAIN.fullmatch(key) else "=" + base64.b64encode(key.encode(errors="surrogateescape")).decode()


def read(files: Files, driver: str, troubles: list[OvlError]) -> tuple[Found, ...]:
    """Every image.

    Args:
        files: The graph root.
        driver: The graph driver.
        troubles: Gets what could not be read.
    """
    document = f"{driver}-images/images.json"
    found: dict[str, Found] = {}
    for entry in listed(files, document, troubles):
        id_ = entry.component("id")
        if id_ is None:
            troubles.append(StoreDamaged("{} has an image whose id is no name", files.path(document)))
        elif id_ in found:
            troubles.append(StoreDamaged("{} has image {} twice", files.path(document), id_))
        else:
            found[id_] = _image(files, driver, id_, entry, troubles)
    return tuple(found.values())


def _image(files: Files, driver: str, id_: str, entry: Entry, troubles: list[OvlError]) -> Found:
    config = _config(files, f"{driver}-images/{id_}", id_, entry, troubles)
    top = entry.text("layer")
    image = Image(
        id=image_id(id_) or id_,
        names=tuple(sorted(entry.texts("names"))),
        layer=top,
        steps=steps(config.values),
        created_ns=config.time_ns("created") or entry.time_ns("created"),
    )
    return Found(image, (*((top,) if top is not None else ()), *entry.texts("mapped-layers")))


def _config(files: Files, directory: str, id_: str, entry: Entry, troubles: list[OvlError]) -> Entry:
    keys = entry.texts("big-data-names")
    try:
        key = f"sha256:{id_}"
        if key not in keys:  # an id that is not the digest of the configuration: the manifest names it
            manifest = _data(files, directory, "manifest") if "manifest" in keys else Entry(None)
            key = manifest.entry("config").digest("digest") or ""
        return _data(files, directory, key) if key in keys else Entry(None)
    except FileNotFoundError:
        troubles.append(StoreDamaged("{} lacks the configuration that images.json names", files.path(directory)))
    except OvlError as error:
        troubles.append(error)
    return Entry(None)


def _data(files: Files, directory: str, key: str) -> Entry:
    name = big_data_name(key)
    path = f"{directory}/{name}"
    if not is_name(name):
        raise StoreDamaged("{} is no name of a file", files.path(path))
    try:
        document = json.loads(files.bytes(path, limit=_CONFIG_MAX))
    except (ValueError, RecursionError) as error:
        raise StoreDamaged("{} is no JSON document", files.path(path)) from error
    return Entry(document)
