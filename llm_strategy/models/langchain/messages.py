"""Messages of LangChain <-> messages of this library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
from llm_strategy.wire.chat_messages import arguments_text, decode_message

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_ROLES = {"human": "user", "ai": "assistant", "developer": "system", "function": "tool"}
_SPEAKERS = {"user": "User", "assistant": "Assistant", "tool": "Tool", "system": "System"}
_MPEG_AUDIO, _MP3 = "audio/mpeg", "audio/mp3"
_MEDIA = ("image", "audio", "video", "file")


def to_messages(items: Iterable[object] | str) -> tuple[Message, ...]:
    """Messages given in any usual way: as Message, LangChain message, dict, (role, text), or text of the user.

    Raises TypeError for anything else, ValueError for a dict that is no message.
    """
    return tuple(map(_to_message, [items] if isinstance(items, str) else items))


def _to_message(item: Any) -> Message:
    match item:
        case Message():
            return item
        case str(text):
            return Message("user", text)
        case (str(role), str(text)):
            return Message(_role(role), text)
        case {"parts": _}:
            return Message.from_json(item)
        case Mapping():
            role = item.get("role", item.get("type"))
            return decode_message({**item, "role": _role(role) if isinstance(role, str) else role})
    if hasattr(item, "content") and isinstance(getattr(item, "type", None), str):
        return from_langchain(item)
    raise TypeError(
        f"{item!r} is no message: give a Message, a LangChain message, a dict with role and content, or text"
    )


def _role(role: str) -> str:
    role = role.removesuffix("MessageChunk").lower()
    return _ROLES.get(role, role)


def from_langchain(message: BaseMessage) -> Message:
    """A LangChain message as ours; what has no counterpart (ids, metadata, caching marks) is left out."""
    role = _role(getattr(message, "role", None) or message.type)
    if role == "tool":
        return Message(role, [ToolCallResponsePart(getattr(message, "tool_call_id", None), text_of(message))])
    content = message.content
    parts: list[Part] = []
    if isinstance(content, str):
        parts += [TextPart(content)] if content else []
    else:
        parts += [part for block in message.content_blocks if (part := _from_block(block)) is not None]
    return Message(role, [*parts, *calls_of(message)] or [TextPart("")])


def calls_of(message: BaseMessage) -> Iterator[ToolCallPart]:
    """The calls of tools in a LangChain message; what is no JSON stays the text that it came as."""
    for call in getattr(message, "tool_calls", ()):
        yield ToolCallPart(call.get("id"), call["name"], call["args"])
    for call in getattr(message, "invalid_tool_calls", ()):
        yield ToolCallPart(call.get("id"), call.get("name") or "", call.get("args"))


def text_of(message: BaseMessage) -> str:
    """The text of a LangChain message, whose content is a string or a list of blocks."""
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(block if isinstance(block, str) else str(block.get("text") or "") for block in content)


def _from_block(block: Mapping[str, Any]) -> Part | None:
    kind = block.get("type", "")
    if kind == "text":
        return TextPart(str(block.get("text", "")))
    if kind == "reasoning":
        return ReasoningPart(str(block.get("reasoning", "")))
    if kind not in _MEDIA:
        return None
    modality, mime_type = "document" if kind == "file" else kind, block.get("mime_type")
    mime_type = _MPEG_AUDIO if mime_type == _MP3 else mime_type
    if "base64" in block:
        return BlobPart(modality, mime_type, block["base64"])
    if "url" in block:
        return UriPart(modality, mime_type, block["url"])
    return FilePart(modality, mime_type, block["file_id"]) if "file_id" in block else None


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """Our messages as LangChain's; a message of another role than the usual ones becomes a ChatMessage."""
    return [converted for message in messages for converted in _converted(message)]


def _converted(message: Message) -> list[BaseMessage]:
    from langchain_core.messages import (
        AIMessage,
        ChatMessage,
        HumanMessage,
        InvalidToolCall,
        SystemMessage,
        ToolCall,
        ToolMessage,
    )

    converted: list[BaseMessage] = [
        ToolMessage(content=_answer(part.response), tool_call_id=part.id or "")
        for part in message.parts
        if isinstance(part, ToolCallResponsePart)
    ]
    blocks: Any = [block for part in message.parts if (block := _to_block(part)) is not None]
    if converted and not blocks:
        return converted
    content = message.content if all(block["type"] == "text" for block in blocks) else blocks
    match message.role:
        case "system":
            return [*converted, SystemMessage(content=content)]
        case "user":
            return [*converted, HumanMessage(content=content)]
        case "assistant":
            parts = [part for part in message.parts if isinstance(part, ToolCallPart)]
            calls = [
                ToolCall(name=part.name, args=dict(part.arguments or {}), id=part.id)
                for part in parts
                if isinstance(part.arguments, Mapping | None)
            ]
            others = [
                InvalidToolCall(
                    type="invalid_tool_call",
                    name=part.name,
                    args=arguments_text(part.arguments),
                    id=part.id,
                    error=None,
                )
                for part in parts
                if not isinstance(part.arguments, Mapping | None)
            ]
            return [*converted, AIMessage(content=content, tool_calls=calls, invalid_tool_calls=others)]
        case role:
            return [*converted, ChatMessage(role=role, content=content)]


def _answer(response: JSON) -> str:
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)


def _to_block(part: Part) -> dict[str, JSON] | None:
    match part:
        case TextPart(content):
            return {"type": "text", "text": content}
        case BlobPart(modality, mime_type, content):
            return _blob_block(_kind(modality), mime_type, content, modality)
        case UriPart(modality, mime_type, uri):
            return {"type": _kind(modality), "url": uri} | ({"mime_type": mime_type} if mime_type else {})
        case FilePart(modality, _, file_id):
            return {"type": _kind(modality), "file_id": file_id}
        case _:
            return None  # calls and answers of tools stand beside the content, reasoning is not sent back


def _blob_block(kind: str, mime_type: str | None, content: str, modality: str) -> dict[str, JSON]:
    block: dict[str, JSON] = {"type": kind, "base64": content}
    if mime_type is not None:
        # What follows the slash is what OpenAI calls a format.
        block["mime_type"] = _MP3 if mime_type == _MPEG_AUDIO else mime_type
    if kind == "file":
        block["extras"] = {"filename": file_name(modality, mime_type or "application/pdf")}
    return block


def _kind(modality: str) -> str:
    return modality if modality in _MEDIA else "file"


def to_prompt(messages: Sequence[Message]) -> str:
    """A conversation as one text, for models that complete text.

    Who speaks is said only where it is a conversation; the text then ends where the model goes on. Raises
    ValueError for images and files.
    """
    for part in (part for message in messages for part in message.parts):
        if isinstance(part, BlobPart | UriPart | FilePart):
            raise ValueError(
                f"a model that completes text has no place for {part.modality} ({part.mime_type}): take a chat model"
            )
    if sum(message.role == "user" for message in messages) < 2:
        return "\n\n".join(message.content for message in messages)
    turns = [_turn(message, first=not position) for position, message in enumerate(messages)]
    return "\n\n".join([*turns, f"{_SPEAKERS['assistant']}:"])


def _turn(message: Message, *, first: bool) -> str:
    if first and message.role == "system":
        return message.content
    return f"{_SPEAKERS.get(message.role, message.role)}:\n{message.content}"
