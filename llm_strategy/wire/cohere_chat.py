"""Cohere's chat, version 2: JSON bodies <-> requests and responses. `cohere_chat_v1` has the version before.

The paths of both may be those of any web application: at other hosts than Cohere's a call is one only if its body names
a model and has messages, or a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import (
    JSON,
    Message,
    ReasoningPart,
    Request,
    TextPart,
    Usage,
)
from llm_strategy.wire.bodies import event_data
from llm_strategy.wire.chat_completion_chunks import DONE, halves, is_last
from llm_strategy.wire.chat_completions import encode_tool
from llm_strategy.wire.chat_messages import decode_message, encode_message
from llm_strategy.wire.fields import (
    as_text,
    inverse,
    listed,
    mapping,
    number,
    renamed,
    said,
    text,
    usage,
    with_named_ids,
)
from llm_strategy.wire.format import Answer, Format

_NO_SETTINGS = frozenset("model messages tools stream documents".split())
SETTINGS = {"p": "top_p", "k": "top_k", "stop_sequences": "stop"}
FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_call",
    "ERROR_TOXIC": "content_filter",
    "ERROR_LIMIT": "length",
}
REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_call": "TOOL_CALL", "content_filter": "ERROR_TOXIC"}


def decode_request(body: Any, _url: str = "") -> Request:
    """Raises ValueError where the body names no model or has no messages."""
    body = mapping(body, "the body")
    settings = renamed({name: value for name, value in body.items() if name not in _NO_SETTINGS}, SETTINGS)
    documents = [Message("user", [_document(one)]) for one in body.get("documents") or ()]
    return Request(
        named(body),
        (*map(_decode_message, listed(body.get("messages"), "messages")), *documents),
        take_schema(settings),
        tuple(_decode_tool(tool) for tool in body.get("tools") or ()),
        FrozenJSON(settings),
    )


def named(body: Mapping[str, Any]) -> str:
    """The model; raises ValueError where the body names none, as that of another application."""
    name = body.get("model")
    if not isinstance(name, str):
        raise ValueError("the body names no model")
    return f"cohere:{name}"


def take_schema(settings: dict[str, Any]) -> FrozenJSON | None:
    """The schema of the reply, taken out of the settings."""
    form = settings.get("response_format")
    schema = (form.get("json_schema") or form.get("schema")) if isinstance(form, Mapping) else None
    if not isinstance(schema, Mapping):
        return None
    del settings["response_format"]
    return FrozenJSON(schema)


def _decode_tool(tool: Mapping[str, Any]) -> FrozenJSON:
    function = tool.get("function")
    return FrozenJSON({"type": "function", **function} if isinstance(function, Mapping) else tool)


def _decode_message(message: Any) -> Message:
    """A message as others have it; documents and what a model plans before it calls tools are Cohere's own."""
    message = mapping(message, "a message")
    content = message.get("content")
    if isinstance(content, list):
        content = [_plain(part) for part in content]
    plan = text(message.get("tool_plan"))
    decoded = decode_message({**message, "content": content})
    if not plan:
        return decoded
    rest = [part for part in decoded.parts if part != TextPart("")]
    return Message(decoded.role, [ReasoningPart(plan), *rest])


def _plain(part: Any) -> Any:
    """A part of a content; of a document its text."""
    is_document = isinstance(part, Mapping) and part.get("type") == "document"
    return {"type": "text", "text": _document(part).content} if is_document else part


def _document(part: Any) -> TextPart:
    document = part.get("document", part) if isinstance(part, Mapping) else part
    match document:
        case {"data": str(data)}:
            return TextPart(data)
        case {"data": {"text": str(content)}}:
            return TextPart(content)
        case _:
            return as_text(document)


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `/v2/chat`; raises ValueError where the format has no place for what is asked."""
    request = request.sent()
    body: dict[str, JSON] = {
        "model": (request.model or "").partition(":")[2],
        "messages": [encoded for message in request.messages for encoded in _encode_message(message)],
    }
    if request.tools:
        body["tools"] = [encode_tool(tool) for tool in request.tools]
    if request.output_schema is not None:
        body["response_format"] = {"type": "json_object", "json_schema": request.output_schema}
    return body | renamed(request.settings, inverse(SETTINGS))


def _encode_message(message: Message) -> Iterator[dict[str, JSON]]:
    thoughts = [part.content for part in message.parts if isinstance(part, ReasoningPart)]
    for encoded in encode_message(message):
        if encoded["role"] != "assistant" or not thoughts:
            yield encoded
        elif encoded.get("tool_calls"):
            yield {**encoded, "tool_plan": "".join(thoughts)}
        else:
            thought: JSON = [{"type": "thinking", "thinking": content} for content in thoughts]
            rest = [{"type": "text", "text": part.content} for part in message.parts if isinstance(part, TextPart)]
            yield {**encoded, "content": thought + rest}


def decode_response(body: Any) -> Answer:
    """Raises ValueError where the body holds no message of Cohere's."""
    match body:
        case {"id": _, "message": Mapping() as message, "finish_reason": reason} if "done" not in body:
            pass
        case _:
            raise ValueError("the body holds no message and no reason to stop")
    parts = [part for part in _decode_message({"role": "assistant", **message}).parts if part != TextPart("")]
    reason = str(reason or "COMPLETE")
    return said(parts, decode_usage(body.get("usage")), FINISH_REASONS.get(reason, reason.lower()), None)


