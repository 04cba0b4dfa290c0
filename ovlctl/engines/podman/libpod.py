"""What Podman itself writes down of its containers and pods: a bolt database in Podman 4, SQLite in Podman 5.

Containers/storage knows names and layers; states, processes and pods are known here only.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.engines.entries import Entry, image_id
from ovlctl.engines.values import Pod, State
from ovlctl.errors import OvlError, StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.engines.bolt import Bucket
    from ovlctl.engines.files import Files

# libpod/define/containerstate.go: configured, initialized, running, stopped, paused, exited, removing, stopping.
_STATES = {
    1: State.CREATED,
    2: State.CREATED,
    3: State.RUNNING,
    4: State.STOPPED,
    5: State.PAUSED,
    6: State.STOPPED,
    7: State.STOPPED,
    8: State.RUNNING,
}
_BOLT = "libpod/bolt_state.db"
# Below the graph root, or beside the bolt database when a static directory is configured.
_SQLITE = ("db.sql", "libpod/db.sql")
_TABLES = {
    "ContainerConfig": ("ID", "Name", "PodID", "JSON"),
    "ContainerState": ("ID", "State", "JSON"),
    "PodConfig": ("ID", "Name"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A container as libpod has it.

    Attributes:
        name: Its name.
        state: As recorded.
        pid: Its first process, while it runs.
        pod: It is in.
        image: The id of its image.
        image_name: The reference it was made from.
        rootfs: A directory of the user's that is its root instead of an image.
        mounted: Where its root is mounted, while it is.
        created_ns: Since the epoch.
    """

    name: str | None
    state: State
    pid: int | None
    pod: Pod | None
    image: str | None
    image_name: str | None
    rootfs: str | None
    mounted: str | None
    created_ns: int | None


@dataclass(slots=True)
class _Raw:
    # Documents by id, as the database has them.
    configs: dict[str, bytes] = field(default_factory=dict)
    states: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    pods: dict[str, str] = field(default_factory=dict)
    pod_of: dict[str, str] = field(default_factory=dict)


def read(files: Files, run: Files | None, troubles: list[OvlError]) -> dict[str, Record]:
    """What libpod has of containers, by id; nothing where Podman was never used.

    Args:
        files: The graph root.
        run: The run root, where a transient store has its database.
        troubles: Gets what could not be read.
    """
    found: dict[str, Record] = {}
    # Podman 5 goes on with the bolt database that it finds, and moves to SQLite once: what SQLite has is newer.
    for where, name, reader in _databases(files, run):
        try:
            raw = reader(where, name)
        except FileNotFoundError:
            continue
        except OvlError as error:
            troubles.append(error)
            continue
        path = where.path(name)
        for id_ in raw.configs:
            record = _record(raw, id_, path, troubles)
            if record is not None:
                found[id_] = record
    return found


def _databases(files: Files, run: Files | None) -> Iterator[tuple[Files, str, Callable[[Files, str], _Raw]]]:
    yield files, _BOLT, _from_bolt
    for name in _SQLITE:
        yield files, name, _from_sqlite
    if run is not None:
        yield run, _SQLITE[0], _from_sqlite


def _from_bolt(files: Files, name: str) -> _Raw:
    from ovlctl.engines.bolt import snapshot

    database = snapshot(files, name)
    raw = _Raw()
    for id_, pod in _buckets(database.bucket(b"pod")):
        raw.pods[id_] = Entry(_document(pod.get(b"config"))).text("name") or id_
    for id_, container in _buckets(database.bucket(b"ctr")):
        raw.configs[id_] = container.get(b"config") or b""
        raw.states[id_] = container.get(b"state") or b""
        in_pod = container.get(b"pod-id")
        if in_pod is not None:
            raw.pod_of[id_] = _text(in_pod)
    return raw


def _buckets(within: Bucket | None) -> Iterator[tuple[str, Bucket]]:
    if within is not None:
        for key, bucket in within.buckets.items():
            yield _text(key), bucket


def _from_sqlite(files: Files, name: str) -> _Raw:
    from ovlctl.engines.sqlite_copy import tables

    rows = tables(files, name, _TABLES)
    raw = _Raw()
    for id_, pod_name in rows["PodConfig"]:
        raw.pods[_text(id_)] = _text(pod_name)
    for id_, its_name, pod, config in rows["ContainerConfig"]:
        key = _text(id_)
        raw.configs[key] = config if isinstance(config, bytes) else b""
        raw.names[key] = _text(its_name)
        if pod is not None:
            raw.pod_of[key] = _text(pod)
    for id_, _state, document in rows["ContainerState"]:
        raw.states[_text(id_)] = document if isinstance(document, bytes) else b""
    return raw


def _record(raw: _Raw, id_: str, path: str, troubles: list[OvlError]) -> Record | None:
    config, state = _document(raw.configs[id_]), _document(raw.states.get(id_))
    if not isinstance(config, dict):
        troubles.append(StoreDamaged("{} has no configuration of container {}", path, id_))
        return None
    if not isinstance(state, dict):
        troubles.append(StoreDamaged("{} has no state of container {}", path, id_))
    conf, now = Entry(config), Entry(state)
    pod = raw.pod_of.get(id_) or conf.text("pod")
    pid = now.number("pid")
    return Record(
        name=raw.names.get(id_) or conf.text("name"),
        state=_STATES.get(now.number("state") or 0, State.UNKNOWN),
        pid=pid if pid is not None and pid > 0 else None,
        pod=Pod(id=pod, name=raw.pods.get(pod)) if pod is not None else None,
        image=image_id(conf.text("rootfsImageID")),
        image_name=conf.text("rootfsImageName"),
        rootfs=conf.text("rootfs"),
        mounted=now.text("mountpoint"),
        created_ns=conf.time_ns("createdTime"),
    )


def _document(content: bytes | None) -> object:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)
