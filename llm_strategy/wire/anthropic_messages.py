"""Anthropic's Messages format: JSON bodies <-> requests and responses.

`/v1/messages` and `/v1/messages/count_tokens`, and the same bodies as Google (`:rawPredict`) and AWS
(`/model/.../invoke`) take them for models of Anthropic, where the address names the model. Bodies of other models at
these addresses are refused.
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
    Usage,
)
from llm_strategy.wire.anthropic_events import ends, join, split
from llm_strategy.wire.chat_messages import arguments_value, text_of
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

_NO_SETTINGS = frozenset("model messages system tools stream".split())
_SETTINGS = {"stop_sequences": "stop"}
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
}
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_call": "tool_use"}
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_AT_GOOGLE = re.compile(r"/models/([^/:]+):")
_AT_AWS = re.compile(r"/model/([^/]+)/")
_REDACTED = "[redacted]"


def decode_request(body: Any, url: str = "") -> Request:
    """Raises ValueError where the body has no messages, or is one for another model at the same address."""
    body = mapping(body, "the body")
    settings = renamed({name: value for name, value in body.items() if name not in _NO_SETTINGS}, _SETTINGS)
    schema = _take_schema(settings)
    system = [Message("system", _parts(body["system"]))] if body.get("system") else []
    return Request(
        _model(body, url),
        (*system, *map(_decode_message, listed(body.get("messages"), "messages"))),
        schema,
        tuple(map(_decode_tool, body.get("tools") or ())),
        FrozenJSON(settings),
    )


def _model(body: Mapping[str, Any], url: str) -> str | None:
    path = urlsplit(url).path
    at_aws, at_google = _AT_AWS.search(path), _AT_GOOGLE.search(path)
    if (at_aws or at_google) and "anthropic_version" not in body:
        raise ValueError("the body is not one of Anthropic")
    if at_aws:
        return f"bedrock:{unquote(at_aws[1])}"
    name = body.get("model") or (at_google and unquote(at_google[1]))
    return f"anthropic:{name}" if name else None


def _take_schema(settings: dict[str, Any]) -> FrozenJSON | None:
    """The schema of the reply, taken out of the settings."""
    config = settings.get("output_config")
    form = config.get("format") if isinstance(config, Mapping) else settings.get("output_format")
    schema = form.get("schema") if isinstance(form, Mapping) else None
    if not isinstance(schema, Mapping):
        return None
    settings.pop("output_format", None)
    rest = {name: value for name, value in (settings.pop("output_config", None) or {}).items() if name != "format"}
    if rest:
        settings["output_config"] = rest
    return FrozenJSON(schema)


def _decode_tool(tool: Mapping[str, Any]) -> FrozenJSON:
    if tool.get("type", "custom") != "custom":
        return FrozenJSON(tool)
    return function_tool({name: value for name, value in tool.items() if name != "type"}, "input_schema")


def _decode_message(message: Any) -> Message:
    role, parts = str(mapping(message, "a message")["role"]), _parts(message.get("content"))
    answers = bool(parts) and all(isinstance(part, ToolCallResponsePart) for part in parts)
    return Message("tool" if role == "user" and answers else role, parts)


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)]
    return [part for block in listed(content, "content") for part in _decode_block(mapping(block, "a block"))]


def _decode_block(block: Mapping[str, Any]) -> Iterator[Part]:
    match block:
        case {"type": "text", "text": str(said)} | {"type": "compaction", "content": str(said)}:
            yield TextPart(said)
        case {"type": "thinking", "thinking": str(thought)}:
            yield ReasoningPart(thought)
        case {"type": "redacted_thinking"}:
            yield ReasoningPart(_REDACTED)
        case {"type": "image", "source": source}:
            yield _decode_source("image", source)
        case {"type": "document", "source": source}:
            yield from (TextPart(block[name]) for name in ("title", "context") if isinstance(block.get(name), str))
            yield from _decode_document(source)
        case {"type": "search_result", "title": str(title), "content": content}:
            yield from (TextPart(title), *_parts(content))
        case {"type": "container_upload", "file_id": str(name)}:
            yield FilePart("document", None, name)
        case {"type": str(kind), "name": str(name)} if kind.endswith("tool_use"):
            yield ToolCallPart(text(block.get("id")), name, block.get("input"))
        case {"type": str(kind), "tool_use_id": str(name)} if kind.endswith("tool_result"):
            yield ToolCallResponsePart(name, _result(block))
        case {"type": str()}:
            yield as_text(block)
        case _:
            raise ValueError("a block of content has no type")


def _result(block: Mapping[str, Any]) -> JSON:
    content = block.get("content")
    if isinstance(content, list) and all(isinstance(one, Mapping) and one.get("type") == "text" for one in content):
        content = text_of(content)
    return {"is_error": True, "content": content} if block.get("is_error") else content


def _decode_document(source: Any) -> Iterator[Part]:
    match source:
        case {"type": "text", "data": str(data)}:
            yield TextPart(data)
        case {"type": "content", "content": content}:
            yield from _parts(content)
        case _:
            yield _decode_source("document", source)


def _decode_source(kind: str, source: Any) -> Part:
    match source:
        case {"type": "base64", "data": str(data)}:
            return BlobPart(kind, text(source.get("media_type")), data)
        case {"type": "url", "url": str(url)}:
            return UriPart(kind, None, url)
        case {"type": "file", "file_id": str(name)}:
            return FilePart(kind, None, name)
        case _:
            return as_text(mapping(source, "a source"))


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `POST /v1/messages`; raises ValueError where the format has no place for what is asked."""
    request = request.sent()
    system = [message for message in request.messages if message.role == "system"]
    body: dict[str, Any] = {"model": (request.model or "").partition(":")[2]} if request.model else {}
    if system:
        body["system"] = [_encode_block(part) for message in system for part in message.parts]
    body["messages"] = [
        {"role": "user" if message.role == "tool" else message.role, "content": list(map(_encode_block, message.parts))}
        for message in request.messages
        if message.role != "system"
    ]
    if request.tools:
        body["tools"] = [
            named_parameters(tool, "input_schema") if tool.get("type") == "function" else tool for tool in request.tools
        ]
    body |= renamed(request.settings, inverse(_SETTINGS))
    if request.output_schema is not None:
        form = {"type": "json_schema", "schema": request.output_schema}
        body["output_config"] = {**body.get("output_config", {}), "format": form}
    return body


