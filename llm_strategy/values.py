"""What crosses borders: messages, requests, responses. Immutable, and equal when their contents are.

Names follow the OpenTelemetry semantic conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/), so that tracing needs no translation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from llm_strategy import blobs
from llm_strategy.canonical import FrozenJSON, canonical, digest, digest_of_text
from llm_strategy.redaction import Opaque, each_text, paragraphs, replacing

JSON = Any
"""A value made of `dict`, `list`, `str`, `int`, `float`, `bool` and `None`."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text."""

    content: str
    type: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What a model says it thought before it answered."""

    content: str
    type: ClassVar[str] = "reasoning"


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A model's wish to call a tool; `arguments` is what it wants to pass."""

    id: str | None
    name: str
    arguments: JSON = None
    type: ClassVar[str] = "tool_call"


@dataclass(frozen=True, slots=True)
class ToolCallResponsePart:
    """What a tool answered to the call with the same `id`."""

    id: str | None
    response: JSON = None
    type: ClassVar[str] = "tool_call_response"


@dataclass(frozen=True, slots=True)
class BlobPart:
    """Binary content, base64-encoded. `modality` is "image", "video", "audio" or another word, such as "document"."""

    modality: str
    mime_type: str | None
    content: str
    type: ClassVar[str] = "blob"


@dataclass(frozen=True, slots=True)
class UriPart:
    """Content by its address."""

    modality: str
    mime_type: str | None
    uri: str
    type: ClassVar[str] = "uri"


@dataclass(frozen=True, slots=True)
class FilePart:
    """Content that was uploaded to the provider before."""

    modality: str
    mime_type: str | None
    file_id: str
    type: ClassVar[str] = "file"


Part = TextPart | ReasoningPart | ToolCallPart | ToolCallResponsePart | BlobPart | UriPart | FilePart

_PARTS: dict[str, type[Part]] = {
    part.type: part
    for part in (TextPart, ReasoningPart, ToolCallPart, ToolCallResponsePart, BlobPart, UriPart, FilePart)
}


def _part_to_json(part: Part) -> dict[str, JSON]:
    data = {"type": part.type} | {name: getattr(part, name) for name in part.__dataclass_fields__ if name != "type"}
    if isinstance(part, BlobPart):
        data["content"] = Opaque(part.content)
    return data


