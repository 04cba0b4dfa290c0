"""``ovlctl bench-copyup`` and ``ovlctl bench-compare`` from the command line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ovlctl.errors import AccessDenied, BadUsage, NotEnoughSpace, OvlError, PathMissing, ResultUnreadable, RunTooLong
from tests.bench import schema

if TYPE_CHECKING:
    from tests.conftest import Cli

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")
_SHORT = ("--size", "4K,64K", "--samples", "6", "--no-identity")


def test_files_are_written_and_compared(cli: Cli, scratch: str) -> None:
    """Text goes to stdout; JSON, CSV and SVG to their files; two such files can be compared."""
    names = {name: os.path.join(scratch, name) for name in ("a.json", "b.json", "a.csv", "a.svg")}
    done = cli(
        "bench-copyup", "--dir", scratch, *_SHORT, "--json", names["a.json"], "--csv", names["a.csv"], "--svg",
        names["a.svg"],
    )  # fmt: skip
    assert done.status == 0, done.stderr
    assert done.stdout.startswith("copy-up: ")
    assert done.stderr == ""
    with open(names["a.json"], encoding="utf-8") as file:
        jsonschema.validate(json.load(file), schema.document())
    assert cli("bench-copyup", "--dir", scratch, *_SHORT, "--json", names["b.json"]).status == 0
    assert sorted(os.listdir(scratch)) == sorted(names)
    compared = cli("bench-compare", names["a.json"], names["b.json"], "--json")
    assert compared.status == 0, compared.stderr
    with open(os.path.join(_SCHEMAS, "bench-compare.json"), encoding="utf-8") as file:
        jsonschema.validate(compared.json, json.load(file))
    assert [cell["cell"]["size"] for cell in compared.data["cells"]] == [4096, 65536]
    itself = cli("bench-compare", names["a.json"], names["a.json"], "--fail-on", "slower")
    assert itself.status == 0
    assert "slower" not in itself.stdout


def test_json_on_standard_output_is_the_envelope(cli: Cli, scratch: str) -> None:
    """``--json -`` prints one object instead of the text."""
    done = cli("bench-copyup", "--dir", scratch, "--size", "4K", "--samples", "2", "--no-identity", "--json", "-")
    assert done.status == 0, done.stderr
    assert done.json["schema"] == "ovlctl.bench-copyup/1"
    jsonschema.validate(done.json, schema.document())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--size", "0"), BadUsage),
        (("--size", "4kB"), BadUsage),
        (("--op", "fly"), BadUsage),
        (("--fs", "vfat"), BadUsage),
        (("--sweep", "bogus=on"), BadUsage),
        (("--cache", "tepid"), BadUsage),
        (("--samples", "0"), BadUsage),
        (("--json", "/"), BadUsage),
        (("--json", ""), BadUsage),
        (("--csv", "-"), BadUsage),
        (("--json", "/tmp/ovlctl-x", "--svg", "/tmp/../tmp/ovlctl-x"), BadUsage),
        (("--csv", "/proc/x.csv"), AccessDenied),
        (("--dir", "/proc"), AccessDenied),
        (("--fs", "tmpfs", "--cache", "cold"), BadUsage),
        (("--svg", "/nowhere/at/all.svg"), PathMissing),
        (("--dir", "/nowhere/at/all"), PathMissing),
        (("--size", "60G,61G,62G,63G,64G", "--samples", "1"), NotEnoughSpace),
        (("--size", "4K", "--samples", "90000", "--max-time", "1"), RunTooLong),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value.code,
)
def test_what_cannot_be_done_is_said_at_once(
    cli: Cli, scratch: str, arguments: tuple[str, ...], error: type[OvlError]
) -> None:
    """One error with its own code, nothing on stdout, nothing left."""
    done = cli("bench-copyup", "--dir", scratch, *arguments)
    assert done.status == error.exit_status
    assert f"[{error.code} " in done.stderr
    assert done.stdout == ""
    assert os.listdir(scratch) == []


def test_comparing_other_files_is_an_error(cli: Cli, scratch: str) -> None:
    """Not a result, and not there."""
    path = os.path.join(scratch, "x.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write("{}")
    assert cli("bench-compare", path, path).status == ResultUnreadable.exit_status
    assert cli("bench-compare", path, f"{path}.no").status in {2, 3}
