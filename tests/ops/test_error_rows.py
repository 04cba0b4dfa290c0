"""Every way in which a mount goes wrong: ovlctl's own error, the kernel's answer, and nothing left behind.

One row each. A row makes the situation for real; ovlctl must refuse with the row's class and exit status before the
kernel is asked, and the kernel, asked without ovlctl's checks, must give the errno that the error names (or, where
the row says so, mount something harmful).
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.errors import ExitStatus
from ovlctl.kernel import mounts, xattr
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import ladder
from ovlctl.ops.api import Api
from ovlctl.ops.preflight import resolved
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.conftest import MakeFs

pytestmark = [capabilities.needs_overlay]


class Scene:
    """Directories to build a broken stack from."""

    def __init__(self, scratch: str, make_fs: MakeFs) -> None:
        self.base = scratch
        self.make_fs = make_fs
        self.mounted: list[str] = []

    def dir(self, name: str) -> str:
        """A directory of the scratch directory."""
        return trees.make(os.path.join(self.base, name), {})

    def mount(self, source: str, target: str, kind: str, flags: MS = MS(0), data: bytes | None = None) -> str:  # noqa: B008 -- an immutable constant
        """Mount something that goes away with the scene."""
        mount(source, target, kind, flags, data)
        self.mounted.append(target)
        return target

    def overlay(self, name: str, stack: ovlctl.Stack) -> str:
        """A live overlay at the directory *name*, made behind ovlctl's back."""
        target = self.dir(name)
        ladder.mount_stack(resolved(stack), target)
        self.mounted.append(target)
        return target

    def stack(self, **options: str) -> ovlctl.Stack:
        """A sound stack of two lowers, upper and work, with *options*."""
        return ovlctl.Stack(
            [self.dir("l1"), self.dir("l2")], upper=self.dir("u"), work=self.dir("w"), options=asked(**options)
        )

    def lower_only(self, **options: str) -> ovlctl.Stack:
        """A sound stack of two lowers, with *options*."""
        return ovlctl.Stack([self.dir("l1"), self.dir("l2")], options=asked(**options))

    def with_paths(
        self, *, lowers: list[str] | None = None, upper: str | None = None, work: str | None = None, **options: str
    ) -> ovlctl.Stack:
        """A stack in which only the given paths are out of the ordinary."""
        return ovlctl.Stack(
            lowers or [self.dir("l1"), self.dir("l2")],
            upper=upper or self.dir("u"),
            work=work or self.dir("w"),
            options=asked(**options),
        )


def asked(**options: str) -> ovlctl.Options:
    """Options from words."""
    made = ovlctl.Options()
    for name, value in options.items():
        made = made.with_value(name, value)
    return made


#: The kernel mounts it all the same.
ACCEPTED = 0
#: The kernel is not asked: the row is about a rule of ovlctl's own, or about something it never gets to see.
NOT_ASKED = -1


@dataclass(frozen=True)
class Row:
    """One way to go wrong."""

    name: str
    make: Callable[[Scene], ovlctl.Stack]
    expected: type[errors.OvlError]
    status: ExitStatus
    kernel: int
    target: str = "t"
    api: Api = Api.AUTO
    says: str = field(default="", kw_only=True)
    older: int | None = field(default=None, kw_only=True)
    """The errno of older kernels, where it is another one."""


def _missing_lower(scene: Scene) -> ovlctl.Stack:
    return ovlctl.Stack([scene.dir("l1"), os.path.join(scene.base, "gone")])


def _file_as_layer(scene: Scene) -> ovlctl.Stack:
    trees.make(scene.base, {"plain": "x"})
    return ovlctl.Stack([os.path.join(scene.base, "plain"), scene.dir("l2")])


def _read_only_fs(scene: Scene) -> ovlctl.Stack:
    place = scene.mount("ro", scene.dir("ro"), "tmpfs")
    stack = scene.with_paths(upper=trees.make(f"{place}/u", {}), work=trees.make(f"{place}/w", {}))
    mount(None, place, None, MS.REMOUNT | MS.RDONLY, None)
    return stack


