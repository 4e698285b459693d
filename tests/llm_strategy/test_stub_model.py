"""`StubModel`: the smallest answer that a schema allows, always the same."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field, NegativeInt, PositiveFloat, PositiveInt
from typing_extensions import TypedDict

from llm_strategy import Cassette, Message, ModelError, Request, StubModel, llm_strategy, use_cassette


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Place:
    name: str
    floor: int
    tags: list[str]
    note: str | None = None


class Pair(NamedTuple):
    x: int
    y: str


class Options(TypedDict):
    limit: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1)]


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str
    owner: str


class Tree(BaseModel):
    value: int
    children: list[Tree]


class Chain(BaseModel):
    value: int
    rest: Chain | None


class Endless(BaseModel):
    rest: Endless


VALUES: dict[str, tuple[Any, Any]] = {
    "text": (str, ""),
    "whole number": (int, 0),
    "number": (float, 0.0),
    "truth": (bool, False),
    "nothing": (None, None),
    "optional": (int | None, None),
    "union": (list[int] | int, 0),
    "list": (list[int], []),
    "two at least": (Annotated[list[int], Field(min_length=2)], [0, 0]),
    "set": (set[int], set()),
    "dict": (dict[str, int], {}),
    "tuple": (tuple[int, str], (0, "")),
    "named tuple": (Pair, Pair(0, "")),
    "typed dict": (Options, {"limit": 0}),
    "dataclass": (Place, Place("", 0, [])),
    "list of dataclasses": (list[Place], []),
    "enumeration": (Color, Color.RED),
    "literal": (Literal["a", "b"], "a"),
    "one literal": (Literal["only"], "only"),
    "choice of models": (Annotated[Cat | Dog, Field(discriminator="kind")], Cat(kind="cat", lives=1)),
    "tree": (Tree, Tree(value=0, children=[])),
    "chain": (Chain, Chain(value=0, rest=None)),
    "at least": (Annotated[int, Field(ge=3)], 3),
    "more than": (Annotated[int, Field(gt=3)], 4),
    "at most": (Annotated[int, Field(le=-3)], -3),
    "less than": (Annotated[int, Field(lt=-3)], -4),
    "positive": (PositiveInt, 1),
    "negative": (NegativeInt, -1),
    "positive number": (PositiveFloat, 1.0),
    "small positive number": (Annotated[float, Field(gt=0, le=0.5)], 0.5),
    "between": (Annotated[float, Field(gt=0.2, lt=0.4)], pytest.approx(0.3)),
    "steps": (Annotated[int, Field(ge=4, multiple_of=5)], 5),
    "zero in bounds": (Annotated[int, Field(ge=-5, le=5)], 0),
    "length": (Annotated[str, Field(min_length=3)], "aaa"),
    "date": (datetime.date, datetime.date(1970, 1, 1)),
    "date and time": (datetime.datetime, datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)),
    "time": (datetime.time, datetime.time()),
    "duration": (datetime.timedelta, datetime.timedelta()),
    "decimal": (decimal.Decimal, decimal.Decimal(0)),
    "uuid": (uuid.UUID, uuid.UUID("00000000-0000-4000-8000-000000000000")),
    "path": (Path, Path()),
    "address": (ipaddress.IPv4Address, ipaddress.IPv4Address("0.0.0.0")),
    "bytes": (bytes, b""),
    "four bytes": (Annotated[bytes, Field(min_length=4)], bytes(4)),
    "tuple keys": (dict[tuple[int, str], int], {}),
    "text or date": (str | datetime.date, ""),
    "set or list": (Annotated[set[int], Field(min_length=1)] | list[int], {0}),
    "anything": (Any, None),
}


def ask(annotation: Any, model: Any = "stub:") -> Any:
    def answer() -> Any:
        """Answer."""
        raise NotImplementedError

    answer.__annotations__["return"] = annotation
    return llm_strategy(StubModel(recorded=False) if model == "stub:" else model)(answer)()


@pytest.mark.parametrize(("annotation", "value"), VALUES.values(), ids=VALUES)
def test_the_smallest_value_of_a_type_is_answered(annotation: Any, value: Any) -> None:
    """Empty, zero or the nearest bound, the first of a choice; and it fits the type."""
    assert ask(annotation) == value


def test_what_cannot_be_invented_is_said() -> None:
    """A text that has to match a pattern: the message says what to use instead."""
    with pytest.raises(ModelError, match=r"cannot invent a text for the pattern '\^\[A-Z\]\+\$': use ScriptedModel"):
        ask(Annotated[str, Field(pattern="^[A-Z]+$")])


def test_a_type_that_contains_itself_without_end_is_said() -> None:
    """And not tried for ever."""
    with pytest.raises(ModelError, match="contains itself without end"):
        ask(Endless)


def test_free_text_is_answered_with_nothing() -> None:
    """A request without a schema has an empty answer."""
    response = StubModel().generate(Request("stub:", (Message("user", "Hello?"),)))

    assert (response.content, response.model) == ("", "stub")


def test_a_stub_is_recorded_unless_told_otherwise(tmp_path: Path) -> None:
    """As a provider's model, so that code can be wired together before a provider is chosen."""
    with use_cassette(tmp_path / "x.yaml", "new"):
        assert ask(int, StubModel()) == 0
        assert ask(int, StubModel(recorded=False)) == 0

    assert [call.request.model for call in Cassette(tmp_path / "x.yaml")] == ["stub:"]
