"""Readers and writers beside remounts: nobody ever finds nothing, an error or a mix, and nothing written is lost."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl.kernel import mountinfo, mounts
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import remounting
from ovlctl.ops.remounting import Changes
from ovlctl.ops.remounting.aside import stage_of
from ovlctl.ops.state import locate
from tests import capabilities, trees
from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [capabilities.needs_overlay, capabilities.needs_mount_beneath, capabilities.needs_compiler]

_SOURCE = os.path.join(os.path.dirname(__file__), "reader.c")


@pytest.fixture(params=["private", "shared"])
def ground(request: pytest.FixtureRequest, scratch: str) -> Iterator[str]:
    """A file system whose mount is private or shared, as the root is where systemd runs; two generations on it."""
    point = trees.make(os.path.join(scratch, "ground"), {})
    mount("tmpfs", point, "tmpfs", MS(0), b"mode=0755")
    if request.param == "shared":
        mount(None, point, None, MS.SHARED)
    for generation, size in (("A", 1), ("B", 2)):
        files = {f"sub/{name}": generation * size for name in "fg"}
        trees.make(os.path.join(point, generation), {**files, f"sub/only-{generation}": ""})
    trees.make(point, {"base/sub/": None, "t/": None})
    yield point
    umount2(point)


@pytest.fixture(scope="module")
def reader() -> str:
    """The reader, compiled."""
    program = os.path.join(tempfile.mkdtemp(prefix="reader-", dir=capabilities.session().directory), "reader")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", program, _SOURCE], check=True)
    return program


def _shared() -> set[int]:
    return {each.mount_id for each in mountinfo.read() if any(tag.startswith("shared:") for tag in each.propagation)}


def _stack(ground: str, generation: str) -> tuple[str, str]:
    return (os.path.join(ground, generation), os.path.join(ground, "base"))


@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
def test_readers_beside_200_remounts(ground: str, reader: str, state_dir: str, *, upper: bool) -> None:
    """A tight loop of opens, one of listings and one through a directory: never an error, never two generations.

    Where the three leave remounts hardly any time, an emulated processor, there are fewer of these.
    """
    allocate = ovlctl.KeptUpper() if upper else None
    ovlctl.mount(ovlctl.Stack(_stack(ground, "A")), f"{ground}/t", allocate=allocate, name="s")
    readers = [
        subprocess.Popen(
            [reader, mode, f"{ground}/t/sub"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=0
        )
        for mode in ("open", "list", "together")
    ]
    most, end = 200 if mounts.mount_at(ground).mount_id in _shared() else 50, time.monotonic() + PATIENCE / 8
    try:
        for number in itertools.takewhile(lambda number: number < 20 or time.monotonic() < end, range(most)):
            remounting.remount("s", Changes(lowers=_stack(ground, "BA"[number % 2])))
            assert all(each.poll() is None for each in readers)
    finally:
        said = [each.communicate()[0].split() for each in readers]
        assert [each.returncode for each in readers] == [0, 0, 0], said
    assert min(int(count) for count, _, _ in said) > 0
    assert all(int(seen) > 0 for seen in said[0][1:]), "both generations were seen"
    ovlctl.umount("s", discard=upper)


def test_writer_beside_remounts(ground: str, state_dir: str) -> None:
    """Who writes succeeds or gets EROFS, and what was said to be written is there in the end."""
    ovlctl.mount(ovlctl.Stack(_stack(ground, "A")), f"{ground}/t", allocate=ovlctl.KeptUpper(), name="s")
    stop = os.pipe()
    with mmap.mmap(-1, 16) as shared, memoryview(shared).cast("Q") as told:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(stop[1])
                status = _write_until(stop[0], told, f"{ground}/t/sub")
            finally:
                os._exit(status)
        turns = itertools.count()

        def enough() -> bool:
            """At least 40 remounts, and as many more as it takes for the writer to meet the bridge."""
            number = next(turns)
            remounting.remount("s", Changes(lowers=_stack(ground, "BA"[number % 2])))
            return number >= 40 and min(told) > 0

        assert eventually(enough), "the bridge was seen"
        os.close(stop[0])
        os.close(stop[1])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        written, _refused = told
    for number in range(written):
        with open(f"{ground}/t/sub/n{number}") as file:
            assert file.read() == str(number)
    ovlctl.umount("s", discard=True)


def _write_until(stop: int, told: memoryview[int], directory: str) -> int:
    """Make one file after the other until *stop* ends; 0 when nothing but EROFS came between.

    Args:
        stop: A pipe.
        told: Gets how many were written, and how many were refused.
        directory: Where.
    """
    os.set_blocking(stop, False)
    while True:
        try:
            if os.read(stop, 1) == b"":
                break
        except BlockingIOError:
            pass
        try:
            with open(f"{directory}/n{told[0]}", "w") as file:
                file.write(str(told[0]))
            told[0] += 1
        except OSError as error:
            if error.errno != errno.EROFS:
                return error.errno or 1
            told[1] += 1
        time.sleep(0.0003)
    return 0


def test_lists_beside_remounts(ground: str, state_dir: str) -> None:
    """Who lists stacks meanwhile finds this one, mounted, and once."""
    ovlctl.mount(ovlctl.Stack(_stack(ground, "A")), f"{ground}/t", allocate=ovlctl.KeptUpper(), name="s")
    stop = threading.Event()
    lists: list[tuple[ovlctl.Overlay, ...]] = []

    def look() -> None:
        while not stop.is_set():
            lists.append(ovlctl.overlays().overlays)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(40):
            remounting.refresh("s")
        while len(lists) <= 40 and looker.is_alive():
            remounting.refresh("s")
    finally:
        stop.set()
        looker.join()
    aside = os.path.join(stage_of(locate()), "old")
    seen = [[(each.name, each.standing) for each in found if each.target != aside] for found in lists]
    assert len(seen) > 40
    assert [each for each in seen if each != [("s", ovlctl.Standing.MOUNTED)]] == []
    ovlctl.umount("s", discard=True)
