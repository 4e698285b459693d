"""From a reply to a value: what is read, what is mended, what is asked again, what is an error."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import enum
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, BeforeValidator, Field, PositiveInt, field_validator

from llm_strategy import ReplyError, Response, ScriptedModel, call_log, llm_strategy
from tests.llm_strategy.answers import reply


@dataclass
class Customer:
    key: str
    birthdate: datetime.date


@dataclass
class Entry:
    name: str
    n: int


@dataclass
class Measured:
    name: str
    n: float


class Renamed(BaseModel):
    there: bool = Field(alias="isThere")


class Color(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Item(BaseModel):
    name: str
    price: decimal.Decimal


def function(annotation: Any, model: ScriptedModel, **options: Any) -> Callable[[], Any]:
    """A function without arguments that returns this type."""

    def answer() -> Any:
        """Answer."""
        raise NotImplementedError

    answer.__annotations__["return"] = annotation
    implemented: Callable[[], Any] = llm_strategy(model, **options)(answer)
    return implemented


def ask(annotation: Any, *replies: str | Response, **options: Any) -> Any:
    """What a function that returns this type makes of replies."""
    return function(annotation, ScriptedModel(list(replies)), **options)()


VALUES: dict[str, tuple[Any, str, Any]] = {
    "text": (str, '{"return_value": "a\\n\\u00fc"}', "a\nü"),
    "number": (float, '{"return_value": 3}', 3.0),
    "none": (int | None, '{"return_value": null}', None),
    "nothing": (None, '{"return_value": null}', None),
    "list": (list[int], '{"return_value": [1, 2]}', [1, 2]),
    "tuple": (tuple[int, str], '{"return_value": [1, "a"]}', (1, "a")),
    "set": (set[int], '{"return_value": [1, 1]}', {1}),
    "dict": (dict[str, int], '{"return_value": {"a": 1}}', {"a": 1}),
    "dataclass": (
        Customer,
        '{"return_value": {"key": "c1", "birthdate": "1990-05-17"}}',
        Customer("c1", datetime.date(1990, 5, 17)),
    ),
    "list of dataclasses": (
        list[Customer],
        '{"return_value": [{"key": "c1", "birthdate": "1990-05-17"}]}',
        [Customer("c1", datetime.date(1990, 5, 17))],
    ),
    "pydantic": (
        Item,
        '{"return_value": {"name": "tea", "price": "1.10"}}',
        Item(name="tea", price=decimal.Decimal("1.10")),
    ),
    "enumeration": (Color, '{"return_value": "red"}', Color.RED),
    "named tuple": (Point, '{"return_value": [1, 2]}', Point(1, 2)),
    "literal": (Literal["a", "b"], '{"return_value": "b"}', "b"),
    "date and time": (
        datetime.datetime,
        '{"return_value": "2020-01-02T03:04:05Z"}',
        datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    ),
    "anything": (Any, '{"return_value": {"a": [null]}}', {"a": [None]}),
    "white space": (int, ' \n{"return_value":1}\n', 1),
    "other properties": (int, '{"reason": "because", "return_value": 1}', 1),
}


@pytest.mark.parametrize(("annotation", "text", "value"), VALUES.values(), ids=VALUES)
def test_a_reply_becomes_a_value_of_the_return_type(annotation: Any, text: str, value: Any) -> None:
    """Dataclasses, models, enumerations, dates: what pydantic can read from JSON."""
    got = ask(annotation, text)

    assert got == value
    assert type(got) is type(value)


GOOD = '{"return_value": {"name": "Ann", "n": 3}}'
REASONED = '<think>{"name": "No", "n": 9}, or {"return_value": {"name": "No", "n": 9}}?</think>'

# What a model sends, and the names of the repairs.
MENDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": (GOOD, ()),
    "extra property": ('{"why": "because", "return_value": {"name": "Ann", "n": 3, "age": 40}}', ()),
    "blanks": (f" \n{GOOD}\r\n", ()),
    "fence with a tag": (f"```json\n{GOOD}\n```", ("code fence",)),
    "fence": (f"```\n{GOOD}\n```\n", ("code fence",)),
    "fence on one line": (f"```{GOOD}```", ("code fence",)),
    "fence and prose": (f"Here:\n```json\n{GOOD}\n```\nDone.", ("code fence", "text around the JSON object")),
    "prose": (f"Here you are: {GOOD}\nI hope this helps!", ("text around the JSON object",)),
    "prose with braces": (
        f"Use {{x}}, {{y: z}} and {{}}. {GOOD} {{Really}}, {{and: that, is}} all",
        ("another JSON object", "text around the JSON object"),
    ),
    "an open brace": (f"An {{ is a brace, {{a: b is none. {GOOD}", ("text around the JSON object",)),
    "another object first": (f'{{"thought": {{"a": 1}}}} {GOOD}', ("another JSON object",)),
    "two objects": (GOOD + GOOD.replace("Ann", "Bob"), ("another JSON object",)),
    "a wrong one first": (
        f'Not {{"return_value": "x"}} but {GOOD}',
        ("another JSON object", "text around the JSON object"),
    ),
    "in an array": (f"[{GOOD}]", ("text around the JSON object",)),
    "reasoning": (f"{REASONED}\n{GOOD}", ("reasoning block",)),
    "reasoning twice": (f"<think>a</think>\n<THINK>b</THINK>{GOOD}", ("reasoning block",)),
    "the end of reasoning": (f'so {{"return_value": 1}} it is</think>{GOOD}', ("reasoning block",)),
    "byte order mark": (f"\ufeff{GOOD}", ("byte order mark",)),
    "trailing commas": ('{"return_value": {"name": "Ann", "n": 3,},}', ("trailing comma",)),
    "single quotes": ("{'return_value': {'name': 'Ann', 'n': 3}}", ("single quotes",)),
    "comments": (
        '{"return_value": {// the name\n"name": "Ann", /* and\n */ "n": 3 # three\n}}',
        ("comment",),
    ),
    "Python's words": (
        '{"return_value": {"name": "Ann", "n": 3, "b": True, "c": None}}',
        ("Python's words for JSON's",),
    ),
    "names without quotes": ('{return_value: {name: "Ann", n: 3}}', ("names without quotes",)),
    "cut by a bracket": (GOOD[:-1], ("cut off: 1 bracket closed",)),
    "cut by two": (GOOD[:-2], ("cut off: 2 brackets closed",)),
    "cut in another property": (GOOD[:-1] + ', "why": "beca', ("cut off: a string and 1 bracket closed",)),
    "cut in another name": (GOOD[:-1] + ', "wh', ("cut off: 1 bracket closed",)),
    "cut before a value": (GOOD[:-1] + ', "why": tr', ("cut off: 1 bracket closed",)),
    "encoded twice": (json.dumps(GOOD), ("JSON inside a string",)),
    "encoded thrice": (json.dumps(json.dumps(GOOD)), ("JSON inside a string", "JSON inside a string")),
    "value encoded twice": (
        '{"return_value": "{\\"name\\": \\"Ann\\", \\"n\\": 3}"}',
        ("JSON inside a string in `return_value`",),
    ),
    "wrapped twice": (f'{{"return_value": {GOOD}}}', ("`return_value` twice",)),
    "not wrapped": ('{"name": "Ann", "n": 3}', ("`return_value` missing",)),
    "not wrapped, in prose": (
        'See {x}: {"name": "Ann", "n": 3}!',
        ("text around the JSON object", "`return_value` missing"),
    ),
    "text for a number": ('{"return_value": {"name": "Ann", "n": "3"}}', ("n: '3' read as int",)),
    "missing comma": ('{"return_value": {"name": "Ann" "n": 3}}', ("broken JSON rewritten",)),
    "typeset quotes": ("{“return_value”: {“name”: “Ann”, “n”: 3}}", ("broken JSON rewritten",)),  # the point
    "several": (
        "<think>\n</think>Well:\n```json\n{'name': 'Ann', // her\n'n': '3',}\n```",
        (
            "reasoning block",
            "code fence",
            "text around the JSON object",
            "single quotes",
            "comment",
            "trailing comma",
            "`return_value` missing",
            "n: '3' read as int",
        ),
    ),
}


@pytest.mark.parametrize(("text", "repairs"), MENDED.values(), ids=MENDED)
def test_what_has_one_meaning_is_mended_and_named(text: str, repairs: tuple[str, ...]) -> None:
    """The call in the log says in words what was mended, and holds the reply as it was."""
    with call_log() as calls:
        assert ask(Entry, text, retries=0) == Entry("Ann", 3)

    assert calls[0].repairs == repairs
    assert calls[0].response.content == text


@pytest.mark.parametrize(("text", "repairs"), MENDED.values(), ids=MENDED)
def test_strict_replies_are_not_mended(text: str, repairs: tuple[str, ...]) -> None:
    """With `strict_replies=True` the object must stand alone, else the error names the repair that it needs."""
    if not repairs:
        assert ask(Entry, text, retries=0, strict_replies=True) == Entry("Ann", 3)
        return
    with pytest.raises(ReplyError, match="the reply does not fit as it stands") as raised:
        ask(Entry, text, retries=0, strict_replies=True)

    assert raised.value.repairs == repairs
    assert raised.value.problems == tuple(("", f"strict_replies allows no repair: {repair}") for repair in repairs)


WRAPPINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda good: good,
    "fenced with tag": lambda good: f"```json\n{good}\n```",
    "fenced": lambda good: f"```\n{good}\n```",
    "prose around": lambda good: f"Here you are:\n\n{good}\n\nI hope this helps.",
    "prose with braces": lambda good: f"For {{x}} in {{a: b}}: {good} {{That}} is all.",
    "trailing comma": lambda good: good.replace("3", "3,"),
    "single quotes": lambda good: good.replace('"', "'"),
    "cut by one brace": lambda good: good[:-1],
    "doubly encoded": json.dumps,
    "two objects": lambda good: f"{good}\n{good}",
    "BOM": lambda good: f"\ufeff{good}",
    "text for a number": lambda good: good.replace("3", '"3"'),
    "extra key": lambda good: good.replace("3", '3, "why": "because"'),
    "comment": lambda good: good.replace("3", "3 // three\n"),
    "raw newline": lambda good: good.replace("Ann", "An\nn"),
    "think": lambda good: f'<think>{{"n": 1}}</think>{good}',
    "NaN": lambda good: good.replace("3", "NaN"),
}


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("send", WRAPPINGS.values(), ids=WRAPPINGS)
def test_replies_for_two_fields_are_understood(send: Callable[[str], str], wrapped: bool) -> None:
    """Seventeen forms in which models send an object, with the property around it and without."""
    good = '{"name": "Ann", "n": 3}'
    got = ask(Measured, send(f'{{"return_value": {good}}}' if wrapped else good), retries=0)

    assert got.name in ("Ann", "An\nn")
    assert got.n == 3 or got.n != got.n


BARE: dict[str, tuple[Any, str, Any, tuple[str, ...]]] = {
    "number": (int, "42", 42, ("`return_value` missing",)),
    "list": (list[int], "[1,2]", [1, 2], ("`return_value` missing",)),
    "text": (str, '"hello"', "hello", ("`return_value` missing",)),
    "null": (int | None, " null\n", None, ("`return_value` missing",)),
    "in a fence": (int, "```\n42\n```", 42, ("code fence", "`return_value` missing")),
    "after reasoning": (int, "<think>41?</think>42", 42, ("reasoning block", "`return_value` missing")),
    "number in text": (int, '"3"', 3, ("`return_value` missing", "'3' read as int")),
    "list in prose": (
        list[int],
        "I choose [1, 2].",
        [1, 2],
        ("text around the JSON array", "`return_value` missing"),
    ),
    "broken list": (list[int], "[1, 2,]", [1, 2], ("trailing comma", "`return_value` missing")),
    "dict": (dict[str, int], '{"a": 1}', {"a": 1}, ("`return_value` missing",)),
    "dict with tuple keys": (dict[tuple[int, int], int], '{"[1, 2]": 3}', {(1, 2): 3}, ("`return_value` missing",)),
    "encoded list": (list[int], '"[1, 2]"', [1, 2], ("JSON inside a string", "`return_value` missing")),
}


@pytest.mark.parametrize(("annotation", "text", "value", "repairs"), BARE.values(), ids=BARE)
def test_a_bare_value_is_taken(annotation: Any, text: str, value: Any, repairs: tuple[str, ...]) -> None:
    """The object around it is missing, which is said; it has to be JSON."""
    with call_log() as calls:
        assert ask(annotation, text, retries=0) == value

    assert calls[0].repairs == repairs


COERCED: dict[str, tuple[Any, str, Any, tuple[str, ...]]] = {
    "int": (int, '"3"', 3, ("'3' read as int",)),
    "int from a float": (int, "3.0", 3, ("3.0 read as int",)),
    "float": (float, '"1.5"', 1.5, ("'1.5' read as float",)),
    "bool": (bool, '"yes"', True, ("'yes' read as bool",)),
    "in a list": (list[int], '[1, "2", "3"]', [1, 2, 3], ("1: '2' read as int", "2: '3' read as int")),
    "in a set": (set[int], '["2"]', {2}, ("0: '2' read as int",)),
    "for a key": (dict[int, bool], '{"1": "yes"}', {1: True}, ("1: 'yes' read as bool",)),
    "under an alias": (Renamed, '{"isThere": "yes"}', Renamed(isThere=True), ("isThere: 'yes' read as bool",)),
    "null for nothing": (Entry | None, '{"name": "a", "n": "1"}', Entry("a", 1), ("n: '1' read as int",)),
    "union": (int | datetime.date, '"5"', 5, ("'5' read as int",)),
    "no repair: a whole number for a float": (float, "3", 3.0, ()),
    "no repair: text for int or text": (int | str, '"5"', "5", ()),
    "no repair: a date": (datetime.date, '"2020-01-02"', datetime.date(2020, 1, 2), ()),
    "no repair: a validator asks for text": (Annotated[int, BeforeValidator(str)], "3", 3, ()),
    "beside a validator": (
        tuple[Annotated[int, BeforeValidator(str)], int],
        '[3, "4"]',
        (3, 4),
        ("1: '4' read as int",),
    ),
}


@pytest.mark.parametrize(("annotation", "text", "value", "repairs"), COERCED.values(), ids=COERCED)
def test_a_value_of_another_type_is_a_repair(annotation: Any, text: str, value: Any, repairs: tuple[str, ...]) -> None:
    """It is named with its place and both types; what the type itself asks for is none."""
    with call_log() as calls:
        got = ask(annotation, f'{{"return_value": {text}}}', retries=0)

    assert (got, type(got)) == (value, type(value))
    assert calls[0].repairs == repairs


class Defaults(BaseModel):
    """A type that any object fits."""

    limit: int = 10
    children: list[Defaults] = []


REFUSED: dict[str, tuple[Any, str]] = {
    "prose for text": (str, "Hello there."),
    "prose with an object for text": (str, 'I think {"a": 1} is it.'),
    "prose for anything": (Any, "free {text}"),
    "a number in prose": (int, "The answer is 42."),
    "two lists": (list[int], "See [1]: [2, 3]"),
    "the wrong property for a dict": (dict[str, str], '{"return_value": 3}'),
    "a dict of defaults": (Defaults, '{"thought": "hm"}'),
    "a part of something broken": (Defaults, '{"limit": 1/2, "children": [{"limit": 3}]}'),
    "a missing value": (dict[str, str], '{"return_value": {"a": "b", "c": }}'),
    "a missing colon": (dict[str, int], '{"return_value": {"a" 1}}'),
    "a number that is none": (int, '{"return_value": 007}'),
    "only in the reasoning": (int, '<think>{"return_value": 1}</think>'),
    "cut in a number's place": (Entry, '{"return_value": {"name": "Ann", "n": '),
    "an ellipsis": (list[int], '{"return_value": [1, 2, ...]}'),
    "no text": (dict[str, int], '{"return_value": {"a": one}}'),
    "apostrophes that could be ends": (list[str], "{'return_value': ['don't', 'can't']}"),
    "a quote at one end only": (list[str], '{"return_value": ["size 5", wide", "x"]}'),
    "a quote inside what has none around": (list[str], "{'return_value': ['cats' toys', 'y']}"),
    "a text that runs into what is behind": (dict[str, str], """{'return_value': {'a': 'it's', 'b': 'that's'}}"""),
    "three quotes": (str, '{"return_value": """say "hi" now"""}'),
    "strings that are added": (str, '{"return_value": "a" + "b"}'),
    "a percentage": (float, '{"return_value": 12%}'),
    "another minus": (float, '{"return_value": \u22125}'),
    "a comparison": (int, '{"return_value": <5}'),
    "a backslash before the end": (str, '{"return_value": "C:\\Users\\"}'),
    "a year as a text": (datetime.datetime, '{"return_value": "2024"}'),
    "a date without hyphens": (datetime.datetime | None, '{"return_value": "20240115"}'),
    "a number as a key that is a date": (dict[datetime.date, int], '{"return_value": {"0": 1}}'),
}


@pytest.mark.parametrize(("annotation", "text"), REFUSED.values(), ids=REFUSED)
def test_what_would_have_to_be_guessed_is_refused(annotation: Any, text: str) -> None:
    """Nothing is taken from prose, filled in, or chosen where several things may be meant."""
    with pytest.raises(ReplyError):
        ask(annotation, text, retries=0)


@pytest.mark.parametrize("text", ["{'a': 1.10,}", '{"a": 1e400,}', '{"a": 12345678901234567890.5}// x', '{"a": NaN,}'])
def test_numbers_are_mended_around_not_changed(text: str) -> None:
    """Repairs add and remove punctuation only."""
    got = ask(dict[str, decimal.Decimal | float], f"Here: {text}", retries=0)["a"]
    number = text.partition(": ")[2].partition("}")[0].rstrip(",")

    assert got != got if number == "NaN" else got == decimal.Decimal(number) or got == float(number)


def test_a_good_reply_has_no_repairs() -> None:
    """The log tells mended replies from good ones."""
    with call_log() as calls:
        ask(int, reply(1))

    assert calls[0].repairs == ()


BAD: dict[str, tuple[Any, str, str, str]] = {
    "text": (int, "one", "the reply does not fit", "Invalid JSON"),
    "empty": (int, "", "the reply is empty", "the reply is empty"),
    "blank": (int, " \n", "the reply is empty", "the reply is empty"),
    "other property": (int, '{"value": 1}', "the reply does not fit", "return_value: Field required"),
    "wrong type": (int, '{"return_value": "x"}', "the reply does not fit", "return_value: Input should be a valid int"),
    "bare value": (int, "[1]", "the reply does not fit", "return_value: Input should be a valid integer"),
    "list": (int, '[{"return_value": "x"}]', "the reply does not fit", "return_value"),
    "deep": (
        list[Customer],
        '{"return_value": [{"key": "c", "birthdate": "never"}]}',
        "the reply does not fit",
        "return_value.0.birthdate: Input should be a valid date",
    ),
    "bound": (PositiveInt, '{"return_value": 0}', "the reply does not fit", "greater than 0"),
    "length": (
        Annotated[list[int], Field(min_length=2)],
        '{"return_value": [1]}',
        "the reply does not fit",
        "at least 2 items",
    ),
}


@pytest.mark.parametrize(("annotation", "text", "what", "problem"), BAD.values(), ids=BAD)
def test_a_reply_that_is_no_value_is_an_error_that_says_where(
    annotation: Any, text: str, what: str, problem: str
) -> None:
    """The function, what is wrong and in which place, the expected type, and the reply itself."""
    with pytest.raises(ReplyError) as raised:
        ask(annotation, text, retries=0)
    error = raised.value

    assert str(error).startswith(f"answer: {what}; expected ")
    assert problem in str(error)
    assert (error.reply, error.expected, error.finish_reason) == (text, annotation, "stop")
    assert isinstance(error, ValueError)


def test_an_error_shows_a_long_reply_in_part() -> None:
    """The terminal is not flooded; the whole reply is an attribute of the error."""
    text = "x" * 10_000
    with pytest.raises(ReplyError) as raised:
        ask(int, text, retries=0)

    assert raised.value.reply == text
    assert len(str(raised.value)) < 1_000


def test_a_bad_reply_is_sent_back_with_what_is_wrong() -> None:
    """The conversation holds the prompt once, then each reply and a short account of what was wrong with it."""
    model = ScriptedModel(["one", '{"return_value": "two"}', reply(3)])

    assert function(int, model)() == 3

    first, second, third = model.requests
    prompt = first.messages[-1].content
    assert [message.role for message in third.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert second.messages == third.messages[:4]
    assert first.messages == third.messages[:2]
    assert [message.content for message in third.messages].count(prompt) == 1
    assert (third.messages[2].content, third.messages[4].content) == ("one", '{"return_value": "two"}')
    assert "- return_value: Input should be a valid integer" in third.messages[5].content
    assert '{"return_value": "two"}' not in third.messages[5].content


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_try_is_a_call_of_its_own(asynchronous: bool) -> None:
    """So each is recorded, replayed and counted."""
    model = ScriptedModel(["one", reply(1)])

    @llm_strategy(model)
    def number() -> int:
        """Say a number."""
        raise NotImplementedError

    @llm_strategy(model)
    async def number_later() -> int:
        """Say a number."""
        raise NotImplementedError

    with call_log() as calls:
        assert (asyncio.run(number_later()) if asynchronous else number()) == 1

    assert [call.response.content for call in calls] == ["one", reply(1)]
    assert len({call.key for call in calls}) == 2
    assert [len(call.request.messages) for call in calls] == [2, 4]


@pytest.mark.parametrize(("options", "tries"), [({}, 3), ({"retries": 0}, 1), ({"retries": 4}, 5)])
def test_the_model_is_asked_three_times_unless_told_otherwise(options: dict[str, Any], tries: int) -> None:
    """Then the last reply's error is raised, with a note on how many tries there were."""
    model = ScriptedModel(["no"] * 10)

    with pytest.raises(ReplyError) as raised:
        function(int, model, **options)()

    assert len(model.requests) == tries
    notes = getattr(raised.value, "__notes__", [])
    assert notes == ([f"This was attempt {tries}; each is a call in the log."] if tries > 1 else [])


