"""The Chat Completions format: pure functions between JSON and requests and responses."""

from __future__ import annotations

import copy
import enum
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib import _pydantic as sdk
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes the one of typing from Python 3.12 on

from llm_strategy.values import (
    BlobPart,
    FilePart,
    Message,
    ReasoningPart,
    Request,
    Response,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
    Usage,
)
from llm_strategy.wire.chat_completions import decode, decode_request, encode, strict_schema, tokens_name

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "test_openai"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    number: int | None = None


@dataclass
class Customer:
    name: Annotated[str, Field(description="first and last")]
    born: date
    address: Address
    tags: list[str] = field(default_factory=list)
    colour: Colour = Colour.RED


@dataclass
class Tree:
    value: int
    children: list[Tree] = field(default_factory=list)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    owner: Annotated[Address, Field(description="who feeds it")]


class Point(NamedTuple):
    x: float
    y: float


class Movie(TypedDict):
    title: str
    year: Annotated[int, Field(ge=1900, lt=2100)]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


EXPRESSIBLE: list[Any] = [
    bool,
    int,
    float,
    str,
    None,
    date,
    UUID,
    list[int],
    int | None,
    list[str | None] | int,
    Literal["a", "b"],
    Literal[1, "a", None, True],
    Colour,
    Address,
    Customer,
    list[Customer],
    Tree,
    Annotated[Cat | Dog, Field(discriminator="kind")],
    list[Cat | Dog],
    Movie,
    Point,
    tuple[int, int, int],
    tuple[Address, Address],
    Annotated[int, Field(gt=0, multiple_of=5)],
    Annotated[list[int], Field(min_length=1, max_length=3)],
    Annotated[str, Field(pattern="^[a-z]+$")],
]

INEXPRESSIBLE: list[Any] = [
    Any,
    object,
    dict[str, int],
    dict,
    list,
    list[Any],
    tuple[int, str],
    tuple[Any, ...],
    Open,
    list[dict[str, Any]],
]


def reply_schema(kind: Any) -> dict[str, Any]:
    """The schema of a reply that holds a value of the type, as a function's prompt states it."""
    schema = TypeAdapter(kind).json_schema()
    definitions = schema.pop("$defs", None)
    reply: dict[str, Any] = {"type": "object", "properties": {"return_value": schema}, "required": ["return_value"]}
    return reply | ({"$defs": definitions} if definitions else {})


ALLOWED = (
    "type properties required additionalProperties items enum const anyOf $ref $defs description pattern format "
    "multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems"
).split()