def _read_only_bind(scene: Scene) -> ovlctl.Stack:
    inner = scene.dir("rw")
    trees.make(f"{inner}/u", {})
    trees.make(f"{inner}/w", {})
    place = scene.mount(inner, scene.dir("bind"), "", MS.BIND)
    mount(None, place, None, MS.REMOUNT | MS.BIND | MS.RDONLY, None)
    return scene.with_paths(upper=f"{place}/u", work=f"{place}/w")


def _upper_on_overlay(scene: Scene) -> ovlctl.Stack:
    merged = scene.overlay("m", scene.stack())
    return scene.with_paths(upper=trees.make(f"{merged}/u", {}), work=trees.make(f"{merged}/w", {}))


def _too_many(scene: Scene) -> ovlctl.Stack:
    return ovlctl.Stack([scene.dir(f"many/{number}") for number in range(501)])


def _work_on_other_fs(scene: Scene) -> ovlctl.Stack:
    place = scene.mount("other", scene.dir("other"), "tmpfs")
    return scene.with_paths(work=trees.make(f"{place}/w", {}))


def _work_on_other_mount(scene: Scene) -> ovlctl.Stack:
    place = scene.mount(scene.dir("real"), scene.dir("clone"), "", MS.BIND)
    return scene.with_paths(work=trees.make(f"{place}/w", {}))


def _bind_of_lower(scene: Scene) -> ovlctl.Stack:
    """A bind mount does not make it another directory."""
    place = scene.mount(scene.dir("l1"), scene.dir("clone"), "", MS.BIND)
    return scene.with_paths(lowers=[scene.dir("l1"), place])


def _nested_through_bind(scene: Scene) -> ovlctl.Stack:
    inner = scene.dir("l1/inner")
    place = scene.mount(inner, scene.dir("clone"), "", MS.BIND)
    return scene.with_paths(lowers=[place, scene.dir("l1")])


def _shared_upper(scene: Scene, index: str = "off") -> ovlctl.Stack:
    scene.overlay("m", scene.stack())
    return scene.with_paths(work=scene.dir("w2"), index=index)


def _shared_work(scene: Scene, index: str = "off") -> ovlctl.Stack:
    scene.overlay("m", scene.stack())
    return scene.with_paths(upper=scene.dir("u2"), index=index)


def _live_lower(scene: Scene, below: str = "", index: str = "off") -> ovlctl.Stack:
    scene.overlay("m", scene.stack())
    inside = trees.make(scene.dir("u") + below, {})
    return scene.with_paths(lowers=[inside, scene.dir("l3")], upper=scene.dir("u2"), work=scene.dir("w2"), index=index)


def _other_lower(scene: Scene) -> ovlctl.Stack:
    umount2(scene.overlay("m", scene.stack(index="on")))
    scene.mounted.clear()
    return scene.with_paths(lowers=[scene.dir("l3"), scene.dir("l2")], index="on")


def _other_upper(scene: Scene) -> ovlctl.Stack:
    umount2(scene.overlay("m", scene.stack(index="on")))
    scene.mounted.clear()
    return scene.with_paths(upper=scene.dir("u2"), index="on")


def _volatile_leftover(scene: Scene) -> ovlctl.Stack:
    umount2(scene.overlay("m", scene.stack(volatile="yes")))
    scene.mounted.clear()
    return scene.stack()


def _third_level(scene: Scene) -> ovlctl.Stack:
    one = scene.overlay("m1", scene.stack())
    two = scene.overlay("m2", ovlctl.Stack([one, scene.dir("l3")]))
    return ovlctl.Stack([two, scene.dir("l4")])


def _user_files_in_work(scene: Scene) -> ovlctl.Stack:
    stack = scene.stack()
    trees.make(scene.dir("w"), {"work/thesis.txt": "years"})
    return stack