@pytest.mark.parametrize(
    ("response", "what"),
    [
        (Response("I must not.", finish_reason="refusal"), "the model refused"),
        (Response('{"return_value": [1, 2', finish_reason="length"), "cut off at the length limit (raise max_tokens)"),
        (Response("", finish_reason="length"), "cut off at the length limit"),
        (Response("", finish_reason="content_filter"), "content filter stopped the reply"),
    ],
    ids=["refusal", "length", "length, empty", "content filter"],
)
def test_a_model_that_was_stopped_or_does_not_want_to_is_not_asked_again(response: Response, what: str) -> None:
    """The same question would get the same answer, and cost the same."""
    model = ScriptedModel([response, reply([1])])

    with pytest.raises(ReplyError) as raised:
        function(list[int], model)()

    assert len(model.requests) == 1
    assert what in str(raised.value)
    assert raised.value.finish_reason == response.finish_reason


def test_a_refusal_is_quoted() -> None:
    """In the model's own words, and once."""
    with pytest.raises(ReplyError) as raised:
        ask(int, Response("I must not.", finish_reason="refusal"))

    assert str(raised.value).count("I must not.") == 1


def test_a_reply_that_was_cut_off_behind_its_object_is_taken() -> None:
    """Only the talk behind it is missing."""
    assert ask(int, Response('{"return_value": 1} I ho', finish_reason="length")) == 1