def _part_from_json(data: Mapping[str, JSON]) -> Part:
    known = _PARTS[data["type"]]
    if known is BlobPart and "blob" in data:
        # The content lies in a file of its own.
        data = {**data, "content": blobs.stand_in(blobs.identity_in(data["blob"]))}
    fields: dict[str, JSON] = {name: data.get(name) for name in known.__dataclass_fields__ if name != "type"}
    return known(**fields)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `role` is "system", "user", "assistant" or "tool". `parts` may be given as a string, which
    stands for one text part.
    """

    role: str
    parts: tuple[Part, ...]

    def __init__(self, role: str, parts: str | Iterable[Part]) -> None:
        object.__setattr__(self, "role", role)
        object.__setattr__(self, "parts", (TextPart(parts),) if isinstance(parts, str) else tuple(parts))

    @property
    def content(self) -> str:
        """The text of the message: its text parts, joined."""
        return "".join(part.content for part in self.parts if isinstance(part, TextPart))

    def to_json(self) -> dict[str, JSON]:
        """The message as a cassette holds it: `role`, and `parts` with a `type` each."""
        return {"role": self.role, "parts": [_part_to_json(part) for part in self.parts]}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Message:
        """The message that `to_json` has written. Raises KeyError, ValueError or TypeError for another object."""
        return cls(data["role"], [_part_from_json(part) for part in data["parts"]])


@dataclass(frozen=True)
class Request:
    """What a model is asked.

    `model` is "provider:name", or None while no model is chosen. `output_schema` is the JSON schema
    of the reply, `tools` are JSON objects that describe what the model may call, `settings` has
    provider-neutral names (`temperature`, `max_tokens`, `seed`). `volatile` maps placeholders in the
    messages to the text that is sent in their place; it is no part of the request's identity.
    """

    model: str | None
    messages: tuple[Message, ...]
    output_schema: FrozenJSON | None = None
    tools: tuple[FrozenJSON, ...] = ()
    settings: FrozenJSON = FrozenJSON()
    volatile: Mapping[str, str] = field(default=FrozenJSON(), repr=False, compare=False)

    def __post_init__(self) -> None:
        schema = self.output_schema
        object.__setattr__(self, "messages", tuple(self.messages))
        object.__setattr__(self, "output_schema", None if schema is None else FrozenJSON.of(schema))
        object.__setattr__(self, "tools", tuple(FrozenJSON.of(tool) for tool in self.tools))
        object.__setattr__(self, "settings", FrozenJSON.of(self.settings))

    def to_json(self) -> dict[str, JSON]:
        """The request as it is hashed and stored; what is empty is left out."""
        data: dict[str, JSON] = {"model": self.model, "messages": [message.to_json() for message in self.messages]}
        if self.output_schema is not None:
            data["output_schema"] = self.output_schema
        if self.tools:
            data["tools"] = list(self.tools)
        if self.settings:
            data["settings"] = self.settings
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Request:
        """The request that `to_json` has written. Raises KeyError, ValueError or TypeError for another object."""
        return cls(
            data.get("model"),
            tuple(Message.from_json(message) for message in data["messages"]),
            data.get("output_schema"),
            tuple(data.get("tools") or ()),
            data.get("settings") or FrozenJSON(),
        )

    @property
    def stored(self) -> dict[str, JSON]:
        """The request as JSON, with what differs between machines replaced by fixed placeholders."""
        # Not kept: a log of calls would hold every text twice.
        change = replacing()
        stored: dict[str, JSON] = each_text(_rename_ids(self.to_json()), change)
        return stored

    @cached_property
    def key(self) -> str:
        """SHA-256 of the canonical request, 64 hex digits: the same on every machine."""
        if not all(type(part) is TextPart for message in self.messages for part in message.parts):
            return digest(self.stored)
        # The same in a third of the time. "messages" is the first of the sorted names.
        change = replacing()
        messages = ",".join([_canonical_text(message, change) for message in self.messages])
        rest = _canonical_rest(self.model, self.output_schema, self.tools, self.settings, change)
        return digest_of_text(f'{{"messages":[{messages}],{rest[1:]}')

    def sent(self) -> Request:
        """The request with its volatile values in place, as the model gets it."""
        if not self.volatile:
            return self
        parts = [part for message in self.messages for part in message.parts]
        texts = [part.content for part in parts if isinstance(part, TextPart)]
        apart = {_content_apart(part) for part in parts}
        places = {_place(text, texts): value for text, value in self.volatile.items() if text not in apart}
        # What the model said itself is left as it is.
        messages = tuple(
            message if message.role == "assistant" else self._filled(message, places) for message in self.messages
        )
        return replace(self, messages=messages, volatile=FrozenJSON())

    def _filled(self, message: Message, places: Mapping[re.Pattern[str], str]) -> Message:
        return Message(message.role, [self._fill(part, places) for part in message.parts])

    def _fill(self, part: Part, places: Mapping[re.Pattern[str], str]) -> Part:
        match part:
            case TextPart(content):
                return TextPart(_fill_in(content, places))
            case BlobPart(content=content) if content in self.volatile:
                return replace(part, content=self.volatile[content])
            case UriPart(uri=uri) if uri in self.volatile:
                return replace(part, uri=self.volatile[uri])
            case ToolCallResponsePart(response=str(text)) if text in self.volatile:
                return replace(part, response=self.volatile[text])
            case _:
                return part


def _content_apart(part: Part) -> JSON:
    """What a part consists of that is no text of the conversation; None for texts."""
    match part:
        case BlobPart(content=content) | UriPart(uri=content) | ToolCallResponsePart(response=str(content)):
            return content
        case _:
            return None


def _place(placeholder: str, texts: Iterable[str]) -> re.Pattern[str]:
    """Where values stand for a placeholder: on its lines, where it has lines of its own, as an argument has."""
    lines = re.compile(f"^{re.escape(placeholder)}$", re.MULTILINE)
    return lines if any(map(lines.search, texts)) else re.compile(re.escape(placeholder))


def _fill_in(text: str, places: Mapping[re.Pattern[str], str]) -> str:
    """The text with values in their places, all at once: a value may hold what looks like a placeholder."""
    found: list[tuple[int, int, str]] = []
    for place, value in places.items():
        matches = list(place.finditer(text))
        # A docstring may have the lines of an argument too; it stands before the arguments.
        chosen = matches[-1:] if place.flags & re.MULTILINE else matches
        found += [(*match.span(), value) for match in chosen]
    pieces, done = [], 0
    for start, end, value in sorted(found):
        if start >= done:
            pieces += [text[done:start], value]
            done = end
    return "".join([*pieces, text[done:]])


def _canonical_text(message: Message, change: Callable[[str], str]) -> str:
    """The canonical JSON of a message, with `change` applied to its strings; its parts are all text."""
    texts = [_in_json(part.content, change) for part in message.parts if isinstance(part, TextPart)]
    parts = ",".join([f'{{"content":"{text}","type":"text"}}' for text in texts])
    return f'{{"parts":[{parts}],"role":"{_in_json(message.role, change)}"}}'


_LONGEST_KEPT = 4096
"""Characters of a paragraph that is remembered: most of a prompt is the same from call to call."""


def _in_json(text: str, change: Callable[[str], str]) -> str:
    return "\\n\\n".join(
        [
            _remembered(paragraph, change) if len(paragraph) < _LONGEST_KEPT else _escaped(paragraph, change)
            for paragraph in paragraphs(text)
        ]
    )


def _escaped(text: str, change: Callable[[str], str]) -> str:
    return canonical(change(text))[1:-1]


_remembered = lru_cache(maxsize=1024)(_escaped)


@lru_cache(maxsize=1024)
def _canonical_rest(
    model: str | None,
    output_schema: FrozenJSON | None,
    tools: tuple[FrozenJSON, ...],
    settings: FrozenJSON,
    change: Callable[[str], str],
) -> str:
    """The canonical JSON of a request without messages. Remembered, since it is the same from call to call."""
    rest = Request(model, (), output_schema, tools, settings).to_json()
    del rest["messages"]
    return canonical(each_text(rest, change))


def _rename_ids(data: dict[str, JSON]) -> dict[str, JSON]:
    """Name the tool calls' ids by first appearance: clients make them at random."""
    names: dict[str, str] = {}
    for message in data["messages"]:
        for part in message["parts"]:
            if part["type"] in ("tool_call", "tool_call_response") and part["id"] is not None:
                part["id"] = names.setdefault(part["id"], f"call_{len(names) + 1}")
    return data


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call cost, in tokens; None where the provider does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None

    def to_json(self) -> dict[str, JSON]:
        """Both numbers, as a cassette holds them."""
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Usage:
        """The numbers that `to_json` has written; what is missing is None."""
        return cls(data.get("input_tokens"), data.get("output_tokens"))


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered.

    `finish_reason` is "stop", "length" (cut off), "content_filter", "tool_call", "refusal" (then
    `content` is the model's own words for it) or a word of the provider's own. `model` is the name
    that the provider gave of what answered. `pieces` are the parts of `content` in which a streamed
    answer arrived; `closed_early` says that the caller stopped reading it, so that neither the rest
    nor why the model stopped (`finish_reason` is "") is known. `tool_calls` are the tools that the
    model wants to have called before it answers.
    """

    content: str
    usage: Usage | None = None
    finish_reason: str = "stop"
    model: str | None = None
    pieces: tuple[str, ...] = ()
    closed_early: bool = False
    tool_calls: tuple[ToolCallPart, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """The response as a cassette holds it; what is not known is left out."""
        data: dict[str, JSON] = {"content": self.content}
        if self.pieces:
            data["pieces"] = list(self.pieces)
        if self.tool_calls:
            data["tool_calls"] = [_call_to_json(call) for call in self.tool_calls]
        if self.closed_early:
            data["closed_early"] = True
        else:
            data["finish_reason"] = self.finish_reason
        if self.model is not None:
            data["model"] = self.model
        if self.usage is not None:
            data["usage"] = self.usage.to_json()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Response:
        """The response in a JSON object; raises ValueError where its parts do not agree."""
        usage = data.get("usage")
        closed_early = data.get("closed_early", False)
        if not isinstance(data["content"], str):
            raise ValueError("its content is no text: put it into quotes")
        if not isinstance(closed_early, bool):
            raise ValueError("its closed_early is neither true nor false")
        return cls(
            data["content"],
            None if usage is None else Usage.from_json(usage),
            "" if closed_early else data.get("finish_reason", "stop"),
            data.get("model"),
            _checked(data["pieces"], data["content"]) if "pieces" in data else (),
            closed_early,
            tuple(map(_call_from_json, data["tool_calls"])) if "tool_calls" in data else (),
        )


def _checked(pieces: JSON, content: JSON) -> tuple[str, ...]:
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise ValueError("its pieces are no list of texts")
    if "".join(pieces) != content:
        raise ValueError("its pieces, joined, are not its content: change both, or take the pieces out")
    return tuple(pieces)


def _call_to_json(call: ToolCallPart) -> dict[str, JSON]:
    return {"id": call.id, "name": call.name, "arguments": call.arguments}


def _call_from_json(data: JSON) -> ToolCallPart:
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise ValueError("one of its tool_calls has no name: each has an id, a name and arguments")
    if not isinstance(name := data.get("id"), str | None):
        raise ValueError(f"the id of its call of the tool {data['name']} is no text: put it into quotes")
    return ToolCallPart(name, data["name"], data.get("arguments"))
