"""What a return type can express comes back equal: the value, its reply, the value again."""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import pickle
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    field_validator,
)

from llm_strategy import PromptError, ReplyError, Response, ScriptedModel, call_log, llm_strategy
from llm_strategy.reply import parse
from llm_strategy.schema import Output

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Term(enum.Enum):
    SPRING = date(2020, 3, 1)
    PRICE = Decimal("1.10")
    PAIR = (1, "a")
    WORD = "word"
    NOTHING = None


class Signal(enum.Enum):
    START = b"\xff"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: bytes = b""


@dataclass
class Tree:
    value: bytes
    children: list[Tree] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    room: int
    floor: str = "1"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tag: UUID


class Box(BaseModel, Generic[T]):
    content: T


class Chain(BaseModel):
    data: bytes
    next: Chain | None = None


class Hexadecimal(BaseModel):
    model_config = ConfigDict(val_json_bytes="hex", ser_json_bytes="hex")
    data: bytes


class Renamed(BaseModel):
    inside: int = Field(validation_alias="read", serialization_alias="written")
    hidden: int = Field(exclude=True)
    plain: int = Field(alias="other")


class Options(typing_extensions.TypedDict, total=False):
    limit: typing_extensions.Required[int]
    inner: list[Options]


class OldOptions(typing.TypedDict, total=False):  # the class of `typing` is the point
    limit: typing.Required[int]
    inner: list[OldOptions]


