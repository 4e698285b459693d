"""Cohere's chat, version 1: what the user says stands apart from the conversation, and calls of tools have no ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import (
    JSON,
    Message,
    Part,
    Request,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)
from llm_strategy.wire.bodies import event_data
from llm_strategy.wire.chat_completion_chunks import halves
from llm_strategy.wire.cohere_chat import (
    FINISH_REASONS,
    REASONS,
    SETTINGS,
    decode_usage,
    encode_usage,
    take_schema,
)
from llm_strategy.wire.fields import (
    as_text,
    function_tool,
    inverse,
    mapping,
    named_parameters,
    renamed,
    said,
    text,
)
from llm_strategy.wire.format import Answer, Format

_NO_SETTINGS = frozenset("model message preamble chat_history tools tool_results documents stream".split())
_ROLES = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "tool"}


def decode_request(body: Any, _url: str = "") -> Request:
    """Raises ValueError where the body has no message: none of another application's names a history or a model."""
    body = mapping(body, "the body")
    if text(body.get("message")) is None or not body.keys() & {"model", "chat_history", "preamble", "connectors"}:
        raise ValueError("the body is not one of Cohere's")
    settings = renamed({name: value for name, value in body.items() if name not in _NO_SETTINGS}, SETTINGS)
    preamble = text(body.get("preamble"))
    return Request(
        f"cohere:{body['model']}" if body.get("model") else None,
        (
            *([Message("system", preamble)] if preamble else []),
            *map(_decode_message, body.get("chat_history") or ()),
            *([Message("user", [as_text(one) for one in body["documents"]])] if body.get("documents") else []),
            *([Message("tool", list(map(_decode_result, body["tool_results"])))] if body.get("tool_results") else []),
            *([Message("user", body["message"])] if body["message"] or not body.get("tool_results") else []),
        ),
        take_schema(settings),
        tuple(function_tool(tool, "parameter_definitions") for tool in body.get("tools") or ()),
        FrozenJSON(settings),
    )


def _decode_message(message: Any) -> Message:
    message = mapping(message, "a message")
    role = _ROLES.get(str(message.get("role")), str(message.get("role")).lower())
    if role == "tool":
        return Message(role, list(map(_decode_result, message.get("tool_results") or ())))
    return Message(role, list(_parts(message, "message")))


def _parts(holder: Mapping[str, Any], name: str) -> Iterator[Part]:
    calls = holder.get("tool_calls") or ()
    content = text(holder.get(name)) or ""
    if content or not calls:
        yield TextPart(content)
    for call in calls:
        yield ToolCallPart(None, str(call.get("name")), call.get("parameters"))


def _decode_result(result: Any) -> ToolCallResponsePart:
    """The answer of a tool; its name stands for the call, since that has no id."""
    result = mapping(result, "a result")
    return ToolCallResponsePart(text((result.get("call") or {}).get("name")), result.get("outputs"))


def encode_request(request: Request) -> dict[str, JSON]:
    """The body of `/v1/chat`; raises ValueError where the last message is not what the user says."""
    request = request.sent()
    *history, last = request.messages
    if last.role != "user":
        raise ValueError("the last message is not the user's")
    body: dict[str, JSON] = {"message": last.content}
    if request.model:
        body["model"] = request.model.partition(":")[2]
    if history and history[0].role == "system":
        body["preamble"] = history.pop(0).content
    body["chat_history"] = list(map(_encode_message, history))
    if request.tools:
        body["tools"] = [named_parameters(tool, "parameter_definitions") for tool in request.tools]
    if request.output_schema is not None:
        body["response_format"] = {"type": "json_object", "schema": request.output_schema}
    return body | renamed(request.settings, inverse(SETTINGS))


def _encode_message(message: Message) -> dict[str, JSON]:
    encoded: dict[str, Any] = {"role": inverse(_ROLES)[message.role]}
    if message.role == "tool":
        answers = [part for part in message.parts if isinstance(part, ToolCallResponsePart)]
        results = [{"call": {"name": part.id, "parameters": {}}, "outputs": part.response} for part in answers]
        return {**encoded, "tool_results": results}
    return {**encoded, "message": message.content, **_encode_calls(message.parts)}


def _encode_calls(parts: Iterable[Part]) -> dict[str, JSON]:
    calls = [{"name": part.name, "parameters": part.arguments} for part in parts if isinstance(part, ToolCallPart)]
    return {"tool_calls": calls} if calls else {}


def decode_response(body: Any) -> Answer:
    """Raises ValueError where the body is no answer of Cohere's first version."""
    match body:
        case {"text": str(), "generation_id": _} | {"text": str(), "response_id": _}:
            pass
        case _:
            raise ValueError("the body is no answer")
    parts, reason = list(_parts(body, "text")), str(body.get("finish_reason") or "COMPLETE")
    reason = FINISH_REASONS.get(reason, reason.lower())
    if reason == "stop" and any(isinstance(part, ToolCallPart) for part in parts):
        reason = "tool_call"
    return said(parts, decode_usage(body.get("meta")), reason, None)


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The body of an answer."""
    return {
        "response_id": "response-1",
        "generation_id": "generation-1",
        "text": answer.content,
        "finish_reason": "COMPLETE" if answer.finish_reason == "tool_call" else REASONS[answer.finish_reason],
        "meta": encode_usage(answer.usage),
        **_encode_calls(answer.parts),
    }


def join(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of the answer that lines have brought so far: the last one holds all of it."""
    body: dict[str, Any] = {}
    for data in map(event_data, events):
        match data:
            case {"event_type": "stream-start"}:
                body = {"generation_id": data.get("generation_id"), "text": ""}
            case {"event_type": "text-generation", "text": str(piece)} if body:
                body["text"] += piece
            case {"event_type": "tool-calls-generation", "tool_calls": calls}:
                body["tool_calls"] = calls
            case {"event_type": "stream-end"}:
                body |= {"finish_reason": data.get("finish_reason"), **(data.get("response") or {})}
    return body


def ends(event: JSON) -> bool:
    """Whether nothing of an answer follows a line."""
    data = event_data(event)
    return isinstance(data, Mapping) and data.get("event_type") == "stream-end"


def split(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The lines that bring an answer piece by piece."""
    yield _event("stream-start", generation_id=body["generation_id"])
    for piece in halves(body["text"]):
        yield _event("text-generation", text=piece)
    if "tool_calls" in body:
        yield _event("tool-calls-generation", tool_calls=body["tool_calls"])
    yield _event("stream-end", finish_reason=body["finish_reason"], response=dict(body))


def _event(kind: str, **fields: JSON) -> JSON:
    return {"data": {"is_finished": kind == "stream-end", "event_type": kind, **fields}}


FORMAT = Format(
    "cohere_chat_v1",
    re.compile(r"/v1/chat$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join,
    split,
    ends,
    is_common=True,
)
