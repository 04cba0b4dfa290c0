"""A machine to bring sets of stacks up on, and what can be seen of it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel import mounts
from ovlctl.ops import discover
from ovlctl.ops.discover import Standing
from ovlctl.ops.sets import compare, load
from ovlctl.ops.state import locate
from tests import trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.sets.compare import Action, SetPlan
    from ovlctl.ops.sets.declared import StackFile
    from ovlctl.ops.steps import Step

#: How many stacks the large file has, and which one of them the tests break.
MANY, BROKEN = 20, 13


@dataclass(frozen=True, slots=True)
class World:
    """A directory with layers ``l1`` to ``l9``, targets ``t01`` to ``t20``, and a stack file ``set.toml``."""

    base: str

    @property
    def path(self) -> str:
        """The stack file."""
        return f"{self.base}/set.toml"

    def declare(self, **stacks: str) -> StackFile:
        """Write the stack file anew, each stack given by what follows its header."""
        text = "".join(f"[stack.{name}]\n{body}\n\n" for name, body in stacks.items())
        with open(self.path, "w", encoding="utf-8") as out:
            out.write(text)
        return load(self.path)

    def plan(self) -> SetPlan:
        """What there is to do for the file as it stands."""
        return compare.plan(load(self.path), state=locate())

    def actions(self) -> dict[str, Action]:
        """What there is to do, by name."""
        return {each.name: each.action for each in self.plan().actions}

    def mounted(self) -> list[str]:
        """Names of all stacks that are mounted."""
        return sorted(each.name or "" for each in discover.overlays().overlays if each.standing is Standing.MOUNTED)

    def everything(self) -> tuple[dict[str, str], list[tuple[str, ...]]]:
        """What is on the disk and in the mount table, apart from the numbers that the kernel gave the mounts."""
        here = (each for each in mounts.mounts() if each.mount_point.startswith(self.base + "/"))
        # The kernel shows uuid=on for an upper that it gave one just now, and nothing for one that had it before.
        table = [
            (each.source, each.mount_point, each.fs_type, *(word for word in each.options if word != "uuid=on"))
            for each in here
        ]
        return dict(self._names()), sorted(table)

    def _names(self) -> Iterator[tuple[str, str]]:
        for name, kind in trees.everything(self.base).items():
            # Answers about the kernel are kept for the next time, whatever comes of this one.
            if os.path.basename(name) != "probes.json":
                yield name, kind


def make(scratch: str) -> World:
    """A world below *scratch*, with nothing mounted."""
    for number in range(1, 10):
        trees.make(f"{scratch}/l{number}", {"f": str(number), f"only{number}": "", "d/e": str(number)})
    for number in range(1, MANY + 1):
        os.mkdir(f"{scratch}/t{number:02}")
    for name in ("u", "w"):
        os.mkdir(f"{scratch}/{name}")
    return World(scratch)


def many(**other: str) -> dict[str, str]:
    """Twenty stacks of every kind, some on others' merged views and layers; *other* replaces some of them."""
    stacks = {}
    for number in range(1, MANY + 1):
        name, target = f"s{number:02}", f'target = "t{number:02}"'
        kind = number % 5
        if kind == 1:
            body = 'lowers = ["l1", "l2"]'
        elif kind == 2:
            body = f'lowers = ["l3", {{stack = "s{number - 1:02}"}}]\nupper = "tmpfs"'
        elif kind == 3:
            # Stands on one that comes later in the file.
            body = f'lowers = ["l4", {{stack = "s{number + 2:02}"}}]\nupper = {{tmpfs = "1M"}}'
        elif kind == 4:
            body = f'lowers = [{{layers = "s{number - 2:02}"}}, "l5"]\nupper = "none"'
        else:
            body, target = 'lowers = ["l7", "l8"]\nupper = "none"', ""
        stacks[name] = f"{body}\n{target}"
    stacks["s06"] = 'lowers = ["l1"]\nupper = {dir = "u", work = "w"}\ntarget = "t06"'
    return {**stacks, **other}


def killing(count: int) -> Callable[[Step], None]:
    """A watcher that kills its own process after *count* steps."""
    left = [count]

    def watch(_step: Step) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return watch