def _file_named_work(scene: Scene) -> ovlctl.Stack:
    stack = scene.stack()
    trees.make(scene.dir("w"), {"work": "years"})
    return stack


def _deep_work(scene: Scene) -> ovlctl.Stack:
    stack = scene.stack()
    trees.make(scene.dir("w"), {"work/#1/a/b/c/": None})
    return stack


def _two_subvolumes(scene: Scene) -> ovlctl.Stack:
    import subprocess

    place = scene.make_fs("btrfs")
    for name in ("one", "two"):
        subprocess.run(["btrfs", "-q", "subvolume", "create", f"{place}/{name}"], check=True, capture_output=True)
    return scene.with_paths(upper=trees.make(f"{place}/one/u", {}), work=trees.make(f"{place}/two/w", {}))


def _upper_on_sysfs(scene: Scene) -> ovlctl.Stack:
    return scene.with_paths(upper="/sys/fs", work="/sys/kernel")


def _upper_on_ramfs(scene: Scene) -> ovlctl.Stack:
    place = scene.mount("ram", scene.dir("ram"), "ramfs")
    return scene.with_paths(upper=trees.make(f"{place}/u", {}), work=trees.make(f"{place}/w", {}), redirect_dir="on")


def _lower_on_proc(scene: Scene) -> ovlctl.Stack:
    return ovlctl.Stack(["/proc/sys", scene.dir("l1")])


def _handles_missing(scene: Scene) -> ovlctl.Stack:
    place = scene.mount("ram", scene.dir("ram"), "ramfs")
    return scene.with_paths(lowers=[trees.make(f"{place}/l", {}), scene.dir("l2")], index="on")


def _one_lower(scene: Scene) -> ovlctl.Stack:
    return ovlctl.Stack([scene.dir("l1")])


def _only_data(scene: Scene) -> ovlctl.Stack:
    return ovlctl.Stack([], data_only=[scene.dir("l1")], upper=scene.dir("u"), work=scene.dir("w"))


def _no_work(scene: Scene) -> ovlctl.Stack:
    return ovlctl.Stack([scene.dir("l1")], upper=scene.dir("u"))


def _work_alone(scene: Scene) -> ovlctl.Stack:
    return ovlctl.Stack([scene.dir("l1"), scene.dir("l2")], work=scene.dir("w"))


def _lower_is(name: str) -> Callable[[Scene], ovlctl.Stack]:
    return lambda scene: scene.with_paths(lowers=[scene.dir("l1"), scene.dir(name)])


def _lower_inside(name: str) -> Callable[[Scene], ovlctl.Stack]:
    return lambda scene: scene.with_paths(lowers=[scene.dir("l1"), scene.dir(f"{name}/inside")])


def _work_at(name: str, upper: str = "u") -> Callable[[Scene], ovlctl.Stack]:
    return lambda scene: scene.with_paths(upper=scene.dir(upper), work=scene.dir(name))


def _with_options(**words: str) -> Callable[[Scene], ovlctl.Stack]:
    return lambda scene: scene.stack(**words)


def _lower_only(**words: str) -> Callable[[Scene], ovlctl.Stack]:
    return lambda scene: scene.lower_only(**words)


USAGE, NOT_FOUND, CANNOT = ExitStatus.USAGE, ExitStatus.NOT_FOUND, ExitStatus.UNSUPPORTED
INVAL, LOOP, BUSY, STALE = errno.EINVAL, errno.ELOOP, errno.EBUSY, errno.ESTALE

