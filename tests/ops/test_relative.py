"""Overlays that were mounted by relative names, as instructions have it: `cd DIR; mount -o lowerdir=l,...`."""

from __future__ import annotations

import os
from contextlib import chdir

import pytest

from ovlctl import errors
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import why
from tests.capabilities import needs_overlay, needs_root

pytestmark = [needs_overlay, needs_root]


@pytest.fixture
def here(scratch: str) -> str:
    """A directory with layers in it."""
    for name in ("l", "k", "u", "w", "u2", "w2", "m", "m2", "m3"):
        os.mkdir(os.path.join(scratch, name))
    return scratch


def causes(here: str, options: str) -> list[errors.OvlError]:
    """What is said of a mount at m3."""
    argv = ["mount", "-t", "overlay", "overlay", "-o", options, os.path.join(here, "m3")]
    with chdir(here):
        return [each.error for each in why.explain_command(argv).findings]


def test_layers_in_use(here: str) -> None:
    """The overlay that has a directory is named by its mount point, in this namespace."""
    merged = os.path.join(here, "m")
    with chdir(here):
        mount("o", "m", "overlay", MS(0), b"lowerdir=l,upperdir=u,workdir=w")
    try:
        (lower,) = causes(here, "lowerdir=u,upperdir=u2,workdir=w2,index=on")
        work, upper = causes(here, "lowerdir=l,upperdir=u,workdir=w,index=on")
    finally:
        umount2(merged)
    assert isinstance(lower, errors.LowerInUse)
    assert isinstance(upper, errors.UpperInUse)
    assert isinstance(work, errors.UpperInUse)
    assert all(each.paths[1] == merged for each in (lower, work, upper))


def test_depth(here: str) -> None:
    """The third level is refused, whatever way the second names its layers."""
    with chdir(here):
        mount("o", "m", "overlay", MS(0), b"lowerdir=l:k")
        mount("o", "m2", "overlay", MS(0), b"lowerdir=m:u")
    try:
        (deep,) = causes(here, "lowerdir=m2:k")
    finally:
        umount2(os.path.join(here, "m2"))
        umount2(os.path.join(here, "m"))
    assert isinstance(deep, errors.StackTooDeep)
