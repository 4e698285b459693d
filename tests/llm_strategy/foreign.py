"""One call to a model as each of many tools has written it down."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import httpx
import yaml
import zstandard

URL = "https://api.openai.com/v1/chat/completions"
NOWHERE = "http://127.0.0.1:9/v1/chat/completions"
"""The same call to a server that is not there."""
ASKED = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Was heißt „Hi“? 🙂"}], "temperature": 0.5}
MESSAGE = {"role": "assistant", "content": "Grüß Gott ☀"}
ANSWERED = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5-mini-2025-08-07",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}
SENT = json.dumps(ASKED, ensure_ascii=False, separators=(",", ":"))
"""As httpx writes it."""
TEXT = json.dumps(ANSWERED, ensure_ascii=False, indent=2) + "\n"
ANSWER = TEXT.encode()
AGAIN = json.dumps(ANSWERED).encode()
"""As `json.dumps` writes what a recorder has kept as a value."""
EVENTS = "".join(f"data: {json.dumps({'model': 'm', 'choices': [{'delta': {'content': c}}]})}\n\n" for c in "Grüß")
EVENTS += "data: [DONE]\n\n"

JSON_TYPE = {"Content-Type": ["application/json"]}


def vcr(
    request: dict[str, Any] | None = None, response: dict[str, Any] | None = None, **headers: list[str]
) -> dict[str, Any]:
    """An interaction in vcrpy's layout; fields that are None are left out."""
    sides = (
        {"method": "POST", "uri": URL, "headers": JSON_TYPE, "body": SENT, **(request or {})},
        {
            "status": {"code": 200, "message": "OK"},
            "headers": {**JSON_TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}},
            "body": {"string": TEXT},
            **(response or {}),
        },
    )
    asked, answered = ({name: value for name, value in side.items() if value is not None} for side in sides)
    return {"request": asked, "response": answered}


def cassette(*interactions: Any) -> str:
    return yaml.dump({"interactions": list(interactions), "version": 1}, allow_unicode=True, sort_keys=False)


def _compressed(encoding: str, body: bytes) -> str:
    return cassette(vcr(response={"body": {"string": body}}, Content_Encoding=[encoding]))


