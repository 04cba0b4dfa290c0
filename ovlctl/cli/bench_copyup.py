"""``ovlctl bench-copyup``."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from ovlctl.bench import storage
from ovlctl.bench.plan import OWN, Plan, Sweep, parse_operations
from ovlctl.bench.runner import run
from ovlctl.bench.terms import Cache, Content
from ovlctl.bench.values import Result
from ovlctl.cli.output import emit, emit_json, say
from ovlctl.cli.parameters import StateDir
from ovlctl.errors import BadUsage, ExitStatus, Note, OvlError
from ovlctl.ops.state import State, locate, write_atomically
from ovlctl.ops.workspace import default_directory
from ovlctl.show.bench import result_csv, result_json, result_text
from ovlctl.show.bench_picture import result_svg
from ovlctl.show.bench_progress import Progress
from ovlctl.show.envelope import dumps, envelope
from ovlctl.show.sizes import parse_sizes

_CACHES = {"warm": (Cache.WARM,), "cold": (Cache.COLD,), "both": (Cache.WARM, Cache.COLD)}
_STDOUT = "-"


def bench_copyup(
    *,
    size: Annotated[
        str, typer.Option("--size", metavar="SIZE,..", help="File sizes, up to 1G and more.")
    ] = "4K,64K,1M,16M,64M",
    op: Annotated[
        str,
        typer.Option(
            "--op",
            metavar="OP,..",
            help="write, truncate, append, chmod, chown, setxattr, utime, link, rename, unlink, mmap, or all.",
        ),
    ] = "write",
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Fresh files per size; without it their cost decides.")
    ] = None,
    directory: Annotated[
        str | None,
        typer.Option("--dir", metavar="DIR", help="Where to work, and so which file system; $TMPDIR or /var/tmp."),
    ] = None,
    fs: Annotated[
        str | None,
        typer.Option(
            "--fs", metavar="FS,..", help="Make and measure ext4, xfs, btrfs (loop images, as root) or tmpfs instead."
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=V1,V2", help="Measure with each value of a mount option; repeat."),
    ] = None,
    layers: Annotated[int, typer.Option(metavar="N", help="How many lowers; the files lie in the bottom one.")] = 1,
    depth: Annotated[
        int, typer.Option(metavar="N", help="How many parent directories are copied up with each file.")
    ] = 0,
    cache: Annotated[
        str, typer.Option(metavar="warm|cold|both", help="Whether the lower's data is in the page cache.")
    ] = "warm",
    content: Annotated[Content, typer.Option(help="What the files hold.")] = Content.RANDOM,
    links: Annotated[int, typer.Option(metavar="1|2", help="How many names each lower file has.")] = 1,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the order and the content.")] = 1,
    identity: Annotated[
        bool, typer.Option("--identity/--no-identity", help="Follow inode numbers and hard links too.")
    ] = True,
    max_time: Annotated[
        int, typer.Option("--max-time", metavar="SECONDS", help="Refuse a run that would take longer.")
    ] = 600,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all samples; - prints them instead of the text.")
    ] = None,
    csv: Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write one line per sample.")] = None,
    svg: Annotated[str | None, typer.Option("--svg", metavar="FILE", help="Draw time over size.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Keep the result, for `explain` to predict times from.")] = False,
    state_dir: StateDir = None,
) -> int:
    """Measure what the first change to a file costs.

    Every sample is a file that only a lower has, touched for the first time through a fresh overlay in a mount
    namespace of its own; beside it the second touch, the same file without an overlay, and a plain copy.
    Interrupted, it reports what it has.

    Example: ovlctl bench-copyup --size 4K,1M --op write,chmod --sweep metacopy=off,on --svg cost.svg
    """
    _check_outputs(json, csv, svg)
    if cache not in _CACHES:
        raise typer.BadParameter(f"`{cache}` is not one of {', '.join(_CACHES)}", param_hint="--cache")
    plan = Plan(
        directory=directory or default_directory(),
        sizes=tuple(dict.fromkeys(parse_sizes(size))),
        operations=parse_operations(op),
        caches=_CACHES[cache],
        file_systems=tuple(dict.fromkeys(fs.split(","))) if fs else (OWN,),
        sweep=tuple(map(Sweep.parse, sweep or ())),
        layers=layers,
        depth=depth,
        content=content,
        links=links,
        samples=samples,
        seed=seed,
        max_time_s=max_time,
        identity=identity,
    )
    state = locate(state_dir)
    if save:
        state.check()
    progress = Progress()
    try:
        result = run(plan, progress)
    finally:
        progress.close()
    _write(result, json=json, csv=csv, svg=svg)
    if save and result.cells:
        _save(result, state)
    if result.interrupted:
        return 128 + signal.Signals[result.interrupted]
    return ExitStatus.PARTIAL if result.partial else ExitStatus.FINE


def _check_outputs(json: str | None, csv: str | None, svg: str | None) -> None:
    if _STDOUT in {csv, svg}:
        raise BadUsage("only `--json` prints to standard output", hint="give the name of a file")
    files = [path for path in (json, csv, svg) if path is not None and path != _STDOUT]
    for path in files:
        storage.check_writable(path)
        if len([other for other in files if os.path.realpath(other) == os.path.realpath(path)]) > 1:
            raise BadUsage("{} is to hold two different outputs", path)


def _write(result: Result, *, json: str | None, csv: str | None, svg: str | None) -> None:
    warnings = (*result.warnings, *result.noise.warnings)
    # Files first: whoever reads the text may close the pipe early. One that fails must not cost the others.
    failed: list[OvlError] = []
    if csv is not None:
        _write_file(csv, result_csv(result), failed)
    if svg is not None:
        _write_file(svg, result_svg(result), failed)
    if json is not None and json != _STDOUT:
        _write_file(json, dumps(envelope("bench-copyup", result_json(result), warnings)) + "\n", failed)
    if json == _STDOUT:
        emit_json("bench-copyup", result_json(result), warnings)
    else:
        emit(result_text(result))
    if failed:
        raise failed[0]


def _save(result: Result, state: State) -> None:
    """Keep *result* in the state directory, in place of an older one."""
    text = dumps(envelope("bench-copyup", result_json(storage.without_samples(result)))) + "\n"
    with state.locked():
        write_atomically(state.bench, text)
    say(Note("kept in {} for `ovlctl explain`", (state.bench,)))


def _write_file(path: str, text: str, failed: list[OvlError]) -> None:
    try:
        storage.write(path, text)
    except OvlError as error:
        failed.append(error)
