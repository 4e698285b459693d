"""Bodies with something odd in them, as servers, clients and people make them: they are shown, and nothing fails."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_strategy.canonical import digest
from llm_strategy.cassette.document import check_request, check_response, response_digest
from llm_strategy.transcript import message_text, transcript
from llm_strategy.values import (
    BlobPart,
    Message,
    ReasoningPart,
    Request,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    Usage,
)
from llm_strategy.wire.embeddings import VECTORS
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse, request_of
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.registry import FORMATS
from tests.llm_strategy.test_formats import sent
from tests.llm_strategy.test_provider_formats import URLS

ADDRESSES = {name: url.format("m") for name, (_, url) in URLS.items()} | {
    "chat_completions": "https://api.openai.com/v1/chat/completions",
    "responses": "https://api.openai.com/v1/responses",
    "embeddings": "https://api.openai.com/v1/embeddings",
    "completions": "https://api.openai.com/v1/completions",
}
CALL = ToolCallPart("c1", "look", {"at": 1})
CONVERSATION = Request(
    "openai:m",
    (
        Message("system", "Be brief."),
        Message("user", [TextPart("What is this?"), BlobPart("image", "image/png", "AAAA")]),
        Message("assistant", [ReasoningPart("Hm."), TextPart("Let me see."), CALL]),
        Message("tool", [ToolCallResponsePart("c1", "a cat")]),
        Message("user", "Thanks."),
    ),
    {"type": "object"},
    ({"type": "function", "name": "look", "parameters": {}},),
    {"temperature": 0.5},
)
PROMPT = Request("openai:m", (Message("user", "Once"),))
SAID = Answer("Yes.", Usage(1, 2), "tool_call", "m", parts=(ReasoningPart("Hm."), TextPart("Yes."), CALL))
TEXT = Answer("Yes.", Usage(1, 2), "stop", "m", parts=(TextPart("Yes."),))
VECTOR = Answer("", Usage(1), "stop", "m", parts=(BlobPart("embedding", VECTORS, "AACAPwAAAEA="),))
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    3.5,
    10**30,
    "",
    "x",
    "{",
    "data:;base64,",
    [],
    {},
    [None],
    ["x"],
    [[]],
    {"type": "x"},
]


def first(encode: Any, *values: Any) -> Any:
    """The first of the values that a format has a place for, encoded."""
    for value in values:
        try:
            return sent(encode(value))
        except ValueError:
            continue
    raise AssertionError("the format takes none of them")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, name))


def odd(value: Any, random: Random) -> Any:
    """A value with something else in up to three of its places."""
    value = {"": copy.deepcopy(value)}
    for _ in range(random.randint(1, 3)):
        *way, last = random.choice(list(places(value[""], ("",))))
        holder: Any = value
        for step in way:
            holder = holder[step]
        holder[last] = copy.deepcopy(random.choice(ODD))
    return value[""]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@given(random=st.randoms(use_true_random=False))
def test_odd_requests(format: Format, random: Random) -> None:
    """A request is shown, compared and read from a cassette again, whatever stands in its body."""
    body = odd(first(format.encode_request, CONVERSATION, PROMPT), random)
    http = request_of("POST", ADDRESSES[format.name], {}, body).http
    request = HTTPRequest.of(http)
    assert transcript(request)
    assert request.stored
    assert check_request(http, digest(http), "here").key == request.key


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@given(random=st.randoms(use_true_random=False))
def test_odd_answers(format: Format, random: Random) -> None:
    """An answer, whole or streamed, is read from a cassette and shown, whatever stands in it."""
    body = first(format.encode_response, SAID, TEXT, VECTOR)
    events = [odd(event, random) for event in sent(list(format.split(body)))]
    for http in ({"status": 200, "body": odd(body, random)}, {"status": 200, "events": events}):
        response = check_response("key", http, response_digest("key", http), "here")
        assert isinstance(response, HTTPResponse)
        assert isinstance(response.content, str)
        assert isinstance(message_text(Message("assistant", response.parts)), str)
        list(map(format.ends, events))
