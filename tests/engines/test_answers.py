"""What engines really answered, of several versions, becomes the same values; anything else is unknown."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovlctl.engines import answers
from ovlctl.engines.daemons import Endpoint
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import State, StoreKind
from ovlctl.errors import EngineSilent

_SAMPLES = os.path.join(os.path.dirname(__file__), "samples")
_ENDPOINT = Endpoint(engine=Engine.DOCKER, address="unix:///run/docker.sock", found="default")
_GRAPH, _SNAPSHOTTER = StoreKind.GRAPH_DRIVER, StoreKind.SNAPSHOTTER


def _sample(name: str) -> Any:
    with open(f"{_SAMPLES}/{name}.json", encoding="utf-8") as file:
        return json.load(file)


_INFO = {
    # Version, driver, kind, root, backing file system, d_type, native diff, metacopy, userxattr.
    "docker20": ("20.10.24+dfsg1", "overlay2", _GRAPH, "/var/lib/docker", "extfs", True, True, None, False),
    "docker26-graphdriver": ("26.1.5+dfsg1", "overlay2", _GRAPH, "/var/lib/docker", "extfs", True, True, False, False),
    "docker26-ctrd": ("26.1.5+dfsg1", "overlayfs", _SNAPSHOTTER, "/var/lib/docker", None, None, None, None, None),
    "podman43-compat": ("4.3.1", "overlay", _GRAPH, "/var/lib/containers/storage", "extfs", True, True, False, None),
    "podman54-compat": ("5.4.2", "overlay", _GRAPH, "/var/lib/containers/storage", "extfs", True, True, False, None),
}


@pytest.mark.parametrize("engine", _INFO)
def test_info(engine: str) -> None:
    """What an engine says of itself."""
    said = answers.answer(_ENDPOINT, _sample(f"{engine}-info"), {})
    assert (
        said.version,
        said.driver,
        said.kind,
        said.root,
        said.backing_fs,
        said.supports_d_type,
        said.native_diff,
        said.metacopy,
        said.userxattr,
    ) == _INFO[engine]
    assert said.rootless is False


def test_rootless() -> None:
    """Docker says so among its security options, Podman in a word of its own as well."""
    info = _sample("docker20-info")
    assert answers.answer(_ENDPOINT, info | {"SecurityOptions": ["name=seccomp", "name=rootless"]}, {}).rootless is True
    assert answers.answer(_ENDPOINT, _sample("podman43-compat-info") | {"Rootless": True}, {}).rootless is True
    assert answers.answer(_ENDPOINT, {"Driver": "overlay2"}, {}).rootless is None


def test_version() -> None:
    """The version comes from the other document when one does not have it."""
    info = _sample("docker20-info")
    del info["ServerVersion"]
    assert answers.answer(_ENDPOINT, info, _sample("docker20-version")).version == "20.10.24+dfsg1"


@pytest.mark.parametrize("engine", ["docker20", "docker26-graphdriver", "podman43-compat", "podman54-compat"])
def test_container(engine: str) -> None:
    """With a graph driver, paths come with the container."""
    document = _sample(f"{engine}-container-inspect")
    said = answers.container(_ENDPOINT, document)
    data = document["GraphDriver"]["Data"]
    assert said.graph is not None
    assert ":".join(said.graph.lowers) == data["LowerDir"]
    assert (said.graph.upper, said.graph.work, said.graph.merged) == (
        data["UpperDir"],
        data["WorkDir"],
        data["MergedDir"],
    )
    assert (said.id, said.image, said.driver) == (document["Id"], document["Image"], document["GraphDriver"]["Name"])
    assert f"/{said.name}" == document["Name"]
    running = document["State"]["Running"]
    assert (said.state, said.pid) == ((State.RUNNING, document["State"]["Pid"]) if running else (State.CREATED, None))


def test_container_of_a_snapshotter() -> None:
    """With containerd's store there are no paths, and what they were in is null."""
    said = answers.container(_ENDPOINT, _sample("docker26-ctrd-container-inspect"))
    assert (said.driver, said.graph, said.state) == ("overlayfs", None, State.RUNNING)


def test_container_of_docker_29() -> None:
    """GraphDriver is left out; the snapshotter has another place."""
    document = _sample("docker26-ctrd-container-inspect")
    del document["GraphDriver"], document["Driver"]
    document["Storage"] = {"RootFS": {"Snapshot": {"Name": "overlayfs"}}}
    said = answers.container(_ENDPOINT, document)
    assert (said.driver, said.graph) == ("overlayfs", None)
    older = answers.container(_ENDPOINT, document | {"GraphDriver": {"Name": "overlayfs"}})
    assert (older.driver, older.graph) == ("overlayfs", None)


@pytest.mark.parametrize(
    "engine", ["docker20", "docker26-graphdriver", "docker26-ctrd", "podman43-compat", "podman54-compat"]
)
def test_image(engine: str) -> None:
    """Digests and a name come with every store, paths with a graph driver."""
    document = _sample(f"{engine}-image-inspect")
    said = answers.image(_ENDPOINT, document)
    assert (said.id, said.name, list(said.digests)) == (
        document["Id"],
        document["RepoTags"][0],
        document["RootFS"]["Layers"],
    )
    data = document["GraphDriver"]["Data"]
    assert (said.graph.upper if said.graph else None) == (data["UpperDir"] if data else None)


def test_image_without_a_name() -> None:
    """One that lost its name goes by its id."""
    document = _sample("docker20-image-inspect") | {"RepoTags": [], "RepoDigests": None}
    assert answers.image(_ENDPOINT, document).name == document["Id"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100)
@given(data=st.data(), of=st.sampled_from(["info", "container-inspect", "image-inspect"]))
def test_any_value_in_any_place(data: st.DataObject, of: str) -> None:
    """Whatever stands in the place of a value, the rest is told, or one error."""
    document = _sample(f"docker20-{of}")
    keys = st.sampled_from(sorted(document))
    for key in data.draw(st.lists(keys, max_size=4)):
        document[key] = data.draw(_JSON)
    read = {"container-inspect": answers.container, "image-inspect": answers.image}.get(of)
    try:
        if read is not None:
            read(_ENDPOINT, document)
        else:
            answers.answer(_ENDPOINT, document, data.draw(_JSON))
    except EngineSilent as error:
        assert "\n" not in error.message()  # noqa: PT017 - not raised is fine, too
