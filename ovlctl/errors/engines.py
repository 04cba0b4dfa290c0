"""Container engines and their stores: OVL-E170 to E177."""

from __future__ import annotations

from ovlctl.errors.base import NotFoundError, PermissionDeniedError, UnsupportedError, UsageError


class EngineMissing(NotFoundError):
    """There is no engine of this kind here, or no store of it.

    Looked for are the directories that engines keep by default and that their configuration files and running daemons
    name. Others are named by `--root DIR`, or `OVLCTL_ENGINE_ROOT=DIR` for every command: DIR is the root directory of
    a machine's disk, or the directory that an engine calls its data root.

        ovlctl driver
        ovlctl driver docker --root /mnt/var/lib/docker
    """

    code = "OVL-E170"


class ContainerMissing(NotFoundError):
    """No container and no image of an engine has this name.

    Names and ids are those that the engine's own commands take; an id may be cut where it stays the only one. For
    containerd a name is `NAMESPACE/KEY`, and of KEY alone when one namespace only has it.

        docker ps -a
        docker images
        podman ps -a --external
        ctr -n NAMESPACE containers ls
    """

    code = "OVL-E171"


class NameAmbiguous(UsageError):
    """Several things have this name, and one is meant.

    The message names them. A longer id, or the word that stands before it (`pid:12`, `snapshot:12`, `mount:12`),
    chooses one.
    """

    code = "OVL-E172"


class StoreForbidden(PermissionDeniedError):
    """The store of an engine may not be read, or its daemon not be asked.

    Engines keep their stores and sockets closed to everybody but root, or the user who runs the engine. Docker lets the
    members of a group use its socket, who are as good as root.

        sudo ovlctl driver
        ls -l /var/run/docker.sock
    """

    code = "OVL-E173"


class StoreDamaged(UnsupportedError):
    """A file of an engine's store is not what it has to be.

    A document that is cut short, a database with a page that leads nowhere, a name that is no name. Nothing is taken
    from it; what the other files say is told all the same, and the exit status is 6. ovlctl reads stores only: the
    engine that owns it has to mend it.

        podman system check
        journalctl -u docker -u containerd
    """

    code = "OVL-E174"


class StoreMisleads(UnsupportedError):
    """A part of an engine's store is a symbolic link, or leads out of the store.

    Engines make plain directories. A link in the place of one, such as a layer that leads to /etc, is not followed:
    what is behind it is not the layer, and may belong to somebody else.

        ls -ld DIR
    """

    code = "OVL-E175"


class EngineSilent(UnsupportedError):
    """An engine's daemon did not answer, or not to the end.

    What its store on disk says is told all the same. Where its address is found: `DOCKER_HOST`, `DOCKER_CONTEXT` and
    `docker context`, `CONTAINER_HOST` and `podman system connection`, `CONTAINERD_ADDRESS`, and the sockets that the
    engines open by default.

        systemctl status docker podman.socket containerd
        docker context ls
    """

    code = "OVL-E176"


class OwnerUnknown(NotFoundError):
    """Nothing that ovlctl knows owns this.

    The path lies in no store of an engine and in no overlay of ovlctl; no layer has this id, no link this name; no
    process and no mount has this number. A store elsewhere is named by `--root DIR`.

        ovlctl driver
        ovlctl ls
    """

    code = "OVL-E177"
