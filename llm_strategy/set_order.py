"""The items of a set in a default value, in an order that does not depend on the run.

pydantic writes defaults into schemas. Newer versions sort a set whose items can be compared; a set of enum members or
of sets, one within another value, and any set in older versions stand there in the order of their hashes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Set
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from llm_strategy.canonical import canonical

Encode = Callable[[Any], Any]

_ORDERED = (str, bytes, int, float, Decimal, date, time, timedelta, UUID, PurePath)


def in_order(value: Any, encoded: Any, encode: Encode) -> Any:
    """The JSON form of a value, with its sets in order. `encode` gives the JSON form of a single item."""
    if isinstance(value, Set) and isinstance(encoded, list):
        return _sorted(value, encode)
    if isinstance(value, list | tuple) and isinstance(encoded, list) and len(value) == len(encoded):
        return [in_order(item, text, encode) for item, text in zip(value, encoded, strict=True)]
    if isinstance(encoded, dict):
        if isinstance(value, Mapping) and len(value) == len(encoded):
            pairs = zip(value.values(), encoded.items(), strict=True)
            return {name: in_order(item, text, encode) for item, (name, text) in pairs}
        return {**encoded, **{name: in_order(item, encoded[name], encode) for name, item in _fields(value, encoded)}}
    return encoded


def _sorted(items: Set[Any], encode: Encode) -> list[Any]:
    """As pydantic sorts them, where their order is a total one."""
    try:
        if all(map(_is_ordered, items)):
            return [encode(item) for item in sorted(items)]
    except TypeError:
        pass
    return sorted([in_order(item, encode(item), encode) for item in items], key=canonical)


def _is_ordered(item: Any) -> bool:
    return all(map(_is_ordered, item)) if isinstance(item, tuple) else isinstance(item, _ORDERED)


def _fields(value: Any, encoded: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of an object under the names that its JSON form has for them."""
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            written = (info.serialization_alias, info.alias, name)
            yield from ((known, getattr(value, name)) for known in written if known is not None and known in encoded)
    elif dataclasses.is_dataclass(value):
        yield from (
            (item.name, getattr(value, item.name)) for item in dataclasses.fields(value) if item.name in encoded
        )