class Rewritten(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    two: int = Field(default=0, validation_alias=AliasChoices("first", "second"))
    own: int = Field(default=0, serialization_alias="written")


class Step(NamedTuple):
    x: int
    y: int


class Seats(BaseModel):
    taken: dict[Place, str]
    free: dict[Place | int, str]
    last: Place


class Everything(BaseModel):
    model_config = ConfigDict(frozen=True)
    keys: dict[tuple[int, bytes], Decimal]
    either: str | date
    points: list[Point]
    tree: Tree


INDIA = timezone(timedelta(hours=5, minutes=30))

VALUES: dict[str, tuple[Any, list[Any]]] = {
    "int": (int, [0, -1, 2**63, -(2**64) - 1, 10**4000]),
    "float": (float, [0.1, -0.0, 1.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]),
    "bool": (bool, [True, False]),
    "None": (None, [None]),
    "str": (
        str,
        ["", 'say "hi"', "{}[]\\", "```json\n{}\n```", "\u2028\x85\x00\x7f", "\U0001f600", "\ud800", "\udfff\ud800x"],
    ),
    "Decimal": (Decimal, [Decimal(text) for text in ("1.10", "0.12345678901234567890123456789", "1E+400", "-0", "5")]),
    "date": (date, [date(1, 1, 1), date(9999, 12, 31)]),
    "time": (time, [time(23, 59, 59, 999999), time(1, 2, tzinfo=UTC)]),
    "datetime": (datetime, [datetime(1, 1, 1), datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=INDIA)]),  # noqa: DTZ001  # naive on purpose
    "timedelta": (timedelta, [timedelta(-1, 0, 1), timedelta.max, timedelta.min, timedelta()]),
    "UUID": (UUID, [UUID(int=0), UUID(int=2**128 - 1)]),
    "bytes": (bytes, [b"", b"text", b"\xff\xfe\x00", bytes(range(256))]),
    "Enum": (Color, list(Color)),
    "Enum of what JSON has no form for": (Term, list(Term)),
    "keys of such an Enum": (dict[Term, int], [{Term.SPRING: 1, Term.WORD: 2}]),
    "IntEnum": (Level, list(Level)),
    "Literal": (Literal["a", 1, None, Level.LOW, b"b"], ["a", 1, None]),
    "Optional": (int | None, [None, 3]),
    "int | str": (int | str, ["5", 5, "", "five"]),
    "str | date": (str | date, ["2020-01-02", date(2020, 1, 2), "x"]),
    "date | str": (date | str, ["2020-01-02", date(2020, 1, 2), "x"]),
    "bytes | str": (bytes | str, [b"\xff", "YQ==", "a b"]),
    "float | int | bool": (float | int | bool, [1, 1.0, True]),
    "Path | UUID | str": (Path | UUID | str, [Path("a"), UUID(int=1), "a"]),
    "str | UUID": (str | UUID, ["00000000-0000-0000-0000-000000000001", UUID(int=1)]),
    "list | NamedTuple": (list[int] | Step, [[1, 2], Step(1, 2)]),
    "list | NamedTuple that stands there twice": (
        tuple[list[int] | Step, Step],
        [([1, 2], Step(1, 2)), (Step(1, 2), Step(1, 2))],
    ),
    "Color | str": (Color | str, [Color.RED, "red"]),
    "list | set | tuple": (
        list[int] | set[int] | tuple[int, ...] | Point,
        [[1], {1}, (1,), Point(1, b"\xff"), [], set(), ()],
    ),
    "Decimal | float": (Decimal | float, [Decimal("1.10"), 1.5, 2.0]),
    "discriminated": (
        Annotated[Cat | Dog, Field(discriminator="kind")],
        [Cat(kind="cat", lives=9), Dog(kind="dog", tag=UUID(int=1))],
    ),
    "dataclass": (Place, [Place(1), Place(2, "2")]),
    "recursive dataclass": (Tree, [Tree(b"\xff", [Tree(b"", [Tree(b"\xfe")])])]),
    "recursive model": (Chain, [Chain(data=b"\xff", next=Chain(data=b""))]),
    "generic model": (Box[dict[str, bytes]], [Box[dict[str, bytes]](content={"a": b"\xff"})]),
    "own configuration": (Hexadecimal, [Hexadecimal(data=b"\xff".hex().encode())]),
    "aliases": (Renamed, [Renamed(read=1, hidden=2, other=3)]),
    "other aliases": (Rewritten, [Rewritten(two=1, own=2)]),
    "TypedDict": (Options, [{"limit": 1}, {"limit": 1, "inner": [{"limit": 2}]}]),
    "TypedDict of typing": (OldOptions, [{"limit": 1}, {"limit": 1, "inner": [{"limit": 2}]}]),
    "TypedDicts of typing": (dict[str, list[OldOptions] | None], [{"a": [{"limit": 1}], "b": None}]),
    "NamedTuple": (Point, [Point(1), Point(2, b"\xff")]),
    "set": (set[bytes], [set(), {b"\xff", b""}]),
    "frozenset": (frozenset[int], [frozenset({1, 2})]),
    "tuple": (tuple[int, str], [(1, "a")]),
    "open tuple": (tuple[date, ...], [(), (date(2020, 1, 1),)]),
    "empty tuple": (tuple[()], [()]),
    "int keys": (dict[int, str], [{}, {1: "a", -(2**70): "b"}]),
    "tuple keys": (dict[tuple[int, str], int], [{(1, "a"): 2, (1, '"]'): 3}]),
    "bytes keys": (dict[bytes, int], [{b"\xff": 1}]),
    "keys of a class": (dict[Place, int], [{Place(1): 2}]),
    "keys of a class that stands there twice": (
        Seats,
        [Seats(taken={Place(1): "a"}, free={Place(2): "b", 3: "c"}, last=Place(4))],
    ),
    "keys of a NamedTuple": (dict[Point, int], [{Point(1, b"\xff"): 2}]),
    "keys of a union": (dict[int | str | None, int], [{1: 1, "1": 2, None: 3, "a b": 4, '"': 5}]),
    "literal keys": (dict[Literal[1, "1"], int], [{1: 1, "1": 2}]),
    "sets as keys": (dict[frozenset[int], int], [{frozenset({1, 2}): 1}]),
    "float keys": (dict[float, int], [{1.5: 1, math.inf: 2}]),
    "defaultdict": (
        collections.defaultdict[tuple[int], list[int]],
        [collections.defaultdict(list, {(1,): [2]})],
    ),
    "Mapping": (Mapping[tuple[int], bytes], [{(1,): b"\xff"}]),
    "Path": (Path, [Path("a/b"), Path(), Path("\udcff")]),
    "PurePosixPath": (PurePosixPath, [PurePosixPath("/a")]),
    "Pattern": (re.Pattern[str], [re.compile(r"\d+\s")]),
    "constrained": (Annotated[list[bytes], Field(min_length=1)], [[b"\xff"]]),
    "constrained bytes": (Annotated[bytes, Field(min_length=1, max_length=1)], [b"\xff"]),
    "anything": (Any, [{"a": [1, None, 1.5, "\ud800"]}]),
    "all together": (
        list[Everything],
        [
            [
                Everything(
                    keys={(1, b"\xff"): Decimal("0.1234567890123456789")},
                    either=date(2020, 1, 2),
                    points=[Point(1, b"\xfe")],
                    tree=Tree(b"\xfd"),
                )
            ]
        ],
    ),
}


