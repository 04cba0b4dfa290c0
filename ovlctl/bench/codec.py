"""Results to JSON types and back, by their annotations.

Law: ``decode(type(value), encode(value)) == value`` for every value of :mod:`ovlctl.bench.values`; keys that this
version does not know are ignored, so that newer files stay readable.
"""

from __future__ import annotations

import dataclasses
import types
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ovlctl.bench.terms import Settings

T = TypeVar("T")


def encode(value: Any) -> Any:
    """*value* made of dict, list, str, int, float, bool and None."""
    if isinstance(value, Settings):
        return dict(value.pairs)
    if isinstance(value, StrEnum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return value


def decode(kind: type[T], data: Any) -> T:
    """The *kind* that *data* stands for.

    Raises:
        ValueError: *data* has another shape; the message says where.
    """
    result: T = _decode(kind, data, kind.__name__)
    return result


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, data: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in {types.UnionType, Union}:
        return None if data is None else _decode(get_args(kind)[0], data, where)
    if origin is tuple:
        return _decode_tuple(get_args(kind), data, where)
    if kind is Settings:
        _expect(isinstance(data, dict) and all(isinstance(value, str) for value in data.values()), where)
        return Settings(tuple(data.items()))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        try:
            return kind(data)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, where)
    _expect(_is_plain(kind, data), where)
    return float(data) if kind is float else data


def _is_plain(kind: Any, data: Any) -> bool:
    if isinstance(data, bool):
        return kind is bool
    return isinstance(data, (int, float) if kind is float else kind)


def _decode_tuple(kinds: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(data, list), where)
    if kinds[-1] is Ellipsis:
        return tuple(_decode(kinds[0], item, f"{where}[{index}]") for index, item in enumerate(data))
    _expect(len(data) == len(kinds), where)
    return tuple(_decode(kind, item, where) for kind, item in zip(kinds, data, strict=True))


def _decode_dataclass(kind: Any, data: Any, where: str) -> Any:
    _expect(isinstance(data, dict), where)
    hints = _hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            arguments[field.name] = _decode(hints[field.name], data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING:
            raise ValueError(f"{where}: `{field.name}` is missing")
    return kind(**arguments)


def _expect(condition: bool, where: str) -> None:  # noqa: FBT001 - an assertion
    if not condition:
        raise ValueError(f"{where}: unexpected type")