ROWS = [
    # kernel-facts, "Errors at mount"
    Row("missing lower", _missing_lower, errors.PathMissing, NOT_FOUND, NOT_ASKED),
    Row("layer is a file", _file_as_layer, errors.NotADirectory, USAGE, NOT_ASKED),
    Row("upper on read-only fs", _read_only_fs, errors.UpperReadOnly, CANNOT, INVAL),
    Row("upper on read-only bind", _read_only_bind, errors.UpperReadOnly, CANNOT, INVAL, older=errno.EROFS),
    Row("upper on overlay", _upper_on_overlay, errors.UpperOnOverlay, CANNOT, INVAL),
    Row("501 lowers", _too_many, errors.TooManyLowers, CANNOT, INVAL, api=Api.FSCONFIG),
    Row("no lower", lambda _: ovlctl.Stack([]), errors.NoLower, USAGE, NOT_ASKED),
    Row("one lower alone", _one_lower, errors.OneLowerWithoutUpper, USAGE, INVAL),
    Row("only data-only lowers", _only_data, errors.OnlyDataLowers, USAGE, INVAL, api=Api.FSCONFIG),
    Row("upper without work", _no_work, errors.UpperWithoutWork, USAGE, INVAL, older=errno.ENOMEM),
    Row("work without upper", _work_alone, errors.WorkWithoutUpper, USAGE, ACCEPTED),
    Row("work on other fs", _work_on_other_fs, errors.WorkOnOtherMount, USAGE, INVAL),
    Row("work on other mount", _work_on_other_mount, errors.WorkOnOtherMount, USAGE, INVAL),
    Row("work is upper", _work_at("u"), errors.WorkOverlapsUpper, USAGE, INVAL),
    Row("work inside upper", _work_at("u/w"), errors.WorkOverlapsUpper, USAGE, INVAL),
    Row("work above upper", _work_at("w", upper="w/u"), errors.WorkOverlapsUpper, USAGE, INVAL),
    Row("same lower twice", _lower_is("l1"), errors.LayerTwice, USAGE, LOOP),
    Row("same lower through a bind", _bind_of_lower, errors.LayerTwice, USAGE, LOOP),
    Row("lower is upper", _lower_is("u"), errors.LowerIsUpper, USAGE, LOOP),
    Row("lower is work", _lower_is("w"), errors.LowerIsUpper, USAGE, LOOP),
    Row("lower inside upper", _lower_inside("u"), errors.OverlappingLayers, USAGE, LOOP),
    Row("lower inside lower", _lower_inside("l1"), errors.OverlappingLayers, USAGE, LOOP),
    Row("lower inside lower through a bind", _nested_through_bind, errors.OverlappingLayers, USAGE, LOOP),
    Row("upper in use, index=on", lambda scene: _shared_upper(scene, index="on"), errors.UpperInUse, CANNOT, BUSY),
    Row("upper in use, index=off", _shared_upper, errors.UpperInUse, CANNOT, ACCEPTED),
    Row("work in use, index=on", lambda scene: _shared_work(scene, index="on"), errors.UpperInUse, CANNOT, BUSY),
    Row("work in use, index=off", _shared_work, errors.UpperInUse, CANNOT, ACCEPTED),
    Row("lower is a live upper, index=on", lambda s: _live_lower(s, index="on"), errors.LowerInUse, CANNOT, BUSY),
    Row("lower is a live upper, index=off", _live_lower, errors.LowerInUse, CANNOT, ACCEPTED),
    Row("lower below a live upper", lambda s: _live_lower(s, "/x", index="on"), errors.LowerInUse, CANNOT, BUSY),
    Row("index=on, other lower", _other_lower, errors.UpperOfOtherLower, CANNOT, STALE),
    Row("index=on, other upper", _other_upper, errors.IndexOfOtherUpper, CANNOT, STALE),
    Row("volatile leftover", _volatile_leftover, errors.VolatileLeftover, CANNOT, INVAL),
    Row("third level", _third_level, errors.StackTooDeep, CANNOT, INVAL),
    Row(
        "string too long",
        lambda s: ovlctl.Stack([s.dir(f"{n:0200d}") for n in range(30)]),
        errors.OptionsTooLong,
        CANNOT,
        NOT_ASKED,
        api=Api.MOUNT,
    ),
    # kernel-facts, "Combinations"
    *(
        Row(
            f"metacopy, redirect_dir={value}",
            _with_options(metacopy="on", redirect_dir=value),
            errors.MetacopyNeedsRedirect,
            USAGE,
            INVAL,
        )
        for value in ("off", "follow", "nofollow")
    ),
    Row(
        "metacopy, nofollow, no upper",
        _lower_only(metacopy="on", redirect_dir="nofollow"),
        errors.MetacopyNeedsRedirect,
        USAGE,
        INVAL,
    ),
    Row("nfs_export, index=off", _with_options(nfs_export="on", index="off"), errors.NfsExportNeedsIndex, USAGE, INVAL),
    Row(
        "nfs_export, metacopy",
        _with_options(nfs_export="on", metacopy="on"),
        errors.NfsExportExcludesMetacopy,
        USAGE,
        INVAL,
    ),
    Row("nfs_export, no upper", _lower_only(nfs_export="on"), errors.NfsExportWithoutUpper, USAGE, ACCEPTED),
    *(
        Row(
            f"userxattr, redirect_dir={value}",
            _with_options(userxattr="yes", redirect_dir=value),
            errors.UserxattrNeedsNofollow,
            USAGE,
            INVAL,
        )
        for value in ("on", "follow", "off")
    ),
    Row(
        "userxattr, metacopy",
        _with_options(userxattr="yes", metacopy="on"),
        errors.UserxattrExcludesMetacopy,
        USAGE,
        INVAL,
    ),
    *(
        Row(f"{name}, no upper", _lower_only(**{name: value}), errors.OptionNeedsUpper, USAGE, ACCEPTED)
        for name, value in (("volatile", "yes"), ("fsync", "volatile"), ("index", "on"), ("uuid", "on"))
    ),
    Row(
        "volatile, fsync=strict",
        _with_options(volatile="yes", fsync="strict"),
        errors.VolatileExcludesFsync,
        USAGE,
        ACCEPTED,
    ),
    # kernel-facts, "workdir hazards", section 3 (btrfs) and section 10 (poor uppers)
    Row("user files in work/work", _user_files_in_work, errors.WorkHoldsFiles, CANNOT, NOT_ASKED),
    Row("file named work", _file_named_work, errors.WorkHoldsFiles, CANNOT, NOT_ASKED),
    Row("work/work too deep", _deep_work, errors.WorkTreeTooDeep, CANNOT, ACCEPTED),
    Row("two subvolumes", _two_subvolumes, errors.SubvolumeMismatch, CANNOT, ACCEPTED),
    Row("upper on sysfs", _upper_on_sysfs, errors.UpperFileSystemPoor, CANNOT, ACCEPTED),
    Row("upper on ramfs", _upper_on_ramfs, errors.UpperFileSystemPoor, CANNOT, ACCEPTED),
    Row("lower on proc", _lower_on_proc, errors.LayerFileSystemRefused, CANNOT, INVAL),
    Row("index on a lower without handles", _handles_missing, errors.LayerWithoutHandles, CANNOT, ACCEPTED),
    # the target
    Row("missing target", lambda scene: scene.stack(), errors.PathMissing, NOT_FOUND, NOT_ASKED, target="gone"),
    Row("target is a file", _file_as_layer, errors.NotADirectory, USAGE, NOT_ASKED, target="plain"),
]


