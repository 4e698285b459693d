"""The items of a list in a reply that is still arriving."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

# What a model thinks aloud may hold drafts of the list.
_BEGINNING = re.compile(r'<think(?:ing)?>|"return_value"\s*:\s*\[')
_END_OF_THOUGHT = re.compile(r"</think(?:ing)?>")
_OBJECT_BEGINS = re.compile(r"\s*\{\s*")
_OBJECT_ENDS = re.compile(r"\s*\}\s*")
_SPACE = re.compile(r"\s*")
_IN_TEXT = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["\[\]{}]')
_AFTER_SCALAR = re.compile(r"[\s,\]}]")
_CLOSING = {"[": "]", "{": "}"}
_KEPT = 200
"""Characters before a piece in which the beginning of the list may stand, white space included."""


class ItemReader:
    """Finds the items of the list under "return_value" as soon as they are complete.

    Every character is looked at a bounded number of times, however small the pieces are. `complete`
    says that the list has ended, `broken` that what came is no list of JSON values; nothing is read
    from there on. `is_plain` says that the reply is an object with this list in it and nothing else,
    `plain_so_far` that it may become one.
    """

    def __init__(self) -> None:
        self.complete = False
        self.broken = False
        self._step: Callable[[str, int], int] = self._seek
        self._found: list[str] = []
        self._head = ""
        self._tail: list[str] = []
        self._item: list[str] = []
        self._open: list[str] = []
        self._in_text = self._escaped = self._after_comma = False
        self.plain_so_far = True

    @property
    def is_plain(self) -> bool:
        return self.plain_so_far and _OBJECT_ENDS.fullmatch("".join(self._tail)) is not None

    def feed(self, piece: str) -> list[str]:
        """The texts of the items that are complete with this piece, each a JSON value."""
        self._found = []
        at = 0
        while at < len(piece) and not (self.complete or self.broken):
            at = self._step(piece, at)
        if self.complete:
            self._tail.append(piece[at:])
        return self._found

    # Each step reads on in a piece and returns where it has come to.

    def _seek(self, piece: str, at: int) -> int:
        head = self._head + piece[at:]
        found = _BEGINNING.search(head)
        if found is None:
            self.plain_so_far = self.plain_so_far and len(head) <= _KEPT
            self._head = head[-_KEPT:]
            return len(piece)
        self._head = ""
        self.plain_so_far = self.plain_so_far and _OBJECT_BEGINS.fullmatch(head, 0, found.start()) is not None
        self._step = self._think if found[0].startswith("<") else self._between
        return len(piece) - (len(head) - found.end())

    def _think(self, piece: str, at: int) -> int:
        head = self._head + piece[at:]
        found = _END_OF_THOUGHT.search(head)
        if found is None:
            self._head = head[-_KEPT:]
            return len(piece)
        self._head = ""
        self._step = self._seek
        return len(piece) - (len(head) - found.end())

    def _between(self, piece: str, at: int) -> int:
        """Before an item, or at the end of the list."""
        at = _end(_SPACE, piece, at)
        if at == len(piece):
            return at
        first = piece[at]
        if first == "]":
            self.complete = True
            self.plain_so_far = self.plain_so_far and not self._after_comma
            return at + 1
        self._in_text = first == '"'
        if first in '"[{':
            self._open = [_CLOSING[first]] if first in _CLOSING else []
            self._item = [first]
            self._step = self._value
            return at + 1
        self._step = self._scalar
        return at

    def _value(self, piece: str, start: int) -> int:
        """Inside of an item that ends where its quotes and brackets are closed."""
        at = start
        while at < len(piece):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_IN_TEXT if self._in_text else _OUTSIDE).search(piece, at)
            if found is None:
                break
            at = found.end()
            self._take(found[0])
            if not (self._in_text or self._open):
                self._item.append(piece[start:at])
                self._finish()
                return at
        self._item.append(piece[start:])
        return len(piece)

    def _take(self, character: str) -> None:
        if character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_text = not self._in_text
        elif character in _CLOSING:
            self._open.append(_CLOSING[character])
        elif self._open.pop() != character:
            self.broken = True
            self._open.clear()

    def _scalar(self, piece: str, at: int) -> int:
        """Inside of a number or name, which ends where something else begins."""
        found = _AFTER_SCALAR.search(piece, at)
        end = len(piece) if found is None else found.start()
        self._item.append(piece[at:end])
        if found is not None:
            self._finish()
        return end

    def _finish(self) -> None:
        text = "".join(self._item)
        self._item = []
        self._step = self._after
        self.broken = self.broken or not _is_json(text)
        if not self.broken:
            self._found.append(text)

    def _after(self, piece: str, at: int) -> int:
        """Behind an item."""
        at = _end(_SPACE, piece, at)
        if at == len(piece):
            return at
        self._after_comma = piece[at] == ","
        self.complete = piece[at] == "]"
        self.broken = not (self._after_comma or self.complete)
        self._step = self._between
        return at + 1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _is_json(text: str) -> bool:
    """Whether a text is one JSON value; a line end in a string is left to who reads it."""
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True
