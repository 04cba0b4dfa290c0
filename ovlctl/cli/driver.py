"""``ovlctl driver``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.engines import Root, engines_of
from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import Json
from ovlctl.errors import BadUsage, ExitStatus
from ovlctl.show.drivers import (
    detail_json,
    detail_text,
    driver_json,
    driver_text,
    graph_driver,
)
from ovlctl.show.errors import error_notes

if TYPE_CHECKING:
    from collections.abc import Sequence

_OF = ("image", "container")


def driver(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENGINE]... | image REF | container REF",
            help="docker, podman, containerd; or one image or container, as `docker:NAME` where several have it.",
        ),
    ] = None,
    graphdriver: Annotated[
        bool,
        typer.Option("--graphdriver", help="Print JSON as `docker inspect` did, with GraphDriver, whatever the store."),
    ] = False,
    root: Root = None,
    json: Json = False,
) -> int:
    """Tell which storage driver engines use, whether it will do, and the layers of an image or container.

    Example: ovlctl driver container web --graphdriver

    Docker, Podman with buildah, and containerd are looked for where their configuration, their daemons and habit have
    them. Stores are read from disk, so that it works without a daemon; the data root is tried as `ovlctl doctor --dir`
    tries a directory, on this machine. Options in force are those of the mounts, from the mount table.

    Exits with 6 when some of a store could not be read, or a daemon that was named does not answer.
    """
    given = words or []
    if given[:1] and given[0] in _OF:
        return _detail(given, root, json=json, graphdriver=graphdriver)
    if graphdriver:
        raise BadUsage(
            "--graphdriver is about one image or container", hint="`ovlctl driver container NAME --graphdriver`"
        )
    from ovlctl.engines.places import none_found
    from ovlctl.ops.engines.driver import drivers

    engines = engines_of(given)
    found, troubles = drivers(engines, root=root)
    if not found:
        raise none_found(engines, root=root, environment=os.environ)
    named = [each.silence for each in found if each.silence is not None and each.named]
    warnings = error_notes((*troubles, *named, *(error for each in found for error in each.troubles)))
    if json:
        emit_json("driver", driver_json(found), warnings)
    else:
        emit(driver_text(found))
        warn(warnings)
    return ExitStatus.PARTIAL if warnings else ExitStatus.FINE


def _detail(words: Sequence[str], root: str | None, *, json: bool, graphdriver: bool) -> int:
    kind, *refs = words
    if len(refs) != 1:
        raise BadUsage(f"one {kind} is told at a time", hint=f"`ovlctl driver {kind} NAME`")
    from ovlctl.ops.engines.details import find

    detail = find(refs[0], container=kind == "container", root=root)
    warnings = error_notes(detail.troubles)
    if graphdriver:
        from ovlctl.show.envelope import dumps

        emit(dumps(graph_driver(detail), pretty=True))
        warn(warnings)
    elif json:
        emit_json("driver", detail_json(detail), warnings)
    else:
        emit(detail_text(detail))
        warn(warnings)
    return ExitStatus.PARTIAL if warnings else ExitStatus.FINE
