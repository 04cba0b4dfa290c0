"""What is said where an old kernel refuses what it does not have."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from ovlctl import ExitStatus, Flag, Options, Stack, Switch, errors
from ovlctl.ops.lacking import lacking
from ovlctl.overlay.options import Uuid
from tests import capabilities, trees
from tests.needs import unless

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

_DATA = Stack(["/a"], data_only=["/b"])
_PLAIN = Stack(["/a", "/b"])


@pytest.mark.parametrize(
    ("stack", "options", "number", "words", "expected"),
    [
        (_PLAIN, Options(userxattr=Flag.YES), errno.EINVAL, 'unrecognized mount option "userxattr"', "`userxattr` (in"),
        (_PLAIN, Options(uuid=Uuid.NULL), errno.EINVAL, 'unrecognized mount option "uuid=null"', "`uuid=null` (in"),
        (_PLAIN, Options(index=Switch.ON), errno.EINVAL, 'unrecognized mount option "b"', None),
        (_DATA, Options(), errno.EINVAL, "empty lowerdir", "no data-only lowers (Linux 6.5)"),
        (_PLAIN, Options(), errno.EINVAL, "empty lowerdir", None),
        (_DATA, Options(), errno.ENOENT, "empty lowerdir", None),
        (_PLAIN, Options(), errno.EPERM, "", None),
    ],
)
def test_words(stack: Stack, options: Options, number: int, words: str, expected: str | None) -> None:
    """Linux 5.10 says it in its log only; what was not asked for is not blamed."""
    found = lacking(stack, options, OSError(number, ""), (f"overlayfs: {words} or missing value",))
    assert (found is None) == (expected is None)
    assert found is None or (expected or "") in found.message()


@capabilities.needs_root
def test_options_and_layers(scratch: str, state_dir: str) -> None:
    """Whatever this kernel lacks is told as that, with the release that has it, and nothing is left mounted."""
    import ovlctl

    low = trees.make(scratch, {"a/f": "", "b/f": "", "t/": None})
    wanted = [
        (capabilities.userxattr(), Stack([f"{low}/a", f"{low}/b"], options=Options(userxattr=Flag.YES))),
        (capabilities.data_only(), Stack([f"{low}/a"], data_only=[f"{low}/b"], options=Options(metacopy=Switch.ON))),
    ]
    for able, stack in wanted:
        if able:
            ovlctl.mount(stack, f"{low}/t", name="x")
            ovlctl.umount("x")
        else:
            with pytest.raises((errors.KernelLacks, errors.OptionUnknown), match=r"Linux (?:since )?\d\.\d") as caught:
                ovlctl.mount(stack, f"{low}/t", name="x")
            assert caught.value.hint()
        assert not ovlctl.overlays().overlays


@capabilities.needs_userns
@unless(not capabilities.userns_overlay(), "this kernel has overlays in user namespaces")
def test_without_root(ordinary_user: OrdinaryUser) -> None:
    """One line says that this kernel lets only root mount."""
    trees.make(ordinary_user.home, {"a/": None, "b/": None})
    done = ordinary_user.ovlctl("mount", "-l", "a", "-l", "b", env={"XDG_RUNTIME_DIR": ordinary_user.home})
    assert done.status == ExitStatus.UNSUPPORTED
    assert "this kernel lets only root mount overlays" in done.stderr.splitlines()[0]
