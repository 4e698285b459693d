"""OpenAI's Responses format: JSON bodies <-> requests and responses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import JSON, Message, Part, Request, TextPart, Usage
from llm_strategy.wire.chat_completions import error_message, named_model
from llm_strategy.wire.format import Answer, Format
from llm_strategy.wire.response_events import is_last, join_events, split_events
from llm_strategy.wire.response_items import decode_item, decode_items, encode_items

_NO_SETTINGS = frozenset("model input instructions tools text max_output_tokens".split())
_INCOMPLETE = {"max_output_tokens": "length"}


def decode_request(body: Any, url: str = "") -> Request:
    """The request in a body of `POST /responses`; raises ValueError where it is none."""
    if not isinstance(body, Mapping) or not body.keys() & {"input", "prompt", "previous_response_id", "conversation"}:
        raise ValueError("the body has no input")
    settings = {name: value for name, value in body.items() if name not in _NO_SETTINGS}
    if "max_output_tokens" in body:
        settings["max_tokens"] = body["max_output_tokens"]
    text, schema = body.get("text"), None
    if isinstance(text, Mapping) and isinstance(form := text.get("format"), Mapping) and "schema" in form:
        schema = form["schema"]
        text = {name: value for name, value in text.items() if name != "format"}
    if text:
        settings["text"] = text
    instructions = body.get("instructions")
    first = [Message("system", instructions)] if isinstance(instructions, str) else decode_items(instructions or [])
    return Request(
        named_model(body, url),
        (*first, *decode_items(body.get("input", []))),
        schema,
        tuple(FrozenJSON(tool) for tool in body.get("tools") or ()),
        FrozenJSON(settings),
    )


def encode_request(request: Request) -> dict[str, JSON]:
    """The body for a request; raises ValueError for what the format has no place for."""
    request = request.sent()
    model = request.model or ""
    body: dict[str, JSON] = {"model": model.partition(":")[2] or model}
    messages = request.messages
    if messages and messages[0].role == "system" and [type(part) for part in messages[0].parts] == [TextPart]:
        body["instructions"] = messages[0].content
        messages = messages[1:]
    body["input"] = [item for message in messages for item in encode_items(message)]
    if request.tools:
        body["tools"] = list(request.tools)
    body |= {"max_output_tokens" if name == "max_tokens" else name: value for name, value in request.settings.items()}
    if request.output_schema is not None:
        named = {"type": "json_schema", "name": "reply", "schema": request.output_schema}
        body["text"] = {**body.get("text", {}), "format": named}
    return body


def decode_response(body: Any) -> Answer:
    """The answer in a response; raises ValueError where a body is none."""
    if not isinstance(body, Mapping) or not isinstance(body.get("output"), list):
        raise ValueError("the body has no output")
    if body.get("object", "response") != "response" or not isinstance(body.get("status", ""), str):
        raise ValueError("the body is no response")
    parts = tuple(part for item in body["output"] for part in decode_item(item)[1])
    content = "".join(part.content for part in parts if isinstance(part, TextPart))
    if body.get("status") == "failed" and not content:
        content = error_message(body.get("error") or "failed")
    model = body.get("model")
    return Answer(
        content,
        _decode_usage(body.get("usage")),
        _finish_reason(body),
        model if isinstance(model, str) else None,
        parts=parts,
    )


def _finish_reason(body: Mapping[str, Any]) -> str:
    items, status = body["output"], body.get("status") or "completed"
    if status == "incomplete":
        reason = str((body.get("incomplete_details") or {}).get("reason") or "incomplete")
        return _INCOMPLETE.get(reason, reason)
    if status != "completed":
        return "error" if status == "failed" else str(status)
    if any(item.get("type") in ("function_call", "custom_tool_call") for item in items):
        return "tool_call"
    said = [part for item in items if item.get("type") == "message" for part in item.get("content") or ()]
    return "refusal" if said and all(part.get("type") == "refusal" for part in said) else "stop"


def _decode_usage(usage: Any) -> Usage | None:
    if not isinstance(usage, Mapping):
        return None
    counts = (usage.get("input_tokens"), usage.get("output_tokens"))
    return Usage(*(count if isinstance(count, int) else None for count in counts))


def encode_response(answer: Answer) -> dict[str, JSON]:
    """The response that says an answer; raises ValueError for what the format has no place for."""
    reason = answer.finish_reason
    cut_off = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason)
    done = reason in ("stop", "tool_call", "refusal")
    body: dict[str, JSON] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "incomplete" if cut_off else "completed" if done else "failed" if reason == "error" else reason,
        "error": {"code": "server_error", "message": answer.content} if reason == "error" else None,
        "incomplete_details": {"reason": cut_off} if cut_off else None,
        "model": answer.model,
        "output": list(_output(answer.parts, refused=reason == "refusal")),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    if answer.usage is not None:
        counts = {"input_tokens": answer.usage.input_tokens, "output_tokens": answer.usage.output_tokens}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        body["usage"] = {**counts, **details, "total_tokens": sum(filter(None, counts.values()))}
    return body


_ITEMS = {"message": "msg", "reasoning": "rs", "function_call": "fc"}


def _output(parts: tuple[Part, ...], *, refused: bool) -> Iterator[dict[str, JSON]]:
    for number, item in enumerate(encode_items(Message("assistant", parts)), 1):
        kind = item["type"]
        if kind == "message":
            item["content"] = [_spoken(part, refused=refused) for part in item["content"]]
        yield {**item, "id": f"{_ITEMS.get(kind, kind)}_{number}", "status": "completed"}


def _spoken(part: Mapping[str, Any], *, refused: bool) -> dict[str, JSON]:
    if refused and part["type"] == "output_text":
        return {"type": "refusal", "refusal": part["text"]}
    return {**part, "annotations": []}


_IDS = {"call_id": "call", "approval_request_id": "item", "id": "item"}


def rename_ids(body: JSON) -> JSON:
    """Name the ids of calls, items and responses by first appearance: clients send back what providers made."""
    if not isinstance(body, Mapping):
        return body
    name = _names()
    renamed = dict(body)
    if isinstance(earlier := body.get("previous_response_id"), str):
        renamed["previous_response_id"] = name("response", earlier)
    match body.get("conversation"):
        case str(earlier):
            renamed["conversation"] = name("conversation", earlier)
        case {"id": str(earlier)}:
            renamed["conversation"] = {**body["conversation"], "id": name("conversation", earlier)}
    if isinstance(body.get("input"), list):
        renamed["input"] = [_renamed(item, name) for item in body["input"]]
    return renamed


def _names() -> Callable[[str, str], str]:
    known: dict[str, dict[str, str]] = {}

    def name(kind: str, was: str) -> str:
        names = known.setdefault(kind, {})
        return names.setdefault(was, f"{kind}_{len(names) + 1}")

    return name


def _renamed(item: Any, name: Callable[[str, str], str]) -> Any:
    if not isinstance(item, Mapping):
        return item
    # In the order of the table: the order in which a client writes the fields of an item says nothing.
    ids = {field: kind for field, kind in _IDS.items() if isinstance(item.get(field), str)}
    return {**item, **{field: name(kind, item[field]) for field, kind in ids.items()}}


FORMAT = Format(
    "responses",
    re.compile(r"/(?:v\d[\w.]*|openai|openai/deployments/[^/]+|serving-endpoints)/responses(?:/input_tokens)?$"),
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    join_events,
    split_events,
    is_last,
    rename_ids,
)
