"""What is done on a scratch upper is what the same action does on the stack itself, and what was foretold."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.ops import reading
from ovlctl.ops.trying.stage import stage
from ovlctl.ops.trying.values import Action, StepKind, Wish
from tests.capabilities import each_options, needs_overlay, needs_root
from tests.ops.trying.stacks import OPTIONS, PATHS, copied, kinds, used
from tests.overlay.made import mounted

if TYPE_CHECKING:
    from ovlctl.ops.trying.live import Live
    from ovlctl.ops.trying.stage import Stage
    from ovlctl.ops.trying.values import Deed, Sight
    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack

pytestmark = [needs_overlay, needs_root]

_TO = ("fresh", "dir/fresh", "pure dir/fresh", "changed", "gone")
_NAMED = {Action.RENAME, Action.LINK}
WISHES = [
    Wish(action=action, path=path, to=to, mode=0o711 if action is Action.CHMOD else None)
    for path in PATHS
    for action in Action
    for to in (_TO if action in _NAMED else (None,))
]


def _plainly(point: str, wish: Wish) -> int:
    """The action by plain system calls, and the errno of the first that fails."""
    path, to = f"{point}/{wish.path}", f"{point}/{wish.to}"
    try:
        if wish.action is Action.READ:
            _read(path)
        elif wish.action is Action.MODIFY:
            opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            os.pwrite(opened, os.pread(opened, 4096, 0) or b"\n", 0)
            os.close(opened)
        elif wish.action is Action.DELETE:
            (os.rmdir if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink)(path)
        elif wish.action is Action.CREATE:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        elif wish.action is Action.MKDIR:
            os.mkdir(path, 0o755)
        elif wish.action is Action.CHMOD:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return 95
            os.chmod(path, 0o711)
        elif wish.action is Action.RENAME:
            os.rename(path, to)
        else:
            os.link(path, to, follow_symlinks=False)
    except OSError as error:
        return error.errno or 0
    return 0


def _read(path: str) -> None:
    if os.path.isdir(path):
        os.listdir(path)
    elif os.path.islink(path):
        os.readlink(path)
    else:
        with open(path, "rb") as file:
            file.read()


def _same_as_seen(point: str, deed: Deed) -> None:
    """What the deed saw through its mount is what lstat(2) says of the other one."""
    for moment in deed.after:
        try:
            status = os.lstat(f"{point}/{moment.path}")
        except OSError:
            assert moment.merged is None
            continue
        assert moment.merged is not None
        _like(moment.merged, status)


def _like(sight: Sight, status: os.stat_result) -> None:
    directory = stat.S_ISDIR(status.st_mode)
    assert sight.mode == stat.S_IMODE(status.st_mode)
    assert (sight.uid, sight.gid) == (status.st_uid, status.st_gid)
    # A directory's size and link count are those of the file system, and of how many layers it is made of.
    assert directory or (sight.size, sight.nlink) == (status.st_size, status.st_nlink)


def _done(ground: Stage | Live, wish: Wish) -> Deed | type[errors.OvlError]:
    try:
        return ground.do(wish)
    except errors.OvlError as error:
        return type(error)


def _compare(ground: Stage, stack: Stack, base: str, wish: Wish) -> None:
    ground.reset()
    foretold, deed = ground.preview(wish), _done(ground, wish)
    with copied(stack, base) as real:
        there = _done(real, wish)
    if there is errors.DestinationTaken:  # which only the real mount is spared
        return
    if isinstance(deed, type) or isinstance(there, type):
        assert deed is there
        return
    steps = [step for step in kinds(deed) if wish.action is not Action.READ or step[0] != StepKind.LOOKED]
    expected = [step for step in kinds(there) if wish.action is not Action.READ or step[0] != StepKind.LOOKED]
    assert steps == expected
    assert (deed.errno, foretold.errno) == (there.errno, there.errno)
    assert kinds(foretold) == kinds(deed)
    with copied(stack, base) as real:
        point = real.subject.root
        assert point is not None
        assert _plainly(point, wish) == deed.errno
        _same_as_seen(point, deed)


@pytest.mark.parametrize("options", each_options(OPTIONS))
def test_the_scratch_upper_is_like_the_stack_itself(scratch: str, options: Options) -> None:
    """Every action on every kind of object: the steps, the errno and the merged view are those of the stack itself.

    All wishes, a part of them with each set of options. A whiteout that hides what the own upper has is marked.
    """
    at = list(OPTIONS.values()).index(options)
    stack = used(f"{scratch}/s", options)
    with stage(reading.of_directories(stack), directory=scratch) as ground:
        assert ground.differences == ()
        for wish in WISHES[at :: len(OPTIONS)]:
            _compare(ground, stack, scratch, wish)


def test_a_rename_to_where_it_is_and_to_where_it_lies(scratch: str) -> None:
    """Nothing is done when both names are one, and no directory gets the name of one that it lies in."""
    stack = used(f"{scratch}/s", OPTIONS["default"])
    names = (("low", "low"), ("pure", "pure"), ("dir", "dir"), ("pure dir", "pure dir"), ("nothing", "nothing"))
    around = (("dir/lf", "dir"), ("dir/sub", "dir"), ("pure dir/in/f", "pure dir"), ("dir", "dir/sub"))
    with stage(reading.of_directories(stack), directory=scratch) as ground:
        for path, to in (*names, *around):
            ground.reset()
            wish = Wish(action=Action.RENAME, path=path, to=to)
            foretold, deed = ground.preview(wish), ground.do(wish)
            assert (foretold.errno, kinds(foretold)) == (deed.errno, kinds(deed)), wish
            with copied(stack, scratch) as real:
                assert _plainly(real.subject.root or "", wish) == deed.errno


def test_one_deed_after_another(scratch: str) -> None:
    """Without a reset each deed starts where the last one ended, and the preview knows."""
    stack = used(f"{scratch}/s", OPTIONS["default"])
    wishes = (
        Wish(action=Action.MODIFY, path="low"),
        Wish(action=Action.MODIFY, path="low"),
        Wish(action=Action.RENAME, path="low", to="dir/low"),
        Wish(action=Action.DELETE, path="dir/low"),
        Wish(action=Action.CREATE, path="low"),
        Wish(action=Action.MODIFY, path="pure"),
        Wish(action=Action.DELETE, path="pure"),
        Wish(action=Action.MKDIR, path="pure"),
        Wish(action=Action.CREATE, path="pure/x"),
    )
    with (
        stage(reading.of_directories(stack), directory=scratch) as ground,
        copied(stack, scratch) as real,
    ):
        for wish in wishes:
            foretold, deed, there = ground.preview(wish), ground.do(wish), real.do(wish)
            assert kinds(foretold) == kinds(deed) == kinds(there), wish
            assert deed.errno == there.errno == 0


def test_the_layers_are_only_read(scratch: str) -> None:
    """Nothing of the stack is other than before, whatever was done on the scratch upper."""
    stack = used(f"{scratch}/s", OPTIONS["default"])
    before = [_everything(layer) for layer in stack.layers()]
    with stage(reading.of_directories(stack), directory=scratch) as ground:
        for path in ("changed", "pure", "pure dir", "low", "dir", "opaque"):
            for wish in (
                Wish(action=Action.READ, path=path),
                Wish(action=Action.CHMOD, path=path, mode=0o700),
                Wish(action=Action.RENAME, path=path, to=f"{path}-new"),
                Wish(action=Action.DELETE, path=f"{path}-new"),
            ):
                ground.do(wish)
    assert [_everything(layer) for layer in stack.layers()] == before


def _everything(layer: str) -> dict[str, tuple[int, int, int, int, int]]:
    found = {}
    for directory, names, files in os.walk(layer):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            found[path] = (
                status.st_ino,
                status.st_mode,
                status.st_nlink,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
    return found


def test_an_upper_in_use(scratch: str) -> None:
    """With the index the kernel takes no layer that is in use: it is dropped then, and said to be."""
    stack = used(f"{scratch}/s", OPTIONS["index"])
    from tests.ops.trying.stacks import live

    with mounted(stack, f"{scratch}/s/m") as point:
        subject = live(point).subject
        with stage(subject, directory=scratch) as ground:
            assert [(each.option, each.value, str(each.because)) for each in ground.differences] == [
                ("index", "off", "in-use")
            ]
            assert not ground.do(Wish(action=Action.MODIFY, path="changed")).errno
    # It did not stay in use.
    with mounted(stack, f"{scratch}/s/m"):
        pass
