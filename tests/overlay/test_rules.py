"""The rules about options against the kernel: every combination is mounted."""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import umount2
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops import ladder, readback
from ovlctl.overlay import rules
from ovlctl.overlay.options import KEYS, Flag, Options, RedirectDir, Switch, Xino, stated
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = capabilities.needs_overlay


def _combinations() -> Iterator[Options]:
    """Every combination of the options that have rules about each other."""
    switches = (None, *Switch)
    for redirect, index, metacopy, export, user in product(
        (None, *RedirectDir), switches, switches, switches, (None, Flag.YES)
    ):
        yield Options(redirect_dir=redirect, index=index, metacopy=metacopy, nfs_export=export, userxattr=user)


@pytest.mark.parametrize("has_upper", [True, False], ids=["upper", "no upper"])
def test_every_combination(scratch: str, *, has_upper: bool) -> None:
    """A conflict is what the kernel refuses, a weakness what it drops, and silence means that all was granted."""
    trusted = in_initial_user_namespace()
    lowers = [trees.make(os.path.join(scratch, name), {}) for name in ("l1", "l2")]
    target = trees.make(os.path.join(scratch, "t"), {})
    wrong: list[str] = []
    known = [options for options in _combinations() if options.userxattr is None or capabilities.userxattr()]
    for number, options in enumerate(known):
        # A fresh upper each: one that was used with index=on remembers its lower.
        upper, work = (os.path.join(scratch, f"{name}{number}") if has_upper else None for name in "uw")
        if upper and work:
            os.mkdir(upper)
            os.mkdir(work)
        stack = Stack(lowers, upper=upper, work=work, options=options)
        conflicts = list(rules.conflicts(options, has_upper=has_upper, trusted_xattrs=trusted))
        weaknesses = list(rules.weaknesses(options, has_upper=has_upper, trusted_xattrs=trusted))
        try:
            taken = ladder.mount_stack(stack, target)
        except errors.OvlError:
            outcome = "refused"
        else:
            weaker = list(readback.weaknesses(stack, taken, mounts.mount_at(target), one_fs=True))
            outcome = "weaker" if weaker else "granted"
            umount2(target)
        expected = "refused" if conflicts else "weaker" if weaknesses else "granted"
        if outcome != expected:
            asked = ",".join(f"{key.name}={value}" for key, value in options.asked())
            wrong.append(f"{asked}: {expected} expected, {outcome} seen")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted xattrs", "user namespace"])
def test_stating_is_idempotent_and_keeps_what_was_asked(*, trusted: bool) -> None:
    """``stated`` adds and never changes; index, metacopy, redirect_dir and xino always have a value after it."""
    for asked in _combinations():
        told = stated(asked, trusted_xattrs=trusted)
        assert stated(told, trusted_xattrs=trusted) == told
        assert all(getattr(told, key.name) is value for key, value in asked.asked())
        assert None not in {told.index, told.metacopy, told.redirect_dir, told.xino}


def test_keys_are_the_fields() -> None:
    """The table of keys and the fields of Options name the same options, in the same order."""
    assert tuple(key.name for key in KEYS) == tuple(key.name for key, _ in Options().items())
    assert {key.name for key in KEYS} == set(Options.__slots__)


def test_values_from_text() -> None:
    """Every legal value is read from its own text, and an illegal one is answered with the legal ones."""
    for key in KEYS:
        for value in key.values:
            assert getattr(Options().with_value(key.name, str(value)), key.name) is value
    with pytest.raises(errors.BadUsage, match="takes on, auto, off, not `maybe`"):
        Options().with_value("xino", "maybe")
    with pytest.raises(errors.BadUsage, match="no option `bogus`"):
        Options().with_value("bogus", "on")
    assert Options().with_value("userxattr", "on").userxattr is Flag.YES
    assert Options().with_value("xino", "auto").xino is Xino.AUTO