def _encode_block(part: Part) -> dict[str, JSON]:
    match part:
        case TextPart(content):
            return {"type": "text", "text": content}
        case ReasoningPart(content):
            return {"type": "thinking", "thinking": content, "signature": ""}
        case ToolCallPart(call, tool, arguments):
            return {"type": "tool_use", "id": call or "", "name": tool, "input": arguments_value(arguments)}
        case ToolCallResponsePart(call, {"is_error": True, "content": content}):
            return {"type": "tool_result", "tool_use_id": call or "", "content": content, "is_error": True}
        case ToolCallResponsePart(call, content):
            return {"type": "tool_result", "tool_use_id": call or "", "content": content}
        case BlobPart(kind, mime_type, content):
            source: dict[str, JSON] = {"type": "base64", "media_type": mime_type, "data": content}
        case UriPart(kind, _, uri):
            source = {"type": "url", "url": uri}
        case FilePart(kind, _, name):
            source = {"type": "file", "file_id": name}
    return {"type": "image" if kind == "image" else "document", "source": source}


def decode_response(body: Any) -> Answer:
    """Raises ValueError where the body is neither a message nor a count of tokens."""
    body = mapping(body, "the body")
    if body.keys() <= {"input_tokens", "context_management"} and number(body.get("input_tokens")) is not None:
        return said((), Usage(body["input_tokens"]), "stop", None)
    if body.get("type") != "message":
        raise ValueError("the body is no message")
    parts, reason = _parts(body.get("content")), body.get("stop_reason") or "stop"
    reason = "error" if body.get("error") else _FINISH_REASONS.get(reason, str(reason))
    return said(parts, _decode_usage(body.get("usage")), reason, body.get("model"))


def _decode_usage(counts: Any) -> Usage | None:
    """What was read from a cache, or written to one, was input as well."""
    if not isinstance(counts, Mapping):
        return None
    return usage(total(map(counts.get, _INPUT)), number(counts.get("output_tokens")))


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body of a message; raises ValueError for what the format has no place for."""
    counts = answer.usage and {"input_tokens": answer.usage.input_tokens, "output_tokens": answer.usage.output_tokens}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": list(map(_encode_block, answer.parts)),
        "stop_reason": _STOP_REASONS.get(answer.finish_reason, answer.finish_reason),
        "stop_sequence": None,
        "usage": counts or {},
    }


def rename_ids(body: JSON) -> JSON:
    """Name the calls of tools by first appearance, where they are made and where they are answered."""
    if not isinstance(body, Mapping) or not isinstance(body.get("messages"), list):
        return body
    return {**body, "messages": with_named_ids(body["messages"], _is_id, frozenset(("input",)))}


def _is_id(block: Mapping[str, Any], field: str) -> bool:
    return field == "tool_use_id" or (field == "id" and str(block.get("type")).endswith("tool_use"))


FORMAT = Format(
    "anthropic_messages",
    re.compile(
        r"/v1/messages(?:/count_tokens)?$|:(?:rawPredict|streamRawPredict)$"
        r"|/model/[^/]+/(?:invoke|invoke-with-response-stream)$"
    ),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join,
    split,
    ends,
    rename_ids,
)
