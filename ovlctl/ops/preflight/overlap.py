"""Layers that are the same directory or lie inside each other: what the kernel answers with ELOOP."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.preflight.places import Place


def overlaps(lowers: Sequence[Place], upper: Place | None, work: Place | None) -> Iterator[errors.OvlError]:
    """Every pair of layers that cannot be in one stack. The upper or work inside a lower is allowed."""
    if upper is not None and work is not None:
        yield from _upper_and_work(upper, work)
    seen: dict[tuple[int, int], Place] = {}
    for lower in lowers:
        key = lower.identity
        if key in seen:
            before = seen[key].path
            yield errors.LayerTwice(
                "the lower {} is named twice" if before == lower.path else "the lower {} is in the stack already as {}",
                lower.path,
                before,
                errno=errno.ELOOP,
                hint="name it once",
            )
            continue
        seen[key] = lower
        yield from _lower_and_upper(lower, upper, work)
    yield from _nested(list(seen.values()))


def cautions(
    lowers: Sequence[Place],
    upper: Place | None,
    work: Place | None,
    target: Place | None,
    table: Sequence[Mount],
) -> Iterator[Note]:
    """What works but will surprise."""
    yield from _submounts(lowers, table)
    for kind, place in (("upper", upper), ("work directory", work)):
        if place is None:
            continue
        for lower in lowers:
            if place.is_inside(lower):
                text = f"the {kind} {{}} lies inside the lower {{}}: listing it through the merged view gives ELOOP"
                yield Note(text, (place.path, lower.path))
        if target is not None and target.is_same(place):
            yield Note(f"the target {{}} is the {kind} itself: the merged view will hide it", (target.path,))


def _submounts(lowers: Sequence[Place], table: Sequence[Mount]) -> Iterator[Note]:
    points = [mount.mount_point for mount in table]
    for lower in lowers:
        inside = next((point for point in points if point.startswith(lower.path.rstrip("/") + "/")), None)
        if inside is not None:
            text = "{} is mounted inside the lower {}: the merged view shows the directory beneath it instead"
            yield Note(text, (inside, lower.path))


def _upper_and_work(upper: Place, work: Place) -> Iterator[errors.OvlError]:
    hint = "use a directory beside the upper, such as {1}.work"
    if work.is_same(upper):
        text = "work {} is the upper itself"
    elif work.is_inside(upper):
        text = "work {} lies inside the upper {}"
    elif upper.is_inside(work):
        text = "work {} lies above the upper {}"
    else:
        return
    yield errors.WorkOverlapsUpper(text, work.path, upper.path, errno=errno.EINVAL, hint=hint)


def _lower_and_upper(lower: Place, upper: Place | None, work: Place | None) -> Iterator[errors.OvlError]:
    for kind, place in (("upper", upper), ("work directory", work)):
        if place is None:
            continue
        if lower.is_same(place):
            yield errors.LowerIsUpper(
                f"{{}} is a lower and the {kind} at once",
                lower.path,
                place.path,
                errno=errno.ELOOP,
                hint="use a directory of its own for each",
            )
        elif lower.is_inside(place):
            yield errors.OverlappingLayers(
                f"the lower {{}} lies inside the {kind} {{}}",
                lower.path,
                place.path,
                errno=errno.ELOOP,
                hint="use directories side by side",
            )


def _nested(lowers: list[Place]) -> Iterator[errors.OvlError]:
    """Pairs of lowers inside each other, found by sorting: a directory's descendants follow it directly."""
    ordered = sorted(lowers, key=lambda place: (place.mount.dev, place.position))
    ancestors: list[Place] = []
    for lower in ordered:
        while ancestors and not lower.is_inside(ancestors[-1]):
            ancestors.pop()
        if ancestors:
            yield errors.OverlappingLayers(
                "the lower {} lies inside the lower {}",
                lower.path,
                ancestors[-1].path,
                errno=errno.ELOOP,
                hint="drop one of them, or use directories side by side",
            )
        ancestors.append(lower)
