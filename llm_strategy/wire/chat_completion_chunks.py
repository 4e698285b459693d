"""The pieces of a streamed chat completion, put together to the body that it would have had in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.bodies import parse_text


def join_chunks(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of a chat completion from an envelope's events that brought it; what is no chunk is passed over."""
    joined: dict[str, Any] = {}
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    choice: dict[str, Any] = {"message": message, "finish_reason": None}
    for event in events:
        chunk = event.get("data") if isinstance(event, Mapping) else None
        chunk = parse_text(chunk) if isinstance(chunk, str) else chunk
        if not isinstance(chunk, Mapping):
            continue
        joined |= {name: chunk[name] for name in ("model", "usage", "error") if chunk.get(name)}
        for part in chunk.get("choices") or ():
            # Of several answers the first is the one that a response stands for.
            if isinstance(part, Mapping) and not part.get("index"):
                joined["choices"] = [choice]
                choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
                _add(message, part.get("delta") or {})
    return joined


def _add(message: dict[str, Any], delta: Mapping[str, JSON]) -> None:
    for name in ("content", "refusal"):
        if isinstance(piece := delta.get(name), str):
            message[name] = (message.get(name) or "") + piece
    if delta.get("tool_calls"):
        message["tool_calls"] = [*message.get("tool_calls", ()), *delta["tool_calls"]]
