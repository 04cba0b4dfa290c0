"""Who uses a layer, in every namespace, and what is in no table any more."""

from __future__ import annotations

import os

import pytest

import ovlctl
from ovlctl.kernel import namespaces
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops.who import who
from ovlctl.ops.who.answer import Asked, Role
from ovlctl.ops.who.locations import Relation
from tests.capabilities import needs_option, needs_overlay, needs_overlay_handles, needs_root, root
from tests.kernel import overlays
from tests.kernel.children import child
from tests.ops.who.scenes import ENTER, MMAP, OPEN, holder, obey

pytestmark = needs_overlay


def test_layers(merged: str, scratch: str) -> None:
    """Upper, work, lower, what lies inside and above: each is known as what it is, through links and bind mounts."""
    alias, *_ = overlays.directories(scratch, "alias", "alone")
    os.symlink("upper", os.path.join(scratch, "link"))
    mount(scratch, alias, None, MS.BIND)
    for word, role, relation in (
        ("upper", Role.UPPER, Relation.SAME),
        ("link", Role.UPPER, Relation.SAME),
        ("alias/upper", Role.UPPER, Relation.SAME),
        ("work", Role.WORK, Relation.SAME),
        ("work/work", Role.WORK, Relation.ABOVE),
        ("lower", Role.LOWER, Relation.SAME),
        ("lower/sub", Role.LOWER, Relation.ABOVE),
    ):
        answer = who(os.path.join(scratch, word), layer=True)
        (user,) = answer.users
        (use,) = user.uses
        assert (answer.asked, use.role, use.relation) == (Asked.LAYER, role, relation), word
        assert user.points[0][1] == merged
    (user,) = who(scratch, layer=True).users
    assert {use.relation for use in user.uses} == {Relation.INSIDE}
    assert who(os.path.join(scratch, "alone"), layer=True).users == ()


@needs_root
def test_relative_layers(scratch: str, state_dir: str) -> None:
    """Layers that an engine gave relative to a directory of its own, as Docker does with many of them."""
    for name in ("l", "1/diff", "2/diff", "3/diff", "3/work", "3/merged"):
        os.makedirs(os.path.join(scratch, name))
    for name in "12":
        os.symlink(f"../{name}/diff", os.path.join(scratch, "l", f"LINK{name}"))
    before = os.getcwd()
    os.chdir(scratch)
    try:
        mount("overlay", "3/merged", "overlay", MS(0), b"lowerdir=l/LINK1:l/LINK2,upperdir=3/diff,workdir=3/work")
    finally:
        os.chdir(before)
    (user,) = who(f"{scratch}/2/diff", layer=True).users
    assert [(use.role, use.layer) for use in user.uses] == [(Role.LOWER, "l/LINK2")]
    (user,) = who(f"{scratch}/3/diff", layer=True).users
    assert [use.role for use in user.uses] == [Role.UPPER]


def test_overlay_of_another_namespace(scratch: str, state_dir: str) -> None:
    """An overlay that only another namespace has uses a directory of this one."""
    code = ENTER + "from tests.kernel import overlays\noverlays.simple(sys.argv[2], userxattr=os.geteuid() != 0)"
    with child(code, "-", scratch) as pid:
        (user,) = who(os.path.join(scratch, "lower"), layer=True).users
        assert user.points == ((namespaces.mount_namespace_id(pid), os.path.join(scratch, "merged")),)
        assert [use.role for use in user.uses] == [Role.LOWER]
        if root():
            (command,) = user.release
            obey(command)
            assert who(os.path.join(scratch, "lower"), layer=True).users == ()


def test_process_below_a_layer(merged: str, scratch: str) -> None:
    """Who works in the directory itself, not through the overlay, is told apart."""
    with child("import os, sys\nos.chdir(sys.argv[1])", os.path.join(scratch, "lower", "sub")) as pid:
        answer = who(os.path.join(scratch, "lower"), layer=True)
        assert [hold.path for hold in holder(answer, pid).holds] == [os.path.join(scratch, "lower", "sub")]
        assert who(os.path.join(scratch, "upper"), layer=True).groups == ()


@needs_root
@needs_overlay_handles
@pytest.mark.parametrize("how", ["fd", "map"])
def test_lazily_unmounted(merged: str, scratch: str, how: str) -> None:
    """The kernel says the upper is in use, no table has the overlay, and its uuid tells which process keeps it."""
    upper = os.path.join(scratch, "upper")
    other = overlays.simple(*overlays.directories(scratch, "other"), userxattr=False)
    with child(OPEN if how == "fd" else MMAP, os.path.join(merged, "file")) as pid, child(OPEN, f"{other}/file"):
        for point in (merged, other):
            umount2(point, MNT.DETACH)
        answer = who(upper, layer=True)
        assert (answer.in_use, answer.users) == (True, ())
        (lost,) = answer.lost
        assert lost.sure
        (process,) = lost.processes
        assert (process.pid, [hold.kind for hold in process.holds]) == (pid, [how])
        obey(process.release)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert who(upper, layer=True).in_use is False


