"""What a model is asked: the text of a prompt, and which arguments have a place in it."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from llm_strategy import PromptError, Request, ScriptedModel, Volatile, llm_strategy
from tests.llm_strategy.answers import reply, scripted


@dataclass
class Customer:
    key: str
    birthdate: Annotated[str, Field(description="year-month-day")]


@llm_strategy("openai:gpt-5-mini")
@dataclass
class CustomerDatabase:
    customers: list[Customer]

    def find_customer_key(self, query: str) -> list[str]:
        """Find the keys of the customers that match a natural language query best."""
        raise NotImplementedError


CUSTOMERS = [Customer("c1", "1990-05-17"), Customer("c2", "1985-01-02"), Customer("c3", "1990-12-01")]

SYSTEM = """\
You implement Python functions that have no body. You are given the signature, the documentation and the arguments of \
one call. Work out what the call returns and reply with one JSON object whose property "return_value" holds it. Reply \
with that JSON object only."""

PROMPT = """\
def CustomerDatabase.find_customer_key(self, query: str) -> list[str]

Find the keys of the customers that match a natural language query best.

Types:

CustomerDatabase:
  customers: list[Customer]

Customer:
  key: str
  birthdate: str  # year-month-day

Arguments:

self = {
  "customers": [
    {"key": "c1", "birthdate": "1990-05-17"},
    {"key": "c2", "birthdate": "1985-01-02"},
    {"key": "c3", "birthdate": "1990-12-01"}
  ]
}
query = "born in 1990"

Reply with a JSON object that fits this JSON schema:

{
  "properties": {"return_value": {"items": {"type": "string"}, "type": "array"}},
  "required": ["return_value"],
  "type": "object"
}"""


def test_a_prompt_is_plain_text_that_a_person_might_have_written() -> None:
    """Signature, documentation, types with their descriptions, arguments, and the schema of the reply."""
    request = CustomerDatabase(CUSTOMERS).find_customer_key.request("born in 1990")

    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.messages[0].content == SYSTEM
    assert request.messages[1].content == PROMPT
    assert request.output_schema == {
        "type": "object",
        "properties": {"return_value": {"type": "array", "items": {"type": "string"}}},
        "required": ["return_value"],
    }


def render(annotation: Any, value: Any) -> Request:
    """The request of a function with one parameter `x` of this type."""

    def show(x: Any) -> int:
        """Show it."""
        raise NotImplementedError

    show.__annotations__["x"] = annotation
    rendered: Request = llm_strategy("openai:any")(show).request(value)
    return rendered


def shown(annotation: Any, value: Any) -> str:
    """How an argument stands in a prompt."""
    text = render(annotation, value).messages[-1].content
    return text.partition("Arguments:\n\nx = ")[2].partition("\n\nReply with")[0]


def types(annotation: Any, value: Any) -> str:
    """What a prompt says about types."""
    text = render(annotation, value).messages[-1].content
    return text.partition("Types:\n\n")[2].partition("\n\nArguments:")[0]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict):
    """How to search."""

    limit: int


class Item(BaseModel):
    """An item.

    It is sold."""

    name: str = Field(description="as on the label")
    tags: set[str] = set()


@dataclass
class Nested:
    items: list[Item]
    color: Color = Color.RED
    note: str = field(default="", metadata={"description": "for the cook"})


class Text(str):
    __slots__ = ()


VALUES: dict[str, tuple[Any, str]] = {
    "text": ('a\n"b"\t\\ü\N{SNOWMAN}', '"a\\n\\"b\\"\\t\\\\ü\N{SNOWMAN}"'),
    "lone surrogate": ("\ud800", '"\\ud800"'),
    "text of a subclass": (Text("a"), '"a"'),
    "whole number": (3, "3"),
    "large number": (10**30, "1000000000000000000000000000000"),
    "number": (1.5, "1.5"),
    "not a number": (float("nan"), "NaN"),
    "infinity": (float("-inf"), "-Infinity"),
    "true": (True, "true"),
    "none": (None, "null"),
    "list": ([1, [2]], "[1, [2]]"),
    "tuple": ((1, "a"), '[1, "a"]'),
    "empty": ({}, "{}"),
    "dict": ({"b": 1, "a": [None]}, '{"b": 1, "a": [null]}'),
    "keys that are no text": ({1: 2, None: 3, Color.RED: 4}, '{"1": 2, "null": 3, "red": 4}'),
    "set": ({"b", "a", "c"}, '["a", "b", "c"]'),
    "frozenset": (frozenset({(2, "x"), (1, "y")}), '[[1, "y"], [2, "x"]]'),
    "set within a deque": (collections.deque([{"b", "a"}]), '[["a", "b"]]'),
    "enumeration": (Color.RED, '"red"'),
    "named tuple": (Point(1), "[1, 0]"),
    "dataclass": (Customer("k", "b"), '{"key": "k", "birthdate": "b"}'),
    "pydantic": (Item(name="a", tags={"y", "x"}), '{"name": "a", "tags": ["x", "y"]}'),
    "nested": (
        Nested([Item(name="a")]),
        '{"items": [{"name": "a", "tags": []}], "color": "red", "note": ""}',
    ),
    "date": (datetime.date(2020, 1, 2), '"2020-01-02"'),
    "time zone": (datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), '"2020-01-02T00:00:00Z"'),
    "duration": (datetime.timedelta(minutes=90), '"PT1H30M"'),
    "decimal": (decimal.Decimal("1.10"), '"1.10"'),
    "uuid": (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    "path": (Path("a") / "b", '"a/b"'),
    "bytes": (b"\xff\x00", '"_wA="'),
    "class": (Customer, '"Customer"'),
    "counter": (collections.Counter("aab"), '{"a": 2, "b": 1}'),
}


@pytest.mark.parametrize(("value", "text"), VALUES.values(), ids=VALUES)
def test_arguments_are_shown_as_json(value: Any, text: str) -> None:
    """Text is untouched, sets are sorted, objects show their fields."""
    assert shown(Any, value) == text


class Opaque:
    """Its text would be an address."""


UNSTABLE: dict[str, Any] = {
    "object": Opaque(),
    "object within": {"deep": [Opaque()]},
    "function": len,
    "lambda": lambda: 1,
    "iterator": iter([1]),
    "generator": (number for number in [1]),
    "module": collections,
}


@pytest.mark.parametrize("value", UNSTABLE.values(), ids=UNSTABLE)
def test_a_value_without_a_stable_form_is_refused(value: Any) -> None:
    """An address in a prompt would give another key on every run; the message names the argument and a cure."""
    with pytest.raises(PromptError, match=r"show\(\): the argument 'x' holds a value of type .* pass plain data"):
        render(Any, value)


def test_an_iterator_is_not_used_up_by_being_refused() -> None:
    """The caller can still make a list of it."""
    numbers = iter([1, 2])

    with pytest.raises(PromptError):
        render(Any, numbers)
    assert list(numbers) == [1, 2]


def test_a_value_that_contains_itself_is_refused() -> None:
    """And not written until memory ends."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(PromptError, match="the argument 'x' contains itself"):
        render(Any, endless)


