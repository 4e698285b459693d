"""`pytest_llm_strategy.strategies`: what return types can express, and whether it survives a reply."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import math
import pathlib
import re
import subprocess
import sys
import typing
import uuid
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import AsyncIterator, Iterator, Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MinLen, MultipleOf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    UUID4,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ByteSize,
    Field,
    FilePath,
    FileUrl,
    FutureDatetime,
    HttpUrl,
    IPvAnyAddress,
    IPvAnyNetwork,
    Json,
    NaiveDatetime,
    PastDate,
    PlainSerializer,
    PostgresDsn,
    RedisDsn,
    RootModel,
    StringConstraints,
    condate,
    condecimal,
    confloat,
    conint,
    conlist,
    conset,
    constr,
    field_validator,
)
from pydantic.types import UuidVersion
from pydantic_core import core_schema
from typing_extensions import TypeAliasType, TypedDict

from llm_strategy import PromptError, ReplyError, ScriptedModel, llm_function, llm_strategy
from pytest_llm_strategy.equality import same
from pytest_llm_strategy.strategies import assert_round_trip, malformed_replies, replies, values
from tests.pytest_llm_strategy.conftest import Project

T = TypeVar("T")

quick = settings(
    max_examples=50, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Options(TypedDict, total=False):
    size: int
    price: Decimal


@dataclass
class Item:
    name: str
    price: Decimal
    stock: Annotated[int, Field(ge=0, le=3)] = 0
    rating: float | None = None
    parts: list[Item] = field(default_factory=list)


@dataclass(frozen=True)
class Tag:
    color: Color
    weight: float


@dataclass
class Code:
    text: str


class Customer(BaseModel):
    key: uuid.UUID
    born: datetime.date = Field(alias="birthdate")
    balance: Decimal = Field(gt=0, max_digits=5, decimal_places=2)
    items: list[Item] = []
    scores: set[float] = set()
    friend: Customer | None = None

    @field_validator("born")
    @classmethod
    def _not_before(cls, value: datetime.date) -> datetime.date:
        if value.year < 1900:
            raise ValueError("long ago")
        return value


@dataclass
class Box(Generic[T]):
    content: T
    spare: list[T] = field(default_factory=list)


@dataclass
class Counted:
    number: int
    twice: int = field(init=False, default=0)


class Pair(NamedTuple, Generic[T]):
    one: T
    two: T


Untyped = namedtuple("Untyped", "a b")  # users have them


class Settings(TypedDict, Generic[T]):
    value: T
    note: NotRequired[Annotated[str, Field(min_length=2)]]


class Chain(BaseModel, Generic[T]):
    head: T
    tail: Chain[T] | None = None


class Numbers(RootModel[list[int]]):
    pass


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Perm(enum.Flag):
    READ = 1
    WRITE = 2


class Part(BaseModel):
    code: Annotated[str, Field(pattern="^[a-z]{4}$")]
    number: Annotated[int, Field(multiple_of=7, ge=3)]
    share: Annotated[float, Field(multiple_of=0.5)]
    price: Annotated[Decimal, Field(multiple_of=Decimal("0.25"), ge=0)]
    name: constr(strip_whitespace=True, to_lower=True, min_length=1)  # type: ignore[valid-type]  # called, as its users do


class OldPart(typing.TypedDict):  # the class of `typing` is the point
    name: str


class Opaque:
    """Nothing says what it is made of."""

    def __init__(self, thing):
        self.thing = thing

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(cls, json_schema_input_schema=core_schema.str_schema())


Nested = TypeAliasType("Nested", "dict[str, Nested] | list[Nested] | int | None")
Several = TypeAliasType("Several", list[T], type_params=(T,))
Number = NewType("Number", int)

ODD_TYPES: list[Any] = [
    Annotated[str, Field(pattern="^[a-z]{4}$")],
    Annotated[str, StringConstraints(pattern=r"^\d{3}-\d{4}$", max_length=8)],
    Annotated[int, Field(multiple_of=7)],
    Annotated[int, MultipleOf(5), Ge(3), Lt(100)],
    Annotated[float, Interval(gt=0, lt=1)],
    Annotated[float, Field(multiple_of=0.5)],
    Annotated[list[int], Len(2, 3)],
    Annotated[dict[str, int], MinLen(1)],
    Annotated[tuple[int, ...], Len(2, 2)],
    Annotated[Decimal, Field(max_digits=4, decimal_places=2)],
    Annotated[Decimal, Field(multiple_of=Decimal("0.1"))],
    Annotated[datetime.datetime, Gt(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))],
    Annotated[str, Field(min_length=2)] | None,
    Annotated[Annotated[int, Ge(5)], Le(6)],
    conint(gt=3, lt=9),
    confloat(ge=0.5, allow_inf_nan=False),
    constr(min_length=2, max_length=4, to_upper=True),
    condecimal(max_digits=3),
    condate(gt=datetime.date(2020, 1, 1)),
    conlist(int, max_length=2),
    conset(int, min_length=1),
    AnyUrl,
    HttpUrl,
    FileUrl,
    RedisDsn,
    PostgresDsn,
    Json,
    Json[list[int]],
    AwareDatetime,
    NaiveDatetime,
    PastDate,
    FutureDatetime,
    ByteSize,
    UUID4,
    Annotated[uuid.UUID, UuidVersion(7)],
    IPvAnyAddress,
    IPvAnyNetwork,
    ipaddress.IPv4Interface,
    pathlib.Path,
    datetime.time,
    datetime.timedelta,
    Base64Bytes,
    Perm,
    Any,
    list[Any],
    dict[str, Any],
    list,
    dict,
    set,
    list[None],
    tuple[()],
    deque[int],
    OrderedDict[str, int],
    Mapping[str, int],
    Set[int],
    Counter[str],
    Box[int],
    Box[list[Decimal]],
    Box,
    Counted,
    Pair[int],
    Untyped,
    Settings[int],
    Chain[int],
    Chain,
    Numbers,
    Annotated[Cat | Dog, Field(discriminator="kind")],
    Part,
    Nested,
    Several[int],
    Number,
]

TYPES: list[Any] = [
    int,
    str,
    bool,
    float,
    None,
    int | None,
    int | str,
    list[int],
    dict[str, float],
    dict[int, str],
    dict[float, int],
    tuple[int, str],
    tuple[float, ...],
    set[float],
    frozenset[str],
    Literal["a", 1, None],
    Color,
    Rank,
    dict[Color, Rank],
    datetime.date,
    datetime.datetime,
    uuid.UUID,
    Decimal,
    Annotated[int, Field(ge=3, le=5)],
    list[Annotated[str, Field(min_length=2, max_length=3)]],
    Point,
    Options,
    Item,
    set[Tag],
    Customer,
    list[Customer] | None,
]


@pytest.mark.parametrize("kind", [*TYPES, *ODD_TYPES], ids=str)
def test_values_come_back(kind: Any) -> None:
    """Values of the common types are equal after a reply, and of the same class, NaN and infinities included."""
    assert_round_trip(kind, max_examples=20)


@pytest.mark.parametrize("kind", [int, str, float | None, dict[str, float], Customer, list[Item]], ids=str)
def test_replies_stand_for_their_values(kind: Any) -> None:
    """Every pair is a text and the value that the library reads in it, whatever stands around."""
    function = returning(kind)
    layouts = set()

    @quick
    @given(replies(function))
    def check(pair: tuple[str, Any]) -> None:
        layouts.add(re.sub(r"\{.*\}", "", pair[0], flags=re.DOTALL))
        assert same(function.parse(pair[0]), pair[1])

    check()
    assert len(layouts) > 3


@pytest.mark.parametrize("kind", [int, str, Customer, dict[str, list[float]], Literal["a"]], ids=str)
def test_malformed_replies_give_a_value_or_a_reply_error(kind: Any) -> None:
    """No text makes the parser raise anything but ReplyError, and most of these are refused."""
    function = returning(kind)
    refused = []

    @settings(quick, max_examples=200)
    @given(malformed_replies(function))
    def check(text: str) -> None:
        try:
            function.parse(text)
        except ReplyError:
            refused.append(text)

    check()
    assert len(refused) > 100


def returning(kind: Any, **options: Any) -> Any:
    """A decorated function that returns the type."""

    def function() -> Any:
        """Return anything."""
        raise NotImplementedError

    function.__annotations__["return"] = kind
    return llm_strategy(ScriptedModel([]), **options)(function)


def test_strict_functions_get_replies_without_noise() -> None:
    """`noise=False` leaves out what only a lenient function accepts."""
    function = returning(str, strict_replies=True)

    @quick
    @given(replies(function, noise=False))
    def check(pair: tuple[str, str]) -> None:
        assert function.parse(pair[0]) == pair[1]

    check()
    with pytest.raises(ReplyError):
        function.parse('Here: {"return_value": "a"}')


# Functions


@llm_strategy(ScriptedModel([]))
@dataclass
class Shop:
    goods: list[str]

    def find(self, query: str) -> list[Item]:
        """Find goods."""
        raise NotImplementedError

    async def afind(self, query: str) -> Item | None:
        """Find one thing."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How big the shop is."""
        raise NotImplementedError

    @staticmethod
    def slogan() -> str:
        """Make a slogan."""
        raise NotImplementedError

    @classmethod
    def founded(cls) -> datetime.date:
        """When it was founded."""
        raise NotImplementedError

    def undescribed(self) -> str:
        raise NotImplementedError


