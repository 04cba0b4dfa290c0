"""Where stores are looked for: on this machine, on another machine's disk, around a path."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.disk import Disk
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import ROOT_VARIABLE, Origin, Place, around, places, recognised
from ovlctl.errors import StoreDamaged
from tests import docker
from tests.capabilities import needs_root

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser
    from tests.podman import Podman

_DOCKER, _PODMAN, _CONTAINERD = "/var/lib/docker", "/var/lib/containers/storage", "/var/lib/containerd"
_CONTENT = {
    Engine.DOCKER: ("image", "overlay2"),
    Engine.PODMAN: ("overlay", "overlay-layers", "overlay-images"),
    Engine.CONTAINERD: ("io.containerd.metadata.v1.bolt", "io.containerd.content.v1.content"),
}


def _root(path: str, engine: Engine) -> str:
    for name in _CONTENT[engine]:
        os.makedirs(f"{path}/{name}")
    return path


def _write(path: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text(content, encoding="utf-8")


def _found(disk: str, *engines: Engine, environment: dict[str, str] | None = None) -> dict[str, Engine]:
    found = places(engines, root=disk, environment=environment or {})
    assert found.troubles == ()
    for place in found.found:
        assert place.run is None
        assert not place.alive
        assert place.origin is Origin.GIVEN
    return {place.root.removeprefix(disk): place.engine for place in found.found}


def test_the_default_places_of_a_disk(scratch: str) -> None:
    """What root's engines use, and the Kubernetes distributions that bring a containerd; only what is there."""
    assert _found(scratch) == {}
    expected = {
        _DOCKER: Engine.DOCKER,
        _PODMAN: Engine.PODMAN,
        _CONTAINERD: Engine.CONTAINERD,
        "/var/lib/rancher/k3s/agent/containerd": Engine.CONTAINERD,
        "/var/lib/rancher/rke2/agent/containerd": Engine.CONTAINERD,
    }
    for path, engine in expected.items():
        _root(scratch + path, engine)
    assert _found(scratch) == expected
    assert _found(scratch, Engine.DOCKER) == {_DOCKER: Engine.DOCKER}
    assert _found(scratch, Engine.BUILDAH) == {_PODMAN: Engine.PODMAN}
    assert set(_found(scratch, Engine.CRI).values()) == {Engine.PODMAN, Engine.CONTAINERD}


def test_configured_places_of_a_disk(scratch: str) -> None:
    """What its configuration files name, beside what was left at the default place."""
    _write(f"{scratch}/etc/docker/daemon.json", json.dumps({"data-root": "/srv/docker"}))
    _write(f"{scratch}/etc/containerd/config.toml", 'version = 2\nroot = "/srv/containerd"\n')
    _write(
        f"{scratch}/etc/containers/storage.conf",
        '[storage]\ndriver = "overlay"\ngraphroot = "/srv/podman"\nrunroot = "/srv/run"\n'
        '[storage.options]\nadditionalimagestores = ["/srv/shared", "relative"]\n',
    )
    expected = {
        "/srv/docker": Engine.DOCKER,
        "/srv/podman": Engine.PODMAN,
        "/srv/containerd": Engine.CONTAINERD,
        _DOCKER: Engine.DOCKER,
    }
    for path, engine in expected.items():
        _root(scratch + path, engine)
    assert _found(scratch) == expected
    (podman,) = places([Engine.PODMAN], root=scratch, environment={}).found
    assert podman.images == (f"{scratch}/srv/shared",)


@pytest.mark.parametrize(
    ("options", "metacopy"),
    [
        ('[storage.options.overlay]\nmountopt = "nodev,metacopy=on"\n', True),
        ('[storage.options]\nmountopt = "metacopy=on"\n', True),  # as it was written before 2020
        ('[storage.options.overlay]\nmountopt = "nodev,metacopy=off"\n', False),
        ("[storage.options.overlay]\nmountopt = 3\n", False),
        ("", False),
    ],
)
def test_whether_metadata_alone_is_copied_up(scratch: str, options: str, *, metacopy: bool) -> None:
    """What storage.conf says of the mount options of all containers."""
    _write(f"{scratch}/etc/containers/storage.conf", f'[storage]\ndriver = "overlay"\n{options}')
    _root(scratch + _PODMAN, Engine.PODMAN)
    (podman,) = places([Engine.PODMAN], root=scratch, environment={}).found
    assert podman.metacopy is metacopy


