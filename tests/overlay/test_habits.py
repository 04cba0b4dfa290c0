"""What the trial mounts say of the kernel is what a mount of a stack does, and what is not known is not certain."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops import kernel_habits
from ovlctl.ops.explain.values import LayerLook
from ovlctl.ops.kernel_habits import habits, tried
from ovlctl.overlay.comparison import visible_attributes
from ovlctl.overlay.habits import Habit, not_known
from ovlctl.overlay.layers import Following, open_layers
from ovlctl.overlay.marks import Mark, Opaque, Prefix, Whiteout
from ovlctl.overlay.object_marks import read_marks
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.resolution import Candidate, Place, Rule, Verdict
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from ovlctl.show.explain_marks import mark_lines
from tests import trees
from tests.capabilities import needs_root, needs_userns_overlay, user_xattrs_in_memory
from tests.overlay.agreement import disagreements
from tests.overlay.made import Case, directory, file, link, mounted, new_directory, resolving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.habits import Habits
    from tests.conftest import OrdinaryUser

pytestmark = needs_root
OTHER = {Habit.ORIGIN_KINDS: Answer.YES}
NAMES = ["f", "d", "w", "x", "e", "m", "link", "fifo", "plain", "copied"]
CASE = Case(
    lowers=(
        {
            "w": file(whiteout=b""),
            "x": directory(opaque=b"x"),
            "x/w": file(whiteout=b"y"),
            "e": file(b"e", **{"overlay.opaque": b"y", "overlay.overlay.redirect": b"r"}),
            "m": file(b".", metacopy=b"\0\0\0"),
        },
        {"w": file(b"w"), "x/w": file(b"w"), "m": file(b"data"), "f": file(b"f")},
    ),
    options=Options(),
    upper={"u": directory()},
)


def _old(habit: Habit) -> Answer:
    """A kernel that is unlike the newest in everything."""
    return OTHER.get(habit, Answer.NO)


@pytest.fixture
def base(disk: str) -> Iterator[str]:
    """A directory for the layers of one test."""
    with new_directory(disk) as made:
        yield made


@pytest.mark.parametrize("habit", Habit)
def test_root_gets_an_answer(habit: Habit) -> None:
    """Each can be tried on every kernel, and nothing of it stays."""
    before = _mounts()
    assert tried(habit) in {Answer.YES, Answer.NO}
    assert habits(habit) is tried(habit)
    assert _mounts() == before


def test_an_answer_is_kept_until_the_machine_boots(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a state directory, and in no other place; the next process does not try again."""
    monkeypatch.setenv("OVLCTL_STATE_DIR", scratch)
    ask = habits.__wrapped__
    answer = ask(Habit.ORIGIN_KINDS)
    assert os.listdir(scratch) == []
    for name in ("run", "keep"):
        os.mkdir(f"{scratch}/{name}", 0o700)
    assert ask(Habit.ORIGIN_KINDS) is answer
    assert os.listdir(f"{scratch}/run") == ["probes.json"]
    monkeypatch.setattr(kernel_habits, "tried", lambda _habit: pytest.fail("it is known"))
    assert ask(Habit.ORIGIN_KINDS) is answer


def _mounts() -> str:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file_:
        return file_.read()


def test_trials_agree_with_a_mount(base: str) -> None:
    """What this kernel makes of each mark, seen through a mount of layers on disk."""
    with mounted(CASE.write(base), f"{base}/merged") as point:
        whiteout = not os.path.lexists(f"{point}/w")
        names = os.listdir(f"{point}/x")
        escaped = Prefix.TRUSTED + Mark.OPAQUE in os.listxattr(f"{point}/e")
        with pytest.raises(OSError, match=r".") as refused:
            os.lstat(f"{point}/m")
    assert whiteout is (habits(Habit.XATTR_WHITEOUTS) is Answer.YES)
    assert (names == []) is whiteout
    assert escaped is (habits(Habit.ESCAPES) is Answer.YES)
    assert (refused.value.strerror == "Input/output error") is (habits(Habit.METACOPY_VALUES) is Answer.YES)


@pytest.mark.parametrize("metacopy", [Switch.OFF, Switch.ON])
def test_resolver_equals_this_kernel(base: str, metacopy: Switch) -> None:
    """Every mark that kernels differ in, in one stack."""
    case = Case(lowers=CASE.lowers, upper=CASE.upper, options=Options(metacopy=metacopy))
    stack = case.write(base)
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        assert list(disagreements(resolver, point, [*NAMES, "u"], stack)) == []


@pytest.mark.parametrize(
    "options",
    [Options(), Options(index=Switch.ON), Options(nfs_export=Switch.ON), Options(metacopy=Switch.ON)],
    ids=["plain", "index", "nfs_export", "metacopy"],
)
def test_origin_of_another_kind(base: str, options: Options) -> None:
    """A file, a link and a fifo of the upper with the origin of something else, beside some that fit."""
    trees.make(base, {"lower/0/": None, "lower/1": "1", "lower/2": "2", "lower/copied": "c", "lower/f": "f"})
    trees.make(base, {"upper/plain": "u", "work/": None})
    stack = Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        for name in ("0", "1", "2", "copied"):
            os.chmod(f"{point}/{name}", 0o700)
    os.symlink("nowhere", f"{base}/upper/link")
    os.mkfifo(f"{base}/upper/fifo")
    # Each has one of its own: objects with one origin would share an inode.
    for path, old in {"plain": "0", "link": "1", "fifo": "2"}.items():
        value = os.getxattr(f"{base}/upper/{old}", Prefix.TRUSTED + Mark.ORIGIN)
        os.setxattr(f"{base}/upper/{path}", Prefix.TRUSTED + Mark.ORIGIN, value, follow_symlinks=False)
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        refused = habits(Habit.ORIGIN_KINDS) is Answer.YES
        for path in ("plain", "link", "fifo"):
            assert (resolver.resolve(path).rule is Rule.ORIGIN_OTHER_KIND) is refused
        assert resolver.resolve("copied").exists
        assert list(disagreements(resolver, point, NAMES, stack)) == []