def test_a_field_without_a_stable_form_is_refused_too() -> None:
    """`self` is an argument like any other."""
    model = scripted(1)

    @llm_strategy(model)
    @dataclass
    class Holder:
        connection: Any

        def ask(self) -> int:
            """Ask."""
            raise NotImplementedError

    with pytest.raises(PromptError, match=r"Holder.ask\(\): the argument 'self' holds a value of type Opaque"):
        Holder(Opaque()).ask()
    assert model.requests == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["a" * 90], f'["{"a" * 90}"]'),
        (["a" * 97], f'[\n  "{"a" * 97}"\n]'),
        ({"k": ["a" * 60, "b" * 60]}, f'{{\n  "k": [\n    "{"a" * 60}",\n    "{"b" * 60}"\n  ]\n}}'),
    ],
    ids=["short", "long", "nested"],
)
def test_long_values_stand_on_several_lines(value: Any, text: str) -> None:
    """One child a line, indented by two, where one line would be longer than 100 characters."""
    assert shown(Any, value) == text


TYPES: dict[str, tuple[Any, Any, str]] = {
    "enumeration": (Color, Color.RED, "Color:\n  one of 'red', 'blue'"),
    "named tuple": (Point, Point(1), "Point:\n  x: int\n  y: int"),
    "typed dict": (Options, {"limit": 1}, "Options:  # How to search.\n  limit: int"),
    "pydantic": (
        Item,
        Item(name="a"),
        "Item:  # An item.\n  name: str  # as on the label\n  tags: set[str]",
    ),
    "within others": (
        dict[str, list[Nested | None]],
        {},
        (
            "Nested:\n  items: list[Item]\n  color: Color\n  note: str  # for the cook\n\n"
            "Color:\n  one of 'red', 'blue'\n\n"
            "Item:  # An item.\n  name: str  # as on the label\n  tags: set[str]"
        ),
    ),
    "plain": (dict[str, int], {}, ""),
}