def each_schema(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for name in ("$defs", "properties"):
        for inside in schema.get(name, {}).values():
            yield from each_schema(inside)
    for inside in [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]:
        yield from each_schema(inside)


@pytest.mark.parametrize("kind", EXPRESSIBLE, ids=str)
def test_strict_schemas_keep_the_documented_rules(kind: Any) -> None:
    """Objects are closed and whole, a reference stands alone, only documented keywords occur, each part has a type."""
    schema = reply_schema(kind)
    before = copy.deepcopy(schema)
    strict = strict_schema(schema)
    assert strict is not None
    assert schema == before
    for part in each_schema(strict):
        assert part.keys() <= set(ALLOWED)
        assert "$ref" not in part or part.keys() == {"$ref"}
        assert part.keys() & {"type", "anyOf", "$ref"}
        if "properties" in part:
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
    assert strict_schema(strict) == strict


@pytest.mark.parametrize("kind", EXPRESSIBLE, ids=str)
def test_the_sdk_has_nothing_to_add_to_a_strict_schema(kind: Any) -> None:
    """What the `openai` package does to make a schema strict changes nothing in ours."""
    strict = strict_schema(reply_schema(kind))
    prepared = copy.deepcopy(strict)
    assert prepared is not None
    assert sdk._ensure_strict_json_schema(prepared, path=(), root=prepared) == strict


def values(schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a sampler that follows the strict schema may write."""
    if reference := schema.get("$ref"):
        target = root["$defs"][reference.removeprefix("#/$defs/")] if reference != "#" else root
        return st.deferred(lambda: values(target, root))
    if "anyOf" in schema:
        return st.one_of([values(choice, root) for choice in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    match schema["type"]:
        case "object":
            return st.fixed_dictionaries({name: values(part, root) for name, part in schema["properties"].items()})
        case "array":
            most = schema.get("maxItems", 2)
            return st.lists(values(schema["items"], root), min_size=schema.get("minItems", 0), max_size=most)
        case "integer":
            step = schema.get("multipleOf", 1)
            low, high = schema.get("minimum", schema.get("exclusiveMinimum", -10) + 1), 10_000
            high = schema.get("exclusiveMaximum", high) - 1
            return st.integers(-(-low // step), high // step).map(lambda number: number * step)
        case "number":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "string" if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True)
        case "string":
            formats = {"date": st.dates().map(str), "uuid": st.uuids().map(str)}
            return formats.get(schema.get("format", ""), st.text(max_size=5))
        case "boolean":
            return st.booleans()
        case kind:
            assert kind == "null"
            return st.none()


@pytest.mark.parametrize("kind", EXPRESSIBLE, ids=str)
def test_what_fits_the_strict_schema_fits_the_type(kind: Any) -> None:
    """A sampler that follows the strict schema never writes what the type refuses."""
    strict = strict_schema(reply_schema(kind))
    assert strict is not None
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    @settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @given(values(strict, strict))
    def check(reply: dict[str, Any]) -> None:
        adapter.validate_json(json.dumps(reply["return_value"]))

    check()


@pytest.mark.parametrize("kind", INEXPRESSIBLE, ids=str)
def test_what_strict_mode_cannot_say_is_left_to_json_mode(kind: Any) -> None:
    """Open maps, values of any kind and tuples of different types have no strict schema."""
    schema = reply_schema(kind)
    assert strict_schema(schema) is None
    body = encode(Request("openai:m", (), schema))
    assert body["response_format"] == {"type": "json_object"}


STRING = {"type": "string"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": STRING},
        {"anyOf": [{"type": "object", "properties": {}}, {"type": "null"}]},
        STRING,
        {"type": "object"},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"not": STRING}}},
        {"type": "object", "properties": {"a": {"allOf": [STRING, {"minLength": 1}]}}},
        {"type": "object", "properties": {"a": STRING}, "patternProperties": {".": {}}},
        {"type": "object", "properties": {}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "https://example.org/schema"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b", "pattern": "x"}}, "$defs": {"b": STRING}},
        {"type": "object", "properties": {"a": {"enum": [[1]]}}},
        {"type": "object", "properties": {"a": {"type": "string", "anyOf": [STRING]}}},
        {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [STRING]}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    ],
    ids=str,
)
def test_schemas_beyond_the_subset_have_no_strict_form(schema: Any) -> None:
    """A root that is no object, unknown keywords, and references that lead out or carry constraints are given up."""
    assert strict_schema(schema) is None


def test_a_single_schema_in_allof_is_that_schema() -> None:
    """What older generators write around a reference is taken off."""
    wrapped = {"allOf": [{"$ref": "#/$defs/b"}], "description": "told", "title": "A"}
    strict = strict_schema({"type": "object", "properties": {"a": wrapped}, "$defs": {"b": STRING, "unused": {}}})
    assert strict is not None
    assert strict["properties"] == {"a": {"$ref": "#/$defs/b"}}
    assert strict["$defs"] == {"b": STRING}


def test_bounds_that_strict_mode_refuses_are_left_to_the_type() -> None:
    """A length, uniqueness or lookaround is not said; the shape still is."""
    strict = strict_schema(
        {
            "type": "object",
            "title": "T",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 9, "default": "x", "title": "Name"},
                "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
                "price": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*$"}]},
                "link": {"type": "string", "format": "uri", "examples": ["https://example.org"]},
            },
        }
    )
    assert strict == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "price": {"anyOf": [{"type": "number"}, {"type": "string"}]},
            "link": {"type": "string"},
        },
        "required": ["name", "tags", "price", "link"],
        "additionalProperties": False,
    }
    assert strict_schema(reply_schema(Decimal)) is not None
    assert strict_schema(reply_schema(set[str])) is not None


def test_a_root_that_points_to_a_definition_is_that_definition() -> None:
    """A recursive type at the root becomes an object at the root."""
    strict = strict_schema(TypeAdapter(Tree).json_schema())
    assert strict is not None
    assert strict["type"] == "object"
    assert strict["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert strict["$defs"].keys() == {"Tree"}


def wide(properties: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{n}": {"type": "null"} for n in range(properties)}}


def deep(levels: int) -> dict[str, Any]:
    inside: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        inside = {"type": "object", "properties": {"in": inside}}
    return inside


def choosing(*values: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "string", "enum": list(values)}}}


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        (wide(5_000), wide(5_001)),
        (deep(10), deep(11)),
        (choosing(*map(str, range(1_000))), choosing(*map(str, range(1_001)))),
        (choosing(*["x" * 100] * 250), choosing(*["x" * 100] * 251)),
        (choosing("x" * 119_999), choosing("x" * 120_000)),
    ],
    ids=["properties", "depth", "choices", "long choices", "characters"],
)
def test_schemas_beyond_the_documented_sizes_are_given_up(within: dict[str, Any], beyond: dict[str, Any]) -> None:
    """A schema that OpenAI would refuse for its size is not sent as a strict one."""
    assert strict_schema(within) is not None
    assert strict_schema(beyond) is None


def test_the_form_of_the_reply_can_be_weakened() -> None:
    """A server of few skills is told less about the reply's form, down to nothing."""
    request = Request("openai:m", (), reply_schema(int))
    assert encode(request, structured="strict")["response_format"]["json_schema"]["strict"] is True
    assert encode(request, structured="json_object")["response_format"] == {"type": "json_object"}
    assert "response_format" not in encode(request, structured="none")
    strings = Request("openai:m", (), {"type": "array", "items": {"type": "string"}})
    assert "response_format" not in encode(strings, structured="json_object")


WHOLE = Request(
    "openai:gpt-5-mini",
    (
        Message("system", "Be brief."),
        Message(
            "user",
            [
                TextPart("What is this?"),
                BlobPart("image", "image/jpeg", "/9j/"),
                UriPart("image", None, "https://example.org/a.png"),
                BlobPart("audio", "audio/mpeg", "SUQz"),
                BlobPart("document", "application/pdf", "JVBE"),
                FilePart("document", None, "file-1"),
            ],
        ),
        Message("assistant", [TextPart("Let me see."), ToolCallPart("call_1", "look", {"at": "é"})]),
        Message("tool", [ToolCallResponsePart("call_1", "a cat")]),
        Message("assistant", [ToolCallPart(None, "look", "{not json")]),
        Message("assistant", "A cat."),
    ),
    strict_schema(reply_schema(Customer)),
    ({"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object"}},),
    {"temperature": 0.5, "max_tokens": 99, "seed": 3, "stop": ["END"], "top_k": 4},
)


def test_a_request_survives_the_way_there_and_back() -> None:
    """Decoding what was encoded gives the request again, with the same key."""
    body = json.loads(json.dumps(encode(WHOLE)))
    assert decode_request(body) == WHOLE
    assert decode_request(body).key == WHOLE.key
    assert encode(decode_request(body)) == body


def test_the_body_is_what_the_api_documents() -> None:
    """Parts, tools and settings stand where the API reference puts them."""
    body = encode(WHOLE)
    assert body["model"] == "gpt-5-mini"
    assert body["max_completion_tokens"] == 99
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    assert body["messages"][2]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "é"}'}}
    ]
    assert body["messages"][3] == {"role": "tool", "tool_call_id": "call_1", "content": "a cat"}
    assert body["messages"][4]["content"] is None
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}},
        }
    ]


