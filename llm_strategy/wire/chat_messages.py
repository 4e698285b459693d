"""The messages of OpenAI's Chat Completions format, which other servers speak with words of their own."""

from __future__ import annotations

import json
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

_ROLES = {"developer": "system", "function": "tool"}
THOUGHTS = ("reasoning_content", "reasoning")
"""Where servers put what a model thought: DeepSeek, vLLM and xAI first, then OpenRouter and Groq."""
_AUDIO = {"mpeg": "mp3", "wave": "wav"}
# What stands beside a message's content, or (reasoning) is not sent back.
_APART = (ToolCallPart, ToolCallResponsePart, ReasoningPart)


def encode_message(message: Message, *, reasoning: bool = False) -> Iterator[dict[str, JSON]]:
    """One message as those that say the same: each answer of a tool is one of its own.

    With `reasoning` what a model thought is written as well. Raises ValueError for what the format has no place for.
    """
    content = [_encode_part(part) for part in message.parts if not isinstance(part, _APART)]
    calls = [_encode_call(part) for part in message.parts if isinstance(part, ToolCallPart)]
    answers = [part for part in message.parts if isinstance(part, ToolCallResponsePart)]
    for answer in answers:
        said = answer.response if isinstance(answer.response, str) else to_text(answer.response)
        yield {"role": "tool", "tool_call_id": answer.id or "", "content": said}
    if content or not answers:
        encoded: dict[str, JSON] = {"role": message.role, "content": _shorten(content)}
        if thoughts := reasoning and "".join(part.content for part in message.parts if isinstance(part, ReasoningPart)):
            encoded["reasoning_content"] = thoughts
        if calls:
            encoded["tool_calls"] = calls
            encoded["content"] = encoded["content"] or None
        yield encoded


def _shorten(content: list[dict[str, JSON]]) -> JSON:
    """A single text as a string: servers of few skills know no list."""
    if not content:
        return ""
    return content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content


def _encode_part(part: Part) -> dict[str, JSON]:
    match part:
        case TextPart(content):
            return {"type": "text", "text": content}
        case BlobPart("image", mime_type, content):
            return {"type": "image_url", "image_url": {"url": data_url(mime_type or "image/png", content)}}
        case BlobPart("audio", mime_type, content):
            kind = (mime_type or "audio/wav").rpartition("/")[2].removeprefix("x-")
            return {"type": "input_audio", "input_audio": {"data": content, "format": _AUDIO.get(kind, kind)}}
        case BlobPart(modality, mime_type, content) if modality != "video":
            mime_type = mime_type or "application/pdf"
            name = file_name(modality, mime_type)
            return {"type": "file", "file": {"filename": name, "file_data": data_url(mime_type, content)}}
        case UriPart("image", _, uri):
            return {"type": "image_url", "image_url": {"url": uri}}
        case FilePart(_, _, file_id):
            return {"type": "file", "file": {"file_id": file_id}}
        case _:
            modality, media_type = getattr(part, "modality", "content"), getattr(part, "mime_type", None)
            kind = f" ({media_type})" if media_type else ""
            given = {"uri": "an address: pass the file itself, or", "blob": "content:"}.get(part.type, f"{part.type}:")
            raise ValueError(
                f"Chat Completions has no place for {modality}{kind} given as {given} ask a model of another kind"
            )


def data_url(mime_type: str, content: str) -> str:
    return f"data:{mime_type};base64,{content}"


def _encode_call(part: ToolCallPart) -> dict[str, JSON]:
    return {
        "id": part.id or "",
        "type": "function",
        "function": {"name": part.name, "arguments": arguments_text(part.arguments)},
    }


def arguments_text(arguments: JSON) -> str:
    """The arguments of a tool call as providers write them; `arguments_value` takes them back."""
    return arguments if isinstance(arguments, str) else to_text(arguments)


