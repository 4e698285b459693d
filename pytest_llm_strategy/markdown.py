"""The notation of transcripts: text that no editor, no git and no eye can lose, between fences and in code spans.

What would be lost is written as its code point, such as `<U+000D>` for a carriage return.
"""

from __future__ import annotations

import json
import re
from typing import Any

JSON = Any

# Controls, Unicode's line ends, marks that turn the direction of text, invisible characters, halves of
# pairs, blanks before a line's end; and the beginning of this notation itself.
_LOST = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff"
    r"\U000e0000-\U000e007f]|[ \t](?=\n|\Z)|<(?=U\+)"
)
_LOST_IN_CODE = re.compile(rf"{_LOST.pattern}|[`\n\t]")
_NAMED = re.compile(r"<U\+([0-9A-F]{4,6})>")
_CODE = re.compile(r"`([^`\n]*)`")
_FENCE = re.compile(r"`{3,}")
_BLOCK = re.compile(r"(`{3,})(text|json)\n(.*)\n\1", re.DOTALL)


# Writing


def _named(match: re.Match[str]) -> str:
    return f"<U+{ord(match[0]):04X}>"


def plain(text: str) -> str:
    """Text within a line."""
    return _LOST_IN_CODE.sub(_named, text)


def code(text: str) -> str:
    return f"`{plain(text)}`"


def compact(value: JSON) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def text_block(text: str) -> str:
    return _fenced(_LOST.sub(_named, text), "text")


def json_block(value: JSON) -> str:
    """JSON with one value per line; objects that are equal look alike, as they are alike in a request's key."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return _fenced(_LOST.sub(lambda match: json.dumps(match[0])[1:-1], text), "json")


def _fenced(text: str, language: str) -> str:
    """The text between fences that are longer than any in it."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


# Reading


def unnamed(text: str) -> str:
    """The text that was written in this notation; what names no character is left as it is."""
    return _NAMED.sub(lambda match: chr(int(match[1], 16)) if int(match[1], 16) < 0x110000 else match[0], text)


def codes(line: str) -> list[str]:
    """What stands in the code spans of a line."""
    return [unnamed(text) for text in _CODE.findall(line)]


def blocks(text: str) -> list[tuple[str, JSON]]:
    """The fenced blocks of a part of a transcript, each with the line that introduces it, and lines without a block.

    The value of a JSON block is what it says; of other blocks it is the text, of a line without one None.
    """
    found: list[tuple[str, JSON]] = []
    lead = ""
    for piece in split(text, "\n"):
        block = _BLOCK.fullmatch(piece)
        if block is None:
            found += [(lead, None)] if lead else []
            lead = piece
        else:
            found.append((lead, _value(block[2], block[3])))
            lead = ""
    return [*found, (lead, None)] if lead else found


def _value(language: str, text: str) -> JSON:
    if language == "json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            # Edited by hand.
            return text
    return unnamed(text)


def fences(lines: list[str]) -> list[bool]:
    """Which of the lines stand between fences, or are fences."""
    inside: list[bool] = []
    fence = None
    for line in lines:
        opened = _FENCE.match(line) if fence is None else None
        inside.append(fence is not None or opened is not None)
        if opened is not None:
            fence = opened[0]
        elif line == fence:
            fence = None
    return inside


def split(text: str, mark: str) -> list[str]:
    """What stands before the first line that begins with `mark`, then what each of them begins.

    Lines between fences begin nothing. With a line's end as the mark, the paragraphs.
    """
    lines = text.split("\n")
    pieces: list[list[str]] = [[]]
    for line, inside in zip(lines, fences(lines), strict=True):
        if not inside and (line.startswith(mark) if mark != "\n" else not line):
            pieces.append([])
        pieces[-1].append(line)
    return ["\n".join(piece).strip("\n") for piece in pieces]
