"""A call as it went over HTTP: what a cassette keeps of it, and what it says as a request and a response.

`docs/reference/cassette-format.md` specifies the envelopes of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from itertools import islice
from operator import attrgetter
from typing import Any
from urllib.parse import urlsplit

from llm_strategy import project_rules
from llm_strategy.canonical import FrozenJSON, digest
from llm_strategy.redaction import each_text, replacing
from llm_strategy.values import JSON, Message, Part, Request, ToolCallPart, Usage
from llm_strategy.wire.bodies import laid_out, parse_text
from llm_strategy.wire.chat_completions import error_message
from llm_strategy.wire.contents import described, sealed
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.ignoring import without_ignored
from llm_strategy.wire.json_text import is_base64
from llm_strategy.wire.registry import FORMATS, find
from llm_strategy.wire.sent_bodies import without_boundary

_NOT_OF_THE_FORMAT = (ValueError, TypeError, AttributeError, LookupError)
_FIRST = 32
"""So many events tell which format a stream has."""


def _said(name: str) -> Any:
    """A field of what is said, which is decoded when one of them is looked at first: most replays need none."""
    return property(attrgetter(f"said.{name}"))


def _calls_said() -> Any:
    """Those among the parts of what is said."""
    return property(lambda self: tuple(part for part in self.parts if isinstance(part, ToolCallPart)))


class HTTPRequest(Request):
    """A request that a program sent itself; `http` is its envelope, which also makes its key."""

    http: FrozenJSON
    model: str | None = _said("model")
    messages: tuple[Message, ...] = _said("messages")
    output_schema: FrozenJSON | None = _said("output_schema")
    tools: tuple[FrozenJSON, ...] = _said("tools")
    settings: FrozenJSON = _said("settings")

    def __init__(self, http: Mapping[str, JSON]) -> None:
        # What is asked for its fields raises KeyError, TypeError or AttributeError where this is no envelope.
        self.__dict__["http"] = FrozenJSON.of(http)

    @classmethod
    def of(cls, http: Mapping[str, JSON]) -> HTTPRequest:
        """The request in an envelope."""
        return cls(http)

    def __eq__(self, other: object) -> bool:
        return self.http == other.http if isinstance(other, HTTPRequest) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.http)

    @cached_property
    def said(self) -> Request:
        """What the envelope asks."""
        return self.understood or _plain(self.http)

    @cached_property
    def understood(self) -> Request | None:
        """The same where the format is known; else the whole body stands for a message, and this is None."""
        return _understood(self.http)

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


class HTTPResponse(Answer):
    """The response to such a request; `http` is its envelope, which is what is stored.

    `lacking` says what is wrong with the files of its contents, in words: while something is, it is no answer.
    """

    __slots__ = ("_answer", "http", "lacking")

    http: FrozenJSON
    lacking: tuple[str, ...]
    _answer: Answer
    content: str = _said("content")
    usage: Usage | None = _said("usage")
    finish_reason: str = _said("finish_reason")
    model: str | None = _said("model")
    pieces: tuple[str, ...] = _said("pieces")
    closed_early: bool = _said("closed_early")
    parts: tuple[Part, ...] = _said("parts")
    tool_calls: tuple[ToolCallPart, ...] = _calls_said()

    def __init__(self, http: Mapping[str, JSON], lacking: Iterable[str] = ()) -> None:
        object.__setattr__(self, "http", FrozenJSON.of(http))
        object.__setattr__(self, "lacking", tuple(lacking))

    @classmethod
    def of(cls, http: Mapping[str, JSON], lacking: Iterable[str] = ()) -> HTTPResponse:
        """The response in an envelope. Raises KeyError or TypeError for what is none."""
        if type(http["status"]) is not int:
            raise TypeError("its status is no whole number")
        if not isinstance(http.get("events", []), list):
            raise TypeError("its events are no list")
        return cls(http, lacking)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HTTPResponse) and (self.http, self.lacking) == (other.http, other.lacking)

    def __hash__(self) -> int:
        return hash((self.http, self.lacking))

    def __reduce__(self) -> tuple[type[HTTPResponse], tuple[FrozenJSON, tuple[str, ...]]]:
        return type(self), (self.http, self.lacking)

    @property
    def said(self) -> Answer:
        """What the envelope answers."""
        if not hasattr(self, "_answer"):
            object.__setattr__(self, "_answer", _response(self.http))
        return self._answer

    @property
    def status(self) -> int:
        status: int = self.http["status"]
        return status

    def to_json(self) -> dict[str, JSON]:
        return dict(self.http)


def request_of(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: JSON,
    ignore: Iterable[str] = (),
    *,
    is_recorded: Callable[[str], bool] | None = None,
) -> HTTPRequest:
    """A request, with what differs between machines or clients replaced. `body` is None for none.

    `ignore` are paths of values that do not matter; raises ValueError for what is no path. `is_recorded` says whether
    a recording has a key.
    """
    http, change = _sent(method, url, headers, body, ignore), replacing()
    # A body that is what was left of another has nothing in it to replace. A project may have got further rules since.
    if is_recorded is not None and body is not None and not project_rules.current():
        # Addresses and types of content are the same in call after call.
        around = {name: each_text(value, partial(_once, change)) for name, value in http.items() if name != "body"}
        request = HTTPRequest.of({**around, "body": http["body"]})
        if is_recorded(request.key):
            return request
    return HTTPRequest.of(each_text(sealed(http), change))


@lru_cache(maxsize=256)
def _once(change: Callable[[str], str], text: str) -> str:
    return change(text)


def _sent(method: str, url: str, headers: Mapping[str, str], body: JSON, ignore: Iterable[str]) -> dict[str, JSON]:
    http: dict[str, JSON] = {"method": method, "url": url}
    if headers:
        http["headers"] = {
            name: without_boundary(value) if name == "content-type" else value for name, value in headers.items()
        }
    if body is not None:
        format = _format(method, url)
        http["body"] = without_ignored(format.rename_ids(body) if format else body, ignore)
    return http


def _format(method: str, url: str) -> Format | None:
    return find(urlsplit(url).path) if method == "POST" else None


def _understood(http: Mapping[str, JSON]) -> Request | None:
    """What an envelope asks, by its format; None where it has none."""
    body, format = http.get("body"), _format(http["method"], http["url"])
    if format is None:
        return None
    try:
        request = format.decode_request(body, http["url"])
    except _NOT_OF_THE_FORMAT:
        return None
    # Whether an answer comes in pieces makes another call of it.
    stream = {name: value for name, value in (body or {}).items() if name in ("stream", "stream_options")}
    return replace(request, settings=FrozenJSON({**request.settings, **stream}))


def _plain(http: Mapping[str, JSON]) -> Request:
    """An envelope with its body as a text."""
    model, url = _model(http.get("body")), urlsplit(http["url"])
    shown = described(http).get("body")
    text = shown if isinstance(shown, str) else laid_out(shown, "indented") if shown is not None else ""
    return Request(
        f"{_provider(url.hostname or '')}:{model}" if isinstance(model, str) else None,
        (Message("user", f"{http['method']} {url.path}\n\n{text}".rstrip()),),
    )


_OWNERS = {"googleapis": "google", "amazonaws": "bedrock"}


def _provider(host: str) -> str:
    """Whose host it is; that of a server on this machine, or of Azure, speaks as OpenAI does."""
    *_, owner, last = ["", "openai", *host.split(".")]
    return "openai" if last.isdigit() or "openai" in host else _OWNERS.get(owner, owner)


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
        error = None if is_base64(body) else body.get("error", body) if isinstance(body, Mapping) else body
        return Answer(error_message(error) if error else "", finish_reason="error")
    said = _decoded(body) if "events" not in http else _decoded_stream(http["events"])
    if said is None:
        model = body.get("model") if isinstance(body, Mapping) else None
        said = Answer(body if isinstance(body, str) else "", model=model if isinstance(model, str) else None)
    return replace(said, closed_early=True, finish_reason="") if http.get("closed_early") is True else said


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
