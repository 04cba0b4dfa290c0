"""Graph roots made by hand, with the documents that containers/storage and libpod write."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.podman.store import read

if TYPE_CHECKING:
    from ovlctl.engines.values import Store

SAMPLES = Path(__file__).parent / "samples"
# The tables of libpod's database, as `PRAGMA table_info` shows them, with what is read of them and a little more.
TABLES = """
CREATE TABLE DBConfig(ID INTEGER PRIMARY KEY, SchemaVersion INTEGER NOT NULL, OS TEXT, GraphRoot TEXT, RunRoot TEXT);
CREATE TABLE IDNamespace(ID TEXT PRIMARY KEY NOT NULL);
CREATE TABLE ContainerConfig(ID TEXT PRIMARY KEY NOT NULL, Name TEXT UNIQUE NOT NULL, PodID TEXT, JSON TEXT NOT NULL,
    FOREIGN KEY (ID) REFERENCES IDNamespace(ID) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (ID) REFERENCES ContainerState(ID) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (PodID) REFERENCES PodConfig(ID));
CREATE TABLE ContainerState(ID TEXT PRIMARY KEY NOT NULL, State INTEGER NOT NULL, ExitCode INTEGER, JSON TEXT NOT NULL,
    FOREIGN KEY (ID) REFERENCES ContainerConfig(ID) DEFERRABLE INITIALLY DEFERRED,
    CHECK (ExitCode BETWEEN -1 AND 255));
CREATE TABLE PodConfig(ID TEXT PRIMARY KEY NOT NULL, Name TEXT UNIQUE NOT NULL, JSON TEXT NOT NULL,
    FOREIGN KEY (ID) REFERENCES PodState(ID) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE PodState(ID TEXT PRIMARY KEY NOT NULL, InfraContainerID TEXT, JSON TEXT NOT NULL,
    FOREIGN KEY (ID) REFERENCES PodConfig(ID) DEFERRABLE INITIALLY DEFERRED);
"""


def sample(name: str) -> Any:
    """A document that an engine wrote."""
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(slots=True)
class Tree:
    """A graph root in the making.

    Attributes:
        root: Where.
        layers, images, containers: The entries of its documents.
    """

    root: str
    layers: list[Any] = field(default_factory=list)
    images: list[Any] = field(default_factory=list)
    containers: list[Any] = field(default_factory=list)

    def write(self) -> Tree:
        """Write the documents, and a directory for each layer that has a plain name."""
        for kind in ("layers", "images", "containers"):
            self.put(f"overlay-{kind}/{kind}.json", json.dumps(getattr(self, kind)))
        for at, layer in enumerate(self.layers):
            name = layer.get("id") if isinstance(layer, dict) else None
            if isinstance(name, str) and name.isalnum() and len(name) < 256:
                os.makedirs(f"{self.root}/overlay/{name}/diff", exist_ok=True)
                self.put(f"overlay/{name}/link", f"LINK{at}")
        return self

    def put(self, name: str, content: str | bytes) -> str:
        """Write a file, and say where it is."""
        path = f"{self.root}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(content.encode(errors="surrogateescape") if isinstance(content, str) else content)
        return path

    def read(self, run: str | None = None) -> Store:
        """What the reader says of it."""
        (store,) = read(Place(engine=Engine.PODMAN, root=self.root, run=run, alive=False))
        return store


def layer(name: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of layers.json."""
    return {"id": name, "created": "2026-01-02T03:04:05.123456789Z", **({"parent": parent} if parent else {}), **more}


def libpod(path: str, *, pods: dict[str, str], containers: list[dict[str, Any]], states: list[dict[str, Any]]) -> None:
    """A database of Podman 5: configurations of containers, their states in the same order, names of pods by id."""
    database = sqlite3.connect(path)
    with database:
        database.executescript(TABLES)
        database.execute("INSERT INTO DBConfig VALUES (1, 1, 'linux', '/g', '/r')")
        for id_, name in pods.items():
            database.execute("INSERT INTO PodConfig VALUES (?, ?, '{}')", (id_, name))
            database.execute("INSERT INTO PodState VALUES (?, NULL, '{}')", (id_,))
        for config, state in zip(containers, states, strict=True):
            key, pod = config["id"], config.get("pod")
            database.execute("INSERT INTO IDNamespace VALUES (?)", (key,))
            row = (key, config["name"], pod, json.dumps(config))
            database.execute("INSERT INTO ContainerConfig VALUES (?, ?, ?, ?)", row)
            row = (key, state["state"], 0, json.dumps(state))
            database.execute("INSERT INTO ContainerState VALUES (?, ?, ?, ?)", row)
    database.close()