def function(annotation: Any, *replies: str) -> Any:
    """A function without arguments that returns the type, asked of a script."""

    def answer() -> Any:
        """Answer."""
        raise NotImplementedError

    answer.__annotations__["return"] = annotation
    return llm_strategy(ScriptedModel(list(replies)))(answer)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one class, in every part."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (one != one and other != other) or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, BaseModel):
        return same(one.__dict__, other.__dict__)
    if dataclasses.is_dataclass(one):
        return same(vars(one), vars(other))
    if isinstance(one, Mapping):
        return len(one) == len(other) and all(
            any(same(key, found) and same(value, other[found]) for found in other) for key, value in one.items()
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(item, found) for found in other) for item in one)
    return bool(one == other)


@pytest.mark.parametrize(("annotation", "values"), VALUES.values(), ids=VALUES)
def test_every_value_comes_back(annotation: Any, values: list[Any]) -> None:
    """Equal, of the same class, picklable, and without any repair: `reply` writes what a call reads."""
    for value in values:
        answer = function(annotation)
        asked = function(annotation, answer.reply(value))
        with call_log() as calls:
            got = asked()

        assert same(got, value), (value, answer.reply(value), got)
        assert same(pickle.loads(pickle.dumps(got)), value)  # noqa: S301  # our own pickle
        assert calls[0].repairs == ()
        assert same(answer.parse(answer.reply(value)), value)


def test_a_decimal_sent_as_a_number_keeps_its_digits() -> None:
    """Many digits, a zero at the end, an exponent beyond floats; what is beside it stays what it is."""

    class Bill(BaseModel):
        total: Decimal
        rate: float
        note: Any
        either: Decimal | str

    text = '{"total": 0.12345678901234567890123, "rate": 0.10, "note": 1.10, "either": 1e400}'
    bill = function(Bill).parse(f'{{"return_value": {text}}}')

    assert str(bill.total) == "0.12345678901234567890123"
    assert (bill.rate, bill.note, bill.either) == (0.1, 1.1, Decimal("1e400"))
    assert [type(item) for item in (bill.rate, bill.note)] == [float, float]


def test_decimals_that_are_one_float_stay_apart() -> None:
    """Which number is meant does not depend on how floats round."""
    texts = [f"0.1234567890123456789012{digit}" for digit in range(10)]
    numbers = function(list[Decimal]).parse(f'{{"return_value": [{", ".join([*texts, *texts, "1", "-1.50"])}]}}')

    assert [str(number) for number in numbers] == [*texts, *texts, "1", "-1.50"]


@pytest.mark.parametrize("text", ['"\\ud800\\udc00 \\ud800"', '"\U00010000 \ud800"', '"\\\\ud800 \\uDC00"'])
def test_lone_surrogates_are_kept_beside_pairs(text: str) -> None:
    """As escapes or as they are; an escaped backslash is no escape of theirs."""
    expected = {"\\": "\U00010000 \ud800", "\U00010000": "\U00010000 \ud800"}.get(text[1], "")
    expected = "\\ud800 \udc00" if text.startswith('"\\\\') else expected

    assert function(dict[str, list[str]]).parse(f'{{"return_value": {{{text}: [{text}]}}}}') == {expected: [expected]}


def test_bytes_are_read_in_both_alphabets_of_base64() -> None:
    """With and without padding; text that is no base64 is an error."""
    answer = function(bytes)

    assert [answer.parse(f'{{"return_value": "{text}"}}') for text in ("_-8=", "/+8=", "/+8")] == [b"\xff\xef"] * 3
    with pytest.raises(ReplyError, match="base64"):
        answer.parse('{"return_value": "a b"}')


def test_the_schema_says_how_bytes_and_keys_travel() -> None:
    """In words of JSON Schema, which a model reads in the prompt."""
    schema = (
        function(dict[tuple[int, int], Annotated[bytes, Field(min_length=2, max_length=3)]]).request().output_schema
    )

    assert schema["properties"]["return_value"] == {
        "type": "object",
        "propertyNames": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "integer"}],
                "minItems": 2,
                "maxItems": 2,
            },
        },
        "additionalProperties": {"type": "string", "contentEncoding": "base64", "minLength": 3, "maxLength": 4},
    }


