"""A hypothesis strategy of return types: primitives, containers, unions and freshly made classes, nested.

Within a union, no two members are written in the same form of JSON: of `str | date`, nobody can tell which
member "2020-01-01" is.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import itertools
import re
import uuid
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from ipaddress import IPv4Address
from operator import or_
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, create_model
from typing_extensions import TypedDict

T = TypeVar("T")


class Kind(NamedTuple):
    """A type, the form of JSON that its values are written in, whether they can be elements of sets.

    `alone` are types of which pydantic takes other forms too, or takes other types for them: no union has them.
    """

    annotation: Any
    form: Literal["null", "bool", "number", "string", "array", "object"]
    hashable: bool = True
    alone: bool = False


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    spare: list[T] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Tree:
    name: str
    children: tuple[Tree, ...] = ()


class Chain(BaseModel, Generic[T]):
    head: T
    tail: Chain[T] | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    friends: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = []


_NUMBERS = [int, float, Literal[1, 2], Annotated[int, Field(ge=-3, le=3)], Annotated[int, Field(multiple_of=7)]]
_TEXTS = [
    str,
    datetime.date,
    datetime.time,
    datetime.datetime,
    datetime.timedelta,
    uuid.UUID,
    Decimal,
    Fraction,
    Color,
    Literal["a", "", "{"],
    PurePosixPath,
    HttpUrl,
    bytes,
    re.Pattern[str],
    Annotated[str, Field(pattern="^[a-z]{2}[0-9]+$")],
    Annotated[Decimal, Field(max_digits=5, decimal_places=2)],
]
_KEYS = [str, int, datetime.date, uuid.UUID, Color, Decimal, Literal["a", "b"], tuple[int, str], bytes]

PRIMITIVES = [
    Kind(None, "null"),
    Kind(bool, "bool"),
    *(Kind(number, "number") for number in _NUMBERS),
    *(Kind(text, "string") for text in _TEXTS),
    Kind(Rank, "number", alone=True),  # in `Rank | Decimal`, 2 is read as a Decimal
    Kind(IPv4Address, "string", alone=True),  # made from numbers too
]
RECURSIVE = [
    Kind(Tree, "object"),
    Kind(Dog, "object", hashable=False),
    Kind(Annotated[Cat | Dog, Field(discriminator="kind")], "object", hashable=False),
]

_numbers = itertools.count(1)


def types(depth: int = 4) -> st.SearchStrategy[Any]:
    """Types whose deepest value has `depth` containers or objects around it."""
    return _kinds(depth).map(lambda kind: kind.annotation)


def _kinds(depth: int) -> st.SearchStrategy[Kind]:
    plain = st.sampled_from([*PRIMITIVES, *RECURSIVE])
    if depth == 0:
        return plain
    # Half of the parts are plain: a tree of types that is full at every level says no more, and takes long.
    inner = st.booleans().flatmap(lambda deep: _kinds(depth - 1) if deep else plain)
    hashed = inner.filter(lambda kind: kind.hashable)
    return st.one_of(
        plain,
        inner.map(lambda kind: Kind(list[kind.annotation], "array", hashable=False)),
        hashed.map(lambda kind: Kind(set[kind.annotation], "array", hashable=False)),
        hashed.map(lambda kind: Kind(frozenset[kind.annotation], "array")),
        inner.map(lambda kind: Kind(tuple[kind.annotation, ...], "array", kind.hashable)),
        st.lists(inner, max_size=3).map(_tuple),
        st.builds(_dict, st.sampled_from(_KEYS), inner),
        st.lists(
            inner.filter(lambda kind: not kind.alone), min_size=2, max_size=4, unique_by=lambda kind: kind.form
        ).map(_union),
        inner.map(lambda kind: Kind(Box[kind.annotation], "object", hashable=False)),
        inner.map(lambda kind: Kind(Chain[kind.annotation], "object", hashable=False)),
        st.builds(_class, st.sampled_from(_CLASSES), st.lists(inner, min_size=1, max_size=3), st.booleans()),
    )


def _tuple(parts: list[Kind]) -> Kind:
    return Kind(tuple[tuple(part.annotation for part in parts)], "array", all(part.hashable for part in parts))


def _dict(key: Any, value: Kind) -> Kind:
    return Kind(dict[key, value.annotation], "object", hashable=False)


def _union(members: list[Kind]) -> Kind:
    annotation = reduce(or_, [type(None) if member.annotation is None else member.annotation for member in members])
    # Python makes one union of a union in a union, whose members then might be written alike.
    return Kind(annotation, members[0].form, all(member.hashable for member in members), alone=True)


def _class(make: Any, parts: list[Kind], optional: bool) -> Kind:
    annotations = {f"part{number}": part.annotation for number, part in enumerate(parts)}
    made = make(f"Made{next(_numbers)}", annotations, optional)
    return Kind(made, "array" if issubclass(made, tuple) else "object", hashable=False)


def _dataclass(name: str, parts: dict[str, Any], optional: bool) -> type:
    fields: list[Any] = list(parts.items())
    if optional:
        fields.append(("last", int, dataclasses.field(default=7)))
    return dataclasses.make_dataclass(name, fields, slots=optional)


def _named_tuple(name: str, parts: dict[str, Any], _optional: bool) -> Any:
    return NamedTuple(name, list(parts.items()))


def _typed_dict(name: str, parts: dict[str, Any], optional: bool) -> Any:
    keys = {**parts, "last": NotRequired[int]} if optional else parts
    return TypedDict(name, keys)  # type: ignore[operator]  # made from values


def _model(name: str, parts: dict[str, Any], optional: bool) -> Any:
    fields: dict[str, Any] = {part: (annotation, ...) for part, annotation in parts.items()}
    if optional:
        fields["aliased"] = (int, Field(default=1, alias="other name"))
    return create_model(name, __config__=ConfigDict(frozen=optional), **fields)


_CLASSES = [_dataclass, _named_tuple, _typed_dict, _model]
