"""The format of Bedrock's Converse: JSON bodies <-> requests and responses. The address names the model.

What is invoked in a model's own format is read only for models of Anthropic, by `anthropic_messages`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from llm_strategy.canonical import FrozenJSON
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
    ToolCallResponsePart,
    UriPart,
)
from llm_strategy.wire.bedrock_events import ends, join, split
from llm_strategy.wire.chat_messages import arguments_value, to_text
from llm_strategy.wire.fields import (
    as_text,
    function_tool,
    inverse,
    listed,
    mapping,
    named_parameters,
    number,
    renamed,
    said,
    text,
    total,
    usage,
    with_named_ids,
)
from llm_strategy.wire.format import Answer, Format

_MODEL = re.compile(r"/model/([^/]+)/")
_NO_SETTINGS = frozenset("messages system toolConfig inferenceConfig modelId".split())
_SETTINGS = {"maxTokens": "max_tokens", "topP": "top_p", "stopSequences": "stop"}
_INFERENCE = frozenset(("temperature", *_SETTINGS))
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_call": "tool_use",
    "content_filter": "content_filtered",
}
_INPUT = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_MEDIA = {"image": "image", "video": "video", "audio": "audio", "document": "document"}
_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "pdf": "application/pdf",
    "csv": "text/csv",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FORMATS = inverse(_TYPES)
_REDACTED = "[redacted]"


def decode_request(body: Any, url: str = "") -> Request:
    """Raises ValueError where the body has no messages."""
    body = mapping(body, "the body")
    found = _MODEL.search(urlsplit(url).path)
    settings = {name: value for name, value in body.items() if name not in _NO_SETTINGS}
    settings |= renamed(body.get("inferenceConfig") or {}, _SETTINGS)
    schema = _take_schema(settings)
    tools = dict(body.get("toolConfig") or {})
    declared = tuple(map(_decode_tool, tools.pop("tools", None) or ()))
    system = [part for block in body.get("system") or () for part in _decode_block(block)]
    return Request(
        f"bedrock:{unquote(found[1])}" if found else None,
        (
            *([Message("system", system)] if system else []),
            *map(_decode_message, listed(body.get("messages"), "messages")),
        ),
        schema,
        declared,
        FrozenJSON(settings | tools),
    )


def _take_schema(settings: dict[str, Any]) -> FrozenJSON | None:
    """The schema of the reply, which is sent as a text, taken out of the settings."""
    config = settings.get("outputConfig")
    match config:
        case {"textFormat": {"structure": {"jsonSchema": {"schema": str(schema)}}}}:
            value = arguments_value(schema)
        case _:
            return None
    if not isinstance(value, Mapping):
        return None
    rest = {name: value for name, value in settings.pop("outputConfig").items() if name != "textFormat"}
    if rest:
        settings["outputConfig"] = rest
    return FrozenJSON(value)


def _decode_tool(tool: Mapping[str, Any]) -> FrozenJSON:
    match tool:
        case {"toolSpec": {"inputSchema": {"json": schema}} as declared}:
            return function_tool({**declared, "inputSchema": schema}, "inputSchema")
        case _:
            return FrozenJSON(tool)


def _decode_message(message: Any) -> Message:
    message = mapping(message, "a message")
    parts = [part for block in listed(message.get("content"), "content") for part in _decode_block(block)]
    answers = bool(parts) and all(isinstance(part, ToolCallResponsePart) for part in parts)
    role = str(message["role"])
    return Message("tool" if role == "user" and answers else role, parts)


def _decode_block(block: Any) -> Iterator[Part]:
    match mapping(block, "a block"):
        case {"text": str(content)}:
            yield TextPart(content)
        case {"reasoningContent": {"reasoningText": {"text": str(thought)}}}:
            yield ReasoningPart(thought)
        case {"reasoningContent": _}:
            yield ReasoningPart(_REDACTED)
        case {"toolUse": {"name": str(name)} as call}:
            yield ToolCallPart(text(call.get("toolUseId")), name, call.get("input"))
        case {"toolResult": Mapping() as result}:
            yield ToolCallResponsePart(text(result.get("toolUseId")), _result(result))
        case {"guardContent": {"text": {"text": str(content)}}}:
            yield TextPart(content)
        case {"citationsContent": {"content": list(blocks)}}:
            for one in blocks:
                yield from _decode_block(one)
        case {"cachePoint": _}:
            return
        case one if kind := next(filter(_MEDIA.__contains__, one), None):
            yield from _decode_media(kind, mapping(one[kind], kind))
        case one:
            yield as_text(one)


def _result(result: Mapping[str, Any]) -> JSON:
    content = result.get("content") or []
    match content:
        case [{"text": str(said)}]:
            content = said
        case [{"json": value}]:
            content = value
    return {"status": "error", "content": content} if result.get("status") == "error" else content


def _decode_media(kind: str, media: Mapping[str, Any]) -> Iterator[Part]:
    mime_type = _TYPES.get(media.get("format", ""))
    if name := text(media.get("name")):
        yield TextPart(name)
    match media.get("source"):
        case {"bytes": str(data)}:
            yield BlobPart(kind, mime_type, data)
        case {"s3Location": {"uri": str(uri)}}:
            yield UriPart(kind, mime_type, uri)
        case {"text": str(content)}:
            yield TextPart(content)
        case {"content": list(blocks)}:
            for block in blocks:
                yield from _decode_block(block)
        case _:
            yield as_text(media)


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `/converse`; raises ValueError where the format has no place for what is asked."""
    request = request.sent()
    settings = renamed(request.settings, inverse(_SETTINGS))
    system = [message for message in request.messages if message.role == "system"]
    body: dict[str, Any] = {
        "messages": [_encode_message(message) for message in request.messages if message.role != "system"]
    }
    if system:
        body["system"] = [_encode_block(part) for message in system for part in message.parts]
    if request.tools:
        choice = {"toolChoice": settings.pop("toolChoice")} if "toolChoice" in settings else {}
        body["toolConfig"] = {"tools": list(map(_encode_tool, request.tools)), **choice}
    inference = {name: settings.pop(name) for name in sorted(_INFERENCE & settings.keys())}
    if inference:
        body["inferenceConfig"] = inference
    body |= settings
    if request.output_schema is not None:
        structure = {"jsonSchema": {"schema": to_text(request.output_schema), "name": "reply"}}
        form = {"type": "json_schema", "structure": structure}
        body["outputConfig"] = {**body.get("outputConfig", {}), "textFormat": form}
    return body