@llm_function
def summary(model, text: str) -> str:
    """Sum up the text."""
    raise NotImplementedError


@pytest.mark.parametrize(
    "function",
    [Shop.find, Shop([]).find, Shop.afind, Shop.__dict__["size"], Shop.slogan, Shop.founded, summary],
    ids=["method", "bound", "async", "property", "static", "class", "llm_function"],
)
def test_a_function_stands_for_its_return_type(function: Any) -> None:
    """Methods, properties and functions are taken as they are found on a class or an object; no model is asked."""
    assert_round_trip(function, max_examples=10)


def test_what_no_model_implements_is_refused() -> None:
    """A plain function has no parser, and a member that cannot be implemented says why."""
    with pytest.raises(TypeError, match=r"returning is no function that a model implements: decorate it"):
        values(returning)
    with pytest.raises(PromptError, match="has no docstring"):
        values(Shop.undescribed)


# What goes wrong


def test_a_lost_value_is_shown_with_its_reply_and_what_came_back() -> None:
    """The AssertionError holds the simplest value that is lost, and is the same at every run."""

    class Lossy(BaseModel):
        ratio: Annotated[float, PlainSerializer(round, return_type=int)] = Field(ge=0, le=10)

    messages = []
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            assert_round_trip(Lossy)
        messages.append(str(caught.value))
    value, reply, back = messages[0].splitlines()[1:]
    assert messages[0].startswith(f"a value of {Lossy.__qualname__} is lost")
    assert value.startswith("value:     Lossy(ratio=")
    assert value.endswith(f"({Lossy.__qualname__})")
    assert re.fullmatch(r'reply:     \{"return_value": \{"ratio": \d+\}\}', reply)
    assert re.match(r"came back: Lossy\(ratio=\d+\.0\)", back)
    assert messages[0] == messages[1]


