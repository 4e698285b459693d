"""What all formats have in common: what they write, they read, whole and streamed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_strategy.values import (
    BlobPart,
    FilePart,
    Message,
    Part,
    ReasoningPart,
    Request,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
    Usage,
)
from llm_strategy.wire.embeddings import VECTORS
from llm_strategy.wire.envelope import HTTPResponse
from llm_strategy.wire.format import Answer
from llm_strategy.wire.registry import FORMATS

BY_NAME = {format.name: format for format in FORMATS}
CHATS = ["chat_completions", "responses"]
TEXTS = ["completions", "embeddings"]
NAMELESS = ["gemini_embeddings", "bedrock_converse", "cohere_chat", "cohere_chat_v1", "cohere_embeddings"]
"""Formats whose answers do not say which model has answered."""

# What UTF-8 carries; no provider takes lone surrogates.
some = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
values = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | some, lambda inner: st.lists(inner, max_size=2))
arguments = st.dictionaries(names, values, max_size=2)
base64 = st.sampled_from(["AAAA", "/9j/", "JVBERi0="])
texts = st.builds(TextPart, some)
calls = st.builds(ToolCallPart, st.from_regex(r"call_\d{1,3}", fullmatch=True), names, arguments)
media = st.one_of(
    st.builds(BlobPart, st.just("image"), st.sampled_from(["image/png", "image/jpeg"]), base64),
    st.builds(BlobPart, st.just("audio"), st.sampled_from(["audio/mpeg", "audio/wav"]), base64),
    st.builds(BlobPart, st.just("document"), st.just("application/pdf"), base64),
    st.builds(UriPart, st.just("image"), st.none(), st.just("https://example.org/a.png")),
    st.builds(FilePart, st.just("document"), st.none(), st.just("file-1")),
)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[Part, ...]:
    """What a model says in one turn: thoughts, then words, then calls of tools."""
    thoughts = draw(st.lists(st.builds(ReasoningPart, some), max_size=1))
    rest = [*draw(st.lists(texts, max_size=1)), *draw(st.lists(calls, max_size=2))]
    return tuple([*thoughts, *rest] if rest else [*thoughts, draw(texts)])


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages = [Message("system", draw(some))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        messages.append(Message("user", draw(st.lists(texts | media, min_size=1, max_size=3))))
        messages.append(Message("assistant", draw(spoken())))
        answered = [part for part in messages[-1].parts if isinstance(part, ToolCallPart)]
        messages += [Message("tool", [ToolCallResponsePart(call.id, draw(some))]) for call in answered]
    return (*messages, Message("user", draw(some)))


settings = st.fixed_dictionaries(
    {}, optional={"temperature": st.floats(0, 2), "max_tokens": st.integers(1, 99), "seed": st.integers(0, 9)}
)
tools = st.lists(
    st.builds(lambda name: {"type": "function", "name": name, "parameters": {"type": "object"}}, names), max_size=2
)
schemas = st.none() | st.just({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
models = st.builds("openai:{}".format, names)
chat_requests = st.builds(Request, models, conversations(), schemas, tools, settings)
text_requests = st.builds(
    Request, models, st.builds(lambda parts: (Message("user", parts),), st.lists(texts, min_size=1, max_size=3))
)
usages = st.none() | st.builds(Usage, st.integers(0, 99), st.integers(0, 99))


def answered(parts: tuple[Part, ...], reason: str, usage: Usage | None) -> Answer:
    content = "".join(part.content for part in parts if isinstance(part, TextPart))
    called = any(isinstance(part, ToolCallPart) for part in parts)
    return Answer(content, usage, "tool_call" if called else reason, "m-1", parts=parts)


reasons = st.sampled_from(["stop", "length", "content_filter"])
refusals = st.builds(lambda words: Answer(words, None, "refusal", "m-1", parts=(TextPart(words),)), some)
chat_answers = st.builds(answered, spoken(), reasons, usages) | refusals
text_answers = st.builds(answered, st.tuples(texts), reasons, usages)
vectors = st.builds(BlobPart, st.just("embedding"), st.just(VECTORS), st.sampled_from(["AACAPwAAAEA=", "AAAAAA=="]))
embedding_answers = st.builds(
    lambda parts, usage: Answer("", usage, "stop", "m-1", parts=tuple(parts)), st.lists(vectors, min_size=1), usages
)


def sent(body: Any) -> Any:
    """A body after it went over the network."""
    return json.loads(json.dumps(body))


@pytest.mark.parametrize("name", CHATS)
@given(request_=chat_requests)
def test_a_conversation_is_read_as_it_was_written(name: str, request_: Request) -> None:
    """Messages with all kinds of parts, tools, settings and schema survive the way there and back."""
    format = BY_NAME[name]
    assert format.decode_request(sent(format.encode_request(request_)), "") == request_


@pytest.mark.parametrize("name", TEXTS)
@given(request_=text_requests)
def test_texts_are_read_as_they_were_written(name: str, request_: Request) -> None:
    """Where there are no messages, one text or several survive the way there and back."""
    format = BY_NAME[name]
    assert format.decode_request(sent(format.encode_request(request_)), "") == request_


@pytest.mark.parametrize("name", CHATS)
@given(answer=chat_answers)
def test_an_answer_is_read_as_it_was_written(name: str, answer: Answer) -> None:
    """Words, thoughts, calls of tools, refusals, usage and why the model stopped come back, whole and streamed."""
    format = BY_NAME[name]
    body = sent(format.encode_response(answer))
    assert format.decode_response(body) == answer
    assert format.decode_response(format.join(sent(list(format.split(body))))) == answer


@given(answer=text_answers)
def test_a_completed_text_is_read_as_it_was_written(answer: Answer) -> None:
    """The text comes back, whole and streamed."""
    format = BY_NAME["completions"]
    body = sent(format.encode_response(answer))
    assert format.decode_response(body) == answer
    assert format.decode_response(format.join(sent(list(format.split(body))))) == answer


@given(answer=embedding_answers)
def test_vectors_are_read_as_they_were_written(answer: Answer) -> None:
    """Each vector comes back."""
    format = BY_NAME["embeddings"]
    assert format.decode_response(sent(format.encode_response(answer))) == answer


ANSWER = Answer(
    "Sunny.",
    Usage(3, 4),
    "tool_call",
    "m-1",
    parts=(ReasoningPart("Hm."), TextPart("Sunny."), ToolCallPart("call_1", "look", {"at": "é"})),
)


@pytest.mark.parametrize("name", CHATS)
def test_a_cut_off_stream_says_what_had_come(name: str) -> None:
    """However few of its events arrived, a stream tells its words so far, and only the last event is its end."""
    format = BY_NAME[name]
    events = list(format.split(format.encode_response(ANSWER)))
    said = ""
    for count in range(len(events) + 1):
        response = HTTPResponse.of({"status": 200, "events": events[:count], "closed_early": True})
        assert response.content.startswith(said)
        assert (response.closed_early, response.finish_reason) == (True, "")
        said = response.content
    assert said == "Sunny."
    assert [format.ends(event) for event in events] == [False] * (len(events) - 1) + [True]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_an_answer_tells_its_format(format: Any) -> None:
    """An answer is understood without its request, whichever format it has."""
    answer = ANSWER
    if format.name in ("completions", "ollama_completions", "cohere_chat_v1"):
        answer = replace(ANSWER, finish_reason="stop", parts=(TextPart("Sunny."),))
    if format.name.endswith("embeddings"):
        usage = None if format.name == "gemini_embeddings" else Usage(3)
        answer = Answer("", usage, "stop", "m-1", parts=(BlobPart("embedding", VECTORS, "AACAPwAAAEA="),))
    if format.name in NAMELESS:
        answer = replace(answer, model=None)
    body = sent(format.encode_response(answer))
    whole = HTTPResponse.of({"status": 200, "body": body})
    assert Answer(whole.content, whole.usage, whole.finish_reason, whole.model, parts=whole.parts) == answer
    events = sent(list(format.split(body)))
    if events:
        streamed = HTTPResponse.of({"status": 200, "events": events})
        assert (streamed.content, streamed.usage, streamed.parts) == (answer.content, answer.usage, answer.parts)