def test_what_is_not_known_is_not_certain() -> None:
    """As the newest kernels have it, and said to be no more than that; only where there is such a mark."""
    resolver = CASE.in_memory()
    layers, options = resolver.layers, Options(metacopy=Switch.ON)
    found = {
        name: Resolver(layers, Following.of(options, habits=not_known)).resolve(name) for name in ("w", "m", "f", "x/w")
    }
    assert {name: (each.rule, each.certain) for name, each in found.items()} == {
        "w": (Rule.WHITEOUT, False),
        "m": (Rule.METACOPY_INVALID, False),
        "f": (Rule.TOPMOST, True),
        "x/w": (Rule.WHITEOUT, False),
    }
    old = Resolver(layers, Following.of(options, habits=_old))
    assert {name: (old.resolve(name).rule, old.resolve(name).certain) for name in found} == {
        "w": (Rule.TOPMOST, True),
        "m": (Rule.METACOPY, True),
        "f": (Rule.TOPMOST, True),
        "x/w": (Rule.TOPMOST, True),
    }
    assert old.resolve("x").whiteout_layers == frozenset()


def test_marks_are_told_as_the_kernel_reads_them(base: str) -> None:
    """A mark that does not count is no whiteout, and is named among those that are not read."""
    with open_layers(CASE.write(base)) as layers:
        tree = layers.lowers[0].tree

        def marks(path: str, following: Following) -> tuple[Whiteout | None, Opaque | None, tuple[str, ...]]:
            attributes = tree.lstat(path)
            assert attributes is not None
            found = read_marks(tree, path, attributes, following.prefix, following.habits)
            return found.whiteout, found.opaque, found.unread

        new, old = Following(), Following(habits=_old)
        assert marks("w", new) == (Whiteout.XATTR, None, ())
        assert marks("w", old) == (None, None, ("whiteout",))
        assert marks("x", old) == (None, Opaque.WHITEOUTS, ("opaque",))
        assert marks("e", old)[2] == ("overlay.opaque", "overlay.overlay.redirect")
        place = Place(layers.lowers[0], "e")
        assert set(visible_attributes(place, new)) == {"trusted.overlay.opaque", "trusted.overlay.overlay.redirect"}
        assert visible_attributes(place, old) == {}


def test_what_is_not_read_is_said_to_be_ignored() -> None:
    """One phrase for each mark that this kernel does not read; what it reads is told as ever."""

    def lines(path: str, habits_: Habits) -> str:
        layer = CASE.in_memory().layers.lowers[0]
        attributes = layer.tree.lstat(path)
        assert attributes is not None
        marks = read_marks(layer.tree, path, attributes, Prefix.TRUSTED, habits_)
        place = Place(layer, path)
        look = LayerLook(candidate=Candidate(place, Verdict.PROVIDES, attributes), marks=marks)
        return "; ".join(mark_lines(look))

    for path in ("w", "x", "e", "m"):
        assert "this kernel" not in lines(path, not_known)
        assert lines(path, _old).count("this kernel") == 1
    assert lines("w", _old) == "mark whiteout, ignored: this kernel does not read it, as a trial mount showed"
    assert lines("w", not_known) == "whiteout: an empty file with the mark"


def test_nothing_is_tried_for_a_plain_stack(base: str) -> None:
    """A whiteout that is a device, an opaque directory, a redirect: every kernel agrees."""
    trees.make(base, {"one/f": "1", "two/f": "2", "two/d/": None})
    asked: list[Habit] = []

    def asking(habit: Habit) -> Answer:
        asked.append(habit)
        return Answer.UNKNOWN

    case = Case(
        lowers=({"l": link("f"), "d": directory(opaque=b"y"), "f": file(b"1")}, {"f": file()}), options=Options()
    )
    layers = case.in_memory().layers
    resolver = Resolver(layers, Following.of(Options(), habits=asking))
    assert all(resolver.resolve(name).certain for name in ("f", "l", "d", "nothing"))
    assert asked == []


def test_without_mount_rights_nothing_is_known() -> None:
    """Whoever may not mount is told so, and no exception."""
    code = f"""
import os
from ovlctl.ops.kernel_habits import habits
from ovlctl.overlay.habits import Habit
os.setgroups([]); os.setresgid({os.getgid() + 64123}, {os.getgid() + 64123}, {os.getgid() + 64123})
os.setresuid(64123, 64123, 64123)
print(*{{habits(habit) for habit in Habit}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("unknown\n", "")


def test_the_name_in_the_kernel_log_is_ours() -> None:
    """`why` passes over lines with it."""
    assert re.fullmatch(r"ovlctl-[a-z]+", kernel_habits.PROBE)


@needs_userns_overlay
def test_an_ordinary_user_finds_them_out(ordinary_user: OrdinaryUser) -> None:
    """In a user namespace, and says the same as root, or that it is not known; no more is left than before."""
    code = (
        "from ovlctl.ops.kernel_habits import tried; from ovlctl.overlay.habits import Habit; print(*map(tried, Habit))"
    )
    done = ordinary_user.run([sys.executable, "-c", code])
    assert done.stderr == ""
    said = dict(zip(Habit, map(Answer, done.stdout.split()), strict=True))
    assert all(answer in {tried(habit), Answer.UNKNOWN} for habit, answer in said.items())
    if user_xattrs_in_memory():
        assert said[Habit.XATTR_WHITEOUTS] is not Answer.UNKNOWN
