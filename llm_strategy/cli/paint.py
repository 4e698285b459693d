"""Colours for a terminal, where one is wanted: NO_COLOR and a dumb terminal are told apart from others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llm_strategy.difference.hunks import common_ends

_RED, _GREEN, _CYAN, _BOLD = "31", "32", "36", "1"
_REVERSED, _STRAIGHT = "\x1b[7m", "\x1b[27m"


@dataclass(frozen=True)
class Paint:
    """Whether what is printed is coloured."""

    wanted: bool

    @classmethod
    def of(cls, stream: Any) -> Paint:
        dumb = os.environ.get("TERM", "dumb") == "dumb"
        return cls(stream.isatty() and not os.environ.get("NO_COLOR") and not dumb)

    def title(self, text: str) -> str:
        return self._in(_BOLD, text)

    def diff(self, lines: Sequence[str]) -> Iterator[str]:
        """The lines of a diff; of a line that took another one's place, the words that differ stand out."""
        if not self.wanted:
            yield from lines
            return
        at = 0
        while at < len(lines):
            pair = lines[at : at + 2]
            alone = [line[:1] for line in (*lines[max(at - 1, 0) : at], *lines[at + 2 : at + 3])]
            if [line[:1] for line in pair] == ["-", "+"] and alone.count("-") + alone.count("+") == 0:
                old, new = _highlighted(*pair)
                yield from (self._in(_RED, old), self._in(_GREEN, new))
                at += 2
            else:
                yield self._in(_colour(lines[at]), lines[at])
                at += 1

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.wanted and colour and text else text


def _colour(line: str) -> str:
    return {"-": _RED, "+": _GREEN, "@": _CYAN}.get(line[:1], "")


def _highlighted(*lines: str) -> tuple[str, str]:
    """Two versions of a line, with what is not common to both reversed."""
    old, new = (line[1:].split(" ") for line in lines)
    start, end = common_ends(old, new)
    if not start and not end:
        return lines[0], lines[1]
    return _marked("-", old, start, end), _marked("+", new, start, end)


def _marked(mark: str, words: Sequence[str], start: int, end: int) -> str:
    stop = len(words) - end
    middle = " ".join(words[start:stop])
    between = [f"{_REVERSED}{middle}{_STRAIGHT}"] if middle else []
    return mark + " ".join([*words[:start], *between, *words[stop:]])
