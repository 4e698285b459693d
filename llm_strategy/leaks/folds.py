"""Texts of a YAML file as they are meant, where they do not stand so: on several lines, or with escapes.

A recorder breaks a long line at a space, which may be the one between `Bearer` and a token.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

LARGEST = 64 << 20
"""Characters of a file that is parsed."""
_DEEPEST = 200
_FOLD = r"(?:(?<![ \t])[ \t]++)?\r?\n(?>(?:[ \t]*+\r?\n)*)[ \t]*+"
_PATTERNS = {
    None: re.compile(_FOLD),
    "'": re.compile(rf"''|{_FOLD}"),
    '"': re.compile(rf"\\\r?\n[ \t]*|\\(?:x[0-9A-Fa-f]{{2}}|u[0-9A-Fa-f]{{4}}|U[0-9A-Fa-f]{{8}}|[^\r\n])|{_FOLD}"),
    "|": re.compile(r"\r?\n[ \t]*"),
    ">": re.compile(_FOLD),
}
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "e": "\x1b", "b": "\b", "N": "\x85", "_": "\xa0"}


def events(text: str) -> Iterator[tuple[Any, Any]]:
    """The parser's events, each with the module `yaml`: nothing is built, and no tag is obeyed.

    They end where the text is no YAML any more, or is nested too deeply to be a recording.
    """
    import yaml

    if text.startswith("\ufeff"):
        # The parser drops it, and would count all places from behind it.
        text = f"\n{text[1:]}"
    try:
        parser = (yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)(text)
        next_event: Callable[[], Any] = parser.get_event
        level = 0
        while level <= _DEEPEST and not isinstance(event := next_event(), yaml.StreamEndEvent):
            level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            yield event, yaml
    except (yaml.YAMLError, ValueError):
        return


class Piece(NamedTuple):
    """A part of a text that stands in the file as it is, or (`is_written`) is what is written there means."""

    at: int
    start: int
    end: int
    is_written: bool


class Folded(NamedTuple):
    """A text as it is meant, and the pieces that it is made of, in order."""

    text: str
    pieces: list[Piece]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where in the file a part of the text stands."""
        first, last = self._piece(start), self._piece(end - 1)
        return (
            first.start if first.is_written else first.start + start - first.at,
            last.end if last.is_written else last.start + end - last.at,
        )

    def _piece(self, at: int) -> Piece:
        return self.pieces[bisect_right(self.pieces, at, key=lambda piece: piece.at) - 1]


def folded(text: str) -> Iterator[Folded]:
    """The texts in a YAML file that do not stand there as they are meant."""
    if len(text) > LARGEST or text.lstrip("\ufeff \t\r\n").startswith("{"):
        return
    for event, yaml in events(text):
        if isinstance(event, yaml.ScalarEvent):
            start, end = event.start_mark.index, event.end_mark.index
            if end - start != len(event.value):
                found = _unfolded(text, start, end, event.style or None)
                if len(found.pieces) > 1:
                    yield found


def _unfolded(text: str, start: int, end: int, style: str | None) -> Folded:
    texts: list[str] = []
    pieces: list[Piece] = []
    length = 0

    def add(meant: str, first: int, last: int, is_written: bool) -> None:
        nonlocal length
        if meant:
            texts.append(meant)
            pieces.append(Piece(length, first, last, is_written))
            length += len(meant)

    for match in _PATTERNS[style].finditer(text, start, end):
        add(text[start : match.start()], start, match.start(), False)
        add(_meant(match[0], style), *match.span(), True)
        start = match.end()
    add(text[start:end], start, end, False)
    return Folded("".join(texts), pieces)


def _meant(written: str, style: str | None) -> str:
    """What a line end, a doubled quote or an escape stands for."""
    if written[0] == "\\":
        if written[1] in "\r\n":
            return ""
        digits = written[2:]
        return chr(int(digits, 16)) if digits else _ESCAPED.get(written[1], written[1])
    if written == "''":
        return "'"
    lines = written.count("\n")
    return "\n" if style == "|" else " " if lines == 1 else "\n" * (lines - 1)
