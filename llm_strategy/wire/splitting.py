"""Streamed bodies, cut into the events that they are made of, however their bytes arrive."""

from __future__ import annotations

import re
from binascii import crc32
from collections.abc import Callable, Mapping

EVENT_STREAM = "text/event-stream"
AWS_EVENT_STREAM = "application/vnd.amazon.eventstream"
JSON_LINES = frozenset(("application/x-ndjson", "application/jsonl", "application/stream+json"))

PRELUDE = 12
"""Bytes of an AWS event in front of its headers: its length, that of its headers, and the CRC of both."""
_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")
_LONGEST_BLANK_LINE = 3


class Splitter:
    """Takes a stream in as it comes, and hands it on in whole events. Joined, they are the stream."""

    def __init__(self, find_end: Callable[[bytearray, int, int], int]) -> None:
        self._find_end = find_end
        self._rest = bytearray()
        self._searched = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole with this chunk."""
        rest = self._rest
        rest += chunk
        events: list[bytes] = []
        start = 0
        while (end := self._find_end(rest, start, max(start, self._searched))) > start:
            events.append(bytes(rest[start:end]))
            start = end
        del rest[:start]
        self._searched = len(rest)
        return events

    def end(self) -> bytes:
        """What came behind the last whole event."""
        rest = bytes(self._rest)
        self._rest.clear()
        self._searched = 0
        return rest


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def splitter(content_type: str) -> Splitter | None:
    """What cuts a body of this type into events; None for one that has none."""
    find_end = _ENDS.get(media_type(content_type))
    return None if find_end is None else Splitter(find_end)


def split(body: bytes, content_type: str) -> list[bytes]:
    """A body as its events and what is behind the last; as one piece where its type has no events."""
    cutting = splitter(content_type)
    pieces = [body] if cutting is None else [*cutting.feed(body), cutting.end()]
    return [piece for piece in pieces if piece]


# Each finds where the event ends that begins at `start`, or 0 while that is not known. Up to `searched` was looked at.


def _behind_blank_line(stream: bytearray, start: int, searched: int) -> int:
    # The line end of "\r\r" may be followed by the second half of its own: that begins the next event, since waiting
    # for it would hold each event back until the next one comes.
    found = _BLANK_LINE.search(stream, max(start, searched - _LONGEST_BLANK_LINE + 1))
    return found.end() if found else 0


def _behind_line(stream: bytearray, start: int, searched: int) -> int:
    return stream.find(b"\n", max(start, searched)) + 1


def _behind_frame(stream: bytearray, start: int, _searched: int) -> int:
    prelude = bytes(stream[start : start + PRELUDE])
    # Without its CRC it is no frame, and what follows is handed on as a whole.
    if len(prelude) < PRELUDE or crc32(prelude[:8]) != int.from_bytes(prelude[8:]):
        return 0
    end = start + int.from_bytes(prelude[:4])
    return end if start + PRELUDE + 4 <= end <= len(stream) else 0


_ENDS: Mapping[str, Callable[[bytearray, int, int], int]] = {
    EVENT_STREAM: _behind_blank_line,
    AWS_EVENT_STREAM: _behind_frame,
    **dict.fromkeys(JSON_LINES, _behind_line),
}