def test_each_answer_of_a_tool_is_a_message() -> None:
    """Several answers in one message are sent one by one, and what is no text as JSON."""
    message = Message(
        "user", [ToolCallResponsePart("a", {"n": 1}), ToolCallResponsePart("b", "two"), TextPart("Go on.")]
    )
    assert encode(Request("openai:m", (message,)))["messages"] == [
        {"role": "tool", "tool_call_id": "a", "content": '{"n": 1}'},
        {"role": "tool", "tool_call_id": "b", "content": "two"},
        {"role": "user", "content": "Go on."},
    ]


def test_reasoning_is_not_sent_back() -> None:
    """What a model thought stays out of the next request."""
    message = Message("assistant", [ReasoningPart("Hm."), TextPart("Yes.")])
    assert encode(Request("openai:m", (message,)))["messages"] == [{"role": "assistant", "content": "Yes."}]


def test_volatile_values_are_sent() -> None:
    """The model gets the value, whatever stands for it in the key."""
    request = Request("openai:m", (Message("user", "Now: <now>"),), volatile={"<now>": "noon"})
    assert encode(request)["messages"][0]["content"] == "Now: noon"


@pytest.mark.parametrize(
    "request_",
    [
        Request(None, ()),
        Request("openai:m", (Message("user", [UriPart("video", None, "https://example.org/a.mp4")]),)),
        Request("openai:m", (Message("user", [BlobPart("video", "video/mp4", "AAAA")]),)),
    ],
    ids=["no model", "address of a video", "video"],
)
def test_what_the_format_has_no_place_for_is_refused(request_: Request) -> None:
    """A request that cannot be said in Chat Completions raises ValueError."""
    with pytest.raises(ValueError, match=r"no model|no place for video"):
        encode(request_)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "max_completion_tokens"),
        ("eu.api.openai.com", "max_completion_tokens"),
        ("mine.openai.azure.com", "max_completion_tokens"),
        ("localhost", "max_tokens"),
        ("api.deepseek.com", "max_tokens"),
        ("notopenai.com", "max_tokens"),
        ("", "max_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_host_knows(host: str, name: str) -> None:
    """OpenAI and Azure get the new name of the limit, other servers the old."""
    assert tokens_name(host) == name
    request = Request("openai:m", (), settings={"max_tokens": 5})
    assert encode(request, completion_tokens_name=name)[name] == 5


def body_of(message: Mapping[str, Any], **choice: Any) -> dict[str, Any]:
    return {"model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}]}


@pytest.mark.parametrize(
    ("body", "response"),
    [
        (body_of({"content": "Hi"}), Response("Hi", None, "stop", "m-1")),
        (body_of({"content": "Hi"}, finish_reason="length"), Response("Hi", None, "length", "m-1")),
        (body_of({"content": ""}, finish_reason="content_filter"), Response("", None, "content_filter", "m-1")),
        (body_of({"content": None, "refusal": "No."}), Response("No.", None, "refusal", "m-1")),
        (
            body_of({"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}]}),
            Response("", None, "tool_call", "m-1", tool_calls=(ToolCallPart("c", "f", {"a": 1}),)),
        ),
        (body_of({"content": None}, finish_reason="tool_calls"), Response("", None, "tool_call", "m-1")),
        (body_of({"content": "Hi"}, finish_reason=None), Response("Hi", None, "stop", "m-1")),
        (body_of({"content": "Hi"}, finish_reason="eos"), Response("Hi", None, "eos", "m-1")),
        (body_of({}), Response("", None, "stop", "m-1")),
        (
            body_of({"content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}),
            Response("Hi", None, "stop", "m-1"),
        ),
        (
            {**body_of({"content": "Hi"}), "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
            Response("Hi", Usage(3, 4), "stop", "m-1"),
        ),
        ({**body_of({"content": "Hi"}), "model": None, "usage": {}}, Response("Hi", Usage(), "stop", None)),
    ],
)
def test_responses_are_decoded(body: Any, response: Response) -> None:
    """Content, finish reason, usage and model are found; a refusal is its own words."""
    assert decode(body) == response


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "no choices, only nothing"),
        ({"choices": []}, "no choices"),
        ({"choices": None, "id": "x"}, "no choices, only choices, id"),
        ({"choices": ["x"]}, "no message"),
        ({"choices": [{"message": None}]}, "no message"),
        ({"error": {"message": "Too  busy\nnow", "code": 529}}, "the server reports an error: Too busy now"),
        ({"error": "Too busy"}, "the server reports an error: Too busy"),
        ({"choices": [{"error": {"code": 502}}]}, "the server reports an error: 502"),
        (None, "the body is empty"),
        ("", "the body is empty"),
        ("<html>", "the body is a str"),
        ([], "the body is a list"),
    ],
)
def test_what_is_no_completion_is_refused(body: Any, problem: str) -> None:
    """A body without an answer raises ValueError, which says what is there instead."""
    with pytest.raises(ValueError, match=problem):
        decode(body)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"messages": "x"},
        {"messages": ["x"]},
        {"messages": [{"content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
    ],
    ids=str,
)
def test_what_is_no_request_is_refused(body: Any) -> None:
    """A body that is no request, or holds an unknown kind of content, raises ValueError."""
    with pytest.raises(ValueError, match=r"messages|role|hologram"):
        decode_request(body)


def test_requests_of_other_clients_are_decoded() -> None:
    """What this library would write otherwise is understood all the same."""
    request = decode_request(
        {
            "model": "deepseek-chat",
            "stream": True,
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": ["one", {"type": "text", "text": "two"}]},
                {"role": "assistant", "reasoning_content": "Hm.", "content": None, "refusal": "No."},
                {"role": "assistant", "content": None, "tool_calls": [{"custom": {"name": "run", "input": "ls"}}]},
            ],
            "response_format": {"type": "json_object"},
        },
        provider="deepseek",
    )
    assert request == Request(
        "deepseek:deepseek-chat",
        (
            Message("system", "Be brief."),
            Message("user", [TextPart("one"), TextPart("two")]),
            Message("assistant", [ReasoningPart("Hm."), TextPart("No.")]),
            Message("assistant", [ToolCallPart(None, "run", "ls")]),
        ),
        settings={"response_format": {"type": "json_object"}},
    )


def recorded() -> Iterator[tuple[str, Any, Any]]:
    """Name, request body and response of each recorded call of Chat Completions; the response may be a stream."""
    for path in sorted(RECORDINGS.glob("*.yaml")):
        for interaction in yaml.safe_load(path.read_text("utf-8"))["interactions"]:
            request, response = interaction["request"], interaction["response"]
            if request["uri"].endswith("/chat/completions"):
                yield path.stem, request["parsed_body"], response.get("parsed_body")


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recorded traffic in ../shared/recordings is not here")
def test_recorded_traffic_is_understood() -> None:
    """Requests and responses that real clients and servers exchanged are decoded, and encode to the same."""
    calls = list(recorded())
    assert len(calls) >= 10
    for name, body, reply in calls:
        request = decode_request(body)
        again = encode(
            request, completion_tokens_name="max_tokens" if "max_tokens" in body else "max_completion_tokens"
        )
        assert decode_request(again) == request, name
        assert len(again["messages"]) == len(body["messages"]), name
        if name == "test_invalid_response":
            with pytest.raises(ValueError, match="no choices, only contentType, method, pathname"):
                decode(reply)
        elif reply is not None:
            response = decode(reply)
            assert response.model == reply["model"], name
            assert response.usage is not None, name
            assert response.finish_reason in ("stop", "tool_call"), name
            assert bool(response.content) == (response.finish_reason == "stop"), name
