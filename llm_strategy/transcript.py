"""A request as text for people: what a difference is shown between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from llm_strategy.blobs import summary
from llm_strategy.values import (
    JSON,
    BlobPart,
    FilePart,
    Message,
    Part,
    ReasoningPart,
    Request,
    TextPart,
    ToolCallPart,
    UriPart,
)


class Section(NamedTuple):
    """A part of a transcript. `title` is a message's role, "tool NAME", "schema" or, for model and settings, empty."""

    title: str
    text: str


def transcript(request: Request) -> str:
    """The request as one text: model and settings, tools, the reply's schema, then each message under its role."""
    return "\n\n".join(f"{title}:\n\n{text}" if title else text for title, text in sections(request))


def sections(request: Request) -> Iterator[Section]:
    """The parts of a request's transcript, in order.

    The schema is left out where the text of a message holds it, as those of decorated functions do.
    """
    settings = "".join(f"\n{name}: {compact(value)}" for name, value in sorted(request.settings.items()))
    yield Section("", f"model: {request.model or 'none'}{settings}")
    for tool in request.tools:
        yield Section(f"tool {tool_name(tool)}", laid_out(tool))
    schema = request.output_schema
    if schema is not None and not any(schema_in(message, schema) for message in request.messages):
        yield Section("schema", laid_out(schema))
    for message in request.messages:
        yield Section(message.role, message_text(message))


def schema_in(message: Message, schema: JSON) -> str | None:
    """The text before the schema, where a message ends with this very schema as JSON."""
    before, _, last = message.content.rpartition("\n\n")
    try:
        return before if last.startswith("{") and json.loads(last) == schema else None
    except (ValueError, RecursionError):
        return None


def tool_name(tool: JSON) -> str:
    """The name of a tool, which stands in it or one level deeper; a provider's own tools may have a type only."""
    named = tool if "name" in tool else tool.get("function")
    return str(named.get("name") if isinstance(named, dict) else tool.get("type") or "without a name")


def compact(value: JSON) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def laid_out(value: JSON) -> str:
    """JSON with one value per line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2)


def message_text(message: Message) -> str:
    return "\n".join(map(_part_text, message.parts))


def _part_text(part: Part) -> str:
    """A part for people; binary content by its type, size and hash."""
    match part:
        case TextPart():
            return part.content
        case ReasoningPart():
            return f"[reasoning] {part.content}"
        case ToolCallPart():
            return f"[calls the tool {part.name}] {compact(part.arguments)}"
        case BlobPart():
            return f"[{part.modality}: {part.mime_type}, {summary(part.content)}]"
        case UriPart():
            return f"[{part.modality}: {part.uri}]"
        case FilePart():
            return f"[{part.modality}: the file {part.file_id}]"
        case _:
            return f"[the tool answers] {part.response if isinstance(part.response, str) else compact(part.response)}"
