"""What is easily misread: names cut by the kernel, messages of other times and tongues, texts too long to be read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.ops import why
from ovlctl.ops.why import Certainty
from ovlctl.ops.why.text import TEXT_MAX
from ovlctl.show.why import explanation_text

if TYPE_CHECKING:
    from ovlctl.errors import OvlError


@pytest.mark.parametrize(
    ("name", "cause", "fix"),
    [
        ("co:lon", errors.LowerdirMalformed, "`\\:`"),
        ("com,ma", errors.OptionUnknown, "`\\,`"),
        ("'plain'", errors.BadUsage, "one pair"),
    ],
)
def test_a_name_that_the_kernel_reads_otherwise(name: str, cause: type[OvlError], fix: str, scratch: str) -> None:
    """The directory that was meant is there: so it is not what is said to be missing, and its pieces are not made."""
    meant = name.strip("'")
    for made in (meant, "upper", "work", "merged"):
        os.mkdir(os.path.join(scratch, made))
    lower = os.path.join(scratch, meant) if meant == name else f"'{os.path.join(scratch, meant)}'"
    options = f"lowerdir={lower},upperdir={scratch}/upper,workdir={scratch}/work"
    first, *others = why.explain_command(["mount", "-t", "overlay", "o", "-o", options, f"{scratch}/merged"]).findings
    assert type(first.error) is cause
    assert fix in (first.error.hint() or "")
    if cause is not errors.OptionUnknown:
        assert others == []


@pytest.mark.parametrize(
    ("text", "cause", "path"),
    [
        ("umount: /merged: target is busy.", errors.MountBusy, "/merged"),
        (
            'driver "overlay2" failed to remove root filesystem: unlinkat /var/lib/x/merged: device or resource busy',
            errors.MountBusy,
            "/var/lib/x/merged",
        ),
        (
            "ERRO[0000] Unmounting /var/home/user/storage/overlay/824e/merged: invalid argument",
            errors.NotAnOverlay,
            "/var/home/user/storage/overlay/824e/merged",
        ),
        (
            "modprobe: FATAL: Module overlay not found in directory /lib/modules/5.4.0",
            errors.OverlayMissing,
            "/lib/modules/5.4.0",
        ),
        (
            "mount: /mnt/merged: special device overlay does not exist (a path prefix is not a directory).",
            errors.NotADirectory,
            None,
        ),
    ],
)
def test_messages_of_before_and_after_a_mount(text: str, cause: type[OvlError], path: str | None) -> None:
    """An unmount that failed is no mount that failed, whatever errno they share."""
    (finding,) = why.explain_text(text).findings
    assert type(finding.error) is cause
    assert finding.certainty is Certainty.CERTAIN
    assert finding.error.paths == (() if path is None else (path,))


def test_an_unmount_does_not_hide_the_mount_that_failed() -> None:
    """Engines clean up what never came about, and complain of that first."""
    text = (
        "ERRO[0000] Unmounting /s/merged: invalid argument\n"
        'Error: creating overlay mount to /s/merged, mount_data="lowerdir=/s/l/A:/s/l/B,upperdir=/s/u,workdir=/s/w": '
        "too many levels of symbolic links"
    )
    guess, unmount = why.explain_text(text).findings
    assert (type(guess.error), guess.certainty) == (errors.OverlappingLayers, Certainty.LIKELY)
    assert type(unmount.error) is errors.NotAnOverlay


def test_words_that_are_there_rule_causes_out() -> None:
    """What the options alone would have told is no candidate for a bare errno once they are known."""
    told = 'creating overlay mount to /s/merged, mount_data="lowerdir=/s/A:/s/B,upperdir=/s/u,workdir=/s/w": '
    (known,) = why.explain_text(told + "invalid argument").findings
    (bare,) = why.explain_text("error creating overlay mount to /s/merged: invalid argument").findings
    assert {each.cause for each in bare.candidates} - {each.cause for each in known.candidates} >= {
        errors.UpperWithoutWork,
        errors.NoLower,
        errors.OptionsTooLong,
    }
    assert errors.UpperOnOverlay in {each.cause for each in known.candidates}


@pytest.mark.parametrize(
    "text",
    [
        "mount -t overlay o -o lowerdir=" + ":".join(f"/l{at}" for at in range(TEXT_MAX // 6)) + ",upperdir=/u /m",
        '{"filesystems":[' + ",".join('{"options":"lowerdir=/a:/b"}' for _ in range(TEXT_MAX // 20)) + "]}",
    ],
)
def test_half_a_mount_is_not_explained(text: str) -> None:
    """What is cut would be another mount than the one that failed."""
    with pytest.raises(errors.NothingRecognised) as caught:
        why.explain_text(text)
    assert "too long" in (caught.value.hint() or "")


def test_a_long_log_is_said_to_be_read_in_part() -> None:
    """What was found in the beginning holds; that there is more is said."""
    text = "overlayfs: workdir and upperdir must reside under the same mount\n" + "some other line\n" * (TEXT_MAX // 10)
    explained = why.explain_text(text)
    assert [type(each.error) for each in explained.findings] == [errors.WorkOnOtherMount]
    assert any("too long" in note.template for note in explained.cautions)


def test_other_languages() -> None:
    """mount(8) speaks many languages, and says the same in English when asked to."""
    with pytest.raises(errors.NothingRecognised) as caught:
        why.explain_text("mount: /mnt: Das spezielle Gerät overlay existiert nicht.")
    assert "LC_ALL=C" in (caught.value.hint() or "")


def test_a_fix_for_a_pasted_message_is_one_for_mount() -> None:
    """Somebody who typed mount(8) is not told options of ovlctl."""
    (finding,) = why.explain_text("failed: options lowerdir=/nowhere/a for mount: invalid argument").findings
    assert type(finding.error) is errors.OneLowerWithoutUpper
    assert "--lower" not in (finding.error.hint() or "")


def test_a_name_longer_than_any_path_is_shown_in_part() -> None:
    """A screenful of one name hides what is said about it."""
    shown = explanation_text(why.explain_text("mount -t overlay o -o lowerdir=/" + "a" * 50000 + " /mnt"))
    assert len(shown) < 2000
    assert "/aaa" in shown


def test_an_unmount_is_a_question_for_who() -> None:
    """Whoever cannot unmount is sent to the command that knows why."""
    with pytest.raises(errors.NotAnOverlay) as caught:
        why.explain_command(["umount", "/mnt"])
    assert "ovlctl who" in (caught.value.hint() or "")
