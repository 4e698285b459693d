"""Sets in the defaults of a schema: the same order in every run."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field

from llm_strategy.schema import Output
from llm_strategy.set_order import in_order
from tests.llm_strategy.programs import output


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Inner(BaseModel):
    words: set[str] = Field({"b", "a"}, alias="theWords")


@dataclass
class Plain:
    colors: frozenset[Color] = frozenset(Color)
    more: list[Any] = field(default_factory=list)


def text(value: Any) -> Any:
    """A stand-in for pydantic: sets in whatever order they come."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, set | frozenset | tuple | list):
        return [text(item) for item in value]
    return str(value) if isinstance(value, Decimal | timedelta | date) else value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({3, 20, 1}, [1, 3, 20]),
        ({Decimal(10), Decimal(9)}, ["9", "10"]),
        ({("b", 1), ("a", 2)}, [["a", 2], ["b", 1]]),
        (set(Color), ["blue", "green", "red"]),
        ({frozenset("ab"), frozenset("b"), frozenset()}, [["a", "b"], ["b"], []]),
        ({1, "a", None}, ["a", 1, None]),
        ({1, "a"}, ["a", 1]),
        ([{"b", "a"}, 1], [["a", "b"], 1]),
        ({date(2024, 1, 2), date(2023, 1, 2)}, ["2023-01-02", "2024-01-02"]),
        (set(), []),
    ],
)
def test_the_order_of_a_set(value: Any, expected: Any) -> None:
    """As Python sorts it where it can, else by the JSON of its items."""
    assert in_order(value, text(value), text) == expected


def test_what_is_written_in_a_way_of_its_own_stays() -> None:
    """A serializer may make a text of a set, or leave out fields."""
    assert in_order({"b", "a"}, "b+a", text) == "b+a"
    assert in_order(Inner(), {"other": 1}, text) == {"other": 1}
    assert in_order(Inner(), {"theWords": ["b", "a"]}, text) == {"theWords": ["a", "b"]}
    assert in_order(Plain(), {"colors": ["x"], "computed": 2}, text) == {
        "colors": ["blue", "green", "red"],
        "computed": 2,
    }
    assert in_order({"k": {"b", "a"}}, {"k": ["b", "a"]}, text) == {"k": ["a", "b"]}
    assert in_order([1, 2], [1], text) == [1]


class Outer(BaseModel):
    inner: Inner = Inner()
    plain: Plain = Plain()
    groups: dict[str, set[Color]] = {"all": set(Color)}


def test_defaults_within_defaults() -> None:
    """A model's, a dataclass's, and a mapping's."""
    properties = Output(Outer, "f").schema["$defs"]["Outer"]["properties"]
    assert properties["inner"]["default"] == {"theWords": ["a", "b"]}
    assert properties["plain"]["default"] == {"colors": ["blue", "green", "red"], "more": []}
    assert properties["groups"]["default"] == {"all": ["blue", "green", "red"]}


def test_the_schema_is_the_same_in_every_run() -> None:
    """Whatever the hash seed."""
    program = "from tests.llm_strategy.test_set_order import Outer, Output; print(Output(Outer, 'f').schema)"
    assert len({output(program, PYTHONHASHSEED=seed) for seed in "1234"}) == 1
