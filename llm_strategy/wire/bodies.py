"""The bodies of HTTP calls as values that read well, from which every byte of an answer comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.events import event_data, event_pieces, pack_events
from llm_strategy.wire.json_text import from_base64, in_base64, is_base64, laid_out, layout_of, parse_text
from llm_strategy.wire.splitting import split, splitter

__all__ = ["answer_bytes", "answer_pieces", "event_data", "laid_out", "pack_answer", "parse_body", "parse_text"]


def parse_body(body: bytes) -> JSON:
    """A body as an envelope holds it: a JSON object or array as such, other text as a string; None for none."""
    if not body:
        return None
    try:
        return parse_text(body.decode("utf-8"))
    except UnicodeDecodeError:
        return in_base64(body)


def pack_answer(body: bytes, content_type: str) -> dict[str, JSON]:
    """The fields of an envelope that hold the body of an answer; `answer_bytes` gives it back."""
    if not body:
        return {}
    if splitter(content_type) is not None:
        return pack_events(split(body, content_type), content_type)
    parsed = parse_body(body)
    if isinstance(parsed, str) or is_base64(parsed):
        return {"body": parsed}
    text = body.decode("utf-8")
    layout = layout_of(parsed, text)
    if layout is None:
        return {"body": text}
    return {"layout": layout, "body": parsed} if layout else {"body": parsed}


def answer_bytes(http: Mapping[str, Any]) -> bytes:
    """The body of an answer, as the client read it. Raises ValueError, TypeError or AttributeError for what is none."""
    if "events" in http:
        return b"".join(event_pieces(http["events"], http.get("layout", "")))
    body = http.get("body")
    if is_base64(body):
        return from_base64(body)
    if body is None:
        return b""
    return (body if isinstance(body, str) else laid_out(body, http.get("layout", ""))).encode("utf-8")


def answer_pieces(http: Mapping[str, Any]) -> list[bytes]:
    """The body of an answer in the pieces in which a client gets it: whole events of a stream, else all at once."""
    if "events" in http:
        return list(filter(None, event_pieces(http["events"], http.get("layout", ""))))
    return split(answer_bytes(http), str(http.get("headers", {}).get("content-type", "")))
