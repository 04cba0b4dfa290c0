"""Results as files: round trips, schema, atomic writing."""

from __future__ import annotations

import json
import os
from threading import Thread

import jsonschema
import pytest

from ovlctl.bench import storage
from ovlctl.bench.codec import decode, encode
from ovlctl.bench.values import Result
from ovlctl.errors import BadUsage, OvlError, PathMissing, ResultUnreadable
from ovlctl.show.bench import result_json
from ovlctl.show.envelope import dumps, envelope
from tests.bench import schema


def test_a_result_survives_json(result: Result) -> None:
    """Encoded, written as JSON, read and decoded, it is the same value."""
    assert decode(Result, json.loads(json.dumps(encode(result)))) == result


def test_a_file_gives_the_result_back(result: Result, scratch: str) -> None:
    """What bench-copyup writes is what bench-compare reads."""
    path = os.path.join(scratch, "result.json")
    storage.write(path, dumps(envelope("bench-copyup", result_json(result))))
    assert storage.load(path) == result
    assert os.listdir(scratch) == ["result.json"]


def test_a_result_fits_the_schema(result: Result) -> None:
    """The published schema describes a real result, and refuses one without cells or with times as text."""
    document = json.loads(schema.DOCUMENT.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    found = json.loads(dumps(envelope("bench-copyup", result_json(result), ("a warning",))))
    jsonschema.validate(found, document)
    del found["data"]["cells"][0]["first_ns"]["p50"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, document)


def test_the_schema_is_up_to_date() -> None:
    """The published schema is the one of the values: `python -m tests.bench.schema` writes it."""
    assert json.loads(schema.DOCUMENT.read_text(encoding="utf-8")) == schema.document()


def test_newer_keys_are_ignored(result: Result) -> None:
    """A file of a later version with more keys is read."""
    data = encode(result)
    data["invented_later"] = data["cells"][0]["also"] = 1
    assert decode(Result, data) == result


@pytest.mark.parametrize("times", [[], [0, 1]])
def test_times_that_cannot_be_are_refused(result: Result, scratch: str, times: list[int]) -> None:
    """A cell without samples, or with one that took no time, is damage and no crash."""
    path = os.path.join(scratch, "result.json")
    data = result_json(result)
    data["cells"][0]["samples_ns"] = times
    storage.write(path, dumps(envelope("bench-copyup", data)))
    with pytest.raises(ResultUnreadable, match="damaged"):
        storage.load(path)
    with pytest.raises(ResultUnreadable, match="directory"):
        storage.load(scratch)


@pytest.mark.parametrize("size", [-1, 0, 10**30])
def test_sizes_that_no_file_has(scratch: str, result: Result, size: int) -> None:
    """Nothing is worked out from them, nor from nothing: they would end in the middle of a picture."""
    path, data = os.path.join(scratch, "result.json"), result_json(result)
    data["cells"][0]["size"] = size
    for damaged in (data, {**data, "cells": []}):
        storage.write(path, dumps(envelope("bench-copyup", damaged)))
        with pytest.raises(ResultUnreadable):
            storage.load(path)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", ResultUnreadable),
        ("[]", ResultUnreadable),
        ("[" * 100_000, ResultUnreadable),
        ('{"schema": "ovlctl.ls/1"}', ResultUnreadable),
        ('{"schema": "ovlctl.bench-copyup/1", "data": {"partial": "no"}}', ResultUnreadable),
        ('{"schema": "ovlctl.bench-copyup/1"}', ResultUnreadable),
        (None, PathMissing),
    ],
)
def test_other_files_are_refused(scratch: str, content: str | None, error: type[OvlError]) -> None:
    """Whatever is not a result says so and is no traceback."""
    path = os.path.join(scratch, "file")
    if content is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
    with pytest.raises(error):
        storage.load(path)


def test_what_never_ends_is_not_waited_for(scratch: str) -> None:
    """A named pipe without a writer, and a device that gives for ever, are refused like any other file."""
    os.mkfifo(f"{scratch}/fifo")
    for path in (f"{scratch}/fifo", "/dev/zero"):
        with pytest.raises(ResultUnreadable):
            storage.load(path)


def test_a_result_may_come_through_a_pipe(result: Result) -> None:
    """As a shell's process substitution gives it."""
    reading, writing = os.pipe()
    writer = Thread(target=_write, args=(writing, dumps(envelope("bench-copyup", result_json(result)))))
    writer.start()
    assert storage.load(f"/dev/fd/{reading}") == result
    writer.join()
    os.close(reading)


def _write(descriptor: int, text: str) -> None:
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def test_writing_replaces_the_whole_file(scratch: str) -> None:
    """The old content is gone, a link is followed to its file, and the umask decides the mode."""
    target, link = os.path.join(scratch, "target"), os.path.join(scratch, "link")
    storage.write(target, "a long first content")
    os.symlink("target", link)
    previous = os.umask(0o027)
    try:
        storage.write(link, "second")
    finally:
        os.umask(previous)
    with open(target, encoding="utf-8") as file:
        assert file.read() == "second"
    assert os.path.islink(link)
    assert os.stat(target).st_mode & 0o777 == 0o640


def test_where_nothing_can_be_written_is_said_before(scratch: str) -> None:
    """A directory, a device and a missing directory are no places for a result; an old result is."""
    for path, error in ((scratch, BadUsage), ("/dev/null", BadUsage), (f"{scratch}/no/file", PathMissing)):
        with pytest.raises(error):
            storage.check_writable(path)
    storage.write(f"{scratch}/old", "")
    storage.check_writable(f"{scratch}/old")
    storage.check_writable(f"{scratch}/new")