def test_homes_of_a_disk(scratch: str) -> None:
    """Stores of users, as its passwd, its /home and their own configuration name them."""
    _write(f"{scratch}/etc/passwd", "ann:x:1000:1000::/people/ann:/bin/sh\nbroken\nb:x:y:1:::\n")
    _write(
        f"{scratch}/home/bob/.config/containers/storage.conf",
        '[storage]\ndriver = "overlay"\ngraphroot = "$HOME/graph"\n',
    )
    _write(
        f"{scratch}/etc/containers/storage.conf",
        '[storage]\ndriver = "overlay"\nrootless_storage_path = "/pool/${UID}"\n',
    )
    expected = {
        "/people/ann/.local/share/containers/storage": Engine.PODMAN,
        "/people/ann/.local/share/docker": Engine.DOCKER,
        "/home/bob/graph": Engine.PODMAN,
        "/pool/1000": Engine.PODMAN,
        "/root/.local/share/containerd": Engine.CONTAINERD,
    }
    for path, engine in expected.items():
        _root(scratch + path, engine)
    assert _found(scratch) == expected


@pytest.mark.parametrize("target", ["/big/docker", "../../big/docker", "../../../../../../big/docker"])
def test_links_lead_where_they_do_on_that_machine(scratch: str, target: str) -> None:
    """An absolute link begins at the disk's root, and none leads above it."""
    _root(f"{scratch}/big/docker", Engine.DOCKER)
    os.makedirs(f"{scratch}/var/lib")
    os.symlink(target, scratch + _DOCKER)
    assert _found(scratch) == {"/big/docker": Engine.DOCKER}


@pytest.mark.parametrize("config", ["/etc/docker", "/etc/docker/daemon.json", "/etc"])
def test_no_link_leads_out_of_a_disk(scratch: str, config: str) -> None:
    """Neither to a configuration outside nor to a store."""
    outside, disk = f"{scratch}/outside", f"{scratch}/disk"
    _root(f"{outside}/store", Engine.DOCKER)
    for name in ("daemon.json", "docker/daemon.json"):
        _write(f"{outside}/{name}", json.dumps({"data-root": f"{outside}/store"}))
    target = f"{outside}/daemon.json" if config.endswith("json") else outside
    os.makedirs(os.path.dirname(disk + config))
    os.symlink(target, disk + config)
    os.makedirs(f"{disk}/var/lib")
    os.symlink(f"{outside}/store", disk + _DOCKER)
    assert _found(disk) == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("etc/docker/daemon.json", "{"),
        ("etc/docker/daemon.json", "[" * 100_000),
        ("etc/containers/storage.conf", "[storage"),
        ("etc/containerd/config.toml", "root = \xff"),
    ],
)
def test_a_configuration_that_is_none(scratch: str, name: str, content: str) -> None:
    """One error that names it; what is at the default places is found all the same."""
    for path, engine in ((_DOCKER, Engine.DOCKER), (_PODMAN, Engine.PODMAN), (_CONTAINERD, Engine.CONTAINERD)):
        _root(scratch + path, engine)
    _write(f"{scratch}/{name}", content)
    found = places([], root=scratch, environment={})
    assert len(found.found) == 3
    assert [(type(error), error.paths) for error in found.troubles] == [(StoreDamaged, (f"{scratch}/{name}",))]


@pytest.mark.parametrize("value", [7, None, [], {"a": 1}, "", "relative", "nul\0", "../..", "/" + "x" * 5000])
def test_a_configuration_that_names_no_place(scratch: str, value: object) -> None:
    """Taken for no word at all."""
    _root(scratch + _DOCKER, Engine.DOCKER)
    _write(f"{scratch}/etc/docker/daemon.json", json.dumps({"data-root": value}))
    assert _found(scratch) == {_DOCKER: Engine.DOCKER}


def test_a_link_in_a_circle_is_no_place(scratch: str) -> None:
    """Also where it stands for a configuration file."""
    os.makedirs(f"{scratch}/var/lib")
    os.symlink("docker", scratch + _DOCKER)
    os.makedirs(f"{scratch}/etc/docker")
    os.symlink("daemon.json", f"{scratch}/etc/docker/daemon.json")
    found = places([], root=scratch, environment={})
    assert found.found == ()
    assert [type(error) for error in found.troubles] == [StoreDamaged]


@pytest.mark.parametrize("engine", _CONTENT)
def test_a_data_root_itself(scratch: str, engine: Engine) -> None:
    """Known by its content; what else a disk might have there is not looked at."""
    root = _root(f"{scratch}/odd", engine)
    place = Place(engine=engine, root=root, origin=Origin.GIVEN, alive=False)
    assert places([], root=root, environment={}).found == (place,)
    assert places([], root=None, environment={ROOT_VARIABLE: root}).found == (place,)
    other = Engine.PODMAN if engine is Engine.DOCKER else Engine.DOCKER
    assert places([other], root=root, environment={}).found == ()


