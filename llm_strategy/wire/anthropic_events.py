"""The events of a message that Anthropic streams: put together to the body of all of it, and made of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.bodies import event_data, parse_text
from llm_strategy.wire.chat_completion_chunks import halves
from llm_strategy.wire.chat_messages import to_text

_TEXTS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "compaction_delta": "content",
}
_ENDS = frozenset(("message_stop", "error"))


def _said(event: JSON) -> Mapping[str, Any]:
    data = event_data(event)
    return data if isinstance(data, Mapping) else {}


def ends(event: JSON) -> bool:
    """Whether nothing of a message follows an event."""
    return str(_said(event).get("type")) in _ENDS


def join(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of the message that events have brought so far; empty where they are none of a message."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for data in map(_said, events):
        match data:
            case {"type": "message_start", "message": Mapping() as start}:
                message |= start
            case {"type": "content_block_start", "index": int(index), "content_block": Mapping() as block}:
                blocks[index] = dict(block)
            case {"type": "content_block_delta", "index": int(index), "delta": Mapping() as delta} if index in blocks:
                _extend(blocks[index], delta)
            case {"type": "message_delta", "delta": Mapping() as delta}:
                message |= delta
                message["usage"] = {**(message.get("usage") or {}), **_known(data.get("usage"))}
            case {"type": "error", "error": error}:
                message |= {"type": "message", "error": error}
    if message:
        message["content"] = [_finished(blocks[index]) for index in sorted(blocks)]
    return message


def _known(counts: Any) -> dict[str, JSON]:
    """What an event says of the usage; nulls say nothing."""
    return {name: value for name, value in (counts or {}).items() if value is not None}


def _extend(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    kind = delta.get("type")
    if kind == "input_json_delta":
        block["partial"] = block.get("partial", "") + (delta.get("partial_json") or "")
    elif kind in _TEXTS:
        name = _TEXTS[kind]
        block[name] = (block.get(name) or "") + (delta.get(name) or "")


def _finished(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its input as a value; the text of it where the stream ended within it."""
    partial = block.pop("partial", "")
    return {**block, "input": parse_text(partial)} if partial else block


def split(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The events that bring a message piece by piece."""
    counts = body.get("usage") or {}
    first = {**body, "content": [], "stop_reason": None, "usage": counts and {**counts, "output_tokens": 1}}
    yield _event("message_start", message=first)
    for index, block in enumerate(body["content"]):
        start, deltas = _pieces(block)
        yield _event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    delta = {"stop_reason": body["stop_reason"], "stop_sequence": body["stop_sequence"]}
    yield _event("message_delta", delta=delta, usage={"output_tokens": counts.get("output_tokens")})
    yield _event("message_stop")


def _event(kind: str, **fields: JSON) -> JSON:
    return {"event": kind, "data": {"type": kind, **fields}}


def _pieces(block: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[dict[str, JSON]]]:
    """What a block begins with, and what is added to it."""
    match block:
        case {"type": "text", "text": str(text)}:
            return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in halves(text)]
        case {"type": "thinking", "thinking": str(text)}:
            deltas: list[dict[str, JSON]] = [{"type": "thinking_delta", "thinking": piece} for piece in halves(text)]
            return {**block, "thinking": "", "signature": ""}, [*deltas, {"type": "signature_delta", "signature": "s"}]
        case {"type": "tool_use", "input": arguments}:
            pieces = halves(to_text(arguments))
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            return block, []
