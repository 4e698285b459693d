"""What a new answer makes of an old one: identical, cosmetic, same value, value changed, no longer parses."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_strategy.cassette.verdicts import VERDICTS, Verdict, verdict
from llm_strategy.schema import Output
from llm_strategy.streamed import PlainText
from llm_strategy.values import JSON, Response, Usage
from llm_strategy.wire.envelope import HTTPResponse


@dataclass
class Product:
    name: str
    price: float = 1.0
    noted: str = field(default="", compare=False)


class Plain:
    """A type without equality."""

    def __init__(self, size: int) -> None:
        self.size = size

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.int_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda plain: plain.size),
        )


PRODUCT = Output(Product, "product")
WHEN = Output(datetime, "when")


def said(value: JSON) -> Response:
    return Response(json.dumps({"return_value": value}))


def both(old: str | Response, new: str | Response, output: Output) -> Verdict:
    """The verdict by the type; that by the recorded schema is the same."""
    was, now = (Response(side) if isinstance(side, str) else side for side in (old, new))
    found = verdict(was, now, output=output)
    assert verdict(was, now, schema=json.loads(json.dumps(output.schema))) == found
    return found


LAMP = '{"return_value": {"name": "lamp", "price": 1}}'


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (LAMP, "identical"),
        ('{ "return_value":{"name":"lamp",\n"price":1}}\n', "cosmetic"),
        ('{"return_value": {"price": 1, "name": "lamp"}}', "cosmetic"),
        ('{"return_value": {"name": "\\u006camp", "price": 1}}', "cosmetic"),
        (f"```json\n{LAMP}\n```", "cosmetic"),
        (f"\ufeff{LAMP}", "cosmetic"),
        ('{"return_value": {"name": "lamp", "price": 1.0}}', "same value"),
        ('{"return_value": {"name": "lamp", "price": 10e-1}}', "same value"),
        ('{"return_value": {"name": "lamp"}}', "same value"),
        (f"Here you are: {LAMP}", "same value"),
        (f"<think>A lamp, then.</think>{LAMP}", "same value"),
        ('{"return_value": {"name": "lamp", "price": 1,}}', "same value"),
        ('{"name": "lamp", "price": 1}', "same value"),
        ('{"return_value": {"name": "Lamp", "price": 1}}', "value changed"),
        ('{"return_value": {"name": "lamp", "price": 1.5}}', "value changed"),
        ('{"return_value": {"name": ["lamp"], "price": 1}}', "no longer parses"),
        ("I do not know.", "no longer parses"),
        ("", "no longer parses"),
    ],
)
def test_a_reply_is_judged_by_its_value(new: str, expected: Verdict) -> None:
    """Alike by the return type and by the schema that was recorded."""
    assert both(LAMP, new, PRODUCT) == expected


def test_a_time_has_many_spellings() -> None:
    """The same moment is the same value; another one is not."""
    noon = said("2026-01-02T12:00:00Z")
    assert both(noon, said("2026-01-02T13:00:00+01:00"), WHEN) == "same value"
    assert both(noon, said("2026-01-02T12:00:00+01:00"), WHEN) == "value changed"
    assert both(said("2026-01-02"), said("2026-01-03"), Output(date, "day")) == "value changed"


def test_types_have_their_own_equality() -> None:
    """What a class leaves out of its comparison is no change; a type without equality is compared by what is sent."""
    old, new = ({"name": "lamp", "noted": text} for text in ("a", "b"))
    assert verdict(said(old), said(new), output=PRODUCT) == "same value"
    plain = Output(Plain, "plain")
    assert verdict(said(1), Response('Sure: {"return_value": 1}'), output=plain) == "same value"
    assert verdict(said(1), said(2), output=plain) == "value changed"
    money = Output(Decimal, "money")
    assert verdict(said("1.0"), said("1.00"), output=money) == "same value"
    ordered = Output(OrderedDict[str, int], "ordered")
    assert verdict(said({"a": 1, "b": 2}), said({"b": 2, "a": 1}), output=ordered) == "value changed"


@pytest.mark.parametrize("annotation", [bool | int, Any, list[Any], dict[str, bool | int]])
def test_a_truth_value_is_no_number(annotation: Any) -> None:
    """Though Python says that True == 1."""
    for old, new in ((True, 1), ([True], [1]), ({"a": False}, {"a": 0})):
        by_type = verdict(said(old), said(new), output=Output(annotation, "f"))
        assert by_type == "value changed"
    assert verdict(said(True), said(1)) == "value changed"


def test_no_number_is_equal_to_itself() -> None:
    """NaN is, to a reviewer, what it was."""
    old, new = ('{"return_value": [NaN, 1]}', 'So: {"return_value": [NaN, 1]}')
    assert verdict(Response(old), Response(new), output=Output(list[float], "f")) == "same value"
    assert verdict(Response("[NaN]"), Response("[ NaN ]")) == "cosmetic"
    assert verdict(Response("[NaN]"), Response("[1]")) == "value changed"
    assert verdict(said(math.inf), said(math.inf)) == "identical"


def test_long_numbers_are_not_rounded() -> None:
    """By a type that is exact, and where the type is not known."""
    old, new = ('{"return_value": 0.1234567890123456789}', '{"return_value": 0.1234567890123456788}')
    assert verdict(Response(old), Response(new), output=Output(Decimal, "f")) == "value changed"
    assert verdict(Response(old), Response(new)) == "value changed"
    assert verdict(Response(old), Response(new), output=Output(float, "f")) == "same value"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Yes.", "Yes.", "identical"),
        ("Yes.\nNo.", "Yes. \r\nNo.\n", "cosmetic"),
        ("Yes.", "yes.", "value changed"),
        ("if x:\n  y", "if x:\ny", "value changed"),
        ('{"a": 1}', '```\n{"a":1}\n```', "cosmetic"),
        ('{"a": 1}', 'It is {"a": 1.0}', "same value"),
        ('{"a": 1}', "It is 1", "no longer parses"),
        ('It is {"a": 1}', '{"a": 1}', "value changed"),
        ("12", "12.0", "value changed"),
    ],
)
def test_a_reply_without_schema(old: str, new: str, expected: Verdict) -> None:
    """It is JSON where all of the old one was, else text, of which blanks that nobody sees do not count."""
    assert verdict(Response(old), Response(new)) == expected


def test_the_end_of_an_answer_counts() -> None:
    """A refusal has no value; a text that was cut off is another one; a whole JSON object may well be cut off behind."""
    for output, schema in ((PRODUCT, None), (None, PRODUCT.schema)):
        for reason, expected in (("refusal", "no longer parses"), ("length", "same value"), ("end_turn", "same value")):
            new = Response(f"{LAMP} and", finish_reason=reason)
            assert verdict(Response(LAMP), new, output=output, schema=schema) == expected
        cut = Response(LAMP[:-1], finish_reason="length")
        assert verdict(Response(LAMP), cut, output=output, schema=schema) == "no longer parses"
    assert verdict(Response("Yes"), Response("Yes", finish_reason="length")) == "value changed"
    assert verdict(Response("Yes"), Response("No way.", finish_reason="refusal")) == "no longer parses"
    assert verdict(Response("Yes", finish_reason="stop"), Response("Yes", finish_reason="eos")) == "identical"


def test_an_answer_that_did_not_parse_before() -> None:
    """Whatever comes in its place has changed; only its layout may have."""
    assert verdict(Response("hm"), Response(LAMP), output=PRODUCT) == "value changed"
    assert verdict(Response("hm"), Response("what"), output=PRODUCT) == "value changed"
    assert verdict(Response("hm"), Response("hm "), output=PRODUCT) == "cosmetic"


def test_what_an_answer_cost_and_how_it_came_does_not_count() -> None:
    """Tokens, the name of what answered, and the pieces of a stream."""
    old = Response(LAMP, Usage(1, 2), model="m-1", pieces=(LAMP[:3], LAMP[3:]))
    assert verdict(old, Response(LAMP, Usage(3, 4), model="m-2"), output=PRODUCT) == "identical"


def test_a_stream_that_was_closed_early() -> None:
    """Its value is the items that were whole; of a text all that came."""
    output = Output(list[int], "numbers")

    def cut(text: str) -> Response:
        return Response(text, finish_reason="", closed_early=True)

    old = cut('{"return_value": [1, 2, 3')
    assert both(old, cut('{"return_value": [1, 2, 4'), output) == "identical"
    assert both(old, cut('{ "return_value": [1.0, 2, 4'), output) == "same value"
    assert both(old, cut('{"return_value": [1, 3, 4'), output) == "value changed"
    assert verdict(cut("one two"), cut("one three"), output=PlainText("f")) == "value changed"


def test_a_text_stream_is_text() -> None:
    """Also where it looks like JSON."""
    assert verdict(Response("[1]"), Response("[ 1 ]"), output=PlainText("f")) == "value changed"


# Over HTTP


def completion(message: JSON, *, number: int = 1, **more: JSON) -> HTTPResponse:
    body = {"id": f"chatcmpl-{number}", "created": number, "model": "m", "choices": [{"message": message, **more}]}
    return HTTPResponse.of({"status": 200, "body": {**body, "usage": {"prompt_tokens": number}}})


def calling(arguments: str, *, name: str = "find", number: int = 1) -> HTTPResponse:
    call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
    return completion({"role": "assistant", "content": None, "tool_calls": [call]}, number=number)


def test_ids_and_times_of_an_http_answer_do_not_count() -> None:
    """Nor does what it cost; its text is judged as any other."""
    schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    old = completion({"content": '{"a": 1}'})
    assert verdict(old, completion({"content": '{"a": 1}'}, number=2), schema=schema) == "identical"
    assert verdict(old, completion({"content": '{"a":1}'}, number=2), schema=schema) == "cosmetic"
    assert verdict(old, completion({"content": '{"a": 1.0}'}, number=2), schema=schema) == "same value"
    assert verdict(old, completion({"content": '{"a": 2}'}, number=2), schema=schema) == "value changed"
    assert verdict(old, completion({"content": '{"a": "1"}'}, number=2), schema=schema) == "no longer parses"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (calling('{"city": "Rome", "days": 1}', number=2), "identical"),
        (calling('{"days": 1, "city": "Rome"}'), "cosmetic"),
        (calling('{"city": "Rome", "days": 1.0}'), "same value"),
        (calling('{"city": "Rome", "days": 2}'), "value changed"),
        (calling('{"city": "Rome", "days": 1}', name="look"), "value changed"),
        (completion({"content": "In Rome."}), "value changed"),
    ],
)
def test_calls_of_tools_are_part_of_the_answer(new: Response, expected: Verdict) -> None:
    """By name and arguments; the ids of the calls are others each time."""
    assert verdict(calling('{"city": "Rome", "days": 1}'), new) == expected


def test_every_choice_counts() -> None:
    """Of several the first alone is the text of an answer."""

    def choices(*texts: str) -> HTTPResponse:
        body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"} for text in texts]}
        return HTTPResponse.of({"status": 200, "body": body})

    assert verdict(choices("a", "b"), choices("a", "b")) == "identical"
    assert verdict(choices("a", "b"), choices("a", "c")) == "value changed"


def test_an_http_error_is_no_answer() -> None:
    """Whatever it says."""
    error = HTTPResponse.of({"status": 429, "body": {"error": {"message": "slow down"}}})
    assert verdict(completion({"content": "hello"}), error) == "no longer parses"
    assert verdict(error, completion({"content": "hello"})) == "value changed"


def test_an_answer_in_no_known_format() -> None:
    """Its whole body counts, but for ids and times."""

    def answer(number: int, result: JSON) -> HTTPResponse:
        return HTTPResponse.of({"status": 200, "body": {"id": str(number), "created": number, "outcome": result}})

    assert verdict(answer(1, [1]), answer(2, [1])) == "identical"
    assert verdict(answer(1, [1]), answer(2, [2])) == "value changed"


# Hostile and huge


def test_huge_replies_and_deep_ones_are_judged() -> None:
    """No recursion overflows, and no number takes for ever."""
    deep = "[" * 100_000 + "]" * 100_000
    assert verdict(Response(deep), Response(deep + "\n")) == "cosmetic"
    assert verdict(Response(deep), Response(deep[1:-1])) == "value changed"
    number = "9" * 10_000
    assert verdict(Response(f"[{number}]"), Response(f"[{number}, 1]")) == "value changed"
    far = '{"return_value": 1e999999999999999999999}'
    assert verdict(Response(far), Response(f" {far}"), schema={"properties": {"return_value": {}}}) == "cosmetic"
    many = json.dumps({"return_value": list(range(200_000))})
    schema = {"properties": {"return_value": {"type": "array", "items": {"type": "integer"}}}}
    assert verdict(Response(many), Response(f"So: {many}"), schema=schema) == "same value"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#/nowhere/at/all"},
        {"type": 3},
        {"properties": {"return_value": {"pattern": "(a+)+$", "type": "string"}}},
        {"properties": {"return_value": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
        {"properties": 3, "anyOf": 3, "items": [3]},
        {
            "$ref": "#/$defs/0",
            "$defs": {str(at): {"allOf": [{"$ref": f"#/$defs/{at + 1}"}] * 2} for at in range(60)} | {"60": {}},
        },
    ],
)
def test_a_hostile_schema_is_no_obstacle(schema: JSON) -> None:
    """Nothing it refers to is fetched, its patterns do not run, and the reply is judged all the same."""
    old, new = said("a" * 40 + "!"), said("a" * 41)
    assert verdict(old, old, schema=schema) == "identical"
    assert verdict(old, new, schema=schema) == "value changed"


def test_without_jsonschema_every_value_may_be_one() -> None:
    """It is an extra: where it is missing, a reply is read as JSON, and compared."""
    program = """
