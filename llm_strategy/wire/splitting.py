"""Streamed bodies, cut into the events that they are made of, however their bytes arrive."""

from __future__ import annotations

import re

EVENT_STREAM = "text/event-stream"
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class Splitter:
    """Takes a stream in as it comes, and hands it on in whole events. Joined, they are the stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole with this chunk."""
        data, start, events = self._rest + chunk, 0, []
        for found in _BLANK_LINE.finditer(data):
            events.append(data[start : found.end()])
            start = found.end()
        self._rest = data[start:]
        return events

    def end(self) -> bytes:
        """What came behind the last whole event."""
        rest, self._rest = self._rest, b""
        return rest


def splitter(content_type: str) -> Splitter | None:
    """What cuts a body of this type into events; None for one that has none."""
    return Splitter() if content_type.partition(";")[0].strip().lower() == EVENT_STREAM else None
