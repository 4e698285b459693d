"""The bodies of HTTP calls as values that read well, from which every byte of an answer comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, TypeGuard

from llm_strategy.values import JSON

EVENT_STREAM = "text/event-stream"
_BETWEEN_EVENTS = "\n\n"
_FIELDS = ("event", "id", "retry", "data")
_LAYOUTS = [
    " ".join(filter(None, words)) for words in product(("", "spaced", "indented"), ("", "escaped"), ("", "newline"))
]


def parse_body(body: bytes) -> JSON:
    """A body as an envelope holds it: a JSON object or array as such, other text as a string; None for none."""
    if not body:
        return None
    try:
        return parse_text(body.decode("utf-8"))
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def parse_text(text: str) -> JSON:
    """A JSON object or array, or the text itself where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) and not _is_base64(value) else text


def _is_base64(value: JSON) -> TypeGuard[Mapping[str, str]]:
    return isinstance(value, Mapping) and value.keys() == {"base64"}


def laid_out(value: JSON, layout: str) -> str:
    """The JSON text of a value. `layout` has the words of the format: "spaced" or "indented", "escaped", "newline"."""
    words = layout.split()
    loose = "spaced" in words or "indented" in words
    text = json.dumps(
        value,
        ensure_ascii="escaped" in words,
        indent=2 if "indented" in words else None,
        separators=None if loose else (",", ":"),
    )
    return f"{text}\n" if "newline" in words else text


def _layout(value: JSON, text: str) -> str | None:
    """The layout in which a value has this very text; None where there is none (numbers have many forms)."""
    return next((layout for layout in _LAYOUTS if laid_out(value, layout) == text), None)


def pack_answer(body: bytes, content_type: str) -> dict[str, JSON]:
    """The fields of an envelope that hold the body of an answer; `answer_bytes` gives it back."""
    parsed = parse_body(body)
    if parsed is None:
        return {}
    if isinstance(parsed, str) and content_type.startswith(EVENT_STREAM) and parsed.endswith(_BETWEEN_EVENTS):
        return _pack_stream(parsed)
    if isinstance(parsed, str) or _is_base64(parsed):
        return {"body": parsed}
    text = body.decode("utf-8")
    layout = _layout(parsed, text)
    return {"body": text} if layout is None else _with_layout(layout, {"body": parsed})


def _with_layout(layout: str, body: dict[str, JSON]) -> dict[str, JSON]:
    return {"layout": layout, **body} if layout else body


def answer_bytes(http: Mapping[str, Any]) -> bytes:
    """The body of an answer, as the client read it. Raises ValueError, TypeError or AttributeError for what is none."""
    body, layout = http.get("body"), http.get("layout", "")
    if "events" in http:
        return "".join(_event_text(event, layout) + _BETWEEN_EVENTS for event in http["events"]).encode("utf-8")
    if _is_base64(body):
        return base64.b64decode(body["base64"], validate=True)
    if body is None:
        return b""
    return (body if isinstance(body, str) else laid_out(body, layout)).encode("utf-8")


def _pack_stream(stream: str) -> dict[str, JSON]:
    texts = stream.removesuffix(_BETWEEN_EVENTS).split(_BETWEEN_EVENTS)
    data = [_fields(text).get("data", "") for text in texts]
    layouts = (_layout(parse_text(text), text) for text in data if text.startswith("{"))
    layout = next(filter(None, layouts), "")
    return _with_layout(layout, {"events": [_event(text, layout) for text in texts]})


def _fields(event: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in event.split("\n"):
        name, _, value = line.partition(": ")
        fields[name] = f"{fields[name]}\n{value}" if name in fields else value
    return fields


def _event(text: str, layout: str) -> JSON:
    """An event with its data as a value, or as a text, or the text of it all: the first that gives its text back."""
    event = _fields(text)
    parsed: dict[str, JSON] = dict(event)
    if "data" in event:
        parsed["data"] = parse_text(event["data"])
    if event.get("retry", "").isdecimal():
        parsed["retry"] = int(event["retry"])
    return next((form for form in (parsed, event) if _event_text(form, layout) == text), text)


def _event_text(event: JSON, layout: str) -> str:
    return event if isinstance(event, str) else "\n".join(_lines(event, layout))


def _lines(event: Mapping[str, JSON], layout: str) -> Iterator[str]:
    for name in _FIELDS:
        if name in event:
            value = event[name]
            text = laid_out(value, layout) if isinstance(value, dict | list) else str(value)
            yield from (f"{name}: {line}" for line in text.split("\n"))