import sys
sys.modules["jsonschema"] = None
from llm_strategy.cassette.verdicts import verdict
from llm_strategy.values import Response
schema = {"type": "object", "properties": {"return_value": {"type": "integer"}}, "required": ["return_value"]}
for text in ('{"return_value":1}', '{"return_value": "x"}', "none"):
    print(verdict(Response('{"return_value": 1}'), Response(text), schema=schema))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["cosmetic", "value changed", "no longer parses"]


# Properties

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
FENCES = ("{}", "```json\n{}\n```", "~~~\n{}\n~~~", "\ufeff{}", "\n\n {}\t\n")


@st.composite
def layouts(draw: st.DrawFn, value: JSON) -> str:
    """A text of the value in some layout."""
    text = json.dumps(
        _shuffled(draw, value),
        indent=draw(st.sampled_from([None, 0, 2, "\t"])),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:  ")])),
    )
    return draw(st.sampled_from(FENCES)).replace("{}", text)


def _shuffled(draw: st.DrawFn, value: JSON) -> JSON:
    if isinstance(value, dict):
        return {name: _shuffled(draw, value[name]) for name in draw(st.permutations(list(value)))}
    return [_shuffled(draw, item) for item in value] if isinstance(value, list) else value


def outputs() -> Iterator[dict[str, Any]]:
    """What may be known of a reply's form."""
    yield {"output": Output(Any, "anything")}
    yield {"schema": dict(Output(Any, "anything").schema)}
    yield {}