#: Rows about options and file systems that mean something else in a user namespace.
ROOT_ONLY = ("index", "metacopy", "nfs_export", "ramfs", "sysfs", "lower below a live upper")


def parameters(rows: Iterable[Row]) -> list[pytest.ParameterSet]:
    """Tests of *rows*, each with the marks of what it needs."""
    return [pytest.param(row, id=row.name, marks=_needed(row)) for row in rows]


def _needed(row: Row) -> list[pytest.MarkDecorator]:
    root = [capabilities.needs_root] if any(word in row.name for word in ROOT_ONLY) else []
    return [*root, capabilities.needs_fs("btrfs")] if row.make is _two_subvolumes else root


#: What the kernel must know to be asked about a row that has these words in its name.
_OPTIONS = {"userxattr": "userxattr", "uuid": "uuid=on", "fsync": "fsync=auto"}


def asking(rows: Iterable[Row]) -> list[pytest.ParameterSet]:
    """Tests of *rows* that ask the kernel, each with the marks of what it needs."""
    return [
        pytest.param(
            row,
            id=row.name,
            marks=[
                *_needed(row),
                *([capabilities.needs_lowerdir_plus] if row.api is Api.FSCONFIG else []),
                *(capabilities.needs_option(words) for name, words in _OPTIONS.items() if name in row.name),
            ],
        )
        for row in rows
    ]


