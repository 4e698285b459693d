"""A request and its answer as other tools record them, whatever their layout.

Known are vcrpy's (also pytest-recording's, pytest-vcr's and betamax-like ones of Ruby's VCR), with what serializers
make of it, promptecho's, cassetter's and pytest-llm-vcr's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from llm_strategy.importer.bodies import body_bytes, json_bytes
from llm_strategy.importer.compression import decoded
from llm_strategy.importer.documents import Foreign
from llm_strategy.importer.outcomes import NotImported, malformed, unsupported

Pairs = list[tuple[str, str]]


class Asked(NamedTuple):
    """The request of an interaction, as it was sent."""

    method: str
    url: SplitResult
    headers: Pairs
    body: bytes


class Answered(NamedTuple):
    """Its answer, as the client read it, or still `compressed` in a way that only the client knows."""

    status: int
    headers: Pairs
    body: bytes
    compressed: bool = False


class Interaction:
    """One entry of a recording. What it holds is read when it is asked for; that raises NotImported."""

    def __init__(self, item: Any) -> None:
        self._item = item

    @property
    def _sides(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        item = self._item
        if not isinstance(item, Mapping):
            raise malformed("it is no mapping of a request and a response")
        if "request" not in item and ("url" in item or "uri" in item):
            item = _nested(item)
        request, response = item.get("request"), item.get("response")
        if not isinstance(request, Mapping):
            raise malformed("it has no request")
        return request, response if isinstance(response, Mapping) else {}

    @property
    def target(self) -> tuple[str, SplitResult]:
        """Method and address, which say whether it is a call to a model."""
        request, _ = self._sides
        method = request.get("method", "GET")
        if not isinstance(method, str):
            raise malformed("its method is no text")
        return method.upper(), _url(request)

    def asked(self) -> Asked:
        request, _ = self._sides
        method, url = self.target
        headers = _headers(request.get("headers"))
        kind = values(headers, "content-type")
        if url.scheme in ("ws", "wss"):
            raise unsupported("it is a WebSocket, which is no HTTP call")
        if any(value.startswith("application/grpc") for value in kind):
            raise unsupported("it is a gRPC call, which no HTTP client makes")
        body = _body(request, kind[0] if kind else "")
        if isinstance(request.get("body"), Mapping) and "__raw_body_sha256__" in request["body"]:
            raise unsupported("promptecho kept a hash of its body only")
        return Asked(method, url, headers, body)

    def answered(self) -> Answered:
        _, response = self._sides
        if not response:
            raise malformed("it has no response")
        headers = _headers(response.get("headers"))
        kind = ", ".join(values(headers, "content-type"))
        encoding = ", ".join(values(headers, "content-encoding"))
        status, body = _status(response), _answer(response, kind)
        if not encoding or not body or "parsed_body" in response:
            return Answered(status, headers, body)
        said = decoded(body, encoding, kind)
        return Answered(status, headers, body, compressed=True) if said is None else Answered(status, headers, said)


def values(headers: Pairs, name: str) -> list[str]:
    """The values of a header."""
    return [value for key, value in headers if key.lower() == name]


def interactions(recording: Any) -> Iterator[Interaction | NotImported]:
    """The entries of a recording, in order. Raises NotImported for what is no recording at all."""
    if isinstance(recording, list) and any(isinstance(item, Mapping) and "request" in item for item in recording):
        yield from map(Interaction, recording)
        return
    if not isinstance(recording, Mapping):
        raise unsupported("it holds no recorded HTTP traffic")
    found = False
    for name in ("interactions", "http_interactions"):
        if name in recording:
            found = True
            yield from map(Interaction, _listed(recording[name]))
    for name, what in (("ws_interactions", "a WebSocket"), ("grpc_interactions", "a gRPC call")):
        if name in recording:
            found = True
            yield from (unsupported(f"it is {what}, which is no HTTP call") for _ in _listed(recording[name]))
    if not found:
        raise unsupported("it holds no recorded HTTP traffic")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise malformed("its interactions are no list")


def _nested(item: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of pytest-llm-vcr, in which both sides stand together."""
    streamed = item.get("streaming") and item.get("chunks")
    request = {
        "method": item.get("method"),
        "url": item.get("url") or item.get("uri"),
        "headers": item.get("request_headers"),
        "body": item.get("request_body"),
    }
    response: dict[str, Any] = {"status": item.get("status_code"), "headers": item.get("response_headers")}
    if streamed:
        response |= {"streaming": True, "events": item["chunks"]}
    else:
        response["body"] = item.get("response_body")
    return {"request": request, "response": response}


def _url(request: Mapping[str, Any]) -> SplitResult:
    url = request.get("uri", request.get("url"))
    try:
        if url is None and "host" in request:
            scheme, host = str(request.get("protocol", "https")), str(request["host"])
            port = request.get("port")
            usual = port in (None, {"https": 443, "http": 80}.get(scheme))
            url = f"{scheme}://{host}{'' if usual else f':{port}'}{request.get('path', '/')}"
        if not isinstance(url, str):
            raise malformed("its request has no address")
        split = urlsplit(url)
        if not split.scheme or not split.hostname:
            raise malformed("the address of its request is none")
        return split
    except ValueError:
        raise malformed("the address of its request is none") from None


def _headers(headers: Any) -> Pairs:
    """Headers as pairs: they come as a mapping to a text or texts, as pairs, as `name: value`, as a set of pairs."""
    if headers is None:
        return []
    if isinstance(headers, Mapping):
        return [(str(name), value) for name, listed in headers.items() for value in _texts(listed)]
    if not isinstance(headers, list):
        raise malformed("its headers are no mapping")
    if len(headers) == 1 and isinstance(headers[0], list) and all(isinstance(pair, list) for pair in headers[0]):
        headers = headers[0]
    pairs: Pairs = []
    for item in headers:
        if isinstance(item, str) and ":" in item:
            name, _, value = item.partition(":")
            pairs.append((name.strip(), value.strip()))
        elif isinstance(item, list) and len(item) == 2:
            pairs += [(str(item[0]), value) for value in _texts(item[1])]
    return pairs


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [_text(item) for item in listed if isinstance(item, str | bytes | int | float)]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _body(side: Mapping[str, Any], content_type: str) -> bytes:
    if side.get("parsed_body") is not None:
        return json_bytes(side["parsed_body"])
    return body_bytes(side.get("body", side.get("content")), content_type)


def _answer(response: Mapping[str, Any], content_type: str) -> bytes:
    events = response.get("events")
    if response.get("streaming") and isinstance(events, list):
        return body_bytes("".join(map(str, events)), content_type)
    if response.get("binary") and isinstance(response.get("body"), str):
        return body_bytes({"base64_string": response["body"]}, content_type)
    return _body(response, content_type)


def _status(response: Mapping[str, Any]) -> int:
    status = response.get("status", response.get("status_code"))
    if isinstance(status, Mapping):
        status = status.get("code")
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if isinstance(status, Foreign) or not isinstance(status, int) or not 100 <= status <= 599:
        raise malformed("its response has no status")
    if status == 101:
        raise unsupported("it became a WebSocket, which is no HTTP call")
    return status
