"""A container or an image by what people call it; the engines are the oracle where they can be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.finding import find, names
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.podman import store as podman_store
from ovlctl.engines.values import Container, Image, Layer, Role, Store, StoreKind
from ovlctl.errors import ContainerMissing, EngineMissing, NameAmbiguous

if TYPE_CHECKING:
    from tests.podman import Podman

_A, _B, _C = "a1" + "0" * 62, "a2" + "0" * 62, "b3" + "0" * 62


def _image(digits: str, *called: str, namespace: str | None = None) -> Image:
    return Image(id=f"sha256:{digits}", names=called, layer=None, namespace=namespace)


def _container(engine: Engine, id_: str, name: str, namespace: str | None = None) -> Container:
    return Container(engine=engine, id=id_, name=name, namespace=namespace)


def _store(engine: Engine, *things: Container | Image | Layer, root: str = "/store") -> Store:
    return Store(
        engine=engine,
        kind=StoreKind.GRAPH_DRIVER,
        driver="overlay",
        root=root,
        places=f"{root}/overlay",
        layers=tuple(one for one in things if isinstance(one, Layer)),
        images=tuple(one for one in things if isinstance(one, Image)),
        containers=tuple(one for one in things if isinstance(one, Container)),
    )


@pytest.fixture
def docker() -> Store:
    """Containers and images with names that could be mistaken for one another."""
    return _store(
        Engine.DOCKER,
        _container(Engine.DOCKER, _A, "web"),
        _container(Engine.DOCKER, _B, "b3"),
        _container(Engine.DOCKER, _C, "busybox"),
        _image("c" * 64, "busybox:latest", "team/app:2"),
        _image("d1" * 32, "web:1"),
        _image("d2" * 32, "cafe:latest"),
    )


@pytest.mark.parametrize(
    ("word", "id_"),
    [
        ("web", _A),
        (_A, _A),
        ("a1", _A),
        ("b3", _B),  # a name before the beginning of an id
        ("b30", _C),
        ("busybox", _C),  # a container before an image
        ("busybox:latest", "sha256:" + "c" * 64),
        ("docker.io/library/busybox", "sha256:" + "c" * 64),
        ("team/app:2", "sha256:" + "c" * 64),
        ("web:1", "sha256:" + "d1" * 32),
        ("cafe", "sha256:" + "d2" * 32),
        ("d1d", "sha256:" + "d1" * 32),
        ("sha256:d2", "sha256:" + "d2" * 32),
        ("c" * 64, "sha256:" + "c" * 64),
    ],
)
def test_a_word_is_one_thing(docker: Store, word: str, id_: str) -> None:
    """Name, id, its beginning; reference, short or in full; containers first."""
    assert find([docker], word).id == id_


@pytest.mark.parametrize("word", ["a", "d", "sha256:d"])
def test_a_word_that_is_several(docker: Store, word: str) -> None:
    """All of them are named."""
    with pytest.raises(NameAmbiguous) as caught:
        find([docker], word)
    assert len(caught.value.paths) == 3


@pytest.mark.parametrize("word", ["", "wbe", "web:2", "busybox:1", "A1", "sha256:", "{}", "team/app", "zz\x1b[31m"])
def test_a_word_that_is_nothing(docker: Store, word: str) -> None:
    """An error with what is nearly called so."""
    with pytest.raises(ContainerMissing) as caught:
        find([docker], word)
    assert caught.value.message(str).startswith(word)
    if word == "wbe":
        assert caught.value.hint(str) == "there is web"


def test_no_engine() -> None:
    """Where there is no store, that is said."""
    with pytest.raises(EngineMissing):
        find([], "web")


def test_only_a_container_or_only_an_image(docker: Store) -> None:
    """A command that is about one of them."""
    assert find([docker], "busybox", container=True).id == _C
    assert find([docker], "busybox", container=False).id == "sha256:" + "c" * 64
    with pytest.raises(ContainerMissing):
        find([docker], "cafe", container=True)
    with pytest.raises(ContainerMissing):
        find([docker], "a1", container=False)


def test_short_names_of_podman() -> None:
    """docker.io first, then localhost, then whatever ends so; several of these are one too many."""
    store = _store(
        Engine.PODMAN,
        _image("1" * 64, "localhost/app:latest"),
        _image("2" * 64, "quay.io/team/app:latest"),
        _image("3" * 64, "quay.io/team/tool:1"),
        _image("4" * 64, "docker.io/library/base:latest"),
        _image("5" * 64, "localhost/base:latest"),
        _image("6" * 64, "quay.io/a/both:latest"),
        _image("7" * 64, "quay.io/b/both:latest"),
    )
    found = {word: find([store], word).id[-1] for word in ("app", "team/app", "tool:1", "base")}
    assert found == {"app": "1", "team/app": "2", "tool:1": "3", "base": "4"}
    with pytest.raises(NameAmbiguous):
        find([store], "both")


def test_namespaces_of_containerd() -> None:
    """With the namespace, or without when only one has it; a snapshot by its key."""
    layer = Layer(id="k8s.io/extract/1 sha256:ab", name="1", parent=None, role=Role.OTHER, directory="/1", diff="/1/fs")
    store = _store(
        Engine.CONTAINERD,
        _container(Engine.CONTAINERD, "web", "web", "default"),
        _container(Engine.CONTAINERD, "web", "web", "k8s.io"),
        _container(Engine.CRI, _A, "nginx", "k8s.io"),
        _image("1" * 64, "docker.io/library/busybox:1", namespace="default"),
        layer,
    )
    assert find([store], "k8s.io/web").label == "containerd:k8s.io/web"
    assert find([store], "nginx").label == "cri:k8s.io/nginx"
    assert find([store], "k8s.io/a1").id == _A
    assert find([store], "busybox:1").id == find([store], "default/busybox:1").id == "sha256:" + "1" * 64
    assert find([store], layer.id).layer is layer
    assert find([store], "extract/1 sha256:ab").top == layer.id
    with pytest.raises(NameAmbiguous):
        find([store], "web")
    with pytest.raises(ContainerMissing):
        find([store], "k8s.io/busybox:1")
    assert names([store], Engine.CRI) == ("k8s.io/nginx",)
    assert names([store], Engine.CONTAINERD) == (
        *("default/docker.io/library/busybox:1", "default/web", "k8s.io/nginx", "k8s.io/web"),
    )


def test_an_image_of_a_store_below_is_told_once() -> None:
    """The store's own comes first, as for Podman; two stores that have nothing to do with each other are two."""
    image = _image("1" * 64, "localhost/app:1")
    below = _store(Engine.PODMAN, image, root="/shared")
    own = replace(_store(Engine.PODMAN, image), below=(below,))
    assert find([own, below], "app:1").store is own
    with pytest.raises(NameAmbiguous):
        find([_store(Engine.PODMAN, image), below], "app:1")


def test_podman_finds_the_same(podman_engine: Podman) -> None:
    """`podman inspect WORD` for names, ids, beginnings, short names; and it lists the names that are completed."""
    stores = podman_store.read(Place(engine=Engine.PODMAN, root=podman_engine.root, run=podman_engine.run))
    listed = podman_engine.json("ps", "--all", "--format", "json")
    words = [word for one in listed for word in (one["Names"][0], one["Id"], one["Id"][:12])]
    words += ["app:2", "localhost/app:3", "base:1"]
    words += [image["Id"][:12] for image in podman_engine.json("images", "--format", "json")]
    for word in words:
        (said,) = podman_engine.json("inspect", word)
        assert find(stores, word).id.removeprefix("sha256:") == said["Id"]
    assert {one["Names"][0] for one in listed} < set(names(stores, Engine.PODMAN))
    assert names(stores, Engine.BUILDAH) == ("resting", "working")