@pytest.fixture
def scene(scratch: str, make_fs: MakeFs) -> Iterator[Scene]:
    """A place for one row; what it mounted is unmounted, last first."""
    made = Scene(scratch, make_fs)
    yield made
    for target in reversed(made.mounted):
        umount2(target)


@pytest.mark.parametrize("row", parameters(ROWS))
def test_row(row: Row, scene: Scene, state_dir: str) -> None:
    """The row's own error, before the kernel; afterwards no mount, directory or record that was not there before."""
    stack = row.make(scene)
    target = os.path.join(scene.base, row.target)
    if row.target == "t":
        scene.dir("t")
    before = trees.everything(scene.base), mounts.mounts()
    with pytest.raises(row.expected) as caught:
        ovlctl.mount(stack, target, api=row.api)
    assert type(caught.value) is row.expected
    assert caught.value.exit_status is row.status
    assert caught.value.hint() or row.expected in {
        errors.LowerIsUpper,
        errors.OverlappingLayers,
        errors.NotADirectory,
        errors.LayerFileSystemRefused,
    }
    assert (trees.everything(scene.base), mounts.mounts()) == before
    if row.kernel not in {ACCEPTED, NOT_ASKED}:
        assert caught.value.errno == row.kernel


@pytest.mark.parametrize("row", asking(row for row in ROWS if row.kernel != NOT_ASKED))
def test_row_is_what_the_kernel_does(row: Row, scene: Scene) -> None:
    """Asked without any check, the kernel refuses with the row's errno, or mounts where the row says so."""
    stack = resolved(row.make(scene))
    target = scene.dir("t")
    if row.kernel == ACCEPTED:
        ladder.mount_stack(stack, target, api=row.api)
        umount2(target)
        return
    with pytest.raises(errors.OvlError) as caught:
        ladder.mount_stack(stack, target, api=row.api)
    assert caught.value.errno in {row.kernel, row.older}
    if isinstance(caught.value, errors.KernelRefused) and capabilities.root():
        # EROFS says it all: no kernel adds a word to it.
        assert caught.value.kernel or caught.value.errno == errno.EROFS, "the kernel's words are passed on"


def test_user_files_in_work_would_be_lost(scene: Scene) -> None:
    """Why the row above matters: the kernel deletes them."""
    stack = resolved(_user_files_in_work(scene))
    thesis = os.path.join(scene.dir("w"), "work", "thesis.txt")
    assert os.path.exists(thesis)
    target = scene.dir("t")
    ladder.mount_stack(stack, target)
    umount2(target)
    assert not os.path.exists(thesis)


def test_xattrs_of_a_refused_upper(scene: Scene, state_dir: str) -> None:
    """A stack that is refused has no mark on its upper."""
    stack = scene.with_paths(lowers=[scene.dir("l1"), scene.dir("l1")])
    with pytest.raises(errors.LayerTwice):
        ovlctl.mount(stack, scene.dir("t"))
    assert xattr.names(scene.dir("u")) == ()
