"""Where the documents of a cassette begin and end, found in one pass over its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_MARKS = re.compile(rb'\n(?:---(?=[\n ])|key: "|digest: "|<<<<<<< |>>>>>>> |\|\|\|\|\|\|\| |=======\n)')
"""Lines that no text of ours can begin with, since it is indented. Spelled out, they are found three times faster."""
_MARKERS = (b"<<<<<<< ", b">>>>>>> ", b"||||||| ", b"=======\n")
_LAST_LINE = len('\ndigest: ""\n') + 64
_CUT_OFF = re.compile(rb"(?:-{1,3}|\0+)\Z")
"""What a crash leaves of a document whose first line was not written, or whose place was only reserved."""
_FINISHED = re.compile(rb'\nrequest_digest: "[^\n]{65}\n[^\n]{74}')


class Conflict(Exception):
    """A line that git has left; `args` is where it begins."""


class Span(NamedTuple):
    """The place of a document. `plain` says that it begins and ends as we write it, and that it is one.

    `torn` is the rest of a file that its writer was not able to finish.
    """

    start: int
    end: int
    plain: bool
    torn: bool = False


def spans(data: bytes) -> Iterator[Span]:
    """The documents of a file, or of what was appended to it. Raises Conflict."""
    if data.startswith(_MARKERS):
        raise Conflict(0)
    if not data.startswith(b"---") and not data.strip():
        return
    start = keys = digests = last = 0
    for found in _MARKS.finditer(data):
        at = found.start()
        mark = data[at + 1]
        if mark == 0x6B:  # k
            keys += 1
        elif mark == 0x64:  # d
            digests += 1
            last = at
        elif mark == 0x2D:  # -
            # Two documents in one, or one without an end, show that a line between them was damaged.
            yield Span(start, at + 1, keys == digests == 1 and last == at + 1 - _LAST_LINE)
            start, keys, digests = at + 1, 0, 0
        else:
            raise Conflict(at + 1)
    yield from _rest(data, start, keys, digests, last)


def _rest(data: bytes, start: int, keys: int, digests: int, last: int) -> Iterator[Span]:
    """The last document, which may be torn, or have the beginning of a torn one behind it."""
    end = len(data)
    one = keys == digests == 1
    if one and (last == end - _LAST_LINE or (last == end - _LAST_LINE + 1 and data.endswith(b'"'))):
        yield Span(start, end, True)
    elif one and (stop := last + _LAST_LINE) < end and _CUT_OFF.match(data, stop):
        yield Span(start, stop, True)
        yield Span(stop, end, False, torn=True)
    else:
        # What has begun twice, or stands behind its own end, was not torn but damaged.
        whole = keys > 1 or digests > 1 or bool(digests and last < end - _LAST_LINE)
        yield Span(start, end, False, torn=not whole and not _FINISHED.search(data, max(start, end - 400)))
