"""Small overlays for tests of the kernel floor, which knows no stacks: made by hand, one call after the other."""

from __future__ import annotations

import os

from ovlctl.kernel import fscontext
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.mount import MS, mount


def directories(parent: str, *names: str) -> list[str]:
    """New directories in *parent*."""
    paths = [os.path.join(parent, name) for name in names]
    for path in paths:
        os.mkdir(path)
    return paths


def simple(parent: str, *, userxattr: bool) -> str:
    """Mount point of a new overlay of one lower (holding ``file`` and ``sub``) and an upper, all in *parent*."""
    lower, upper, work, merged = directories(parent, "lower", "upper", "work", "merged")
    os.mkdir(os.path.join(lower, "sub"))
    with open(os.path.join(lower, "file"), "w", encoding="ascii") as file:
        file.write("lower\n")
    data = f"lowerdir={lower},upperdir={upper},workdir={work}" + (",userxattr" if userxattr else "")
    mount("overlay", merged, "overlay", MS(0), os.fsencode(data))
    return merged


def configured(target: str, *settings: tuple[str, str | int]) -> None:
    """Mount an overlay at *target* through fsconfig(2): strings as strings, ints as descriptors."""
    context = fscontext.fsopen("overlay")
    try:
        for key, value in settings:
            if isinstance(value, int):
                fscontext.fsconfig_set_fd(context, key, value)
            else:
                fscontext.fsconfig_set_string(context, key, value)
        fscontext.fsconfig_create(context)
        detached = fscontext.fsmount(context)
    finally:
        os.close(context)
    try:
        fscontext.move_mount(detached, "", AT_FDCWD, target, fscontext.MOVE_MOUNT.F_EMPTY_PATH)
    finally:
        os.close(detached)
