"""JSON values as YAML that reads well in a diff: one form for each value, and any YAML reader gets it back.

`docs/reference/cassette-format.md` specifies the form.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one document may hold: what the emitter writes, and what the reader takes.

    `document` and `line` are bytes of UTF-8 (a line without its end), `levels` counts the mappings and
    sequences around a value, `values` counts scalars, keys, mappings and sequences.
    """

    document: int = 64 * 1024 * 1024
    line: int = 16 * 1024 * 1024
    levels: int = 100
    values: int = 1_000_000

    def exceeded(self, data: bytes) -> str | None:
        """What is too large about a text, in words, or None."""
        if len(data) > self.document:
            return f"a document of more than {self.document:,} bytes"
        start = 0
        while len(data) - start > self.line:
            end = data.rfind(b"\n", start, start + self.line + 1)
            if end < 0:
                return f"a line of more than {self.line:,} bytes"
            start = end + 1
        return None


LIMITS = Limits()

ENCODED_TEXT = "json-string"
"""The `encoding` of a text with lone surrogates: `data` is its JSON text, in ASCII."""

ENCODED_PAIRS = "key-value-pairs"
"""The `encoding` of a mapping with a key that YAML cannot carry: `data` is a list of [key, value]."""

_LONGEST_KEY = 1000  # as written; readers look no farther than 1,024 characters for a key's colon
_PLANES = "".join(f"{chr(start)}-{chr(start + 0xFFFD)}" for start in range(0x10000, 0x110000, 0x10000))
# what YAML readers give back unchanged, quote and backslash apart; ordered by use, since a regex tries ranges in turn
_RAW = f" !#-\\[\\]-~\xa0-\u2027\u202a-\ud7ff\ue000-\ufdcf\ufdf0-\ufefe\uff00-\ufffd{_PLANES}"

# These take milliseconds to compile, and only who writes needs them.
_no_block = cache(lambda: re.compile(f'[^{_RAW}\t\n"\\\\]'))
_escaped = cache(lambda: re.compile(f"[^{_RAW}]"))

_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"}
_PLAIN_KEY = re.compile(r"[_$]*[A-Za-z][A-Za-z0-9_$-]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def emit(document: Mapping[str, JSON], limits: Limits = LIMITS) -> str:
    """The text of one YAML document, from `---` to its last line end.

    Raises CassetteError where the document is larger or deeper than readers accept, TypeError where it
    holds what is not JSON.
    """
    writer = _Writer(limits)
    document = _carried(document)
    if document:
        writer.put_items("", 0, document, 1)
    else:
        writer.lines.append("{}")
    text = "\n".join(writer.lines) + "\n"
    # a character takes four bytes at most: only a text near a limit has to be measured
    if len(text) * 4 > min(limits.document, limits.line) and (excess := limits.exceeded(text.encode())):
        raise _too_much(excess)
    return text


class _Writer:
    """The lines of one document, as they are made."""

    def __init__(self, limits: Limits) -> None:
        self.lines = ["---"]
        self._limits = limits
        self._values = 0

    def put(self, head: str, column: int, value: JSON, level: int, key: str | None = None) -> None:
        """Write `value` after `head`: the line so far, up to a dash or a key and its colon, at `column`."""
        if isinstance(value, str):
            if not (odd := _no_block().search(value)) and value and (key == "content" or "\n" in value):
                self._put_block(head, " " * (column + 2), value)
                return
            if not odd or not _SURROGATE.search(value):
                self.lines.append(f"{head} {_quoted(value)}")
                return
            value = {"encoding": ENCODED_TEXT, "data": json.dumps(value)}
        elif isinstance(value, Mapping):
            value = _carried(value)
        elif not isinstance(value, list | tuple):
            self.lines.append(f"{head} {_scalar(value)}")
            return
        if level >= self._limits.levels:
            raise _too_much(f"a nesting of more than {self._limits.levels} levels")
        if not value:
            self.lines.append(head + (" {}" if isinstance(value, Mapping) else " []"))
        elif key is None:
            self.put_items(head + " ", column + 2, value, level + 1)
        else:
            self.lines.append(head)
            column += 2 * isinstance(value, Mapping)
            self.put_items(" " * column, column, value, level + 1)

    def put_items(self, lead: str, column: int, items: JSON, level: int) -> None:
        """Write a mapping's or sequence's items at `column`; `lead` is what precedes the first on its line."""
        self._values += 2 * len(items) if isinstance(items, Mapping) else len(items)
        if self._values > self._limits.values:
            raise _too_much(f"a document of more than {self._limits.values:,} values")
        indentation = " " * column
        if isinstance(items, Mapping):
            for key, value in items.items():
                self.put(f"{lead}{_key(key)}:", column, value, level, key)
                lead = indentation
        else:
            for value in items:
                self.put(lead + "-", column, value, level)
                lead = indentation

    def _put_block(self, head: str, indentation: str, text: str) -> None:
        # a reader takes the indentation from the first line, unless that starts with white space
        indicator = "2" if text[0] in " \t\n" else ""
        lines = text.split("\n")
        if not text.endswith("\n"):
            chomping = "-"
        else:
            lines.pop()
            chomping = "+" if text == "\n" or text.endswith("\n\n") else ""
        self.lines.append(f"{head} |{indicator}{chomping}")
        self.lines.extend(indentation + line if line else "" for line in lines)


def _carried(mapping: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The mapping in a form that YAML carries, and that is not mistaken for an encoded value."""
    if len(mapping) == 2 and is_encoding(mapping.get("encoding")) and "data" in mapping:
        return {key: value + "!" if key == "encoding" else value for key, value in mapping.items()}
    if all(map(_is_carried, mapping)):
        return mapping
    return {"encoding": ENCODED_PAIRS, "data": [[key, value] for key, value in mapping.items()]}


def is_encoding(word: JSON) -> bool:
    """Whether `word` is the name of an encoding, or such a name with exclamation marks, which escape it."""
    return isinstance(word, str) and word.rstrip("!") in (ENCODED_TEXT, ENCODED_PAIRS)


def _is_carried(key: JSON) -> bool:
    if not isinstance(key, str):
        raise TypeError(f"a mapping's keys must be text to be recorded, not {type(key).__name__}")
    return not _SURROGATE.search(key) and (len(key) < 100 or len(_quoted(key)) <= _LONGEST_KEY)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS else _quoted(key)


def _quoted(text: str) -> str:
    return f'"{_escaped().sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    wide = f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
    return _SHORT_ESCAPES.get(character) or (f"\\x{number:02x}" if number < 0x100 else wide)


def _scalar(value: JSON) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        try:
            return str(int(value))
        except ValueError:  # Python writes no number of more than 4,300 digits, for the time that it takes
            raise _too_much("a whole number that is too long") from None
    if not isinstance(value, float):
        raise TypeError(f"a value of type {type(value).__name__} is not JSON and cannot be recorded")
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = float.__repr__(value)
    mantissa, e, exponent = text.partition("e")
    return text if "." in mantissa else f"{mantissa}.0{e}{exponent}"


def _too_much(what: str) -> CassetteError:
    return CassetteError(f"this call cannot be recorded: {what}, which no reader of cassettes accepts")