def test_a_value_that_has_no_reply_is_shown_with_the_reason() -> None:
    """Where what serialisation makes is no value of the type, or there is nothing it can make."""
    unreadable = Annotated[int, PlainSerializer(lambda value: "much")]
    with pytest.raises(AssertionError, match=r"(?s)cannot be written as a reply\nvalue: +0 \(int\)\nreason: .*integer"):
        assert_round_trip(unreadable)
    with pytest.raises(AssertionError, match=r"a value of type.int. cannot be written as a reply"):
        assert_round_trip(type[int])


def test_a_class_counts() -> None:
    """1, 1.0 and True are equal to Python and different answers; NaN is like NaN."""
    assert not same([1], [True])
    assert not same({"a": 1}, {"a": 1.0})
    assert not same(Tag(Color.RED, 1.0), Tag(Color.RED, 1))
    assert same({"a": [math.nan], "b": 1}, {"b": 1, "a": [math.nan]})
    assert same({math.nan, 1.0}, {1.0, math.nan})
    assert not same({1}, {1, 2})


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (list[FilePath], "no values of list.*: hypothesis finds hardly any value that pydantic accepts"),
        (Opaque, "no values of Opaque: Could not resolve"),
    ],
    ids=str,
)
def test_a_type_without_values_is_named_with_the_cure(kind: Any, reason: str) -> None:
    """What it cannot do it says, and how to register a strategy."""
    with pytest.raises(TypeError, match=rf"{reason}.*hypothesis\.strategies\.register_type_strategy"):
        assert_round_trip(kind)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes the TypedDict of typing from 3.12 on")