def test_the_store_around_a_path(scratch: str) -> None:
    """The outermost: what looks like a store in a layer is a part of the layer. Links are not followed."""
    root = _root(f"{scratch}/graph", Engine.PODMAN)
    inner = _root(f"{root}/overlay/abc/diff/var/lib/docker", Engine.DOCKER)
    os.symlink("/etc", f"{root}/overlay/abc/diff/link")
    expected = Place(engine=Engine.PODMAN, root=root, origin=Origin.AROUND, alive=False)
    for path in (root, inner, f"{inner}/image/gone", f"{root}/overlay/abc/diff/link/passwd"):
        assert around(path, {}) == expected
    assert around(scratch, {}) is None
    assert around("/etc/passwd", {}) is None


def test_nothing_is_recognised_in_what_is_no_directory(scratch: str) -> None:
    """A file, nothing, a name that is none."""
    _write(f"{scratch}/file", "")
    assert {recognised(path) for path in (scratch, f"{scratch}/file", f"{scratch}/gone", "nul\0")} == {()}


def test_paths_on_a_disk(scratch: str) -> None:
    """As chroot would see them, also for what is not there."""
    os.symlink("/a/b", f"{scratch}/link")
    disk = Disk(scratch)
    assert disk.at("/link/c") == f"{scratch}/a/b/c"
    assert disk.at("/../..//link/./../x") == f"{scratch}/a/x"
    assert Disk("/").at("/proc/self/..") == "/proc"


def test_a_running_podman_is_found(podman_engine: Podman) -> None:
    """By the command lines of its service and of what waits for its containers; then by the configuration."""
    found = places([Engine.PODMAN], root=None, environment={}).found
    (place,) = [one for one in found if one.root == podman_engine.root]
    assert place == Place(
        engine=Engine.PODMAN, root=podman_engine.root, run=podman_engine.run, origin=Origin.DAEMON, alive=True
    )
    given = places([], root=podman_engine.root, environment={}).found
    assert [(one.alive, one.run, one.origin) for one in given] == [(True, podman_engine.run, Origin.GIVEN)]
    inside = around(f"{podman_engine.root}/overlay/l", {})
    assert inside is not None
    assert (inside.alive, inside.origin) == (True, Origin.AROUND)


@pytest.mark.parametrize("variable", ["CONTAINERS_STORAGE_CONF", "STORAGE_CONF"])
def test_a_configuration_that_the_environment_names(scratch: str, variable: str) -> None:
    """Before all others."""
    root = _root(f"{scratch}/graph", Engine.PODMAN)
    lines = ("[storage]", 'driver = "overlay"', f'graphroot = "{root}"', f'runroot = "{scratch}/run"', "")
    _write(f"{scratch}/storage.conf", "\n".join(lines))
    found = places([Engine.PODMAN], root=None, environment={variable: f"{scratch}/storage.conf"}).found
    assert Place(engine=Engine.PODMAN, root=root, run=f"{scratch}/run", origin=Origin.CONFIGURATION, alive=True) in set(
        found
    )


def test_a_users_own_stores(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Where XDG says, or below their home; what only root may read does not stop it."""
    for path, engine in ((".local/share/docker", Engine.DOCKER), ("data/containers/storage", Engine.PODMAN)):
        _root(f"{ordinary_user.home}/{path}", engine)
    words = [sys.executable, "-c", _PLACES]
    plain = ordinary_user.run(words)
    assert f"docker {ordinary_user.home}/.local/share/docker" in plain.stdout.splitlines(), plain.stderr
    moved = ordinary_user.run(words, env={"XDG_DATA_HOME": f"{ordinary_user.home}/data"})
    assert f"podman {ordinary_user.home}/data/containers/storage" in moved.stdout.splitlines(), moved.stderr


_PLACES = """
import os
from ovlctl.engines.places import places
for place in places([], root=None, environment=os.environ).found:
    print(place.engine, place.root)
"""


@needs_root
def test_a_running_docker_is_found(scratch: str) -> None:
    """By its command line, and its containerd by the configuration that it was given."""
    with docker.daemon(scratch):
        found = places([], root=None, environment={}).found
        known = {place.root: place for place in found}
        assert known[f"{scratch}/data"] == Place(
            engine=Engine.DOCKER, root=f"{scratch}/data", run=f"{scratch}/exec", origin=Origin.DAEMON
        )
        own = known[f"{scratch}/data/containerd/daemon"]
        assert (own.engine, own.run) == (Engine.CONTAINERD, f"{scratch}/exec/containerd/daemon")
    assert f"{scratch}/data" not in {place.root for place in places([], root=None, environment={}).found}
