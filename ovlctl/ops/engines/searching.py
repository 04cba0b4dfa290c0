"""From a word to a layer of a store: a path, a number or a name, and why it leads there.

Nothing here asks a daemon: the metadata on disk say what there is, and the kernel what is mounted and runs.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.engines import finding, places, stores
from ovlctl.engines.keepers import keeper_of
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel.tasks import mount_id_at
from ovlctl.ops.engines import naming
from ovlctl.ops.engines.live import Alive
from ovlctl.ops.who.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.engines.values import Container, Image, Layer, Store
    from ovlctl.ops.engines.live import Live

_NUMBER = re.compile(r"(?:(pid|mount|snapshot):)?([0-9]{1,10})", re.ASCII)
# As long as an id has to be before its beginning stands for it; engines print twelve.
_SHORTEST = 4
_ALGORITHM = "sha256:"
_INIT = "-init"


class Asked(StrEnum):
    """What a number is."""

    PID = "pid"
    MOUNT = "mount"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """What a word led to.

    Attributes:
        store: A store.
        layer: A layer of it; None for what lies beside the layers.
        container: A container that was named, or whose directory it is.
        image: An image that was named.
        evidence: Why.
    """

    store: Store
    layer: Layer | None = None
    container: Container | None = None
    image: Image | None = None
    evidence: tuple[Note, ...] = ()

    @property
    def label(self) -> str:
        """What it is called where it is one of several."""
        if self.container is not None or self.image is not None or self.layer is None:
            what = self.container or self.image
            return f"{self.store.engine} {what.id if what is not None else self.store.root}"
        return f"layer {self.layer.id}"


class Search:
    """The stores and live overlays of this machine, or of another one's disk.

    Args:
        root: Where stores are looked for, as :func:`ovlctl.engines.places.places` takes it; None, on this machine.

    Attributes:
        stores: Every store that was found, and those that paths led to since.
        alive: What is mounted.
    """

    def __init__(self, root: str | None = None) -> None:
        self.stores = list(naming.everything(root))
        with Scene() as scene:
            self.alive = Alive(scene)

    def lead(self, word: str) -> Lead | None:
        """What *word* leads to; None for a path that lies in no store and on no overlay of an engine.

        Args:
            word: A path; ``pid:N``, ``mount:N``, ``snapshot:N`` or a number that is only one of them; the id of a
                layer, a container or an image, or its beginning; the name of a container or an image; a short link.

        Raises:
            OwnerUnknown: It leads nowhere, or to a directory that no metadata know.
            NameAmbiguous: It is several things.
            PathMissing, AccessDenied: The path is not there, or may not be looked at.
        """
        if not word or "\0" in word:
            raise errors.BadUsage("a word is needed", hint="give a path, an id, `pid:N`, `mount:N` or `snapshot:N`")
        number = _NUMBER.fullmatch(word)
        if number is None and (word.startswith(("/", "./", "../")) or os.path.lexists(word)):
            return self._of_path(word)
        found = {} if number is None else {lead.label: lead for lead in self._numbered(number)}
        for exactly in (True, False):
            found = found or {lead.label: lead for lead in self._named(word, exactly=exactly)}
        # With containerd a container and its snapshot have the same name.
        named = [each.layer for each in found.values() if each.container is not None]
        found = {key: each for key, each in found.items() if each.container is not None or each.layer not in named}
        if len(found) > 1:
            raise _ambiguous(word, found.values())
        if not found:
            raise naming.founded(_unknown(word, number), self.stores)
        return next(iter(found.values()))

    def _numbered(self, match: re.Match[str]) -> Iterator[Lead]:
        asked = {Asked(match[1])} if match[1] else set(Asked)
        number = int(match[2])
        if Asked.PID in asked and (live := self.alive.of_process(number)) is not None:
            words = f"the root directory of process {number} is in the overlay mounted at {{}}"
            yield from self._of_live(live, Note(words, (live.mount.mount_point,)))
        if Asked.MOUNT in asked and (live := self.alive.with_mount(number)) is not None:
            yield from self._of_live(
                live, Note(f"mount {number} is of the overlay mounted at {{}}", (live.mount.mount_point,))
            )
        if Asked.SNAPSHOT in asked:
            for store in self.stores:
                if (layer := store.by_name.get(str(number))) is not None:
                    note = Note(f"the metadata of {{}} have {{}} as number {number}", (store.root, layer.id))
                    yield Lead(store=store, layer=layer, evidence=(note,))

    def _named(self, word: str, *, exactly: bool) -> Iterator[Lead]:
        engine = keeper_of(word)
        if engine is not None:
            word = word.partition(":")[2]
        # As the mount table has short links, which are relative to the store.
        link = word.removeprefix("l/")
        for store in self.stores:
            if engine not in {None, store.engine}:
                continue
            for layer in store.layers:
                ids = (layer.name, layer.id, layer.id.rpartition("/")[2], layer.digest or "")
                if layer.link == link:
                    note = Note("{} is the short link of {}", (word, layer.directory))
                    yield Lead(store=store, layer=layer, evidence=(note,))
                elif any(_stands_for(word, each, exactly=exactly) for each in ids):
                    yield Lead(store=store, layer=layer, evidence=(Note("the metadata know it as {}", (layer.id,)),))
            with suppress(errors.ContainerMissing):
                match = finding.find((store,), word)
                yield Lead(
                    store=store,
                    layer=None if match.top is None else store.by_id.get(match.top),
                    container=match.container,
                    image=match.image,
                    evidence=(Note("{} is {} in the store {}", (word, match.label, store.root)),),
                )

    def _of_path(self, word: str) -> Lead | None:
        bare = word.rstrip("/") or "/"
        try:
            itself = os.lstat(bare)
            # Before links are resolved: those in /proc lead into other mount namespaces. A short link may lead nowhere.
            live = self.alive.with_mount(mount_id_at(bare)) if os.path.exists(bare) else None
        except OSError as error:
            kind = errors.PathMissing if isinstance(error, FileNotFoundError) else errors.AccessDenied
            raise kind(f"{{}} cannot be looked at: {strerror(error)}", word, errno=error.errno) from error
        if live is not None:
            words = Note("{} lies in the overlay mounted at {}", (word, live.mount.mount_point))
            found = next(self._of_live(live, words), None)
            if found is not None:
                return found
        path = _resolved(bare)
        if not _is(path, itself):
            raise errors.OwnerUnknown(
                "{} lies on no overlay of an engine, and has no name in this mount namespace",
                word,
                hint="`ovlctl owner pid:N` tells whose process it is that sees it",
            )
        if not any(_below(path, store.root) or _below(path, store.places) for store in self.stores):
            around = places.around(path)
            self.stores += stores.read((around,)) if around is not None else ()
        return next(filter(None, (self._in_store(store, path) for store in self.stores)), None)

    def _of_live(self, live: Live, note: Note) -> Iterator[Lead]:
        for store in self.stores:
            # Without an upper it is an image that is mounted: its topmost layer is the first of the lowers.
            shown = live.upper or next(iter(live.lowers), "")
            place = os.path.realpath(os.path.join(store.places, shown))
            name = os.path.relpath(place, store.places).partition("/")[0]
            if (layer := store.by_name.get(name)) is not None and layer.diff == place:
                words = "its upper is {}" if live.upper is not None else "its topmost lower is {}"
                yield Lead(store=store, layer=layer, evidence=(note, Note(words, (layer.diff,))))
        yield from self._bundles(live, note)

    def _bundles(self, live: Live, note: Note) -> Iterator[Lead]:
        for store in self.stores:
            for container in store.containers:
                if live.here and container.merged == live.mount.mount_point and live.upper is None:
                    yield Lead(
                        store=store, container=container, layer=store.by_id.get(container.layer or ""), evidence=(note,)
                    )

    def _in_store(self, store: Store, path: str) -> Lead | None:
        if _below(path, store.places):
            name, _, rest = os.path.relpath(path, store.places).partition("/")
            if (layer := store.by_name.get(name)) is not None:
                return Lead(store=store, layer=layer, evidence=(Note("{} lies in its directory", (path,)),))
            linked = next((each for each in store.layers if each.link is not None and each.link == rest), None)
            link = bool(rest) and store.links == os.path.join(store.places, name)
            if linked is not None and link:
                return Lead(store=store, layer=linked, evidence=(Note("{} is its short link", (path,)),))
            if name != "." and (link or name not in store.reserved):
                unknown = errors.OwnerUnknown(
                    "{} lies in a store of " + store.engine + ", whose metadata do not know {}",
                    path,
                    rest if link else name,
                    hint=f"`ovlctl orphans {store.engine}` lists what belongs to nobody",
                )
                raise naming.founded(unknown, (store,))
        mounted = next((each for each in store.containers if each.merged and _below(path, each.merged)), None)
        if mounted is not None:
            layer = store.by_id.get(mounted.layer or "")
            note = Note("{} lies where its engine mounts it", (path,))
            return Lead(store=store, layer=layer, container=mounted, evidence=(note,))
        if not _below(path, store.root):
            return None
        parts = os.path.relpath(path, store.root).split("/")
        whose = next((each for each in store.containers if each.id in parts), None)
        if whose is not None:
            layer = store.by_id.get(whose.layer or "")
            return Lead(store=store, layer=layer, container=whose, evidence=(Note("{} has its id", (path,)),))
        return Lead(store=store, evidence=(Note("{} lies in the data root {}", (path, store.root)),))


def _resolved(path: str) -> str:
    above, last = os.path.split(path)
    # The last component may be a link that is meant itself, such as one below l/.
    return os.path.realpath(path) if last in {".", ".."} else os.path.join(os.path.realpath(above or "."), last)


def _is(path: str, itself: os.stat_result) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.lstat(path), itself)
    return False


def _ambiguous(word: str, leads: Iterable[Lead]) -> errors.NameAmbiguous:
    several = sorted({(each.label, each.store.root) for each in leads})
    told = literal(", ".join(label for label, _ in several))
    roots = tuple(dict.fromkeys(root for _, root in several))
    listed = ", ".join(["{}"] * len(roots))
    return errors.NameAmbiguous(
        f"{{}} is several things: {told}; in {listed}",
        word,
        *roots,
        hint="`ENGINE:NAME`, more of an id, or `--root DIR` chooses one",
    )


def _unknown(word: str, number: re.Match[str] | None) -> errors.OwnerUnknown:
    hint = "`ovlctl driver` lists the stores that are looked into"
    if number is not None and number[1] == Asked.PID:
        if not os.path.isdir(f"/proc/{number[2]}"):
            return errors.OwnerUnknown(f"there is no process {number[2]}")
        return errors.OwnerUnknown(
            f"the root directory of process {number[2]} is in no overlay of a store that is known", hint=hint
        )
    if number is not None and number[1] == Asked.MOUNT:
        return errors.OwnerUnknown(f"no overlay of a store that is known has a mount {number[2]}", hint=hint)
    return errors.OwnerUnknown("nothing that is known here is called {}", word, hint=hint)


def _stands_for(word: str, name: str, *, exactly: bool) -> bool:
    bare, beginning = name.removeprefix(_ALGORITHM), word.removeprefix(_ALGORITHM)
    if exactly:
        return word in {name, bare}
    # What begins as a container's own layer does is that, and not the one below with the same name and `-init`.
    return len(beginning) >= _SHORTEST and bare.removesuffix(_INIT).startswith(beginning) and not bare.endswith(_INIT)


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