KNOWN = list(outputs())


@settings(deadline=None)  # the first one loads what the others use
@given(st.data(), values)
def test_any_other_layout_is_cosmetic(data: st.DataObject, value: JSON) -> None:
    """Blanks, line ends, the order of keys, escapes, a fence: none of it is more, whatever is known of the form."""
    old, new = (Response(data.draw(layouts({"return_value": value}))) for _ in range(2))
    for known in KNOWN:
        assert verdict(old, new, **known) in ("identical", "cosmetic")


@settings(deadline=None)  # the first one loads what the others use
@given(st.data(), values, st.sampled_from(["Here it is:\n{}", "<think>hm {{}}</think>\n{}", "{}\nThat is it."]))
def test_what_stands_around_a_reply_is_no_change(data: st.DataObject, value: JSON, around: str) -> None:
    """Prose and thoughts leave the value as it was."""
    text = json.dumps({"return_value": value})
    for known in KNOWN:
        found = verdict(Response(text), Response(around.replace("{}", text)), **known)
        assert VERDICTS.index(found) <= VERDICTS.index("same value")


@settings(deadline=None)  # the first one loads what the others use
@given(values, values)
def test_another_value_is_a_change(old: JSON, new: JSON) -> None:
    """Whatever is known of the form; only 1 and 1.0 are alike."""
    changed = _plainly(old) != _plainly(new)
    for known in KNOWN:
        found = verdict(said(old), said(new), **known)
        assert (found == "value changed") == changed


def _plainly(value: JSON) -> str:
    """A text that is the same for equal values."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e300:
        value = int(value)
    if isinstance(value, dict):
        return repr({name: _plainly(value[name]) for name in sorted(value)})
    return repr([_plainly(item) for item in value]) if isinstance(value, list) else repr(value)


@settings(deadline=None)  # the first one loads what the others use
@given(st.dictionaries(st.text(), st.integers() | st.text()), st.dictionaries(st.text(), st.integers() | st.text()))
def test_a_verdict_is_the_same_from_both_sides(old: dict[str, JSON], new: dict[str, JSON]) -> None:
    """As long as both parse."""
    for known in KNOWN:
        assert verdict(said(old), said(new), **known) == verdict(said(new), said(old), **known)
