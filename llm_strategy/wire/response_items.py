"""The items of OpenAI's Responses format: what a conversation, and an answer, consist of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llm_strategy.content import file_name
from llm_strategy.values import (
    JSON,
    BlobPart,
    FilePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from llm_strategy.wire.chat_messages import (
    arguments_text,
    arguments_value,
    call_id,
    data_url,
    from_data_url,
    text_of,
    to_text,
)

_BESIDE = frozenset("type id call_id approval_request_id status".split())
"""Fields of an item that say nothing to a model."""
_ANSWERS = ("_output", "_response", "_result")
"""How the types of those items end in which a program answers a call."""


def decode_items(items: Any) -> Iterator[Message]:
    """Items as messages: those in which the model speaks one after another are one turn. Raises ValueError."""
    if isinstance(items, str):
        yield Message("user", items)
        return
    if not isinstance(items, list):
        raise ValueError("the input is neither a text nor a list of items")
    turn: list[Part] = []
    for item in items:
        role, parts = decode_item(item)
        if role == "assistant":
            turn += parts
            continue
        if turn:
            yield Message("assistant", turn)
            turn = []
        yield Message(role, parts)
    if turn:
        yield Message("assistant", turn)


def decode_item(item: Any) -> tuple[str, list[Part]]:
    """Who says something in an item, and what. Raises ValueError where it holds what is not known."""
    if not isinstance(item, Mapping):
        raise ValueError(f"an item is an object, not a {type(item).__name__}")
    kind = str(item.get("type") or ("message" if "role" in item else ""))
    call = call_id(item.get("call_id") or item.get("approval_request_id") or item.get("id"))
    match kind:
        case "message":
            role = str(item["role"])
            return "system" if role == "developer" else role, _content(item.get("content"))
        case "reasoning":
            thought = _thought(item)
            return "assistant", [ReasoningPart(thought)] if thought else []
        case "function_call" | "custom_tool_call":
            arguments = item.get("arguments", item.get("input"))
            return "assistant", [ToolCallPart(call, str(item.get("name")), arguments_value(arguments))]
        case "function_call_output" | "custom_tool_call_output":
            return "tool", [ToolCallResponsePart(call, _output(item.get("output")))]
        case "item_reference":
            return "assistant", [FilePart("item", None, str(item.get("id")))]
        case "image_generation_call" if isinstance(item.get("result"), str):
            return "assistant", [BlobPart("image", f"image/{item.get('output_format') or 'png'}", item["result"])]
        case "":
            raise ValueError("an item has a type or a role")
    said = {name: value for name, value in item.items() if name not in _BESIDE}
    if kind.endswith(_ANSWERS):
        return "tool", [ToolCallResponsePart(call, said)]
    # A tool that the provider runs itself.
    return "assistant", [ToolCallPart(call, kind, said)]


def _thought(item: Mapping[str, Any]) -> str:
    """What the model thought, or, where the provider keeps that to itself, its summary."""
    return "\n\n".join(text for part in (item.get("content") or item.get("summary") or ()) if (text := text_of([part])))


def _output(output: Any) -> JSON:
    """What a tool answered; a list of texts is one text."""
    if isinstance(output, list) and all(isinstance(part, Mapping) and "text" in part for part in output):
        return text_of(output)
    return output


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)]
    if not isinstance(content, list):
        raise ValueError("the content of an item is neither a text nor a list")
    return [_decode_part(part) for part in content] or [TextPart("")]


def _decode_part(part: Any) -> Part:
    match part:
        case {"type": "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text", "text": str(text)}:
            return TextPart(text)
        case {"type": "refusal", "refusal": str(text)}:
            return TextPart(text)
        case {"type": "input_image" | "input_file", "file_id": str(name)}:
            return FilePart("image" if part["type"] == "input_image" else "document", None, name)
        case {"type": "input_image" | "computer_screenshot", "image_url": str(url)}:
            return from_data_url("image", url) or UriPart("image", None, url)
        case {"type": "input_file", "file_data": str(data)}:
            return from_data_url("document", data) or BlobPart("document", None, data)
        case {"type": "input_file", "file_url": str(url)}:
            return UriPart("document", None, url)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(coding)}}:
            return BlobPart("audio", f"audio/{'mpeg' if coding == 'mp3' else coding}", data)
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    raise ValueError(f"content of type {kind!r} is not known")


def encode_items(message: Message) -> Iterator[dict[str, JSON]]:
    """A message as items; raises ValueError for what the format has no place for."""
    spoken: list[dict[str, JSON]] = []
    for part in message.parts:
        item = _encode_apart(part)
        if item is None:
            spoken.append(_encode_part(part, message.role))
            continue
        if spoken:
            yield {"type": "message", "role": message.role, "content": spoken}
            spoken = []
        yield item
    if spoken:
        yield {"type": "message", "role": message.role, "content": spoken}


def _encode_apart(part: Part) -> dict[str, JSON] | None:
    """A part that is an item of its own; None for what is said in a message."""
    match part:
        case ReasoningPart(content):
            return {"type": "reasoning", "summary": [{"type": "summary_text", "text": content}]}
        case ToolCallPart(name, function, arguments):
            return {
                "type": "function_call",
                "call_id": name or "",
                "name": function,
                "arguments": arguments_text(arguments),
            }
        case ToolCallResponsePart(name, response):
            said = response if isinstance(response, str) else to_text(response)
            return {"type": "function_call_output", "call_id": name or "", "output": said}
        case FilePart("item", _, name):
            return {"type": "item_reference", "id": name}
    return None


def _encode_part(part: Part, role: str) -> dict[str, JSON]:
    match part:
        case TextPart(content):
            return {"type": "output_text" if role == "assistant" else "input_text", "text": content}
        case BlobPart("image", mime_type, content):
            return {"type": "input_image", "image_url": data_url(mime_type or "image/png", content)}
        case UriPart("image", _, uri):
            return {"type": "input_image", "image_url": uri}
        case FilePart("image", _, file_id):
            return {"type": "input_image", "file_id": file_id}
        case BlobPart("document", mime_type, content):
            mime_type = mime_type or "application/pdf"
            name = file_name("document", mime_type)
            return {"type": "input_file", "filename": name, "file_data": data_url(mime_type, content)}
        case UriPart("document", _, uri):
            return {"type": "input_file", "file_url": uri}
        case FilePart(_, _, file_id):
            return {"type": "input_file", "file_id": file_id}
        case BlobPart("audio", mime_type, content):
            kind = (mime_type or "audio/wav").rpartition("/")[2]
            coding = "mp3" if kind == "mpeg" else kind
            return {"type": "input_audio", "input_audio": {"data": content, "format": coding}}
    raise ValueError(f"Responses has no place for {getattr(part, 'modality', part.type)} as a {part.type}")