def test_a_typed_dict_of_typing_has_no_values_on_old_pythons() -> None:
    """pydantic's advice is the cure."""
    with pytest.raises(TypeError, match=r"no values of OldPart: Please use `typing_extensions\.TypedDict`"):
        assert_round_trip(OldPart)


def test_a_type_that_no_reply_can_be_is_refused_as_by_the_decorator() -> None:
    """The library's own error says why pydantic cannot validate a type."""
    with pytest.raises(PromptError, match="no reply can be turned into its return type"):
        values(type(sys))


@pytest.mark.parametrize(
    "kind",
    [Part, HttpUrl, AwareDatetime, Box[Annotated[int, Field(multiple_of=1000)]]],
    ids=["model", "url", "aware", "box"],
)
def test_the_values_of_constrained_types_are_many(kind: Any) -> None:
    """A constraint that `from_type` meets by chance, or never, is met by construction."""
    found = set()

    @quick
    @given(values(kind))
    def collect(value: Any) -> None:
        found.add(repr(value))

    collect()
    assert len(found) > 15


def test_streams_stand_for_what_they_yield() -> None:
    """The values of an iterator are those of the list that its reply holds."""

    @quick
    @given(values(Iterator[int]))
    def check(value: list[int]) -> None:
        assert all(isinstance(item, int) for item in value)

    check()
    assert_round_trip(AsyncIterator[Item], max_examples=10)


def test_registered_strategies_are_used() -> None:
    """A class with a strategy of its own gets its values from there, wherever it stands."""

    st.register_type_strategy(Code, st.just(Code("X")))

    @quick
    @given(values(dict[str, list[Code]]))
    def check(value: dict[str, list[Code]]) -> None:
        assert all(code == Code("X") for codes in value.values() for code in codes)

    check()


# As its users run it


def test_in_a_plain_test(project: Project) -> None:
    """`assert_round_trip` needs no decorator, no cassette and no model; a loss fails the test with its account."""
    project.write(
        test_it="""
from typing import Annotated
from pydantic import PlainSerializer
from pytest_llm_strategy.strategies import assert_round_trip
from shop import Shop

def test_goods(llm_calls):
    assert_round_trip(Shop.find)
    assert not llm_calls

def test_lost():
    assert_round_trip(Annotated[int, PlainSerializer(lambda value: value // 2)])
"""
    )
    result = project.pytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: a value of *int* is lost*", "E*came back: *"])
    assert project.asked == 0


def test_without_hypothesis() -> None:
    """Importing the strategies without hypothesis says what to install."""
    code = "import sys; sys.modules['hypothesis'] = None; import pytest_llm_strategy.strategies"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'ModuleNotFoundError: pytest_llm_strategy.strategies needs hypothesis: pip install "llm-strategy[test]"' in (
        result.stderr
    )
