"""The published JSON schemas."""

from __future__ import annotations

import json
import os
from typing import Any

import jsonschema

_DIRECTORY = os.path.join(os.path.dirname(__file__), "..", "docs", "schema")


def schema(name: str) -> Any:
    """The schema of one kind of result."""
    with open(os.path.join(_DIRECTORY, f"{name}.json"), encoding="ascii") as file:
        return json.load(file)


def valid(name: str, value: Any) -> Any:
    """*value*, which keeps to the schema *name*."""
    jsonschema.validate(value, schema(name))
    return value
