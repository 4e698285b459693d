"""Which HTTP traffic is calls to a model, and what of it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, urlencode

from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON
from llm_strategy.wire.bodies import answer_bytes, pack_answer, parse_body
from llm_strategy.wire.envelope import CHAT_COMPLETIONS, HTTPRequest, HTTPResponse, request_envelope

_HOST = "api.openai.com"
_SENT = ("content-type", "openai-beta")
_RECEIVED = frozenset(("content-type", "retry-after", "retry-after-ms", "x-should-retry", "x-request-id"))
_CREDENTIALS = ("authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key")
_SECRET_PARAMETERS = frozenset("access_token api-key api_key apikey code key sig signature token".split())
_SHORTEST = 12
"""Shorter credentials ("unused", "test") stand in ordinary text as well."""


def is_model_call(host: str, path: str) -> bool:
    """Whether a request goes to a model, by where it goes."""
    return path.endswith(CHAT_COMPLETIONS) or f".{host}".endswith(f".{_HOST}")


def http_request(method: str, address: str, query: str, headers: Mapping[str, str], body: bytes) -> HTTPRequest:
    """A request as it is kept. `address` is scheme, host and path; `headers` find a name in any case."""
    kept = urlencode([pair for pair in parse_qsl(query, True) if pair[0].lower() not in _SECRET_PARAMETERS])
    sent = {name: headers[name] for name in _SENT if name in headers}
    url = f"{address}?{kept}" if kept else address
    return HTTPRequest.of(request_envelope(method.upper(), url, sent, parse_body(body)))


def http_response(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> HTTPResponse:
    """A response as it is kept. `body` is what was sent before any compression."""
    kept: dict[str, JSON] = {}
    for name, value in ((name.lower(), value) for name, value in headers):
        if name in _RECEIVED:
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
    http: dict[str, JSON] = {"status": status}
    if kept:
        http["headers"] = kept
    return HTTPResponse.of(http | pack_answer(body, kept.get("content-type", "")))


def replayed(response: HTTPResponse) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a response that comes from a cassette; raises CassetteError without its content."""
    if response.lacking:
        raise CassetteError(
            f"a recorded HTTP answer cannot be replayed: {'; '.join(response.lacking)}. Restore the file, or record "
            "again: pytest --llm-record=all"
        )
    headers = dict(response.http.get("headers", {}))
    if response.status >= 400:
        # The client lived with this answer: neither it nor a more patient one is to wait for another.
        headers["x-should-retry"] = "false"
    return response.status, headers, answer_bytes(response.http)


def credentials(headers: Mapping[str, str]) -> Iterator[str]:
    """The credentials that a request carries in its headers, which nothing that is written may hold."""
    for name in _CREDENTIALS:
        secret = headers.get(name, "").rpartition(" ")[2]
        if len(secret) >= _SHORTEST:
            yield secret