def test_a_hostile_reply_is_an_ordinary_error() -> None:
    """Thousands of braces end in a ReplyError, not in a stack overflow or a hang."""
    for text in ("[" * 100_000, "{" * 20_000, '{"return_value":' * 2_000):
        with pytest.raises(ReplyError):
            ask(int, text, retries=0)


def test_a_large_number_is_read_exactly() -> None:
    """Decimals do not pass through floating point."""
    text = '{"return_value": "0.10000000000000000000000001"}'

    assert ask(decimal.Decimal, text) == decimal.Decimal("0.10000000000000000000000001")


def test_an_error_shows_both_ends_of_a_long_reply() -> None:
    """What is wrong is often at the end."""
    with pytest.raises(ReplyError) as raised:
        ask(int, "begin " + "x" * 10_000 + " end", retries=0)

    assert "the reply was: begin xxx" in str(raised.value)
    assert "... [9,510 characters] ..." in str(raised.value)
    assert str(raised.value).endswith("xxx end")


def test_an_error_lists_ten_problems_and_carries_all() -> None:
    """Thirty wrong items are thirty problems; the message says how many it leaves out."""
    with pytest.raises(ReplyError) as raised:
        ask(list[int], reply(["x"] * 30), retries=0)

    assert [place for place, _ in raised.value.problems] == [f"return_value.{at}" for at in range(30)]
    assert str(raised.value).count("Input should be a valid integer") == 10
    assert "  ... and 20 more" in str(raised.value)


