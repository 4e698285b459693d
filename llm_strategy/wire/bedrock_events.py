"""The events of a streamed Converse: put together to the body that it would have had in one, and made of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.bodies import event_data, parse_text
from llm_strategy.wire.chat_completion_chunks import halves
from llm_strategy.wire.chat_messages import to_text


def _said(event: JSON) -> tuple[str | None, Mapping[str, Any]]:
    """What kind of event it is, and what it says. An exception has no type of event."""
    headers = event.get("headers") if isinstance(event, Mapping) else None
    headers = headers if isinstance(headers, Mapping) else {}
    data = event_data(event)
    return headers.get(":event-type"), data if isinstance(data, Mapping) else {}


def ends(event: JSON) -> bool:
    """Whether nothing of an answer follows an event."""
    return _said(event)[0] == "metadata"


def join(events: Iterable[JSON]) -> dict[str, Any]:
    """The body of the answer that events have brought so far; empty where they are none of Converse."""
    body: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for kind, data in map(_said, events):
        index = data.get("contentBlockIndex")
        match kind:
            case "messageStart":
                body = {"output": {"message": {"role": data.get("role"), "content": []}}, "stopReason": None}
            case "contentBlockStart" if isinstance(index, int):
                blocks[index] = {name: dict(start) for name, start in data["start"].items()}
            case "contentBlockDelta" if isinstance(index, int):
                _extend(blocks.setdefault(index, {}), data["delta"])
            case "messageStop":
                body |= data
            case "metadata":
                body |= {name: data[name] for name in ("usage", "metrics") if name in data}
    if body:
        body["output"]["message"]["content"] = [_finished(blocks[index]) for index in sorted(blocks)]
    return body


def _extend(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    match delta:
        case {"text": str(text)}:
            block["text"] = block.get("text", "") + text
        case {"toolUse": {"input": str(partial)}}:
            call = block.setdefault("toolUse", {})
            call["input"] = call.get("input", "") + partial
        case {"toolResult": list(results)}:
            answer = block.setdefault("toolResult", {})
            answer["content"] = [*answer.get("content", []), *results]
        case {"reasoningContent": {"text": str(thought)}}:
            known = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
            known["text"] += thought
        case {"reasoningContent": {"redactedContent": redacted}}:
            block.setdefault("reasoningContent", {})["redactedContent"] = redacted
        case {"image": Mapping() as image}:
            block.setdefault("image", {}).update(image)


def _finished(block: dict[str, Any]) -> dict[str, Any]:
    """A block with the input of a tool as a value; the text of it where the stream ended within it."""
    match block:
        case {"toolUse": {"input": str(partial)} as call}:
            return {"toolUse": {**call, "input": parse_text(partial) if partial else {}}}
        case {"toolUse": Mapping() as call}:
            return {"toolUse": {"input": {}, **call}}
        case _:
            return block


def split(body: Mapping[str, Any]) -> Iterator[JSON]:
    """The events that bring an answer piece by piece."""
    message = body["output"]["message"]
    yield _event("messageStart", role=message["role"])
    for index, block in enumerate(message["content"]):
        start, deltas = _pieces(block)
        if start:
            yield _event("contentBlockStart", contentBlockIndex=index, start=start)
        for delta in deltas:
            yield _event("contentBlockDelta", contentBlockIndex=index, delta=delta)
        yield _event("contentBlockStop", contentBlockIndex=index)
    yield _event("messageStop", stopReason=body["stopReason"])
    yield _event("metadata", **{name: body[name] for name in ("usage", "metrics") if name in body})


def _event(kind: str, **data: JSON) -> JSON:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return {"headers": headers, "data": data}


def _pieces(block: Mapping[str, Any]) -> tuple[dict[str, JSON], list[dict[str, JSON]]]:
    """What a block begins with, if anything, and what is added to it."""
    match block:
        case {"text": str(text)}:
            return {}, [{"text": piece} for piece in halves(text) or [""]]
        case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
            return {}, [{"reasoningContent": {"text": piece}} for piece in halves(text) or [""]]
        case {"toolUse": {"input": arguments} as call}:
            start = {name: value for name, value in call.items() if name != "input"}
            return {"toolUse": start}, [{"toolUse": {"input": piece}} for piece in halves(to_text(arguments))]
        case {"toolResult": {"content": content} as answer}:
            start = {name: value for name, value in answer.items() if name != "content"}
            return {"toolResult": start}, [{"toolResult": content}]
        case _:
            raise ValueError(f"no stream of Converse brings {', '.join(block)}")
