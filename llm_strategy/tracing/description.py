"""A step in words: JSON that is fit to be written, shown or sent, with secrets scrubbed and long texts cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from math import isfinite
from typing import Any

from llm_strategy import blobs
from llm_strategy.log import Call
from llm_strategy.observers import Step
from llm_strategy.redaction import each_text, scrubbing
from llm_strategy.values import JSON, BlobPart, Message, Part, Request, Response, TextPart, ToolCallPart
from llm_strategy.wire.envelope import HTTPResponse

LONGEST = 50_000
"""Characters of a text that are told; of longer ones it is said how long they are."""
_MOST = 10_000
"""Values in a value that are told."""
_DEEPEST = 20


def described(step: Step, *, content: bool) -> dict[str, JSON]:
    """A step as `docs/reference/trace-format.md` has it; without `content` it says nothing of what was said."""
    error = step.error
    data = {
        "id": step.id,
        "parent": step.parent and step.parent.id,
        "kind": step.kind,
        "name": clean(step.name),
        "began": datetime.fromtimestamp(step.began / 1e9, UTC).isoformat(timespec="microseconds"),
        "seconds": step.seconds,
        "process": step.process,
    }
    if error is not None:
        data["error"] = {"type": type(error).__qualname__, "message": told(error, content=content)}
    return {**data, **attributes(step, content=content)}


def attributes(step: Step, *, content: bool) -> dict[str, JSON]:
    """What is known of a step beside its name, its times and its error; nothing empty."""
    facts = _DESCRIBED[step.kind](step.facts, content)
    return {name: value for name, value in facts.items() if value not in (None, [], {}) and value is not False}


def told(error: BaseException, *, content: bool) -> str:
    """What an error says. Below its first line stands what was asked or answered, which is content."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # the text of an error is its author's code
        text = f"an error of the type {type(error).__qualname__}"
    said: str = clean(text if content else text.partition("\n")[0])
    return said


# The kinds

_GIVEN = ("the argument '", "the fields of ")
"""How the blocks of a prompt begin that say what a function was given."""


def _function(facts: Mapping[str, Any], content: bool) -> dict[str, JSON]:
    site = facts["site"]
    data: dict[str, JSON] = {"place": clean(f"{site.file}:{site.line}") if site.file else None}
    if content:
        texts = [block.text for block in site.blocks if block.subject.startswith(_GIVEN)]
        data["arguments"] = clean(texts)
        if "result" in facts:
            # A value comes with the text that it was read from.
            data["result"] = reply(getattr(facts["result"], "reply", facts["result"]))
    return data


def _attempt(facts: Mapping[str, Any], _content: bool) -> dict[str, JSON]:
    return {"number": facts["number"], "repairs": list(facts.get("repairs", ()))}


def _call(facts: Mapping[str, Any], content: bool) -> dict[str, JSON]:
    request: Request = facts["request"]
    call: Call | None = facts.get("call")
    data: dict[str, JSON] = {"model": request.model, "key": request.key, "settings": clean(dict(request.settings))}
    if content:
        data["messages"] = clean([_message(message) for message in request.messages])
        data["tools"] = clean(list(request.tools))
    if call is None:
        return data
    data |= {"occurrence": call.occurrence, "replayed": call.replayed, "cassette": clean(facts["cassette"])}
    return data | _response(call.response, content)


def _response(response: Response, content: bool) -> dict[str, JSON]:
    usage = response.usage
    return {
        "answered_by": clean(response.model),
        "finish_reason": response.finish_reason or None,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "pieces": len(response.pieces) or None,
        "closed_early": response.closed_early,
        "status": response.status if isinstance(response, HTTPResponse) else None,
        "answer": reply(_parts(answer_parts(response))) if content else None,
    }


def _tool(facts: Mapping[str, Any], content: bool) -> dict[str, JSON]:
    called: ToolCallPart = facts["call"]
    data: dict[str, JSON] = {"call_id": called.id}
    if content:
        data["arguments"] = reply(called.arguments)
        data["result"] = clean(facts["result"]) if "result" in facts else None
    return data


def _step(facts: Mapping[str, Any], _content: bool) -> dict[str, JSON]:
    # One by one, so that a giant among them does not take the room of the others.
    found = [clean({name: value}) for name, value in facts.items()]
    return {"attributes": {name: value for one in found for name, value in one.items()} or None}


_DESCRIBED: dict[str, Callable[[Mapping[str, Any], bool], dict[str, JSON]]] = {
    "function": _function,
    "attempt": _attempt,
    "call": _call,
    "tool": _tool,
    "step": _step,
}


# Values


def answer_parts(response: Response) -> Sequence[Part]:
    """What a model answered, as parts of a message."""
    if isinstance(response, HTTPResponse) and response.parts:
        return response.parts
    text = [TextPart(response.content)] if response.content else []
    return [*text, *getattr(response, "tool_calls", ())]


def message_json(message: Message) -> JSON:
    """A message for others to read: scrubbed, and with binary content summed up."""
    return clean(_message(message))


def _message(message: Message) -> JSON:
    return {"role": message.role, "parts": _parts(message.parts)}


def _parts(parts: Iterable[Part]) -> JSON:
    # What is binary is told in a few words: nobody reads it here.
    return [
        {**part, "content": blobs.summary(part["content"])} if part["type"] == BlobPart.type else part
        for part in Message("", parts).to_json()["parts"]
    ]


def clean(value: Any) -> Any:
    """Any value as JSON, scrubbed as prompts are."""
    scrub = scrubbing().scrub
    return each_text(_Plain().of(value), lambda text: _cut(scrub(text)))


def reply(value: Any) -> Any:
    """Any value as JSON, scrubbed as replies are."""
    scrub = scrubbing().scrub_reply
    return each_text(_Plain().of(value), lambda text: _cut(scrub(text)))


def _cut(text: str) -> str:
    # After it was scrubbed: half a credential is not recognised.
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text):,} characters in all)"


class _Plain:
    """Makes JSON of whatever it is given, which may be anything a program has."""

    def __init__(self) -> None:
        self._left = _MOST

    def of(self, value: Any, depth: int = 0) -> JSON:
        self._left -= 1
        if value is None or isinstance(value, str | bool | int):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else repr(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value):,} bytes>"
        try:
            return self._within(value, depth)
        except Exception as error:  # noqa: BLE001  # what an object says of itself is its author's code
            return f"<{type(value).__qualname__}, which raises {type(error).__qualname__}>"

    def _within(self, value: Any, depth: int) -> JSON:
        if depth < _DEEPEST and isinstance(value, Mapping):
            found = {str(name): self.of(item, depth + 1) for name, item in islice(value.items(), max(self._left, 0))}
            return found if len(found) == len(value) else {**found, "...": f"{len(value):,} in all"}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            items = [self.of(item, depth + 1) for item in islice(value, max(self._left, 0))]
            return items if len(items) == len(value) else [*items, f"... ({len(value):,} in all)"]
        return repr(value)