MOST_USEFUL: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "in a fence": (Entry, '```\n{"return_value": {"name": "Ann"}}\n```', ("return_value.n",)),
    "mended": (Entry, "{'return_value': {'name': 'Ann', 'n': 'x',}}", ("return_value.n",)),
    "not wrapped": (Entry, '{"name": "Ann"}', ("return_value.n",)),
    "something else": (int, '{"name": "Ann"}', ("return_value",)),
    "lax": (Entry, '{"return_value": {"name": 1, "n": "3"}}', ("return_value.name",)),
}


@pytest.mark.parametrize(("annotation", "text", "places"), MOST_USEFUL.values(), ids=MOST_USEFUL)
def test_an_error_is_about_what_the_model_meant(annotation: Any, text: str, places: tuple[str, ...]) -> None:
    """Not about the text around it; what could have been repaired is no problem."""
    with pytest.raises(ReplyError) as raised:
        ask(annotation, text, retries=0)

    assert tuple(place for place, _ in raised.value.problems) == places


NAMED = {
    "I'm sorry, but I can't help with that.": "the reply reads like a refusal, not like JSON",
    "I cannot answer this.": "the reply reads like a refusal, not like JSON",
    "<think>I cannot</think> As an AI, I must not.": "the reply reads like a refusal, not like JSON",
    "<think>1 or 2": "the reply is only a reasoning block, without an answer",
    "<think>1</think>\n": "the reply is only a reasoning block, without an answer",
    "\ufeff": "the reply is empty",
    "Sorting is hard.": "the reply does not fit",
}


