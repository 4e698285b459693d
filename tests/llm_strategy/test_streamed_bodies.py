"""Streamed bodies: cut into their events, stored so that they read well, and given back byte for byte."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from llm_strategy.wire.aws_events import frame
from llm_strategy.wire.bodies import answer_bytes, answer_pieces, event_data, pack_answer
from llm_strategy.wire.splitting import split, splitter

SSE, LINES, AWS = "text/event-stream; charset=utf-8", "application/x-ndjson", "application/vnd.amazon.eventstream"
TYPES = [SSE, LINES, "application/jsonl", "application/stream+json", AWS, "application/json", "text/plain", ""]
CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
EVENT = {":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event"}

_BITS = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xff"),
    *(b"data: ", b"data:", b"event: x", b"id: 1", b"retry: 07", b"retry: 7", b": comment", b"[DONE]"),
    *(b'{"a":1}', b'{"a": 1}', b'{"a":"\xc3\xa9"}', b'{"a":"\\u00e9"}', b"{}", b'{"a":1e5}'),
    *(b'{"base64":"AA=="}', b"base64: AA==", b"raw: x", b"headers: x"),
    frame(CHUNK, b'{"bytes":"eyJhIjoxfQ==","p":"ab"}'),
    frame(CHUNK, b'{"p":"ab","bytes":"eyJhIjoxfQ=="}'),
    *(frame(CHUNK, b'{"bytes":"eyJhIjoxfQ=="}'), frame(CHUNK, b'{"bytes":"/w=="}'), frame(CHUNK, b'{"bytes":"e"}')),
    b"retry: " + b"9" * 5000,
    *(frame(EVENT, b'{"delta":{"text":"Hi"}}'), frame({}, b""), frame({"a": "b"}, b"\xff"), frame(EVENT, b"x")[:-1]),
]
bodies = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(_BITS), max_size=12).map(b"".join))


def stored(body: bytes, content_type: str) -> dict[str, Any]:
    http = {"status": 200, "headers": {"content-type": content_type}, **pack_answer(body, content_type)}
    read: dict[str, Any] = json.loads(json.dumps(http))
    return read


def chunks(body: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(places)]


@given(bodies, st.sampled_from(TYPES))
def test_every_byte_comes_back(body: bytes, content_type: str) -> None:
    """Whatever a server sends, the pieces that are replayed are those in which the body is cut, and join to it."""
    http = stored(body, content_type)
    assert answer_bytes(http) == body
    assert answer_pieces(http) == split(body, content_type)
    assert b"".join(answer_pieces(http)) == body


@given(bodies, st.sampled_from(TYPES), st.lists(st.integers(0, 100), max_size=20))
def test_events_do_not_depend_on_chunks(body: bytes, content_type: str, cuts: list[int]) -> None:
    """A stream is cut at the same places however its bytes arrive."""
    cutting = splitter(content_type)
    if cutting is not None:
        pieces = [piece for chunk in chunks(body, cuts) for piece in cutting.feed(chunk)]
        assert [piece for piece in [*pieces, cutting.end()] if piece] == split(body, content_type)


@pytest.mark.parametrize(
    ("content_type", "body", "packed"),
    [
        (SSE, b'data: {"a":1}\n\ndata: [DONE]\n\n', {"events": [{"data": {"a": 1}}, {"data": "[DONE]"}]}),
        (
            SSE,
            b'event: x\r\ndata: {"a": 1}\r\n\r\n: ping\r\n\r\n',
            {"layout": "spaced crlf", "events": [{"event": "x", "data": {"a": 1}}, ": ping"]},
        ),
        (SSE, b'data:{"a":1}\n\n', {"layout": "tight", "events": [{"data": {"a": 1}}]}),
        (SSE, b'data: {"a":1}\n\ndata: b\n', {"layout": "unended", "events": [{"data": {"a": 1}}, {"data": "b"}]}),
        (SSE, b'data: {"a":1}\n\ndata: {"cut', {"events": [{"data": {"a": 1}}, {"raw": 'data: {"cut'}]}),
        (SSE, b'data: {"a":1}\n\ndata: \xff\n\n', {"events": [{"data": {"a": 1}}, {"base64": "ZGF0YTog/woK"}]}),
        (SSE, b"data: 1\r\rdata: 2\r\r", {"events": [{"raw": "data: 1\r\r"}, {"raw": "data: 2\r\r"}]}),
        (LINES, b'{"a":1}\n{"b":2}\n', {"layout": "lines", "events": [{"data": {"a": 1}}, {"data": {"b": 2}}]}),
        (
            LINES,
            b'{"a":1}\r\n{"b":',
            {"layout": "lines crlf unended", "events": [{"data": {"a": 1}}, {"data": '{"b":'}]},
        ),
        (
            AWS,
            frame(CHUNK, b'{"bytes":"eyJhIjogMX0="}'),
            {"layout": "spaced", "events": [{"headers": CHUNK, "chunk": {"a": 1}}]},
        ),
        (
            AWS,
            frame(CHUNK, b'{"bytes":"eyJhIjoxfQ==","p":"ab"}'),
            {"events": [{"headers": CHUNK, "chunk": {"a": 1}, "data": {"p": "ab"}}]},
        ),
        (AWS, frame(EVENT, b'{"p":"ab"}'), {"events": [{"headers": EVENT, "data": {"p": "ab"}}]}),
        (AWS, frame(EVENT, b'{"p": 1}'), {"layout": "spaced", "events": [{"headers": EVENT, "data": {"p": 1}}]}),
    ],
)
def test_events_read_well(content_type: str, body: bytes, packed: dict[str, Any]) -> None:
    """Events are stored as values; what cannot be rebuilt from one is stored as its text or bytes."""
    assert pack_answer(body, content_type) == packed


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"data": {"a": 1}}, {"a": 1}),
        ({"data": '{"a":1e5}'}, {"a": 1e5}),
        ({"data": "[DONE]"}, "[DONE]"),
        ("\ufeffdata: {\ndata: }", {}),
        ({"raw": 'id: 1\r\rdata:{"a":1}\r\r'}, {"a": 1}),
        ({"event": "ping"}, None),
        ({"headers": CHUNK, "chunk": {"a": 1}, "data": {"p": "ab"}}, {"a": 1}),
        ({"base64": "/w=="}, None),
        (7, None),
    ],
)
def test_what_an_event_says(event: Any, said: Any) -> None:
    """The data of an event is the same value in each form that the event may be stored in."""
    assert event_data(event) == said


def test_events_are_handed_on_as_soon_as_they_are_whole() -> None:
    """The byte that ends an event brings it; nothing waits for the next one."""
    for content_type, event in [
        (SSE, b"data: 1\n\n"),
        (SSE, b"data: 1\r\n\r\n"),
        (SSE, b"data: 1\r\r"),
        (LINES, b"{}\n"),
    ]:
        cutting = splitter(content_type)
        assert cutting is not None
        for _ in range(2):
            assert cutting.feed(event[:-1]) == []
            assert cutting.feed(event[-1:]) == [event]


def test_frames_are_those_of_aws() -> None:
    """botocore reads the frames, and what it refuses is handed on in one piece."""
    buffer = EventStreamBuffer()
    buffer.add_data(frame(EVENT, b"{}") + frame({}, b""))
    assert [(message.headers, message.payload) for message in buffer] == [(EVENT, b"{}"), ({}, b"")]
    damaged = frame(EVENT, b"{}") + b"x" * 100 + frame(EVENT, b"{}")
    assert split(damaged, AWS) == [frame(EVENT, b"{}"), b"x" * 100 + frame(EVENT, b"{}")]
