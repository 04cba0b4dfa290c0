"""What an old kernel lacks: read from the words of its refusal, where it looks at options only when it mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ExitStatus, KernelLacks, OptionUnknown
from ovlctl.kernel.mount import umount2
from ovlctl.ops.lacking import lacking
from ovlctl.ops.ladder import mount_stack
from ovlctl.overlay.options import Flag, Options, Switch, Uuid, Verity
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees
from tests.needs import unless

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser
    from tests.needs import Answer


@pytest.mark.parametrize(
    ("options", "words", "expected"),
    [
        (Options(userxattr=Flag.YES), 'overlayfs: unrecognized mount option "userxattr" or missing value', "userxattr"),
        (Options(uuid=Uuid.AUTO), 'overlayfs: unrecognized mount option "uuid=auto" or missing value', "uuid=auto"),
        (Options(verity=Verity.ON), "overlay: Unknown parameter 'verity'", "verity=on"),
        (Options(verity=Verity.ON), 'overlayfs: unrecognized mount option "b" or missing value', None),
        (Options(userxattr=Flag.NO), "overlay: Unknown parameter 'userxattr'", None),
        (Options(index=Switch.ON), "overlayfs: empty lowerdir", None),
    ],
)
def test_an_option_that_the_kernel_names(options: Options, words: str, expected: str | None) -> None:
    """It is the one that was stated, with its value; what was not stated is something else."""
    found = lacking(Stack(["/a", "/b"], options=options), options, [words])
    if expected is None:
        assert found is None
        return
    assert isinstance(found, OptionUnknown)
    assert f"`{expected}`" in found.message()
    assert found.kernel == (words,)


def test_data_only_layers_of_a_kernel_that_has_none() -> None:
    """It takes them for an empty name among the lowers, of which there is none."""
    found = lacking(Stack(["/a"], data_only=["/b"]), Options(), ["overlayfs: empty lowerdir"])
    assert isinstance(found, KernelLacks)
    assert "data-only" in found.message()


_WITH: list[tuple[str, Options, Answer]] = [
    ("data-only", Options(metacopy=Switch.ON), capabilities.data_only()),
    ("userxattr", Options(userxattr=Flag.YES), capabilities.userxattr()),
    ("uuid=auto", Options(uuid=Uuid.AUTO), capabilities.overlay_option("uuid=auto")),
    ("verity=on", Options(metacopy=Switch.ON, verity=Verity.ON), capabilities.overlay_option("metacopy=on,verity=on")),
]


@capabilities.needs_root
@capabilities.needs_overlay
@pytest.mark.parametrize(("what", "options", "there"), _WITH, ids=[row[0] for row in _WITH])
def test_this_kernel_has_it_or_is_said_to_lack_it(scratch: str, what: str, options: Options, there: Answer) -> None:
    """By a mount without any check before it."""
    trees.make(scratch, {f"{name}/": None for name in ("low", "data", "upper", "work", "merged")})
    data = [f"{scratch}/data"] if what == "data-only" else []
    stack = Stack([f"{scratch}/low"], data_only=data, upper=f"{scratch}/upper", work=f"{scratch}/work", options=options)
    if there:
        mount_stack(stack, f"{scratch}/merged")
        umount2(f"{scratch}/merged")
        return
    with pytest.raises((KernelLacks, OptionUnknown), match=what):
        mount_stack(stack, f"{scratch}/merged")


@capabilities.needs_userns
@unless(not capabilities.userns_overlay(), "this kernel has overlays in user namespaces")
def test_without_root(ordinary_user: OrdinaryUser) -> None:
    """One line says that this kernel lets only root mount."""
    trees.make(ordinary_user.home, {"a/": None, "b/": None})
    done = ordinary_user.ovlctl("mount", "-l", "a", "-l", "b", env={"XDG_RUNTIME_DIR": ordinary_user.home})
    assert done.status == ExitStatus.UNSUPPORTED
    assert "this kernel lets only root mount overlays" in done.stderr.splitlines()[0]