def decode_usage(counts: Any) -> Usage | None:
    """The tokens, or, where these are not told, those that are paid for."""
    tokens = (counts.get("tokens") or counts.get("billed_units")) if isinstance(counts, Mapping) else None
    return usage(number(tokens.get("input_tokens")), number(tokens.get("output_tokens"))) if tokens else None


def encode_usage(counts: Usage | None) -> JSON:
    if counts is None:
        return None
    tokens = {"input_tokens": counts.input_tokens, "output_tokens": counts.output_tokens}
    return {"billed_units": tokens, "tokens": tokens}


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body of an answer; raises ValueError for what the format has no place for."""
    message = next(_encode_message(Message("assistant", answer.parts)))
    content = message.pop("content", None)
    if content:
        message["content"] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    reason = REASONS.get(answer.finish_reason, answer.finish_reason.upper())
    return {"id": "answer-1", "message": message, "finish_reason": reason, "usage": encode_usage(answer.usage)}


# Streams


def join(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of the answer that events have brought so far; empty where they are none of Cohere's."""
    body: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    calls: dict[int, dict[str, Any]] = {}
    message: dict[str, Any] = {"role": "assistant"}
    for data in map(event_data, events):
        match data:
            case {"type": "message-start"}:
                body = {"id": data.get("id"), "message": message, "finish_reason": None}
            case {"type": "content-start", "index": int(index), "delta": {"message": {"content": Mapping() as start}}}:
                blocks[index] = dict(start)
            case {"type": "content-delta", "index": int(index), "delta": {"message": {"content": Mapping() as more}}}:
                _extend(blocks.setdefault(index, {"type": "text"}), more)
            case {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": str(plan)}}}:
                message["tool_plan"] = message.get("tool_plan", "") + plan
            case {"type": "tool-call-start", "index": int(index), "delta": {"message": {"tool_calls": call}}}:
                calls[index] = {**call, "function": dict(call.get("function") or {})}
            case {"type": "tool-call-delta", "index": int(index), "delta": {"message": {"tool_calls": call}}}:
                _extend(calls[index]["function"], call.get("function") or {})
            case {"type": "message-end", "delta": Mapping() as end}:
                body |= end
    if blocks:
        message["content"] = [blocks[index] for index in sorted(blocks)]
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return body


def _extend(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name in ("text", "thinking", "arguments"):
        if isinstance(piece := more.get(name), str):
            known[name] = (known.get(name) or "") + piece


def split(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The events that bring an answer piece by piece."""
    message = body["message"]
    yield _event("message-start", id=body["id"], delta={"message": {"role": "assistant", "content": []}})
    for piece in halves(message.get("tool_plan") or ""):
        yield _event("tool-plan-delta", delta={"message": {"tool_plan": piece}})
    for index, block in enumerate(message.get("content") or ()):
        kind = block["type"]
        yield _content("start", index, {"type": kind, kind: ""})
        for piece in halves(block[kind]):
            yield _content("delta", index, {kind: piece})
        yield _event("content-end", index=index)
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        yield _call("start", index, {**call, "function": {**function, "arguments": ""}})
        for piece in halves(function["arguments"]):
            yield _call("delta", index, {"function": {"arguments": piece}})
        yield _event("tool-call-end", index=index)
    yield _event("message-end", delta={"finish_reason": body["finish_reason"], "usage": body["usage"]})
    yield DONE


def _event(kind: str, **fields: JSON) -> JSON:
    return {"event": kind, "data": {"type": kind, **fields}}


def _content(what: str, index: int, content: JSON) -> JSON:
    return _event(f"content-{what}", index=index, delta={"message": {"content": content}})


def _call(what: str, index: int, call: JSON) -> JSON:
    return _event(f"tool-call-{what}", index=index, delta={"message": {"tool_calls": call}})


def rename_ids(body: JSON) -> JSON:
    """Name the calls of tools by first appearance, where they are made and where they are answered."""
    if not isinstance(body, Mapping) or not isinstance(body.get("messages"), list):
        return body
    return {**body, "messages": with_named_ids(body["messages"], _is_id, frozenset(("arguments", "content")))}


def _is_id(holder: Mapping[str, Any], field: str) -> bool:
    return field == "tool_call_id" or (field == "id" and "function" in holder)


FORMAT = Format(
    "cohere_chat",
    re.compile(r"/v2/chat$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join,
    split,
    is_last,
    rename_ids,
    is_common=True,
)