def _encode_tool(tool: Mapping[str, JSON]) -> JSON:
    if tool.get("type") != "function":
        return tool
    declared = named_parameters(tool, "inputSchema")
    return {"toolSpec": {**declared, "inputSchema": {"json": declared.get("inputSchema", {})}}}


def _encode_message(message: Message) -> dict[str, JSON]:
    role = "user" if message.role == "tool" else message.role
    return {"role": role, "content": list(map(_encode_block, message.parts))}


def _encode_block(part: Part) -> dict[str, JSON]:
    match part:
        case TextPart(content):
            return {"text": content}
        case ReasoningPart(content):
            return {"reasoningContent": {"reasoningText": {"text": content}}}
        case ToolCallPart(call, name, arguments):
            return {"toolUse": {"toolUseId": call or "", "name": name, "input": arguments_value(arguments)}}
        case ToolCallResponsePart(call, {"status": "error", "content": response}):
            return {"toolResult": {"toolUseId": call or "", "content": _encode_result(response), "status": "error"}}
        case ToolCallResponsePart(call, response):
            return {"toolResult": {"toolUseId": call or "", "content": _encode_result(response)}}
        case BlobPart(kind, mime_type, content):
            return {kind: {"format": _FORMATS.get(mime_type or "", "png"), "source": {"bytes": content}}}
        case UriPart(kind, mime_type, uri):
            return {kind: {"format": _FORMATS.get(mime_type or "", "png"), "source": {"s3Location": {"uri": uri}}}}
        case FilePart():
            raise ValueError("Converse knows files by their addresses, and not by an id")


def _encode_result(response: JSON) -> list[JSON]:
    return [{"text": response} if isinstance(response, str) else {"json": response}]


def decode_response(body: Any) -> Answer:
    """Raises ValueError where the body holds no message."""
    match body:
        case {"output": {"message": Mapping() as message}, "stopReason": reason}:
            pass
        case _:
            raise ValueError("the body holds no message and no reason to stop")
    parts = _decode_message({"role": "assistant", **message}).parts
    counts = body.get("usage")
    known = usage(total(map(counts.get, _INPUT)), number(counts.get("outputTokens"))) if counts else None
    return said(parts, known, _FINISH_REASONS.get(reason or "end_turn", str(reason)), None)


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body of an answer; raises ValueError for what the format has no place for."""
    body: dict[str, JSON] = {
        "output": {"message": _encode_message(Message("assistant", answer.parts))},
        "stopReason": _STOP_REASONS.get(answer.finish_reason, answer.finish_reason),
        "metrics": {"latencyMs": 1},
    }
    if answer.usage is not None:
        counts = {"inputTokens": answer.usage.input_tokens, "outputTokens": answer.usage.output_tokens}
        body["usage"] = {**counts, "totalTokens": sum(filter(None, counts.values()))}
    return body


def rename_ids(body: JSON) -> JSON:
    """Name the calls of tools by first appearance, where they are made and where they are answered."""
    if not isinstance(body, Mapping) or not isinstance(body.get("messages"), list):
        return body
    return {**body, "messages": with_named_ids(body["messages"], _is_id, frozenset(("input", "json")))}


def _is_id(_block: Mapping[str, Any], field: str) -> bool:
    return field == "toolUseId"


FORMAT = Format(
    "bedrock_converse",
    re.compile(r"/model/[^/]+/(?:converse|converse-stream)$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join,
    split,
    ends,
    rename_ids,
)
