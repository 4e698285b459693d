"""From a reply to a value: what is read, what is mended, what is asked again, what is an error."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field, PositiveInt

from llm_strategy import ReplyError, Response, ScriptedModel, call_log, llm_strategy
from tests.llm_strategy.answers import reply


@dataclass
class Customer:
    key: str
    birthdate: datetime.date


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


MENDED = {
    "fence": '```json\n{"return_value": 1}\n```',
    "before": 'Here you are: {"return_value": 1}',
    "after": '{"return_value": 1}\nI hope this helps {really}!',
    "another object first": '{"thought": {"a": 1}} {"return_value": 1}',
    "a wrong one first": 'Not {"return_value": "x"} but {"return_value": 1}',
    "brace in the text": 'An { is a brace. {"return_value": 1}',
}


@pytest.mark.parametrize("text", MENDED.values(), ids=MENDED)
def test_text_around_the_object_is_cut_off_and_noted(text: str) -> None:
    """Models like to talk; the call in the log says that something was mended."""
    with call_log() as calls:
        assert ask(int, text) == 1

    assert calls[0].repairs == ("text around the JSON object",)
    assert calls[0].response.content == text


@pytest.mark.parametrize("text", MENDED.values(), ids=MENDED)
def test_strict_replies_are_not_mended(text: str) -> None:
    """With `strict_replies=True` the object must stand alone."""
    with pytest.raises(ReplyError, match="the reply does not fit"):
        ask(int, text, strict_replies=True, retries=0)


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
    "bare value": (int, "1", "the reply does not fit", "Input should be an object"),
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