@pytest.mark.parametrize(("annotation", "value", "text"), TYPES.values(), ids=TYPES)
def test_types_with_fields_are_explained_once(annotation: Any, value: Any, text: str) -> None:
    """Each with its fields, their types and descriptions, the outermost first."""
    assert types(annotation, value) == text


SIGNATURES: dict[str, tuple[Any, str]] = {
    "union": (int | None, "int | None"),
    "literal": (Literal["a", 1], "Literal['a', 1]"),
    "nested": (dict[str, tuple[int, ...]], "dict[str, tuple[int, ...]]"),
    "annotated": (Annotated[int, Field(ge=0)], "int"),
    "dataclass": (list[Customer], "list[Customer]"),
}


@pytest.mark.parametrize(("annotation", "text"), SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_is_written_as_a_person_writes_it(annotation: Any, text: str) -> None:
    """Without modules and metadata."""

    def show() -> Any:
        """Show it."""
        raise NotImplementedError

    show.__annotations__["return"] = annotation
    prompt = llm_strategy("openai:any")(show).request().messages[-1].content

    assert prompt.startswith(f"def show() -> {text}\n")


class Fruit(Protocol):
    name: str


class Apple:
    name = "apple"


class Child(Customer):
    pass


ACCEPTED: dict[str, tuple[Any, Any]] = {
    "a whole number is a number": (float, 3),
    "subclass": (Customer, Child("k", "b")),
    "subclass in a list": (list[Customer], [Child("k", "b")]),
    "subclass of a model": (BaseModel, Item(name="a")),
    "subclass of text": (str, Text("a")),
    "ordered dict": (dict[str, int], collections.OrderedDict(a=1)),
    "default dict": (dict[str, int], collections.defaultdict(int, a=1)),
    "sequence: list": (Sequence[int], [1]),
    "sequence: tuple": (Sequence[int], (1,)),
    "iterable": (Iterable[int], [1]),
    "mapping": (Mapping[str, int], {"a": 1}),
    "abstract set": (AbstractSet[int], {1}),
    "any": (Any, {"a": [1]}),
    "optional": (int | None, None),
    "union": (int | str, "3"),
    "literal": (Literal["a", "b"], "b"),
    "class": (type[Customer], Child),
    "enumeration": (Color, Color.RED),
    "typed dict": (Options, {"limit": 3}),
}


@pytest.mark.parametrize(("annotation", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_an_argument_fits_where_a_type_checker_would_say_so(annotation: Any, value: Any) -> None:
    """Instances of subclasses and of abstract base classes pass; an `int` is a `float`."""
    assert render(annotation, value).messages


def test_a_protocol_stands_for_what_has_its_members() -> None:
    """A parameter annotated with a protocol checks nothing that only a type checker can."""
    with pytest.raises(PromptError, match="holds a value of type Apple"):
        render(Fruit, Apple())
    assert render(Fruit, Customer("k", "b")).messages


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "text for a number": (int, "3", "must be int, not str"),
    "number for a whole number": (int, 3.0, "must be int, not float"),
    "none": (str, None, "must be str, not None:"),
    "bytes for text": (str, b"a", "must be str, not bytes"),
    "element": (list[int], [1, "2"], "must be list[int], not list: 1: Input should be a valid integer"),
    "tuple for a list": (list[int], (1,), "must be list[int], not tuple"),
    "list for a tuple": (tuple[int, str], [1, "a"], "must be tuple[int, str], not list"),
    "dict for a dataclass": (Customer, {"key": "k", "birthdate": "b"}, "must be Customer, not dict"),
    "dict for a model": (Item, {"name": "a"}, "must be Item, not dict"),
    "other literal": (Literal["a"], "b", "must be Literal['a'], not str"),
    "value of an enumeration": (Color, "red", "must be Color, not str"),
    "other class": (type[Customer], int, "must be type[Customer], not type"),
    "bound": (Annotated[int, Field(ge=3)], 1, "does not fit int: Input should be greater than or equal to 3"),
    "missing key": (Options, {}, "limit: Field required"),
    "element of a sequence": (Sequence[int], ["a"], "must be Sequence[int], not list"),
    "text for an iterable of numbers": (Mapping[str, int], [("a", 1)], "must be Mapping[str, int], not list"),
}


@pytest.mark.parametrize(("annotation", "value", "problem"), REFUSED.values(), ids=REFUSED)
def test_an_argument_of_a_wrong_type_is_refused(annotation: Any, value: Any, problem: str) -> None:
    """Nothing is converted: `"3"` is no `int`. The message names function, argument, both types, and what is wrong."""
    with pytest.raises(TypeError) as raised:
        render(annotation, value)
    assert str(raised.value).startswith("show() argument 'x' ")
    assert problem in str(raised.value)


def test_each_of_several_arguments_is_checked() -> None:
    """Those of `*args` and `**kwargs` too."""

    @llm_strategy("openai:any")
    def add(*numbers: int, **named: int) -> int:
        """Add."""
        raise NotImplementedError

    assert add.request(1, 2, a=3).messages
    with pytest.raises(TypeError, match="argument 'numbers' must be int, not str"):
        add.request(1, "2")
    with pytest.raises(TypeError, match="argument 'named' must be int, not str"):
        add.request(1, a="2")


def test_a_section_without_content_is_left_out() -> None:
    """No types and no arguments: no headings for them. Asynchronous functions begin with `async def`."""

    @llm_strategy("openai:any")
    async def joke() -> str:
        """Tell a joke."""
        raise NotImplementedError

    assert (
        joke.request()
        .messages[-1]
        .content.startswith("async def joke() -> str\n\nTell a joke.\n\nReply with a JSON object")
    )


def test_a_property_is_shown_as_a_method_of_self() -> None:
    """With the object's fields as its only argument."""

    @llm_strategy("openai:any")
    @dataclass
    class Person:
        name: str

        @property
        def age(self) -> int:
            """Guess the age."""
            raise NotImplementedError

    text = type(Person("Ann")).age.request(Person("Ann")).messages[-1].content

    assert text.startswith("def Person.age(self) -> int\n")
    assert 'Arguments:\n\nself = {"name": "Ann"}\n\n' in text


def test_an_unannotated_self_needs_no_annotation_and_may_have_another_name() -> None:
    """Only its fields are shown; what is no field, such as a cache or a constant, is not."""

    @llm_strategy("openai:any")
    @dataclass
    class Person:
        name: str
        greeted = 0

        def greet(this) -> str:  # noqa: N805  # what this is about
            """Greet."""
            raise NotImplementedError

    person = Person("Ann")
    person.cache = 3
    text = person.greet.request().messages[-1].content

    assert "def Person.greet(this) -> str" in text
    assert 'this = {"name": "Ann"}\n' in text


def test_a_volatile_argument_is_sent_and_not_kept() -> None:
    """The model sees its value; in the request that is hashed and stored a placeholder stands for it."""
    model = ScriptedModel([reply(1), reply(2)])

    @llm_strategy(model)
    def remind(now: Volatile[str], text: str) -> int:
        """Remind."""
        raise NotImplementedError

    remind("Monday", "tea")
    remind("Tuesday", "tea")

    assert ['now = "Monday"' in request.messages[-1].content for request in model.requests] == [True, False]
    assert 'now = "Tuesday"' in model.requests[1].messages[-1].content
    assert "now = <volatile>\ntext" in remind.request("Monday", "tea").messages[-1].content
    assert remind.request("Monday", "tea").key == remind.request("Tuesday", "tea").key
    assert remind.request("Monday", "tea").key != remind.request("Monday", "coffee").key


def test_a_volatile_argument_is_checked_too() -> None:
    """It has a type like any other."""

    @llm_strategy("openai:any")
    def remind(now: Volatile[str]) -> int:
        """Remind."""
        raise NotImplementedError

    with pytest.raises(TypeError, match="argument 'now' must be str, not int"):
        remind.request(3)


def test_an_escaped_docstring_stays_as_it_is_written() -> None:
    """Indentation goes, everything else stays: braces, backslashes, Markdown."""

    @llm_strategy("openai:any")
    def explain(text: str) -> str:
        r"""Explain {text} with 100 %.

        - a list \n
            - deeper
        """
        raise NotImplementedError

    assert "Explain {text} with 100 %.\n\n- a list \\n\n    - deeper\n\nArguments:" in (
        explain.request("a").messages[-1].content
    )
