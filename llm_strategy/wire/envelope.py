"""A call as it went over HTTP: what a cassette keeps of it, and what it says as a request and a response.

`docs/reference/cassette-format.md` specifies the envelopes of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from llm_strategy.canonical import FrozenJSON, digest
from llm_strategy.redaction import each_text, replacing
from llm_strategy.values import JSON, Message, Request, Response
from llm_strategy.wire.bodies import laid_out, parse_text
from llm_strategy.wire.chat_completion_chunks import join_chunks
from llm_strategy.wire.chat_completions import decode, decode_request, error_message
from llm_strategy.wire.contents import described

CHAT_COMPLETIONS = "/chat/completions"


@dataclass(frozen=True)
class HTTPRequest(Request):
    """A request that a program sent itself; `http` is its envelope, which also makes its key."""

    http: FrozenJSON = FrozenJSON()

    @classmethod
    def of(cls, http: Mapping[str, JSON]) -> HTTPRequest:
        """The request in an envelope. Raises KeyError, TypeError or AttributeError for what is none."""
        said = _request(http)
        return cls(said.model, said.messages, said.output_schema, said.tools, said.settings, http=FrozenJSON.of(http))

    @property
    def identity(self) -> dict[str, JSON]:
        """What makes two calls equal: method, path and body, but neither the host nor any header."""
        url, body = urlsplit(self.http["url"]), self.http.get("body")
        # A query says what is wanted where no body does; else it is a version or the like.
        path = f"{url.path}?{url.query}" if body is None and url.query else url.path
        return {"kind": "http", "method": self.http["method"], "path": path, "body": body}

    @cached_property
    def key(self) -> str:
        """SHA-256 of the identity, 64 hex digits: the same on every machine."""
        return digest(self.identity)


@dataclass(frozen=True, slots=True)
class HTTPResponse(Response):
    """The response to such a request; `http` is its envelope, which is what is stored.

    `lacking` says what is wrong with the files of its contents, in words: while something is, it is no answer.
    """

    http: FrozenJSON = FrozenJSON()
    lacking: tuple[str, ...] = ()

    @classmethod
    def of(cls, http: Mapping[str, JSON], lacking: Iterable[str] = ()) -> HTTPResponse:
        """The response in an envelope. Raises KeyError, TypeError or AttributeError for what is none."""
        said = _response(http)
        frozen = FrozenJSON.of(http)
        return cls(said.content, said.usage, said.finish_reason, said.model, http=frozen, lacking=tuple(lacking))

    @property
    def status(self) -> int:
        status: int = self.http["status"]
        return status

    def to_json(self) -> dict[str, JSON]:
        return dict(self.http)


def request_envelope(method: str, url: str, headers: Mapping[str, str], body: JSON) -> dict[str, JSON]:
    """The envelope of a request, with what differs between machines or clients replaced. `body` is None for none."""
    http: dict[str, JSON] = {"method": method, "url": url}
    if headers:
        http["headers"] = dict(headers)
    if body is not None:
        http["body"] = _rename_ids(body) if urlsplit(url).path.endswith(CHAT_COMPLETIONS) else body
    replaced: dict[str, JSON] = each_text(http, replacing())
    return replaced


def _rename_ids(body: JSON) -> JSON:
    """Name the tool calls' ids by first appearance: clients make them at random."""
    messages = body.get("messages") if isinstance(body, Mapping) else None
    if not isinstance(messages, list):
        return body
    names: dict[str, str] = {}

    def renamed(item: Any, field: str) -> Any:
        if not isinstance(item, Mapping) or not isinstance(item.get(field), str):
            return item
        return {**item, field: names.setdefault(item[field], f"call_{len(names) + 1}")}

    def renamed_all(message: Any) -> Any:
        calls = message.get("tool_calls") if isinstance(message, Mapping) else None
        if isinstance(calls, list):
            return {**message, "tool_calls": [renamed(call, "id") for call in calls]}
        return renamed(message, "tool_call_id")

    return {**body, "messages": [renamed_all(message) for message in messages]}


def _request(http: Mapping[str, JSON]) -> Request:
    """What an envelope asks; the body as a text where its format is not known."""
    body = http.get("body")
    if http["method"] == "POST" and urlsplit(http["url"]).path.endswith(CHAT_COMPLETIONS):
        try:
            request = decode_request(body)
        except (ValueError, TypeError, AttributeError):
            pass
        else:
            # Whether an answer comes in pieces makes another call of it.
            stream = {name: value for name, value in (body or {}).items() if name in ("stream", "stream_options")}
            return replace(request, settings=FrozenJSON({**request.settings, **stream}))
    model = body.get("model") if isinstance(body, Mapping) else None
    shown = described(http).get("body")
    text = shown if isinstance(shown, str) else laid_out(shown, "indented") if shown is not None else ""
    return Request(
        f"openai:{model}" if isinstance(model, str) else None,
        (Message("user", f"{http['method']} {urlsplit(http['url']).path}\n\n{text}".rstrip()),),
    )


def _response(http: Mapping[str, JSON]) -> Response:
    """What an envelope answers; without content where its format is not known."""
    body = join_chunks(http["events"]) if "events" in http else http.get("body")
    body = parse_text(body) if isinstance(body, str) else body
    if http["status"] >= 400:
        error = body.get("error", body) if isinstance(body, Mapping) else body
        return Response(error_message(error) if error else "", finish_reason="error")
    try:
        return decode(body or {})
    except (ValueError, TypeError, AttributeError):
        model = body.get("model") if isinstance(body, Mapping) else None
        return Response(body if isinstance(body, str) else "", model=model if isinstance(model, str) else None)
