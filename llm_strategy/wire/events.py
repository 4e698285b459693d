"""The events of a streamed answer as values that read well, from which every byte of each comes back.

`docs/reference/cassette-format.md` specifies them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llm_strategy.values import JSON
from llm_strategy.wire.aws_events import frame, unframed
from llm_strategy.wire.json_text import from_base64, in_base64, is_base64, laid_out, layout_of, parse_text
from llm_strategy.wire.splitting import AWS_EVENT_STREAM, JSON_LINES, media_type

_FIELDS = ("event", "id", "retry", "data")
_KNOWN = frozenset(_FIELDS)
_DATA = re.compile(r"(?:\A\ufeff?|[\r\n])data:[ ]?([^\r\n]*)")


class _Stream:
    """How the events of a stream are written, by the words of its layout."""

    def __init__(self, layout: str) -> None:
        words = layout.split()
        self.layout = layout
        self.has_lines = "lines" in words
        self.line_end = "\r\n" if "crlf" in words else "\n"
        self.colon = ":" if "tight" in words else ": "
        self._is_unended = "unended" in words

    def end(self, *, last: bool) -> str:
        """What stands behind an event."""
        ends = (1 if self.has_lines else 2) - (last and self._is_unended)
        return self.line_end * ends

    def event(self, value: Any, *, last: bool = False) -> bytes:
        """The bytes of an event. Raises ValueError, TypeError or AttributeError for what is none."""
        if is_base64(value):
            return from_base64(value)
        if not isinstance(value, str):
            if "raw" in value:
                raw: str = value["raw"]
                return raw.encode("utf-8")
            if "headers" in value:
                return frame(value["headers"], self._payload(value).encode("utf-8"))
            value = self._data(value.get("data", "")) if self.has_lines else self.line_end.join(self._lines(value))
        return f"{value}{self.end(last=last)}".encode()

    def _payload(self, event: Mapping[str, Any]) -> str:
        data = event.get("data", "")
        if "chunk" not in event:
            return self._data(data)
        # The layout is the model's own; AWS writes compact text.
        chunk = laid_out(event["chunk"], self.layout).encode("utf-8")
        return laid_out({"bytes": base64.b64encode(chunk).decode("ascii"), **(data or {})}, "")

    def _lines(self, event: Mapping[str, JSON]) -> Iterator[str]:
        for name in _FIELDS:
            if name in event:
                yield from (f"{name}{self.colon}{line}" for line in self._data(event[name]).split("\n"))

    def _data(self, value: JSON) -> str:
        return laid_out(value, self.layout) if isinstance(value, dict | list) else str(value)

    def fields(self, piece: bytes, *, last: bool) -> dict[str, str] | None:
        """The fields of an event as texts; None where they do not give its bytes back."""
        fields: dict[str, str] = {}
        text = piece.decode("utf-8").removesuffix(self.end(last=last))
        for line in (text,) if self.has_lines else text.split(self.line_end):
            name, _, value = ("data", "", line) if self.has_lines else line.partition(self.colon)
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        return fields if fields.keys() <= _KNOWN and self.event(fields, last=last) == piece else None


def pack_events(pieces: Sequence[bytes], content_type: str) -> dict[str, JSON]:
    """The fields of an envelope that hold the events of a stream, given as its pieces."""
    kind = media_type(content_type)
    words = [] if kind == AWS_EVENT_STREAM else [*_words(pieces, has_lines=kind in JSON_LINES)]
    stream = _Stream(" ".join(words))
    last = len(pieces) - 1
    plain = [_plain(piece, stream, kind, last=at == last) for at, piece in enumerate(pieces)]
    stream = _Stream(" ".join(filter(None, [_data_layout(plain), *words])))
    events = [_parsed(value, stream) for value in plain]
    return {"layout": stream.layout, "events": events} if stream.layout else {"events": events}


def event_pieces(events: Sequence[JSON], layout: str) -> list[bytes]:
    """The bytes of each event. Raises ValueError, TypeError or AttributeError for what is none."""
    stream, last = _Stream(layout), len(events) - 1
    return [stream.event(event, last=at == last) for at, event in enumerate(events)]


def event_data(event: JSON) -> JSON:
    """What an event in an envelope says: a JSON value, or a text; None for nothing."""
    if isinstance(event, Mapping) and "chunk" in event:
        return event["chunk"]
    text = event.get("raw") if isinstance(event, Mapping) else event
    if isinstance(text, str):
        data = _DATA.findall(text)
        return parse_text("\n".join(data) if data else text)
    said = event.get("data") if isinstance(event, Mapping) else None
    return parse_text(said) if isinstance(said, str) else said


def _words(pieces: Sequence[bytes], *, has_lines: bool) -> Iterator[str]:
    """How the lines of a stream are written, so that as many of its events as possible read well."""
    first, last = pieces[0], pieces[-1]
    line_end = b"\r\n" if first.endswith(b"\r\n") else b"\n"
    if has_lines:
        yield "lines"
    elif first.startswith(b"data:") and not first.startswith(b"data: "):
        yield "tight"
    if line_end == b"\r\n":
        yield "crlf"
    if not last.endswith(line_end if has_lines else line_end * 2) and (has_lines or last.endswith(line_end)):
        yield "unended"


def _plain(piece: bytes, stream: _Stream, kind: str, *, last: bool) -> Any:
    """An event with its data as text, or all of it as a text, or as bytes: the first that gives its bytes back."""
    try:
        if kind == AWS_EVENT_STREAM:
            headers, payload = unframed(piece)
            return {"headers": headers, "data": payload.decode("utf-8")}
        fields = stream.fields(piece, last=last)
    except ValueError:
        return in_base64(piece)
    if fields is not None:
        return fields
    text, end = piece.decode("utf-8"), stream.end(last=last)
    return {"raw": text} if stream.has_lines or not text.endswith(end) else text.removesuffix(end)


def _data_layout(plain: Sequence[Any]) -> str:
    """The layout of the first JSON value among the data of events."""
    texts = (_chunk(event) or event["data"] for event in plain if isinstance(event, Mapping) and "data" in event)
    layouts = (layout_of(parse_text(text), text) for text in texts if text.startswith(("{", "[")))
    return next(filter(None, layouts), "")


def _parsed(plain: Any, stream: _Stream) -> JSON:
    """An event with its data as a value, where that gives the text back."""
    if isinstance(plain, str):
        return plain
    if "headers" in plain and (opened := _opened(plain, stream)) is not None:
        return opened
    event: dict[str, JSON] = dict(plain)
    if "data" in plain:
        data = parse_text(plain["data"])
        if isinstance(data, str) or laid_out(data, stream.layout) == plain["data"]:
            event["data"] = data
    if re.fullmatch("0|[1-9][0-9]{0,15}", plain.get("retry", "")):
        event["retry"] = int(plain["retry"])
    return event


def _opened(plain: Mapping[str, Any], stream: _Stream) -> JSON:
    """An event of AWS with what it holds of a model's own in base64 as a value; None where there is none, or not so."""
    chunk = parse_text(_chunk(plain))
    if isinstance(chunk, str):
        return None
    rest = {name: value for name, value in parse_text(plain["data"]).items() if name != "bytes"}
    opened = {"headers": plain["headers"], "chunk": chunk} | ({"data": rest} if rest else {})
    return opened if stream.event(opened) == stream.event(plain) else None


def _chunk(event: Mapping[str, Any]) -> str:
    """The text that an event of AWS holds in base64; empty where it is none."""
    data = parse_text(event["data"]) if "headers" in event else None
    encoded = data.get("bytes") if isinstance(data, Mapping) else None
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8") if isinstance(encoded, str) else ""
    except ValueError:
        return ""