@pytest.mark.parametrize("text", NAMED)
def test_what_is_no_answer_is_named(text: str) -> None:
    """A refusal in words, reasoning without a result, nothing at all."""
    with pytest.raises(ReplyError, match=NAMED[text]) as raised:
        ask(int, text, retries=0)

    assert raised.value.reply == text


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
def test_what_the_provider_cut_off_is_not_closed(finish_reason: str) -> None:
    """Something is missing, and the provider says so."""
    with pytest.raises(ReplyError) as raised:
        ask(list[int], Response('{"return_value": [1, 2', finish_reason=finish_reason))
    assert raised.value.finish_reason == finish_reason

    assert ask(list[int], Response('Well: {"return_value": [1,]} I', finish_reason=finish_reason)) == [1]


def test_strict_replies_tell_the_model_what_they_do_not_allow() -> None:
    """So that the second attempt can be right."""
    model = ScriptedModel(['```\n{"return_value": "3"}\n```', reply(3)])

    assert function(int, model, strict_replies=True)() == 3
    assert model.requests[1].messages[-1].content == (
        "That reply cannot be used:\n"
        "- strict_replies allows no repair: code fence\n"
        "- strict_replies allows no repair: '3' read as int\n"
        "Reply again, with the JSON object only."
    )


def test_a_retry_adds_the_reply_and_what_was_wrong_with_it() -> None:
    """The conversation grows by these two messages only; the prompt stands in it once."""
    bad = ["no", '{"return_value": "no"}']
    model = ScriptedModel([*bad, reply(1)])
    function(int, model)()
    sizes = [sum(len(message.content) for message in request.messages) for request in model.requests]
    complaints = [request.messages[-1].content for request in model.requests[1:]]

    assert [second - first for first, second in itertools.pairwise(sizes)] == [
        len(text) + len(complaint) for text, complaint in zip(bad, complaints, strict=True)
    ]
    assert [len(request.messages) for request in model.requests] == [2, 4, 6]
    assert all(len(complaint) < 200 for complaint in complaints)
    assert model.requests[2].messages[:4] == model.requests[1].messages