def to_text(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def text_of(content: object) -> str:
    """The text of a message's content: a string, or a list of which the texts are joined."""
    if isinstance(content, list):
        texts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
        return "".join(texts)
    return content if isinstance(content, str) else ""


def decode_message(message: Any) -> Message:
    """One message of a body; raises ValueError where it holds what is not known."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise ValueError("a message is an object with a role")
    role = str(_ROLES.get(message["role"], message["role"]))
    if role == "tool":
        return Message(
            role, [ToolCallResponsePart(call_id(message.get("tool_call_id")), text_of(message.get("content")))]
        )
    return Message(role, list(decode_parts(message)) or [TextPart("")])


def decode_parts(message: Mapping[str, Any]) -> Iterator[Part]:
    """What a message says: thoughts, content, calls of tools. Raises ValueError where it holds what is not known."""
    thought = next((said for name in THOUGHTS if isinstance(said := message.get(name), str) and said), None)
    if thought is not None:
        yield ReasoningPart(thought)
    content = message.get("content")
    if isinstance(content, list):
        yield from map(_decode_part, content)
    elif said := content or message.get("refusal"):
        yield TextPart(str(said))
    if isinstance(audio := message.get("audio"), Mapping):
        yield from _decode_audio(audio)
    yield from decode_calls(message)


def decode_calls(message: Mapping[str, Any]) -> Iterator[ToolCallPart]:
    """The calls of tools in a message."""
    calls = message.get("tool_calls") or ()
    if isinstance(function := message.get("function_call"), Mapping):
        calls = [{"function": function}]
    yield from map(_decode_call, calls)


def _decode_audio(audio: Mapping[str, Any]) -> Iterator[Part]:
    """What a model said aloud; what it has said before is sent back by its id alone."""
    if isinstance(said := audio.get("transcript"), str) and said:
        yield TextPart(said)
    if isinstance(data := audio.get("data"), str):
        yield BlobPart("audio", None, data)
    elif isinstance(name := audio.get("id"), str):
        yield FilePart("audio", None, name)


def _decode_part(part: Any) -> Part:
    match part:
        case str(text) | {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return TextPart(text)
        case {"type": "thinking", "thinking": thought}:
            return ReasoningPart(text_of(thought))
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return from_data_url("image", url) or UriPart("image", None, url)
        case {"type": "video_url", "video_url": {"url": str(url)} | str(url)}:
            return from_data_url("video", url) or UriPart("video", None, url)
        case {"type": "document_url", "document_url": str(url)}:
            return from_data_url("document", url) or UriPart("document", None, url)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(coding)}}:
            return BlobPart("audio", f"audio/{'mpeg' if coding == 'mp3' else coding}", data)
        case {"type": "input_audio", "input_audio": str(data)}:
            return UriPart("audio", None, data) if "://" in data[:9] else BlobPart("audio", None, data)
        case {"type": "file", "file": {"file_id": str(file_id)}} | {"type": "file", "file_id": str(file_id)}:
            return FilePart("document", None, file_id)
        case {"type": "file", "file": {"file_data": str(data)}}:
            return from_data_url("document", data) or BlobPart("document", None, data)
        case {"type": "reference", "reference_ids": references}:
            return TextPart(to_text(references))
        case _:
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise ValueError(f"content of type {kind!r} is not known")


def from_data_url(modality: str, url: str) -> BlobPart | None:
    """The content in a `data:` URL; None where it is another one."""
    head, comma, content = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return BlobPart(modality, head[len("data:") :].partition(";")[0] or None, content)


def _decode_call(call: Mapping[str, Any]) -> ToolCallPart:
    function = call.get("function") or call.get("custom") or {}
    arguments = function.get("arguments", function.get("input"))
    return ToolCallPart(call_id(call.get("id")), str(function.get("name")), arguments_value(arguments))


def call_id(value: Any) -> str | None:
    """An id, None where there is none."""
    return value if isinstance(value, str) and value else None


def arguments_value(arguments: Any) -> JSON:
    """Arguments as JSON; what is none, or only a string, stays the text that it came as."""
    try:
        value = json.loads(arguments)
    except (TypeError, ValueError):
        return arguments
    return arguments if isinstance(value, str) else value
