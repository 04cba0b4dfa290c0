"""The JSON schema of a result, made from the dataclasses; ``python -m tests.bench.schema`` writes it to docs/."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from ovlctl.bench.storage import SCHEMA
from ovlctl.bench.terms import Settings
from ovlctl.bench.values import Result

DOCUMENT = Path(__file__).parents[2] / "docs" / "schema" / "bench-copyup.json"


def document() -> dict[str, Any]:
    """The schema of the whole envelope. Keys may be added within version 1, so others are allowed everywhere."""
    definitions: dict[str, Any] = {}
    data = _of(Result, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "description": "What `ovlctl bench-copyup --json` writes. Times are nanoseconds, sizes bytes, null is unknown.",
        "type": "object",
        "required": ["schema", "ovlctl", "kernel", "data", "warnings"],
        "properties": {
            "schema": {"const": SCHEMA},
            "ovlctl": {"type": "string"},
            "kernel": {"type": "string"},
            "data": data,
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: PLR0911 - one per kind of type
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {types.UnionType, Union}:
        return {"anyOf": [_of(arguments[0], definitions), {"type": "null"}]}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if origin is tuple:
        return {"type": "array", "prefixItems": [_of(each, definitions) for each in arguments], "items": False}
    if kind is Settings:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [member.value for member in kind]}
    if dataclasses.is_dataclass(kind):
        return _reference(kind, definitions)
    plain: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean"}
    return {"type": plain[kind]}


def _reference(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}  # taken, should it contain itself
        hints = get_type_hints(kind)
        fields = dataclasses.fields(kind)
        definitions[name] = {
            "description": (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " "),
            "type": "object",
            "required": [field.name for field in fields if field.default is dataclasses.MISSING],
            "properties": {field.name: _of(hints[field.name], definitions) for field in fields},
        }
    return {"$ref": f"#/$defs/{name}"}


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
    DOCUMENT.write_text(json.dumps(document(), indent=2) + "\n", encoding="utf-8")