def test_the_schema_names_the_members_of_a_union_that_json_does_not_tell_apart() -> None:
    """`str | date`: a date has to be named. Where pydantic tells them apart, nothing changes."""
    named = function(str | date).request().output_schema["properties"]["return_value"]
    plain = function(date | str).request().output_schema["properties"]["return_value"]

    (member,) = [choice for choice in named["anyOf"] if choice["type"] == "object"]
    assert (member["properties"], member["required"]) == ({"$date": {"type": "string", "format": "date"}}, ["$date"])
    assert plain == {"anyOf": [{"type": "string", "format": "date"}, {"type": "string"}]}


@pytest.mark.parametrize("annotation", [HttpUrl | str, str | HttpUrl], ids=str)
def test_urls_are_told_from_texts(annotation: Any) -> None:
    """A text stays one, even if it is a URL. Compared as text: in pydantic 2.10 equal URLs may be different."""
    answer = function(annotation)
    for value in (HttpUrl("http://localhost/"), "http://localhost/", "x"):
        got = answer.parse(answer.reply(value))
        assert (type(got), str(got)) == (type(value), str(value))


def test_keys_that_are_no_json_are_text_where_text_is_allowed() -> None:
    """A model that does not quote its keys is understood."""
    assert function(dict[int | str, int]).parse('{"return_value": {"a b": 1, "5": 2}}') == {"a b": 1, 5: 2}


class Shouting(BaseModel):
    word: str
    number: Annotated[int, BeforeValidator(lambda value: str(value).strip())]
    secret: Annotated[bytes, PlainSerializer(lambda value: value.hex())]

    @field_validator("word")
    @classmethod
    def loud(cls, word: str) -> str:
        return word.upper()

    @field_validator("secret", mode="before")
    @classmethod
    def of_hex(cls, value: Any) -> bytes:
        return bytes.fromhex(value) if isinstance(value, str) else value


def test_validators_and_serializers_of_users_are_theirs() -> None:
    """They run as pydantic runs them, and ask for no repair."""
    answer = function(Shouting)
    value = answer.parse('{"return_value": {"word": "a", "number": 3, "secret": "ff"}}')

    assert value == Shouting(word="A", number=3, secret=b"\xff")
    assert answer.parse(answer.reply(value)) == value
    output = Output(Shouting, "answer")
    assert parse(Response('{"return_value": {"word": "a", "number": 3, "secret": "ff"}}'), output, strict=True)[1] == ()


def test_users_classes_are_left_as_they_were() -> None:
    """Their own validators and serializers know nothing of replies."""
    assert function(Chain).parse(function(Chain).reply(Chain(data=b"\xff"))).data == b"\xff"
    assert Chain.model_validate_json('{"data": "YQ=="}').data == b"YQ=="
    assert Chain.__pydantic_complete__


@pytest.mark.parametrize(("annotation", "value"), [(int, "x"), (list[int], 3), (Place, Cat(kind="cat", lives=1))])
def test_what_is_no_value_has_no_reply(annotation: Any, value: Any) -> None:
    """A test is not scripted with an answer that no model could give."""
    with pytest.raises(ValueError, match="is no value of its return type"):
        function(annotation).reply(value)


@llm_strategy(ScriptedModel([]))
@dataclass
class Shelf:
    owner: str

    def scan(self, page: int) -> list[bytes]:
        """The pages that are on the shelf."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How much is on it."""
        raise NotImplementedError

    @staticmethod
    def label() -> str:
        """What to write on one."""
        raise NotImplementedError

    def undocumented(self) -> str:
        raise NotImplementedError


def test_an_enum_of_bytes_that_are_no_text_is_refused() -> None:
    """Its JSON schema cannot be written."""
    with pytest.raises(PromptError, match="no reply can be turned into its return type"):
        function(Signal).reply(Signal.START)


def test_members_say_what_their_replies_look_like() -> None:
    """On the class, on an instance, and for a property on the class; without any model."""
    shelf = Shelf("Ann")

    assert shelf.scan.reply([b"\xff"]) == Shelf.scan.reply([b"\xff"]) == '{"return_value": ["_w=="]}'
    assert shelf.scan.parse('{"return_value": ["_w=="]}') == [b"\xff"]
    assert (Shelf.size.reply(3), Shelf.size.parse('{"return_value": 3}')) == ('{"return_value": 3}', 3)
    assert Shelf.label.reply("a") == '{"return_value": "a"}'
    with pytest.raises(PromptError, match="has no docstring"):
        shelf.undocumented.reply("a")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there pydantic takes it everywhere")
