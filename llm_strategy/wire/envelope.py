"""A call as it went over HTTP: what a cassette keeps of it, and what it says as a request and a response.

`docs/reference/cassette-format.md` specifies the envelopes of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from urllib.parse import urlsplit

from llm_strategy.canonical import FrozenJSON, digest
from llm_strategy.redaction import each_text, replacing
from llm_strategy.values import JSON, Message, Request
from llm_strategy.wire.bodies import laid_out, parse_text
from llm_strategy.wire.chat_completions import error_message
from llm_strategy.wire.contents import described
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.ignoring import without_ignored
from llm_strategy.wire.registry import FORMATS, find
from llm_strategy.wire.sent_bodies import without_boundary

_NOT_OF_THE_FORMAT = (ValueError, TypeError, AttributeError, LookupError)
_FIRST = 32
"""So many events tell which format a stream has."""


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
class HTTPResponse(Answer):
    """The response to such a request; `http` is its envelope, which is what is stored.

    `lacking` says what is wrong with the files of its contents, in words: while something is, it is no answer.
    """

    http: FrozenJSON = FrozenJSON()
    lacking: tuple[str, ...] = ()

    @classmethod
    def of(cls, http: Mapping[str, JSON], lacking: Iterable[str] = ()) -> HTTPResponse:
        """The response in an envelope. Raises KeyError, TypeError or AttributeError for what is none."""
        said = _response(http)
        return cls(
            said.content,
            said.usage,
            "" if said.closed_early else said.finish_reason,
            said.model,
            closed_early=said.closed_early,
            parts=said.parts,
            http=FrozenJSON.of(http),
            lacking=tuple(lacking),
        )

    @property
    def status(self) -> int:
        status: int = self.http["status"]
        return status

    def to_json(self) -> dict[str, JSON]:
        return dict(self.http)


def request_envelope(
    method: str, url: str, headers: Mapping[str, str], body: JSON, ignore: Iterable[str] = ()
) -> dict[str, JSON]:
    """The envelope of a request, with what differs between machines or clients replaced. `body` is None for none.

    `ignore` are paths of values that do not matter; raises ValueError for what is no path.
    """
    http: dict[str, JSON] = {"method": method, "url": url}
    if headers:
        http["headers"] = {
            name: without_boundary(value) if name == "content-type" else value for name, value in headers.items()
        }
    if body is not None:
        format = _format(method, url)
        http["body"] = without_ignored(format.rename_ids(body) if format else body, ignore)
    replaced: dict[str, JSON] = each_text(http, replacing())
    return replaced


def _format(method: str, url: str) -> Format | None:
    return find(urlsplit(url).path) if method == "POST" else None


def _request(http: Mapping[str, JSON]) -> Request:
    """What an envelope asks; the body as a text where its format is not known."""
    body = http.get("body")
    format = _format(http["method"], http["url"])
    if format is not None:
        try:
            request = format.decode_request(body, http["url"])
        except _NOT_OF_THE_FORMAT:
            pass
        else:
            # Whether an answer comes in pieces makes another call of it.
            stream = {name: value for name, value in (body or {}).items() if name in ("stream", "stream_options")}
            return replace(request, settings=FrozenJSON({**request.settings, **stream}))
    model = _model(body)
    shown = described(http).get("body")
    text = shown if isinstance(shown, str) else laid_out(shown, "indented") if shown is not None else ""
    return Request(
        f"openai:{model}" if isinstance(model, str) else None,
        (Message("user", f"{http['method']} {urlsplit(http['url']).path}\n\n{text}".rstrip()),),
    )


def _model(body: JSON) -> JSON:
    """What a body that no format reads calls the model."""
    if not isinstance(body, Mapping):
        return None
    parts = body.get("multipart") or ()
    return body.get("model") or next((part.get("content") for part in parts if part.get("name") == "model"), None)


def _response(http: Mapping[str, JSON]) -> Answer:
    """What an envelope answers; without content where its format is not known."""
    body = http.get("body")
    body = parse_text(body) if isinstance(body, str) else body
    if http["status"] >= 400:
        error = body.get("error", body) if isinstance(body, Mapping) else body
        return Answer(error_message(error) if error else "", finish_reason="error")
    said = _decoded(body) if "events" not in http else _decoded_stream(http["events"])
    if said is None:
        model = body.get("model") if isinstance(body, Mapping) else None
        said = Answer(body if isinstance(body, str) else "", model=model if isinstance(model, str) else None)
    return replace(said, closed_early=True) if http.get("closed_early") is True else said


def _decoded(body: JSON) -> Answer | None:
    """What a body answers, by the format that it has: an answer stands apart from its request."""
    return next((answer for format in FORMATS if (answer := _attempt(format, body)) is not None), None)


def _decoded_stream(events: Sequence[JSON]) -> Answer | None:
    # Servers send comments for as long as they are busy; these are texts.
    first = list(islice((event for event in events if not isinstance(event, str)), _FIRST))
    for format in FORMATS:
        begun = _attempt(format, first, streamed=True)
        if begun is not None:
            return begun if len(events) <= len(first) else _attempt(format, events, streamed=True)
    return None


def _attempt(format: Format, said: JSON, *, streamed: bool = False) -> Answer | None:
    """What is said in a format; None where this is not of the format."""
    try:
        return format.decode_response(format.join(said) if streamed else said)
    except _NOT_OF_THE_FORMAT:
        return None
