"""A real HTTP server on this machine that speaks every format of `llm_strategy.wire`.

    with Provider(lambda request: f"to {request.messages[-1].content}") as server:
        client = OpenAI(base_url=f"{server.url}/v1", api_key="any")

It keeps what it was sent. The function gets the decoded request and returns a text or an `Answer`; what it returns goes
out in the format of the request, whole or, where it asks for that, as a stream. A request of no known format gets a JSON
object that says so.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from llm_strategy.values import JSON, BlobPart, Request, TextPart, Usage
from llm_strategy.wire.bodies import answer_bytes, event_data
from llm_strategy.wire.embeddings import VECTORS
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.registry import find
from llm_strategy.wire.splitting import AWS_EVENT_STREAM, JSON_LINES

MODEL = "provider-1"
USAGE = Usage(11, 7)
_STREAM_TYPES = {
    "bedrock_converse": AWS_EVENT_STREAM,
    "ollama": "application/x-ndjson",
    "ollama_completions": "application/x-ndjson",
    "cohere_chat_v1": "application/stream+json",
}
"""The content types of streams, by the names of formats; those that are missing have server-sent events."""


@dataclass(frozen=True)
class Received:
    """A request as it came in. `request` is what it says, None where its format is not known."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    request: Request | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Reply = str | Answer
GO = threading.Event()
GO.set()


class Provider:
    """The server; a context manager. `url` is scheme, host and port.

    `reply` is what it says, or a function of the request that tells. `failures` are statuses that the first requests
    get, in this order. Where `gate` is given, only the first event of a stream is sent before it is set.
    """

    def __init__(
        self,
        reply: Reply | Callable[[Request], Reply] = "Hello.",
        *,
        failures: Iterable[int] = (),
        gate: threading.Event = GO,
    ) -> None:
        self.requests: list[Received] = []
        self.gate = gate
        self._reply = reply
        self._failures = list(failures)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, received: Received) -> int:
        """Keep a request; returns the status that it gets."""
        with self._lock:
            self.requests.append(received)
            return self._failures.pop(0) if self._failures else 200

    def answer(self, request: Request) -> Answer:
        said = self._reply(request) if callable(self._reply) else self._reply
        return said if isinstance(said, Answer) else saying(said)


def saying(text: str) -> Answer:
    """The answer that is this text, of 11 tokens in and 7 out."""
    return Answer(text, USAGE, "stop", MODEL, parts=(TextPart(text),))


def embedded(answer: Answer, request: Request) -> Answer:
    """An answer as numbers: a vector for each text of the request, which depends on both."""
    texts = [part.content for message in request.messages for part in message.parts if isinstance(part, TextPart)]
    vectors = (struct.pack("<3f", len(text), sum(map(ord, text)), len(answer.content)) for text in texts)
    blobs = [BlobPart("embedding", VECTORS, base64.b64encode(vector).decode()) for vector in vectors]
    return Answer("", answer.usage, "stop", answer.model, parts=tuple(blobs))


def is_streamed(path: str, body: Mapping[str, Any]) -> bool:
    """Whether a request asks for a stream: in its body, or in its path. Ollama streams unless it is told not to."""
    return bool(body.get("stream", path in ("/api/chat", "/api/generate"))) or "stream" in path.lower()


def counted(path: str, answer: Answer) -> dict[str, Any] | None:
    """The answer of an endpoint that counts tokens; None for other paths."""
    tokens = answer.usage and answer.usage.input_tokens
    return {"count_tokens": {"input_tokens": tokens}, "countTokens": {"totalTokens": tokens}}.get(
        re.split("[/:]", path)[-1]
    )


def framed(event: JSON) -> JSON:
    """An event of a model that is invoked at AWS in its own format."""
    data = base64.b64encode(json.dumps(event_data(event)).encode()).decode()
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return {"headers": headers, "data": {"bytes": data}}


def failure(status: int) -> dict[str, Any]:
    return {"error": {"message": f"failed with {status}", "type": "error", "code": None}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A hundred connections at once would else be told to come back later, after seconds.
    request_queue_size = 256
    provider: Provider


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test's output is its own."""

    def do_POST(self) -> None:
        body = self._read()
        url = urlsplit(self.path)
        format = find(url.path) if self.command == "POST" else None
        request = format.decode_request(json.loads(body), self.server.provider.url + self.path) if format else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.server.provider.take(Received(self.command, self.path, headers, body, request))
        if status >= 400:
            self._send(status, failure(status), {"Retry-After": "0", "Retry-After-Ms": "1"})
        elif format is None or request is None:
            self._send(200, {"path": self.path, "received": len(body)})
        else:
            answer = self.server.provider.answer(request)
            encoded = embedded(answer, request) if format.name.endswith("embeddings") else answer
            said = counted(url.path, answer) or format.encode_response(encoded)
            if url.path.endswith(":streamGenerateContent") and "alt=sse" not in url.query:
                self._send(200, [event_data(event) for event in format.split(said)])
            elif is_streamed(url.path, json.loads(body)):
                self._stream(format, said)
            else:
                self._send(200, said)

    do_GET = do_DELETE = do_PUT = do_POST  # noqa: N815  # names that http.server looks for

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(pieces)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _stream(self, format: Format, said: Mapping[str, Any]) -> None:
        self.close_connection = True
        self.send_response(200)
        in_frames = self.path.endswith("/invoke-with-response-stream")
        kind = AWS_EVENT_STREAM if in_frames else _STREAM_TYPES.get(format.name, "text/event-stream")
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        # A client may have stopped reading.
        with suppress(ConnectionError):
            for number, event in enumerate(format.split(said)):
                if number:
                    self.server.provider.gate.wait(60)
                layout = "lines" if kind in JSON_LINES else ""
                self._send_chunk(answer_bytes({"layout": layout, "events": [framed(event) if in_frames else event]}))
            self._send_chunk(b"")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _send(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        # One connection per request: none is left open when a test's event loop is gone.
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            "Connection": "close",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
