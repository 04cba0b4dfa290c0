"""The API of Docker, which Podman's service speaks as well: asked about the engine, a container, an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.engines import answers, sdk
from ovlctl.errors import ContainerMissing

if TYPE_CHECKING:
    from ovlctl.engines.daemons import Answer, Endpoint, Inspected


def ask(endpoint: Endpoint, *, timeout_s: float = sdk.TIMEOUT_S) -> Answer:
    """What a daemon says of itself.

    Raises:
        ExtraMissing, StoreForbidden, EngineSilent: as :func:`ovlctl.engines.sdk.documents`.
    """
    info, version = sdk.documents(endpoint, ("info",), ("version",), timeout_s=timeout_s)
    return answers.answer(endpoint, info, version)


def inspect_container(endpoint: Endpoint, ref: str, *, timeout_s: float = sdk.TIMEOUT_S) -> Inspected:
    """A container by name or id, as ``docker inspect`` and ``podman inspect`` have it.

    Raises:
        ContainerMissing: There is none.
        ExtraMissing, StoreForbidden, EngineSilent: as :func:`ovlctl.engines.sdk.documents`.
    """
    request = ("containers", _component(endpoint, ref.removeprefix("/")), "json")
    (document,) = sdk.documents(endpoint, request, timeout_s=timeout_s)
    return answers.container(endpoint, document)


def inspect_image(endpoint: Endpoint, ref: str, *, timeout_s: float = sdk.TIMEOUT_S) -> Inspected:
    """An image by reference or id, as ``docker image inspect`` and ``podman image inspect`` have it.

    Raises:
        ContainerMissing: There is none.
        ExtraMissing, StoreForbidden, EngineSilent: as :func:`ovlctl.engines.sdk.documents`.
    """
    request = ("images", _component(endpoint, ref), "json")
    (document,) = sdk.documents(endpoint, request, timeout_s=timeout_s)
    return answers.image(endpoint, document)


def _component(endpoint: Endpoint, ref: str) -> str:
    # As a part of a path it would ask for something else.
    if {"", ".", ".."} & {*ref.split("/")}:
        raise ContainerMissing(f"{{}} is no name that {endpoint.engine} gives", ref)
    return ref