class Fussy(BaseModel):
    """A type whose validator fails in a way of its own."""

    n: Any

    @field_validator("n")
    @classmethod
    def check(cls, value: Any) -> Any:
        return {"one": 1}[value]


def test_a_validator_that_fails_in_its_own_way_is_a_reply_error() -> None:
    """Its exception is the cause, for the traceback; the reply is what did not fit."""
    with pytest.raises(ReplyError, match="KeyError in a validator: 'two'") as raised:
        ask(Fussy, '{"return_value": {"n": "two"}}', retries=0)

    assert isinstance(raised.value.__cause__, KeyError)
    assert ask(Fussy, '{"return_value": {"n": "one"}}').n == 1


def test_a_good_reply_is_validated_once() -> None:
    """In strict mode, by one call; validators see it once."""
    seen = []

    def note(value: Any) -> Any:
        seen.append(value)
        return value

    assert ask(list[Annotated[int, BeforeValidator(note)]], reply([1, 2])) == [1, 2]
    assert seen == [1, 2]


# Anything at all


@dataclass
class Node:
    """A recursive type of which almost every field may be missing."""

    value: int | None = None
    children: list[Node] = field(default_factory=list)


PARSERS = [
    function(kind, ScriptedModel([]))
    for kind in (int, str, Entry, Node, Any, dict[str, Any], list[float], decimal.Decimal)
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["return_value", "value", "children", "name", "n"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SCRAPS = st.lists(
    st.sampled_from(
        """{"return_value": @{@}@[@]@"@'@,@:@```@```json\n@<think>@</think>@\\@\n@//@/*@*/@#@null@None@1@-1.5e3@name@"n"@\\"@\\u"""
        """@\\ud800@\ufeff@ @\ud800@\u201c""".split("@")
    ),
    max_size=25,
).map("".join)
TEXTS = st.one_of(
    st.text(st.characters(), max_size=30),
    SCRAPS,
    JSON.map(json.dumps),
    JSON.map(lambda value: json.dumps({"return_value": value})),
    st.tuples(JSON.map(lambda value: json.dumps({"return_value": value})), SCRAPS, st.integers(0, 40)).map(
        lambda parts: parts[0][: parts[2]] + parts[1] + parts[0][parts[2] :]
    ),
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(PARSERS), TEXTS)
def test_any_text_is_a_value_or_a_reply_error(parser: Any, text: str) -> None:
    """Never another exception, whatever a model sends."""
    with contextlib.suppress(ReplyError):
        parser.parse(text)


@settings(deadline=None, max_examples=300)
@given(JSON, st.sampled_from(["```json\n%s\n```", "Well: %s, or {so}.", "\ufeff%s", "<think>{</think>%s", "%s"]))
def test_noise_changes_no_value(value: Any, noise: str) -> None:
    """What is read out of the noise is what would have been read without it."""
    good = json.dumps({"return_value": value})
    expected, got = (repr(parser(text)) for parser, text in ((ANYTHING.parse, good), (ANYTHING.parse, noise % good)))

    assert got == expected


ANYTHING = function(Any, ScriptedModel([]))

HUGE = {
    "brackets": "[" * 200_000,
    "braces": "{" * 1_000_000,
    "quotes": '"' * 1_000_000,
    "objects that do not end": '{"a":' * 200_000,
    "arrays in objects": '{"a":[' * 150_000,
    "reasoning": "<think>" * 150_000,
    "much reasoning": "<think></think>" * 70_000,
    "the end of reasoning": "</think>" * 120_000,
    "fences": "```json\n" * 120_000,
    "blanks": " " * 1_000_000 + "x",
    "backslashes": '{"return_value": "' + "\\" * 900_001,
    "many objects": '{"a": 1} ' * 110_000,
    "many wrong objects": '{"return_value": "x"} ' * 50_000,
    "broken objects": "{a:b " * 200_000,
    "single quotes": "{'a':" * 200_000,
    "comments": '{"a":' + "/**/" * 250_000,
    "encoded again": json.dumps(json.dumps(json.dumps("[" * 100_000))),
    "raw newlines": '{"return_value": ["' + "\n" * 900_000,
    "digits": '{"return_value": ' + "9" * 1_000_000 + "}",
    "surrogates": '{"return_value": {"' + "\\ud800" * 150_000,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_megabytes_of_garbage_are_given_up_on(text: str) -> None:
    """In time that grows with the text, not with its square, and without an overflow."""
    for parser in PARSERS[:1] + PARSERS[3:4]:
        with pytest.raises(ReplyError):
            parser.parse(text)