def _bare(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


_PLACE = {"protocol": "https", "host": "api.openai.com", "port": 443, "path": "/v1/chat/completions"}
OLD_REQUEST = {"method": "POST", "body": SENT, "headers": {"Content-Type": "application/json"}, **_PLACE}
OLD_RESPONSE = {
    "status": {"code": 200, "message": "OK"},
    "headers": ["Content-Type: application/json\r\n"],
    "body": {"string": TEXT},
}
_PYTHON_2 = f"""\
- request: !!python/object:vcr.request.Request
    body: {json.dumps(SENT, ensure_ascii=False)}
    headers: !!python/object/apply:__builtin__.frozenset
    - - !!python/tuple [Content-Type, application/json]
    host: api.openai.com
    method: POST
    path: /v1/chat/completions
    port: 443
    protocol: https
  response:
    body: {{string: !!python/unicode {json.dumps(TEXT)}}}
    headers: ["Content-Type: application/json\\r\\n"]
    status: {{code: 200, message: OK}}
"""
_FILE_BODY = f"""\
interactions:
- request:
    body: !!python/object/new:_io.BytesIO
      state: !!python/tuple
      - !!binary {base64.b64encode(SENT.encode()).decode()}
      - 0
      - null
    headers: {{Content-Type: [application/json]}}
    method: POST
    uri: {URL}
  response:
    body: {{string: {json.dumps(TEXT)}}}
    headers: {{Content-Type: [application/json]}}
    status: {{code: 200, message: OK}}
version: 1
"""
_SHARED = f"""\
interactions:
- request:
    parsed_body: &asked
      model: gpt-5-mini
      messages: &messages
      - {{role: user, content: "Was heißt „Hi“? 🙂"}}
      temperature: 0.5
    headers: &headers {{Content-Type: [application/json]}}
    method: POST
    uri: {URL}
  response:
    headers: *headers
    body: {{string: {json.dumps(TEXT)}}}
    status: {{code: 200, message: OK}}
"""
_RUBY = {
    "http_interactions": [
        {
            "request": {
                "method": "post",
                "uri": URL,
                "body": {"encoding": "UTF-8", "string": SENT},
                "headers": JSON_TYPE,
            },
            "response": {
                "status": {"code": 200, "message": "OK"},
                "headers": JSON_TYPE,
                "body": {"encoding": "ASCII-8BIT", "base64_string": base64.encodebytes(ANSWER).decode()},
            },
            "recorded_at": "Thu, 01 Jan 2026 00:00:00 GMT",
        }
    ],
    "recorded_with": "VCR 6.3.1",
}
_CASSETTER = {
    "version": 1,
    "interactions": [
        {
            "request": {
                "method": "POST",
                "uri": URL,
                "headers": {"content-type": ["application/json"]},
                "body": {"type": "json", "content": ASKED},
            },
            "response": {
                "status": 200,
                "headers": {"content-type": ["application/json"]},
                "body": {"type": "json", "content": ANSWERED},
            },
            "recorded_at": "2026-02-20T10:30:01Z",
        }
    ],
}


def promptecho(**response: Any) -> str:
    asked = {"method": "POST", "url": URL, "match_key": "0123456789abcdef", "matched_on": ["model"], "body": ASKED}
    answered = {"status": 200, "headers": {"content-type": "application/json"}, "streaming": False, **response}
    recorded = {"version": 2, "match_on": ["model"], "interactions": [{"request": asked, "response": answered}]}
    return yaml.safe_dump(recorded, sort_keys=False, allow_unicode=True, width=100)


def _flat(**fields: Any) -> str:
    """As pytest-llm-vcr."""
    entry = {
        "method": "POST",
        "url": URL,
        "request_headers": {"content-type": "application/json"},
        "request_body": ASKED,
        "status_code": 200,
        "response_headers": {"content-type": "application/json"},
        "response_body": None,
        "streaming": False,
        "chunks": [],
    }
    return yaml.safe_dump({"name": "test_x", "interactions": [entry | fields]}, sort_keys=False)


_OLD_HTTPX = {"status_code": 200, "http_version": "HTTP/1.1", "content": TEXT, "status": None, "body": None}
_EVENT_TYPE = {"content-type": "text/event-stream; charset=utf-8"}
_EVENT_LIST = [f"{event}\n\n" for event in EVENTS.split("\n\n") if event]

RECORDINGS: dict[str, tuple[str, bytes]] = {
    "vcrpy": (cassette(vcr()), ANSWER),
    "json": (json.dumps({"version": 1, "interactions": [vcr()]}, indent=4) + "\n", ANSWER),
    "binary": (cassette(vcr({"body": SENT.encode()}, {"body": {"string": ANSWER}})), ANSWER),
    "base64": (cassette(vcr(response={"body": {"base64_string": base64.b64encode(ANSWER).decode()}})), ANSWER),
    "parsed_body": (
        cassette(vcr({"body": None, "parsed_body": ASKED}, {"body": None, "parsed_body": ANSWERED})),
        AGAIN,
    ),
    "parsed_body, compressed before": (
        cassette(vcr(response={"body": None, "parsed_body": ANSWERED}, Content_Encoding=["gzip"])),
        AGAIN,
    ),
    "gzip": (_compressed("gzip", gzip.compress(ANSWER, mtime=0)), ANSWER),
    "gzip, undone": (_compressed("gzip", ANSWER), ANSWER),
    "deflate": (_compressed("deflate", zlib.compress(ANSWER)), ANSWER),
    "deflate, bare": (_compressed("deflate", _bare(ANSWER)), ANSWER),
    "brotli": (_compressed("br", brotli.compress(ANSWER)), ANSWER),
    "brotli, undone": (_compressed("br", ANSWER), ANSWER),
    "zstd": (_compressed("zstd", zstandard.compress(ANSWER)), ANSWER),
    "gzip in brotli": (_compressed("gzip, br", brotli.compress(gzip.compress(ANSWER, mtime=0))), ANSWER),
    "a request kept as a value": (cassette(vcr({"body": ASKED})), ANSWER),
    "a request in pieces": (cassette(vcr({"body": [SENT[:20].encode(), SENT[20:].encode()]})), ANSWER),
    "a request from a file": (_FILE_BODY, ANSWER),
    "aliases": (_SHARED, ANSWER),
    "old vcrpy": (yaml.dump([{"request": OLD_REQUEST, "response": OLD_RESPONSE}]), ANSWER),
    "old vcrpy, json": (json.dumps([{"request": OLD_REQUEST, "response": OLD_RESPONSE}]), ANSWER),
    "old vcrpy of Python 2": (_PYTHON_2, ANSWER),
    "old httpx": (cassette(vcr(response=_OLD_HTTPX)), ANSWER),
    "old httpx, compressed": (cassette(vcr(response=_OLD_HTTPX, Content_Encoding=["gzip"])), ANSWER),
    "ruby": (yaml.dump(_RUBY), ANSWER),
    "cassetter": (yaml.dump(_CASSETTER, allow_unicode=True, sort_keys=False), AGAIN),
    "promptecho": (promptecho(body=ANSWERED), AGAIN),
    "promptecho, events": (promptecho(headers=_EVENT_TYPE, streaming=True, events=_EVENT_LIST), EVENTS.encode()),
    "pytest-llm-vcr": (_flat(response_body=ANSWERED), AGAIN),
    "pytest-llm-vcr, events": (
        _flat(response_headers=_EVENT_TYPE, streaming=True, chunks=_EVENT_LIST),
        EVENTS.encode(),
    ),
    "events": (cassette(vcr(response={"headers": _EVENT_TYPE, "body": {"string": EVENTS}})), EVENTS.encode()),
    "no answer": (cassette(vcr(response={"body": {"string": ""}})), b""),
    "null answer": (cassette(vcr(response={"body": {"string": None}})), b""),
}
"""A file of each kind, with the bytes that its client reads."""


def ask(body: Any = None, url: str = NOWHERE, send: Callable[..., httpx.Response] = httpx.post) -> httpx.Response:
    """Make the call again, where nobody answers."""
    return send(url, json=ASKED if body is None else body)
