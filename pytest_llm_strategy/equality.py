"""When two values are the same answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same classes, in every part; NaN is like NaN."""
    parts, others = _parts(one), _parts(other)
    if type(one) is not type(other) or len(parts) != len(others):
        return False
    if isinstance(one, Mapping | AbstractSet):
        return all(any(same(part, found) for found in others) for part in parts)
    if parts:
        return all(map(same, parts, others))
    return bool(one == other or (one != one and other != other))


def all_parts(value: Any) -> Iterator[Any]:
    """A value and everything that it is made of."""
    yield value
    for part in _parts(value):
        yield from all_parts(part)


def _parts(value: Any) -> list[Any]:
    """What a value is made of; nothing for one that is a whole."""
    if isinstance(value, BaseModel):
        return [value.__dict__, *([value.__pydantic_extra__] if value.__pydantic_extra__ else [])]
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value) if hasattr(value, field.name)]
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, SecretStr | SecretBytes):
        return [value.get_secret_value()]
    return list(value) if isinstance(value, list | tuple | set | frozenset | deque) else []
