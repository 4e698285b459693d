"""A real HTTP server on this machine that speaks Chat Completions as a test tells it to.

    with Loopback('{"return_value": 1}', refusal("No."), failure(429, "Slow down")) as server:
        client = OpenAI(base_url=server.url, api_key="any", max_retries=0)

It gives its replies in order and keeps the requests it got. A request too many is answered with 500
and counted in `unexpected`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

MODEL = "loopback-1"
ID = "chatcmpl-loopback"


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """A status, and a body that is sent as JSON unless it is text; `hang_up` closes the connection instead.

    `chunks` are sent one by one as server-sent events, each as soon as it is there; where they end in HANG_UP, the
    connection is closed there. With `headers`, they are bytes, and all that is sent.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    chunks: Iterable[Any] | None = None


Script = str | Reply | Callable[[Seen], "str | Reply"]


def completion(
    content: str | None,
    *,
    finish_reason: str = "stop",
    refusal: str | None = None,
    tool_calls: list[Any] | None = None,
    model: str = MODEL,
) -> Reply:
    """A chat completion of 11 tokens in and 7 out."""
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal}
    if tool_calls:
        message["tool_calls"] = tool_calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return Reply(
        {
            "id": ID,
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [choice],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    )


def streaming(*pieces: str | Callable[[], object] | Reply, finish_reason: str | None = "stop") -> Reply:
    """A chat completion that comes in these pieces; a function among them is called when the one before is sent."""
    return Reply(chunks=_chunks(pieces, finish_reason))


def _chunks(pieces: Iterable[str | Callable[[], object] | Reply], finish_reason: str | None) -> Iterator[Any]:
    common = {"id": ID, "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    yield common | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    for piece in pieces:
        if isinstance(piece, Reply):
            yield piece
        elif callable(piece):
            piece()
        else:
            yield common | {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}
    yield common | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}
    yield common | {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}


def text_completion(text: str, *, finish_reason: str = "stop") -> Reply:
    """What `/completions` answers."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    body = {
        "id": "cmpl",
        "object": "text_completion",
        "created": 1,
        "model": MODEL,
        "choices": [choice],
        "usage": usage,
    }
    return Reply(body)


def refusal(words: str) -> Reply:
    return completion(None, refusal=words)


def failure(status: int, message: str, *, code: str | None = None, **headers: str) -> Reply:
    """An error in OpenAI's form; `retry_after="0"` becomes the header Retry-After."""
    error = {"message": message, "type": "error", "param": None, "code": code}
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Reply({"error": error}, status, named)


HANG_UP = Reply(hang_up=True)


class Loopback:
    """The server; a context manager. `url` is what an OpenAI client takes as base_url."""

    def __init__(self, *replies: Script) -> None:
        self.requests: list[Seen] = []
        self.unexpected = 0
        self._replies = list(replies)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.loopback = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def bodies(self) -> list[Any]:
        return [seen.body for seen in self.requests]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, seen: Seen) -> Reply:
        """The next reply of the script."""
        with self._lock:
            self.requests.append(seen)
            if not self._replies:
                self.unexpected += 1
                return failure(500, f"the script has no reply number {len(self.requests)}")
            script = self._replies.pop(0)
        reply = script if isinstance(script, str | Reply) else script(seen)
        if isinstance(reply, Reply):
            return reply
        return text_completion(reply) if seen.path.endswith("/v1/completions") else completion(reply)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    loopback: Loopback


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test's output is its own."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body))
        reply = self.server.loopback.answer(seen)
        if reply.hang_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif reply.chunks is not None:
            self._stream(reply.chunks, reply.headers)
        elif isinstance(seen.body, dict) and seen.body.get("stream") and reply.status == 200:
            self._send(200, "text/event-stream", "".join(_events(reply.body)), reply.headers)
        elif isinstance(reply.body, str):
            self._send(reply.status, "text/html", reply.body, reply.headers)
        else:
            self._send(reply.status, "application/json", json.dumps(reply.body), reply.headers)

    def _stream(self, chunks: Iterable[Any], headers: Mapping[str, str]) -> None:
        self.close_connection = True
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **headers}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        # A client may have stopped reading.
        with suppress(ConnectionError):
            for chunk in chunks:
                if isinstance(chunk, Reply):
                    return
                self._send_chunk(chunk if isinstance(chunk, bytes) else f"data: {json.dumps(chunk)}\n\n".encode())
            if not headers:
                self._send_chunk(b"data: [DONE]\n\n")
            self._send_chunk(b"")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _send(self, status: int, kind: str, text: str, headers: Mapping[str, str]) -> None:
        data = text.encode()
        self.send_response(status)
        # One connection per request: none is left open when a test's event loop is gone.
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "Connection": "close",
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _events(body: Mapping[str, Any]) -> Iterator[str]:
    """A chat completion as server-sent events: the role, the content in two pieces, the end, the usage."""
    message, reason = body["choices"][0]["message"], body["choices"][0]["finish_reason"]
    content = message["content"] or ""
    middle = len(content) // 2
    deltas = [{"role": "assistant", "content": ""}, {"content": content[:middle]}, {"content": content[middle:]}]
    common = {"id": body["id"], "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    chunks = [common | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(common | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    chunks.append(common | {"choices": [], "usage": body["usage"]})
    yield from (f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    yield "data: [DONE]\n\n"
