"""The events of a streamed response of OpenAI: put together to the body that it would have had in one, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.chat_completion_chunks import data_of, halves

_ENDS = frozenset(f"response.{word}" for word in ("completed", "incomplete", "failed", "cancelled"))
_INTO_ITEM = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.mcp_call_arguments.delta": "arguments",
    "response.code_interpreter_call_code.delta": "code",
}
_INTO_PART = {
    "response.output_text.delta": ("content", "content_index", "output_text", "text"),
    "response.refusal.delta": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index", "summary_text", "text"),
}
"""Where the pieces of texts belong: the list, the field with the place in it, the type there, the field of the text."""


def join_events(events: Iterable[JSON]) -> dict[str, Any]:
    """The response that an envelope's events brought, as far as it is there; what is no such event is passed over."""
    body: dict[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    for event in events:
        data = data_of(event)
        if not isinstance(data, Mapping) or not isinstance(kind := data.get("type"), str):
            continue
        if isinstance(data.get("response"), Mapping):
            body = dict(data["response"])
        elif kind in ("response.output_item.added", "response.output_item.done"):
            items[data["output_index"]] = dict(data["item"])
        elif kind == "error":
            body |= {"status": "failed", "error": data.get("error") or dict(data)}
        elif kind in _INTO_ITEM or kind in _INTO_PART:
            _append(items.setdefault(data["output_index"], {}), data)
    # Of what is at its end all stands in the last event; some servers leave the output out there.
    if items and not body.get("output"):
        body["output"] = [items[index] for index in sorted(items)]
    return body


def _append(item: dict[str, Any], data: Mapping[str, Any]) -> None:
    if field := _INTO_ITEM.get(data["type"]):
        item[field] = (item.get(field) or "") + data["delta"]
        return
    place, index, kind, field = _INTO_PART[data["type"]]
    item.setdefault("type", "reasoning" if kind.startswith(("reasoning", "summary")) else "message")
    if item["type"] == "message":
        item.setdefault("role", "assistant")
    parts = item[place] = [dict(part) for part in item.get(place) or ()]
    at = min(data.get(index, 0), len(parts))
    if at == len(parts):
        parts.append({"type": kind, field: ""})
    part = parts[at]
    part[field] = (part.get(field) or "") + data["delta"]


def is_last(event: JSON) -> bool:
    """Whether an event says that nothing of the answer follows."""
    data = data_of(event)
    return data == "[DONE]" or (isinstance(data, Mapping) and data.get("type") in (*_ENDS, "error"))


def split_events(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The events that bring a response piece by piece."""
    for number, data in enumerate(_events(body)):
        yield {"event": data["type"], "data": {**data, "sequence_number": number}}


def _events(body: Mapping[str, Any]) -> Iterator[dict[str, JSON]]:
    begun = {**body, "status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    yield {"type": "response.created", "response": begun}
    for index, item in enumerate(body["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        empty = {name: [] if name in ("content", "summary") else value for name, value in item.items()}
        if "arguments" in item:
            empty["arguments"] = ""
        yield {"type": "response.output_item.added", "output_index": index, "item": {**empty, "status": "in_progress"}}
        for piece in halves(item.get("arguments", "")):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
        for kind, (name, where, type_, field) in _INTO_PART.items():
            for at, part in enumerate(item.get(name) or ()):
                if part["type"] == type_:
                    yield from _part_events(kind.removesuffix(".delta"), {**place, where: at}, part, field)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    end = f"response.{body['status']}"
    yield {"type": end if end in _ENDS else "response.completed", "response": body}


def _part_events(
    kind: str, place: Mapping[str, JSON], part: Mapping[str, JSON], field: str
) -> Iterator[dict[str, JSON]]:
    around = "response.reasoning_summary_part" if "summary_index" in place else "response.content_part"
    yield {"type": f"{around}.added", **place, "part": {**part, field: ""}}
    for piece in halves(part[field]):
        yield {"type": f"{kind}.delta", **place, "delta": piece}
    yield {"type": f"{kind}.done", **place, field: part[field]}
    yield {"type": f"{around}.done", **place, "part": part}
