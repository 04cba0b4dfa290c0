"""Does Python get in the way of the clock? The sampler of `ovlctl bench-copyup` beside a plain C program.

Both touch fresh files of the same lowers through the same overlays, in turn, on the same CPU, with the same system
calls. The C program is compiled with `cc`. Run it as root or as an ordinary user:

    python benchmarks/copyup_vs_c.py [--fs own|ext4|xfs|btrfs|tmpfs] [--dir DIR] [--samples N] [--sizes 4K,64K,1M]
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ovlctl.bench import layers, statistics, verify
from ovlctl.bench.accounting import Meter
from ovlctl.bench.actions import payload, perform
from ovlctl.bench.grounds import grounds
from ovlctl.bench.plan import OWN, Plan, PlannedCell, Schedule, cell_keys, variants
from ovlctl.bench.sampling import WARMUP, Sampler, settle
from ovlctl.bench.terms import Cache, Operation
from ovlctl.bench.values import CellKey, Sample
from ovlctl.kernel import capabilities, namespaces
from ovlctl.ops.workspace import BENCH, default_directory, scratch
from ovlctl.show.sizes import format_ns, format_size, parse_sizes

if TYPE_CHECKING:
    from ovlctl.bench.stage import Stage

C_SOURCE = Path(__file__).with_suffix(".c")
ROUNDS = 10
SMALL = 1 << 20
"""Files up to this size are checked at once; reading larger ones would cool the caches for the next one."""

# The C program's files bear the name of another operation, so that the sampler leaves them alone.
OURS, THEIRS = Operation.WRITE, Operation.APPEND


def main() -> int:
    """Measure, print both medians for each size, and say whether they agree."""
    arguments = _arguments()
    if capabilities.has(capabilities.Capability.CAP_SYS_ADMIN):
        namespaces.enter_private_mounts()
    else:
        namespaces.enter_user_namespace()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gc.disable()
    sizes = parse_sizes(arguments.sizes)
    fs = OWN if arguments.fs == "own" else arguments.fs
    plan = Plan(directory=arguments.dir, sizes=sizes, operations=(OURS, THEIRS), file_systems=(fs,), baseline=False)
    per_round = -(-arguments.samples // ROUNDS)
    cells = tuple(
        PlannedCell(key=key, variant=index, per_round=per_round) for index, key in cell_keys(plan, variants(plan))
    )
    both = Schedule(plan=plan, variants=variants(plan), cells=cells, rounds=ROUNDS)
    ours = Schedule(plan=plan, variants=both.variants, cells=tuple(c for c in cells if c.key.op is OURS), rounds=ROUNDS)
    need = 4 * sum(sizes) * per_round + (400 << 20)
    with (
        tempfile.TemporaryDirectory() as build,
        scratch(arguments.dir, BENCH) as place,
        grounds((fs,), place.path, {fs: need}) as found,
        Meter() as meter,
        _program(build) as program,
    ):
        lowers = {fs: layers.build(both, fs, found[0].root)}
        sampler = Sampler(ours, {fs: found[0].root}, lowers, meter)
        times = _measure(sampler, ours, lowers[fs][-1], program)
        print(
            f"{found[0].mount.fs_type}, {ROUNDS * per_round} samples each, medians of the first open (and open+write)"
        )
    return 0 if _report(sizes, times) else 1


def _measure(
    sampler: Sampler, schedule: Schedule, bottom: str, program: subprocess.Popen[str]
) -> dict[tuple[str, int], list[tuple[int, int]]]:
    times: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for number in range(WARMUP, ROUNDS):
        # Whose turn it is is left to chance, so that neither always follows the other.
        turns: list[tuple[CellKey, int] | None] = []
        for cell in schedule.cells:
            for slot in range(1 if number == WARMUP else cell.per_round):
                turns += [None, (cell.key, slot)]
        random.Random(number).shuffle(turns)  # noqa: S311 - an order, not a secret
        # The sampler asks before each of its own; what comes after its last one goes first instead.
        last = max(index for index, turn in enumerate(turns) if turn is None)
        turns = turns[last + 1 :] + turns[: last + 1]

        def before_each(
            _: int,
            turns: list[tuple[CellKey, int] | None] = turns,
            keep: bool = number != WARMUP,  # noqa: FBT001
        ) -> bool:
            while (turn := turns.pop(0)) is not None:
                found = _touch_in_c(sampler.stages[0], replace(turn[0], op=THEIRS), turn[1], bottom, program)
                if keep:
                    times.setdefault(("c", turn[0].size), []).append(found)
            return True

        for index, sample in sampler.round(number, before_each):
            assert isinstance(sample, Sample)
            assert sample.open_ns is not None
            if number != WARMUP:
                size = schedule.cells[index].key.size
                times.setdefault(("python", size), []).append((sample.open_ns, sample.first_ns))
    return times


def _touch_in_c(stage: Stage, key: CellKey, slot: int, bottom: str, program: subprocess.Popen[str]) -> tuple[int, int]:
    relative = layers.relative_path(key, slot)
    merged, upper, lower = (os.path.join(top, relative) for top in (stage.merged, stage.upper, bottom))
    layers.set_cache(lower, Cache.WARM)
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(merged + "\n")
    program.stdin.flush()
    open_ns, write_ns, *_ = map(int, program.stdout.readline().split())
    # What the sampler does after each of its own.
    perform(OURS, merged, payload(key.size), lambda: None, turn=1)
    settle(upper)
    if key.size <= SMALL:
        verify.check(OURS, upper=upper, lower=lower, prefix=stage.xattr_prefix, metacopy=False, has_origin=True)
    return open_ns, open_ns + write_ns


def _report(sizes: tuple[int, ...], times: dict[tuple[str, int], list[tuple[int, int]]]) -> bool:
    alike = True
    for size in sizes:
        medians = {
            who: [statistics.median([sample[part] for sample in times[who, size]]) for part in (0, 1)]
            for who in ("python", "c")
        }
        python, c = medians["python"], medians["c"]
        difference = python[0] - c[0]
        opens = {who: [sample[0] for sample in times[who, size]] for who in ("python", "c")}
        low, high = statistics.ratio_interval(opens["c"], opens["python"])
        within = abs(difference) <= max(0.05 * c[0], 3000)
        alike = alike and within
        print(
            f"{format_size(size):>8}  python {format_ns(python[0])} ({format_ns(python[1])})  "
            f"C {format_ns(c[0])} ({format_ns(c[1])})  "
            f"ratio {python[0] / c[0]:.3f}, 95 % CI {low:.2f}..{high:.2f}, {difference / 1000:+.1f} us  "
            f"{'within' if within else 'NOT within'} 5 % or 3 us"
        )
    return alike


def _program(build: str) -> subprocess.Popen[str]:
    binary = os.path.join(build, "touch")
    try:
        subprocess.run(["cc", "-O2", "-Wall", "-o", binary, str(C_SOURCE)], check=True)
    except FileNotFoundError:
        sys.exit("no C compiler: `apt-get install gcc libc6-dev`")
    return subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fs", default="own", choices=("own", "ext4", "xfs", "btrfs", "tmpfs"))
    parser.add_argument("--dir", default=default_directory())
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--sizes", default="4K,64K,1M,16M")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
