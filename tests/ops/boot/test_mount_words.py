"""The option string that mount(8) gives its helper."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl import errors
from ovlctl.kernel.mount_attr import MOUNT_ATTR
from ovlctl.ops.boot.mount_words import parse
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch


def test_what_is_for_others_changes_nothing() -> None:
    """Words for mount(8), systemd and fstab pass by; so does an empty string."""
    words = parse('defaults,nofail,_netdev,user,noauto,x-a="b,c",X-mount.mkdir,comment=x,,')
    assert (words.overlay, words.attr_set, words.remount) == (Options(), MOUNT_ATTR(0), False)


def test_the_last_of_two_words_counts() -> None:
    """As in mount(8), a later word takes an earlier one back."""
    words = parse("ro,noexec,nosuid,exec,noatime,relatime,rw,ro")
    assert words.attr_set == MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID
    assert parse("user,noexec,dev").attr_set == MOUNT_ATTR.NOEXEC


def test_options_of_the_overlay() -> None:
    """Every option of the overlay is understood, flags with or without value, values in quotes."""
    words = parse('index=on,redirect_dir="nofollow",volatile,userxattr=on,nooverride_creds')
    assert words.overlay == Options(
        index=Switch.ON,
        redirect_dir=RedirectDir.NOFOLLOW,
        volatile=Flag.YES,
        userxattr=Flag.YES,
        override_creds=Flag.NO,
    )


@pytest.mark.parametrize(
    "text", ["bogus", "bogus=1", "lowerdir=/x", "upperdir=/x", "index=maybe", "index", 'x="open', "{}", "bind"]
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """An unknown option, a bad value, a layer and an open quote are errors, never skipped."""
    with pytest.raises(errors.BadUsage):
        parse(text)


def test_sloppy_skips_only_what_is_unknown() -> None:
    """-s skips unknown options, not layers and bad values."""
    assert parse("bogus,ro", sloppy=True).attr_set == MOUNT_ATTR.RDONLY
    for text in ("lowerdir=/x", "index=maybe"):
        with pytest.raises(errors.BadUsage):
            parse(text, sloppy=True)


def test_remount_resets_what_is_not_said() -> None:
    """A remount sets what is said and clears the rest, as mount(2) does."""
    words = parse("remount,ro,nosuid")
    assert words.remount
    assert words.attr_set == MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID
    assert words.attr_clr & (MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID) == MOUNT_ATTR(0)
    assert words.attr_clr & MOUNT_ATTR.NOEXEC


@given(st.text(alphabet='ro,"=x-{}\\ \n', max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No option string ends in anything but words or a usage error."""
    with suppress(errors.BadUsage):
        parse(text)
