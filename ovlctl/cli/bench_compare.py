"""``ovlctl bench-compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.bench import comparison, storage
from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import Json
from ovlctl.errors import BadUsage, ExitStatus
from ovlctl.show.bench_comparison import comparison_json, comparison_text, warnings


def bench_compare(
    *,
    base: Annotated[str, typer.Argument(metavar="A.json", help="The result to compare with.")],
    other: Annotated[str, typer.Argument(metavar="B.json", help="The result to judge.")],
    threshold: Annotated[float, typer.Option(metavar="PERCENT", help="The smallest difference of interest.")] = 100
    * comparison.THRESHOLD,
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", metavar="slower", help="Exit with 1 when a cell is slower.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare runs made under different conditions too.")] = False,
    json: Json = False,
) -> int:
    """Compare two results of bench-copyup.

    Cell by cell: the ratio of medians with its interval, a rank test adjusted for the number of cells, and a verdict
    that respects the noise of both runs.
    """
    if fail_on not in {None, comparison.Outcome.SLOWER.value}:
        raise BadUsage("`--fail-on` takes slower and nothing else")
    found = comparison.compare(storage.load(base), storage.load(other), threshold=threshold / 100, force=force)
    if json:
        emit_json("bench-compare", comparison_json(found), warnings(found))
    else:
        warn(warnings(found))
        emit(comparison_text(found))
    return ExitStatus.FINDING if fail_on and found.slower else ExitStatus.FINE
