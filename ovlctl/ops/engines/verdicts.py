"""Whether an engine's storage driver will do: facts in, a verdict in words out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import StoreKind
from ovlctl.errors import Note, literal
from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.doctor.values import Ability
from ovlctl.ops.engines.drivers import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.doctor.values import DirectoryReport
    from ovlctl.ops.engines.drivers import LeftBehind

#: What mounts overlays of the kernel.
OVERLAY_DRIVERS = frozenset({"overlay2", "overlay", "overlayfs"})
#: What the other drivers do instead.
_OTHERS = {
    "vfs": "copies every layer whole, so that each takes the room of all below it",
    "native": "copies every layer whole, so that each takes the room of all below it",
    "fuse-overlayfs": "sends every system call on a file through a process",
    "devicemapper": "was given up by Docker in version 25",
    "aufs": "was given up by Docker in version 24, and no kernel has it",
    "btrfs": "makes snapshots of btrfs, not overlays",
    "zfs": "makes snapshots of ZFS, not overlays",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a verdict rests on.

    Attributes:
        engine: The engine.
        driver: Its driver; None when unknown.
        kind: How it keeps layers.
        root: Its data root.
        report: What `doctor` finds about that directory; None where it was not asked.
        native_diff, metacopy, rootless: As of :class:`ovlctl.ops.engines.drivers.Driver`.
        volatile: How many containers are mounted so that nothing is synchronised, builders' own left out.
        trouble: The engine's own words for why a driver cannot be used.
        left_behind: Data of stores that are not in use.
        images: How many images there are.
    """

    engine: Engine
    driver: str | None
    kind: StoreKind | None
    root: str | None
    report: DirectoryReport | None
    native_diff: bool | None
    metacopy: bool | None
    rootless: bool | None
    volatile: int
    trouble: str | None
    left_behind: tuple[LeftBehind, ...]
    images: int


def verdict(facts: Facts) -> Verdict:
    """Whether it is fine for production, or what to change and what that costs."""
    if facts.driver is None:
        return Verdict(ok=None, text=Note("nothing tells which driver it uses"), hints=tuple(_hints(facts)))
    against = list(_against(facts))
    if against:
        texts, hints = zip(*against, strict=True)
        text = Note("; ".join(note.template for note in texts), tuple(path for note in texts for path in note.paths))
        return Verdict(ok=False, text=text, hints=(*hints, *_hints(facts)))
    if facts.report is None:
        text = Note(f"{literal(facts.driver)} is the driver to have; its directory was not tried")
        return Verdict(ok=None, text=text, hints=tuple(_hints(facts)))
    return Verdict(
        ok=True,
        text=Note(f"fine for production: {literal(facts.driver)} on {literal(facts.report.fs_type)}"),
        hints=tuple(_hints(facts)),
    )


def _against(facts: Facts) -> Iterator[tuple[Note, Note]]:
    """Each thing that is not fit for production, and what to change."""
    driver = literal(facts.driver or "")
    if facts.driver not in OVERLAY_DRIVERS:
        does = _OTHERS.get(facts.driver or "", "is no driver that mounts overlays of the kernel")
        yield Note(f"{driver} {does}"), _other_driver(facts)
    for finding in () if facts.report is None else facts.report.findings:
        if finding.ability is Ability.UPPER and finding.answer is Answer.NO:
            fix = finding.fix or Note("move {} to ext4, xfs or btrfs on a local disk", (facts.root or "",))
            yield Note(f"its directory can hold no upper: {finding.tried.template}", finding.tried.paths), fix
        elif finding.ability is Ability.D_TYPE and finding.answer is Answer.NO:
            yield (
                Note("directories do not tell the types of names, so that deleted files are listed again"),
                Note("`mkfs.xfs -n ftype=1` makes a file system that does; all on it has to be copied away and back"),
            )
    if facts.volatile:
        yield (
            Note(f"{facts.volatile} of its containers are mounted volatile: what they wrote may be lost in a crash"),
            Note("take `volatile` out of the mount options; writes then cost their fsyncs: `ovlctl bench-copyup`"),
        )


def _other_driver(facts: Facts) -> Note:
    lost = f"; its {facts.images} images stay on disk and are not seen until it is changed back" if facts.images else ""
    if facts.engine is Engine.DOCKER:
        return Note(f'`{{{{"storage-driver": "overlay2"}}}}` in /etc/docker/daemon.json changes it{lost}')
    if facts.engine is Engine.PODMAN:
        return Note(
            f'`driver = "overlay"` in storage.conf changes it, after `podman system reset`, which removes all{lost}'
        )
    return Note(f"`--snapshotter overlayfs` chooses the other one for each image and container{lost}")


def _hints(facts: Facts) -> Iterator[Note]:
    if facts.trouble is not None:
        yield Note(f"{facts.engine} says why overlayfs cannot be used: {literal(facts.trouble)}")
    answers = {} if facts.report is None else {each.ability: each for each in facts.report.findings}
    reflink = answers.get(Ability.REFLINK)
    if reflink is not None and reflink.answer is Answer.NO and facts.report is not None:
        yield Note(
            f"{literal(facts.report.fs_type)} here has no reflinks: the first change to a file copies all of it. Keep "
            "large files that change in volumes; `ovlctl bench-copyup --dir {}` measures what it costs",
            (facts.root or "",),
        )
    if facts.metacopy:
        yield Note("metacopy is on: chown and chmod are cheap, and layers mean nothing without the ones below")
    if facts.native_diff is False:
        yield Note(
            "no native diff: commits, builds and `diff` compare whole trees. `redirect_dir=off` and `metacopy=off`, as "
            "parameters of the overlay module or mount options, bring it back; renaming a directory of a lower then "
            "is EXDEV"
        )
    if facts.kind is StoreKind.SNAPSHOTTER and facts.engine is Engine.DOCKER:
        yield Note(
            "`docker inspect` tells no GraphDriver with this store; `ovlctl driver container NAME --graphdriver` does, "
            "in the same shape"
        )
    for left in facts.left_behind:
        yield Note(
            f"{left.layers} layers of the store that is not in use ({literal(left.driver)}) are left in {{}}; the "
            "engine uses them again only when it is changed back",
            (left.directory,),
        )
