"""Probes: right answers, three of them, and no traces."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import module, mounts, probes
from ovlctl.kernel.mount import MS, mount
from ovlctl.kernel.probes import Answer, BootCache
from tests.capabilities import (
    asked_options,
    each_fs,
    needs_asked_options,
    needs_mounting,
    needs_overlay,
    needs_root,
    root,
)

if TYPE_CHECKING:
    from tests.conftest import MakeFs, OrdinaryUser


def test_an_answer_has_no_truth() -> None:
    """``if answer:`` would take NO and UNKNOWN for yes, so it raises."""
    with pytest.raises(TypeError):
        bool(Answer.NO)


@needs_overlay
def test_overlay_is_present() -> None:
    """Where an overlay can be mounted, it is there."""
    assert probes.overlay_present() is Answer.YES


@needs_asked_options
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("index", "on", Answer.YES),
        ("index", "sideways", Answer.NO),
        ("metacopy", "off", Answer.YES),
        ("default_permissions", None, Answer.YES),
        ("ovlctl_nonsense", None, Answer.NO),
        ("ovlctl_nonsense", "on", Answer.NO),
        ("upperdir", "/no/such/directory", Answer.YES),
    ],
)
def test_option_known(key: str, value: str | None, expected: Answer) -> None:
    """Keys and values that the kernel takes, and those that it does not."""
    before = mounts.mounts("overlay")
    assert probes.option_known(key, value) is expected
    assert mounts.mounts("overlay") == before


@needs_overlay
def test_options_that_nobody_looks_at_yet() -> None:
    """Where the kernel takes any word and complains when it mounts, no word is known, and none unknown."""
    if not asked_options():
        for key in ("index", "ovlctl_nonsense", "lowerdir+"):
            assert probes.option_known(key, "on") is Answer.UNKNOWN
        assert probes.fd_layers_known() is probes.lowerdir_plus_known() is Answer.UNKNOWN


def test_ordinary_user_cannot_know(ordinary_user: OrdinaryUser) -> None:
    """Without CAP_SYS_ADMIN fsopen(2) is refused: unknown, neither yes nor no."""
    code = "from ovlctl.kernel import probes as p\nprint(p.option_known('index', 'on'), p.fd_layers_known())"
    done = ordinary_user.run([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("unknown unknown\n", "")


@needs_overlay
def test_layer_probes_agree_with_a_mount(scratch: str) -> None:
    """What the probes say of lowerdir+ and of descriptors is what a real mount does."""
    from tests.kernel import overlays

    one, two, merged = overlays.directories(scratch, "one", "two", "merged")
    fds = [os.open(path, os.O_PATH) for path in (one, two)]
    try:
        for probe, values in ((probes.lowerdir_plus_known, (one, two)), (probes.fd_layers_known, fds)):
            try:
                overlays.configured(merged, *(("lowerdir+", value) for value in values))
            except OSError as error:
                if error.errno not in {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP}:
                    raise
                known = False
            else:
                known = True
            assert probe() is not (Answer.NO if known else Answer.YES)
    finally:
        for fd in fds:
            os.close(fd)


def test_module_default() -> None:
    """A parameter is what /sys says; one that does not exist is None."""
    if probes.overlay_present() is Answer.YES and os.path.exists("/sys/module/overlay/parameters"):
        assert module.parameter("overlay", "metacopy") in {"Y", "N"}
    assert module.parameter("overlay", "ovlctl_nonsense") is None


@needs_root
@pytest.mark.parametrize("kind", each_fs("ext4", "tmpfs", "xfs", "btrfs"))
def test_directory_features_by_kind(make_fs: MakeFs, kind: str) -> None:
    """The four usual uppers can do everything, but for reflinks, and tmpfs for user attributes (before Linux 6.6).

    Nothing stays in the directory.
    """
    point = make_fs(kind)
    user_xattr = Answer.YES
    try:
        os.setxattr(point, "user.overlay.test", b"x")
        os.removexattr(point, "user.overlay.test")
    except OSError as error:
        if (kind, error.errno) != ("tmpfs", errno.EOPNOTSUPP):
            raise
        user_xattr = Answer.NO
    before = sorted(os.listdir(point))
    features = probes.directory_features(point)
    assert features.reflink is (Answer.YES if kind in {"xfs", "btrfs"} else Answer.NO)
    assert features.o_tmpfile is features.rename_whiteout is features.trusted_xattr is Answer.YES
    assert features.d_type is features.handles is Answer.YES
    assert features.user_xattr is user_xattr
    assert sorted(os.listdir(point)) == before


@needs_mounting
def test_ramfs_is_poor(scratch: str) -> None:
    """Ramfs has no attributes and no whiteouts; trusted ones can only be asked about by real root."""
    try:
        mount("ramfs", scratch, "ramfs", MS(0))
    except OSError as error:
        pytest.skip(f"no ramfs for this user: {error}")
    features = probes.directory_features(scratch)
    assert features.rename_whiteout is Answer.NO
    assert features.user_xattr is Answer.NO
    assert features.trusted_xattr is (Answer.NO if root() else Answer.UNKNOWN)
    assert os.listdir(scratch) == []


def test_trusted_xattr_of_an_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """EPERM says nothing about the file system: unknown."""
    code = "import os\nfrom ovlctl.kernel import probes as p\nf = p.directory_features('.')\n"
    code += "print(f.trusted_xattr, f.d_type, f.o_tmpfile, os.listdir('.'))"
    done = ordinary_user.run([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("unknown yes yes []\n", "")


@needs_mounting
def test_nothing_can_be_made(scratch: str) -> None:
    """A read-only directory cannot be probed, and that is an OSError."""
    mount("t", scratch, "tmpfs", MS.RDONLY)
    with pytest.raises(OSError, match="Read-only") as caught:
        probes.directory_features(scratch)
    assert caught.value.errno == errno.EROFS


def test_cache_keeps_answers(scratch: str) -> None:
    """A second cache on the same file asks nobody."""
    path = os.path.join(scratch, "probes.json")
    calls: list[str] = []

    def probe() -> Answer:
        calls.append("asked")
        return Answer.NO

    assert BootCache(path).answer("index=on", probe) is Answer.NO
    assert BootCache(path).answer("index=on", probe) is Answer.NO
    assert calls == ["asked"]
    assert os.listdir(scratch) == ["probes.json"]


def test_cache_does_not_keep_unknown(scratch: str) -> None:
    """Unknown today may be known to root tomorrow."""
    path = os.path.join(scratch, "probes.json")
    assert BootCache(path).answer("x", lambda: Answer.UNKNOWN) is Answer.UNKNOWN
    assert BootCache(path).answer("x", lambda: Answer.YES) is Answer.YES


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": "ovlctl.probes/1"}',
        b'{"schema": "ovlctl.probes/9", "answers": {"x": "no"}}',
        b"\xff\xfe",
        b"[" * 50_000,
    ],
)
def test_cache_ignores_damage(scratch: str, damage: bytes) -> None:
    """A file that is not one of ours counts as empty and is replaced."""
    path = os.path.join(scratch, "probes.json")
    with open(path, "wb") as file:
        file.write(damage)
    assert BootCache(path).answer("x", lambda: Answer.YES) is Answer.YES
    assert BootCache(path).answer("x", lambda: Answer.NO) is Answer.YES


@pytest.mark.parametrize("key", ["boot_id", "release", "euid", "user_namespace"])
def test_cache_is_for_one_boot_and_user(scratch: str, key: str) -> None:
    """Answers of another boot, kernel, user or user namespace do not count."""
    path = os.path.join(scratch, "probes.json")
    BootCache(path).answer("x", lambda: Answer.YES)
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    assert key in content["valid_for"]
    content["valid_for"][key] = "another"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
    assert BootCache(path).answer("x", lambda: Answer.NO) is Answer.NO


def test_cache_follows_no_link(scratch: str) -> None:
    """A symbolic link in its place is not read through; it is replaced."""
    real, path = os.path.join(scratch, "real"), os.path.join(scratch, "probes.json")
    BootCache(real).answer("x", lambda: Answer.YES)
    os.symlink(real, path)
    assert BootCache(path).answer("x", lambda: Answer.NO) is Answer.NO
    assert BootCache(real).answer("x", lambda: Answer.NO) is Answer.YES


def test_cache_without_a_place(scratch: str) -> None:
    """Where nothing can be written, answers are just not kept."""
    cache = BootCache(os.path.join(scratch, "missing", "probes.json"))
    assert cache.answer("x", lambda: Answer.YES) is Answer.YES