@needs_root
@needs_overlay_handles
@pytest.mark.parametrize(
    "uuid",
    [
        pytest.param("null", marks=needs_option("uuid=null")),
        pytest.param("off", marks=needs_option("uuid=off")),
    ],
)
def test_lazily_unmounted_without_uuid(scratch: str, state_dir: str, uuid: str) -> None:
    """An overlay in no table is known by what backs the object that is held: a lower, or an upper without a uuid."""
    lower, second, upper, work, merged, alone = overlays.directories(
        scratch, "lower", "second", "upper", "work", "merged", "alone"
    )
    for directory, name in ((lower, "a"), (second, "b")):
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(name)
    data = f"lowerdir={lower}:{second},upperdir={upper},workdir={work},uuid={uuid}"
    mount("o", merged, "overlay", MS(0), data.encode())
    with child(OPEN.replace("O_RDWR", "O_RDONLY"), os.path.join(merged, "b")) as pid:
        umount2(merged, MNT.DETACH)
        # Whoever else is on this machine may have unmounted something lazily, too.
        sure = {
            path: [lost.sure for lost in who(path, layer=True).lost if [each.pid for each in lost.processes] == [pid]]
            for path in (lower, second, alone)
        }
        assert sure == {lower: [None], second: [True], alone: [None]}
        assert who(second, layer=True).held


@needs_root
def test_stack_whose_mount_is_gone(scratch: str, state_dir: str) -> None:
    """By its name: a stack that was unmounted lazily behind ovlctl's back is asked about by its upper."""
    (lower,) = overlays.directories(scratch, "lower")
    mounted = ovlctl.mount(ovlctl.Stack([lower]), allocate=ovlctl.KeptUpper(), name="x")
    with child("import os, sys\nos.chdir(sys.argv[1])", mounted.target) as pid:
        assert who("x").path == mounted.target
        umount2(mounted.target, MNT.DETACH)
        answer = who("x")
        assert (answer.asked, answer.name, answer.path) == (Asked.LAYER, "x", mounted.overlay.stack.upper)
        assert [process.pid for lost in answer.lost for process in lost.processes] == [pid]
    ovlctl.umount("x", discard=True)


@needs_root
def test_discard_names_who_uses_the_upper(scratch: str, state_dir: str) -> None:
    """A discard that a copy in another namespace, or a holder of the lazily unmounted overlay, forbids names it."""
    (lower,) = overlays.directories(scratch, "lower")
    mounted = ovlctl.mount(ovlctl.Stack([lower]), allocate=ovlctl.KeptUpper(), name="x")
    with child(ENTER, "-") as pid:
        wanted = f"mount namespace {namespaces.mount_namespace_id(pid)}"
        with pytest.raises(ovlctl.errors.DiscardRefused, match=wanted) as caught:
            ovlctl.umount("x", discard=True)
        assert "nsenter" in (caught.value.hint() or "")
    mounted = ovlctl.mount(ovlctl.Stack([lower]), allocate=ovlctl.KeptUpper(), name="x")
    with child("import os, sys\nos.chdir(sys.argv[1])", mounted.target) as pid:
        umount2(mounted.target, MNT.DETACH)
        with pytest.raises(ovlctl.errors.DiscardRefused, match=f"kept by pid {pid}"):
            ovlctl.umount("x", discard=True)
    ovlctl.umount("x", discard=True)


@needs_root
@needs_overlay_handles
def test_in_use_error_names_who(merged: str, scratch: str) -> None:
    """A second mount of an upper is refused with the process that keeps the lazily unmounted first, or its place."""
    low, work, point = overlays.directories(scratch, "low", "work2", "point")
    stack = ovlctl.Stack([low], upper=os.path.join(scratch, "upper"), work=work)
    with child("import os, sys\nos.chdir(sys.argv[1])", merged) as pid:
        umount2(merged, MNT.DETACH)
        with pytest.raises(ovlctl.errors.UpperInUse, match=f"unmounted lazily, and kept by pid {pid} ") as caught:
            ovlctl.mount(stack, point)
        assert f"`kill {pid}`" in (caught.value.hint() or "")
        lower = ovlctl.Stack([os.path.join(scratch, "upper"), low])
        with pytest.raises(ovlctl.errors.LowerInUse, match=f"kept by pid {pid} "):
            ovlctl.mount(lower, point)
    inside = os.path.join(scratch, "inside")
    os.mkdir(inside)
    code = ENTER + "from tests.kernel import overlays\noverlays.simple(sys.argv[2], userxattr=False)"
    with child(code, "-", inside) as pid:
        stack = ovlctl.Stack([low], upper=os.path.join(inside, "upper"), work=os.path.join(inside, "work"))
        with pytest.raises(ovlctl.errors.UpperInUse, match=f"mount namespace {namespaces.mount_namespace_id(pid)}"):
            ovlctl.mount(stack, point)