def test_a_typed_dict_of_typing_inside_a_dataclass_is_refused_with_the_way_out() -> None:
    """On Python 3.11 pydantic does not know which of its keys are required."""

    @dataclass
    class Holder:
        options: OldOptions

    with pytest.raises(PromptError, match=r"typing_extensions\.TypedDict"):
        function(Holder).request()


# Types at random

Pair = tuple[Any, st.SearchStrategy[Any]]

TEXTS = st.text(st.characters(), max_size=5)
SCALARS: list[Pair] = [
    (int, st.integers()),
    (float, st.floats()),
    (bool, st.booleans()),
    (str, TEXTS),
    (bytes, st.binary(max_size=5)),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.none() | st.just(INDIA))),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Literal["a", 2], st.sampled_from(["a", 2])),
    (Path, TEXTS.filter(lambda text: "\0" not in text).map(Path)),
]


def _hashable(pair: Pair) -> bool:
    return pair[0] is not float and getattr(pair[0], "__hash__", None) is not None


@st.composite
def _containers(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    annotation, values = draw(inner)
    make: Callable[[], Pair] = draw(
        st.sampled_from(
            [
                lambda: (list[annotation], st.lists(values, max_size=3)),
                lambda: (tuple[annotation, ...], st.lists(values, max_size=3).map(tuple)),
                lambda: (annotation | None, st.none() | values),
                lambda: (dict[str, annotation], st.dictionaries(st.text(max_size=3), values, max_size=3)),
                lambda: _keyed(draw, annotation, values),
                lambda: _record(draw, inner),
                lambda: (Box[annotation], values.map(lambda value: Box[annotation].model_construct(content=value))),
            ]
        )
    )
    return make()


def _keyed(draw: st.DrawFn, annotation: Any, values: st.SearchStrategy[Any]) -> Pair:
    key, keys = draw(st.sampled_from(list(filter(_hashable, SCALARS))))
    if draw(st.booleans()):
        key, keys = tuple[key, int], st.tuples(keys, st.integers())
    return dict[key, annotation], st.dictionaries(keys, values, max_size=3)


def _record(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    pairs = draw(st.lists(inner, min_size=1, max_size=3))
    record = dataclasses.make_dataclass("Record", [(f"f{at}", annotation) for at, (annotation, _) in enumerate(pairs)])
    return record, st.builds(record, *(values for _, values in pairs))


TYPES = st.recursive(st.sampled_from(SCALARS), _containers, max_leaves=4)
UNIONS = st.lists(st.sampled_from(SCALARS), min_size=2, max_size=3, unique_by=lambda pair: str(pair[0])).map(
    lambda pairs: (typing.Union[tuple(pair[0] for pair in pairs)], st.one_of(*(pair[1] for pair in pairs)))  # noqa: UP007  # `|` takes no list
)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_values_of_random_types_come_back_without_repairs(data: st.DataObject) -> None:
    """Nested types, with every kind of scalar inside, keys included; no canonical reply counts as repaired."""
    annotation, values = data.draw(TYPES)
    output = Output(annotation, "answer")
    for value in data.draw(st.lists(values, min_size=1, max_size=3)):
        text = output.dump(value)
        got = parse(Response(text), output)

        assert same(got.value, value), (annotation, text, got.value)
        assert got.repairs == ()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_members_of_random_unions_come_back_as_themselves(data: st.DataObject) -> None:
    """A union of scalars in any order, alone, in a list, and as keys."""
    annotation, values = data.draw(UNIONS)
    output = Output(list[annotation], "answer")
    drawn = data.draw(st.lists(values, min_size=1, max_size=3))
    got = parse(Response(output.dump(drawn)), output)

    assert same(got.value, drawn), (annotation, output.dump(drawn), got.value)
    assert got.repairs == ()


@pytest.mark.parametrize("text", ["\U0010f000", '"\\udbfc\\udc00"'], ids=["as it is", "as escapes"])
def test_a_character_that_stands_for_surrogates_elsewhere_stays_itself(text: str) -> None:
    """Private-use characters stand for lone surrogates while a reply is read exactly, but not those that it holds."""
    sent = text if text.startswith('"') else f'"{text}"'
    reply = f'{{"return_value": [{sent}, "\\ud800", 9.99999000000000000001]}}'

    assert function(tuple[str, str, Decimal]).parse(reply) == (
        "\U0010f000",
        "\ud800",
        Decimal("9.99999000000000000001"),
    )
