"""Uppers that the kernel wrote, by chance: what was done through one mount is what the resolver says of the next."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovlctl.kernel.mount import MNT, umount2
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, Xino
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees
from tests.overlay.agreement import disagreements
from tests.overlay.made import mounted, new_directory, resolving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = ("a", "b", "c")
EXAMPLES = int(os.environ.get("OVLCTL_RESOLVER_EXAMPLES", "300")) // 6
LOWERS = (
    {"a/a": "1", "a/b/c": "2", "b": "3"},
    {"a/a": "4", "a/c": "5", "c/a/b": "6", "c/b": "7"},
)


def _write(path: str, _other: str) -> None:
    # A fifo without a reader would wait for one.
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK)
    os.write(opened, b"more")
    os.close(opened)


def _replace(path: str, _other: str) -> None:
    if not os.path.isdir(path):
        return  # rmtree() opens what it is given, and a fifo waits for a writer
    shutil.rmtree(path)
    os.mkdir(path)


def _mknod(path: str, _other: str) -> None:
    os.mkfifo(path)


ACTIONS: tuple[Callable[[str, str], None], ...] = (
    _write,
    _replace,
    _mknod,
    lambda path, _other: os.chmod(path, 0o700),
    lambda path, _other: os.truncate(path, 1),
    lambda path, _other: os.setxattr(path, "user.x", b"y"),
    lambda path, _other: os.setxattr(path, "trusted.overlay.opaque", b"y"),
    lambda path, _other: os.unlink(path),
    lambda path, _other: os.rmdir(path),
    lambda path, _other: os.mkdir(path),
    lambda path, _other: os.symlink("a", path),
    os.link,
    os.rename,
    os.rename,
    os.rename,
)

_paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
steps = st.lists(st.tuples(st.sampled_from(ACTIONS), _paths, _paths), max_size=12)
options = st.sampled_from(
    [
        Options(),
        Options(redirect_dir=RedirectDir.ON),
        Options(metacopy=Switch.ON),
        Options(metacopy=Switch.ON, index=Switch.ON),
        Options(userxattr=Flag.YES),
        Options(redirect_dir=RedirectDir.ON, xino=Xino.ON),
    ]
)


@pytest.fixture(scope="module", params=["ext4", "xfs", "btrfs", "tmpfs"])
def disk(request: pytest.FixtureRequest) -> Iterator[str]:
    """A file system of each kind, for the upper."""
    able = capabilities.file_system(request.param) if capabilities.root() else capabilities.root()
    if not able:
        pytest.skip(f"needs {request.param}: {able.reason}")
    with new_directory(capabilities.session().directory) as base:
        point = capabilities.make_file_system(request.param, base)
        yield point
        umount2(point, MNT(0))


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, options=options, apart=st.booleans())
def test_resolver_equals_kernel(
    room: str, disk: str, steps: list[tuple[Callable[[str, str], None], str, str]], options: Options, *, apart: bool
) -> None:
    """Law 1 on every file system, with the lowers on the upper's or on another one."""
    with new_directory(disk) as base, new_directory(room) as elsewhere:
        place = elsewhere if apart else base
        lowers = [trees.make(f"{place}/lower{at}", layer) for at, layer in enumerate(LOWERS)]
        os.link(f"{lowers[0]}/b", f"{lowers[0]}/a/hard")
        trees.make(base, {"upper/": None, "work/": None})
        stack = Stack(lowers, upper=f"{base}/upper", work=f"{base}/work", options=options)
        with mounted(stack, f"{base}/merged") as point:
            for action, path, other in steps:
                # Whatever the kernel refuses, it refuses.
                with suppress(OSError):
                    action(os.path.join(point, path), os.path.join(point, other))
        with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
            again = None if options.index is Switch.ON else stack
            assert list(disagreements(resolver, point, [*NAMES, "hard"], again)) == []
