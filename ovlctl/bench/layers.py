"""The lowers of a run: built once per file system, read by every round."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from ovlctl.bench.plan import MIB
from ovlctl.bench.terms import Cache, Content
from ovlctl.kernel import pagecache

if TYPE_CHECKING:
    from ovlctl.bench.plan import Schedule
    from ovlctl.bench.values import CellKey


def relative_path(key: CellKey, slot: int) -> str:
    """Where the *slot*-th file of a cell lies in its layer.

    Each file has a chain of ``depth`` directories for itself, so that each sample copies up just as many. Cells that
    differ in nothing but the way of mounting share their files.
    """
    name = f"{key.op}-{key.size}-{key.cache}-{slot}"
    return "/".join([*([f"{name}.d"] if key.depth else []), *["d"] * (key.depth - 1), name])


def build(schedule: Schedule, fs: str, root: str) -> tuple[str, ...]:
    """Make the lowers for the cells on *fs* below *root*, write them out, and return them topmost first.

    Files lie in the bottom lower; their directories exist in all, so that a lookup goes through every layer.
    """
    lowers = tuple(os.path.join(root, f"lower{index}") for index in range(schedule.plan.layers))
    for lower in lowers:
        os.mkdir(lower)
    plan = schedule.plan
    block = random.Random(plan.seed).randbytes(MIB) if plan.content is Content.RANDOM else bytes(MIB)
    cells = [cell for cell in schedule.cells if cell.key.fs == fs]
    # Slot by slot over all cells: files built one after the other lie close together on the device (or in memory,
    # where a stretch of pages can be 5 % slower than another), and no cell shall have the better place.
    built: set[str] = set()
    for slot in range(max(cell.per_round for cell in cells)):
        for cell in cells:
            path = relative_path(cell.key, slot)
            if slot >= cell.per_round or path in built:
                continue
            built.add(path)
            for lower in lowers:
                os.makedirs(os.path.dirname(os.path.join(lower, path)), exist_ok=True)
            made = os.path.join(lowers[-1], path)
            _write_file(made, cell.key.size, block, plan.content, number=len(built))
            if plan.links > 1:
                os.link(made, f"{made}.link")
    sync(root)
    return lowers


def set_cache(path: str, cache: Cache) -> float | None:
    """Bring the data of *path* into the page cache, or out of it.

    Returns:
        The share of its pages that are cached now, from 0 to 1, as the kernel says; None for an empty file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        share = pagecache.cached_share(fd)
        if cache is Cache.WARM:
            if share is not None and share < 1:
                while os.read(fd, MIB):
                    pass
                share = pagecache.cached_share(fd)
        elif share:
            os.fsync(fd)  # dirty pages stay, whatever is advised
            pagecache.drop(fd)
            share = pagecache.cached_share(fd)
        return share
    finally:
        os.close(fd)


def _write_file(path: str, size: int, block: bytes, content: Content, number: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        if content is Content.SPARSE:
            os.ftruncate(fd, size)
            return
        # No two files and no two MiB are alike, or a file system that looks for duplicates would find them.
        left, part = size, 0
        while left:
            mark = b"" if content is Content.ZEROS else number.to_bytes(8, "big") + part.to_bytes(8, "big")
            left -= os.write(fd, (mark + block[len(mark) :])[: min(left, MIB)])
            part += 1
    finally:
        os.close(fd)


def sync(directory: str) -> None:
    """Write out the whole file system that *directory* is on."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pagecache.syncfs(fd)
    finally:
        os.close(fd)
