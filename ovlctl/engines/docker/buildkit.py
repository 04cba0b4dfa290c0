"""Layers of the BuildKit inside dockerd: ``buildkit/snapshots.db``, a bolt database.

As moby's ``builder/builder-next/adapters/snapshot`` writes it: a bucket for each key of a snapshot. ``parent`` is the
key of the one below, or the chain id of an image's layer. A key with a parent is a directory of the graph driver, until
``committed`` under another key names it: both are the same layer. ``chainid`` says that the layer store has it as
well, since an image came of it; then it has one entry there, with the same directory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ovlctl.engines import bolt
from ovlctl.engines.docker.layers import layer
from ovlctl.engines.documents import digest, is_name, number
from ovlctl.engines.values import Role
from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.engines.gathering import Gathering
    from ovlctl.engines.values import Layer

_SNAPSHOTS = "buildkit/snapshots.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """What BuildKit keeps.

    Attributes:
        layers: Those that nobody but BuildKit knows.
        chains: Ids of layers of images that it knows, too.
    """

    layers: tuple[Layer, ...]
    chains: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    parent: str | None
    committed: str | None
    chain: str | None
    size: int | None


def snapshots(gathering: Gathering, directories: Mapping[str, str]) -> Snapshots:
    """What the database says.

    Args:
        gathering: The data root of Docker.
        directories: Ids of layers that are known otherwise, by the names of their directories.
    """
    records = gathering.one(_SNAPSHOTS, partial(_records, gathering)) or {}
    sizes = {record.committed: record.size for record in records.values() if record.committed is not None}
    names = {*sizes, *(key for key, record in records.items() if record.parent is not None and not record.committed)}

    def one(at: str) -> Layer:
        name = os.path.basename(at)
        record = records.get(name)
        below = _below(record.parent, records, directories) if record is not None and record.parent else None
        size = sizes.get(name, record.size if record is not None else None)
        return layer(gathering.files, name, parent=below, role=Role.BUILD_CACHE, size=size)

    found = [gathering.one(f"overlay2/{name}", one) for name in sorted(names - directories.keys())]
    chains = {chain for key, record in records.items() if (chain := record.chain or digest(key)) is not None}
    return Snapshots(layers=tuple(one for one in found if one is not None), chains=frozenset(chains))


def _below(key: str, records: Mapping[str, _Record], directories: Mapping[str, str]) -> str | None:
    record = records.get(key)
    if digest(key) is not None:
        return key
    if record is not None and record.chain is not None:
        return record.chain
    name = record.committed if record is not None and record.committed is not None else key
    return directories.get(name, name)


def _records(gathering: Gathering, at: str) -> Mapping[str, _Record]:
    found: dict[str, _Record] = {}
    for raw, bucket in bolt.snapshot(gathering.files, at).root.buckets.items():
        key = os.fsdecode(raw)
        values = {name: os.fsdecode(value) for name, value in bucket.values.items()}
        committed, chain = values.get(b"committed"), values.get(b"chainid")
        names = (key, *([committed] if committed is not None else []))
        if not all(map(is_name, names)) or (chain and digest(chain) is None):
            path = gathering.files.path(at)
            gathering.tell(StoreDamaged("{} has a snapshot {} of a layer that cannot be one", path, key))
            continue
        size = number(values.get(b"size", ""))
        found[key] = _Record(parent=values.get(b"parent"), committed=committed, chain=chain or None, size=size)
    return found
