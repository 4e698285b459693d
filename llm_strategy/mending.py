"""JSON in the text of a model: where it stands, what stands around it, and how it is mended where it is broken.

Whatever is mended keeps its words and numbers as they were written; only punctuation is added or taken away. The
library json_repair, which can do much more, reads the text anew: it rounds long numbers, makes a text of NaN, and
splits the escapes of an emoji. So what is wrong in punctuation only is mended here, token by token, and the library
is asked where that is not enough; its result is taken if it says the same words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_TRIES = 200
"""Opening brackets in a text at which JSON is looked for."""
_DEEPEST = 200
_LONGEST = 100_000
"""Characters that the repair library is given; its time grows faster than the text."""


class Found(NamedTuple):
    """A JSON object or array in a text, as JSON; `repairs` says what was mended, `value` is what it holds.

    `json` is empty where something broken stands of which nothing can be made.
    """

    json: str
    value: Any
    start: int
    end: int
    repairs: tuple[str, ...] = ()

    def overlaps(self, other: Found) -> bool:
        return self.start < other.end and other.start < self.end


def found_in(text: str, start: int = 0, *, openings: str = "{", mend: bool = True) -> Iterator[Found]:
    """The objects, or what begins with one of `openings`, that stand in a text, in order."""
    at = start
    opening = re.compile(f"[{re.escape(openings)}]")
    for _ in range(_TRIES):
        match = opening.search(text, at)
        if match is None:
            return
        found = _exact(text, match.start()) or (_mended(text, match.start()) if mend else None)
        if found is not None:
            yield found
        at = found.end if found else match.end()


_decoder = json.JSONDecoder()


def decoded(text: str) -> Any:
    """The value of a JSON text; raises ValueError where it is none."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _exact(text: str, at: int) -> Found | None:
    try:
        value, end = _decoder.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return Found(text[at:end], value, at, end)


def _mended(text: str, at: int) -> Found | None:
    mender = _Mender(text, at)
    try:
        mender.run()
    except _BrokenError:
        if len(mender.closers) > _DEEPEST:
            return Found("", None, at, mender.at)
        # Braces around something else are no JSON.
        return _by_library(text, at) if mender.keys or mender.values or _TYPESET.match(text, at) else None
    if mender.cut and not mender.values:
        return Found("", None, at, mender.at)  # nothing has been said yet
    mended = "".join(mender.parts)
    try:
        value = decoded(mended)
    except ValueError:
        return None
    return Found(mended, value, at, mender.at, tuple(mender.repairs()))


# Punctuation

_TOKEN = re.compile(
    r"""\s*+(?:
    (?P<mark>[{}\[\]:,])
    |(?P<double>"(?:[^"\\]|\\.)*+(?:"|(?P<open_double>\Z)))
    |(?P<single>'(?:[^'\\]|\\.)*+(?:'|(?P<open_single>\Z)))
    |(?P<comment>//[^\n]*|\#(?=\s)[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<word>[^\s{}\[\]:,"'/\#]+)
    |(?P<end>\Z)
    )""",
    re.DOTALL | re.VERBOSE,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_WORDS = {word: word for word in ("true", "false", "null", "NaN", "Infinity", "-Infinity")}
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null", "nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_TYPESET = re.compile(r"[{\[]\s*+[“”]")
_STRAY = re.compile(r'\\(?:(u[0-9a-fA-F]{4}|["\\/bfnrt])|)', re.DOTALL)
_NO_END = re.compile(r"""\\["']\s*[}\],][^"']*\Z""")
_NAME = re.compile(r"[A-Za-z_$][\w$-]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f]")
_ESCAPES = {code: f"\\u{code:04x}" for code in range(32)} | {9: "\\t", 10: "\\n", 13: "\\r"}
_ESCAPE = re.compile(r"\\(.)|\"", re.DOTALL)


class _BrokenError(Exception):
    """More is wrong than punctuation that has one meaning."""


class _Mender:
    """Copies one object or array from a text into `parts`, and mends its punctuation on the way."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.parts: list[str] = []
        self.noted: dict[str, None] = {}
        self.closers: list[str] = []
        self.keys = 0
        self.values = 0
        self.cut = ""

    def repairs(self) -> Iterator[str]:
        yield from self.noted
        if self.cut:
            yield self.cut

    def run(self) -> None:
        self._value()
        while self.closers:
            self._member(self.closers[-1])

    def _next(self) -> re.Match[str]:
        """The next token that is no comment."""
        while True:
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                raise _BrokenError
            self.at = match.end()
            if match["comment"] is None:
                return match
            self.noted["comment"] = None

    def _member(self, closer: str) -> None:
        """One member of the innermost object or array, with the comma behind it, or its end."""
        before, token = self.at, self._next()
        if token["mark"] == closer:
            self._close(closer)
            return
        if token["end"] is not None:
            self._end_of_text()
            return
        mark = len(self.parts)
        if closer == "}":
            self.parts.append(self._key(token))
            colon = self._next()
            if colon["end"] is not None:
                # A name without a value says nothing.
                del self.parts[mark:]
                self._end_of_text()
                return
            if colon["mark"] != ":":
                raise _BrokenError
            self.keys += 1
            self.parts.append(":")
        else:
            self.at = before
        depth = len(self.closers)
        if not self._value():
            del self.parts[mark:]
            self._end_of_text()
        elif len(self.closers) == depth:
            self._comma()

    def _comma(self) -> None:
        """What stands behind a value: a comma and another one, or the end of what it stands in."""
        before, token = self.at, self._next()
        if token["mark"] == ",":
            self.parts.append(",")
        elif token["mark"] == self.closers[-1] or token["end"] is not None:
            self.at = before
        else:
            raise _BrokenError

    def _close(self, closer: str) -> None:
        if self.parts[-1] == ",":
            self.parts.pop()
            self.noted["trailing comma"] = None
        self.parts.append(closer)
        self.closers.pop()
        if self.closers:
            self._comma()

    def _end_of_text(self) -> None:
        if self.parts[-1] == ",":
            self.parts.pop()
        number = len(self.closers)
        self.parts += reversed(self.closers)
        self.closers.clear()
        inside = "a string and " if "open string" in self.noted else ""
        self.noted.pop("open string", None)
        self.cut = f"cut off: {inside}{number} bracket{'s' * (number > 1)} closed"

    def _key(self, token: re.Match[str]) -> str:
        if token["open_double"] is not None or token["open_single"] is not None:
            return '""'  # the text ends here, and this name is dropped
        if token["double"] or token["single"]:
            return self._string(token)
        if token["word"] and _NAME.match(token["word"]):
            self.noted["names without quotes"] = None
            return f'"{token["word"]}"'
        raise _BrokenError

    def _value(self) -> bool:
        """Copy a value, or the opening of one; False where the text ends instead."""
        token = self._next()
        if token["mark"] in ("{", "["):
            self.parts.append(token["mark"])
            self.closers.append("}" if token["mark"] == "{" else "]")
            if len(self.closers) > _DEEPEST:
                raise _BrokenError
        elif token["double"] or token["single"]:
            self.values += 1
            self.parts.append(self._string(token))
        elif token["word"]:
            return self._word(token["word"])
        elif token["end"] is not None:
            return False
        else:
            raise _BrokenError
        return True

    def _word(self, word: str) -> bool:
        if word in _PYTHON_WORDS:
            self.noted["Python's words for JSON's"] = None
        elif word not in _WORDS and not _NUMBER.match(word):
            if self.at == len(self.text):
                return False  # cut in the middle of a word
            raise _BrokenError
        self.values += 1
        self.parts.append(_PYTHON_WORDS.get(word, word))
        return True

    def _string(self, token: re.Match[str]) -> str:
        text = token["double"] or token["single"]
        if token["open_double"] is not None or token["open_single"] is not None:
            if _NO_END.search(text):
                raise _BrokenError  # a backslash at the end of the string, as in "C:\\"
            self.noted["open string"] = None
            # Half an escape at the end.
            text = re.sub(r"\\(?:u[0-9a-fA-F]{0,3})?\Z", "", text) if _odd_end(text) else text
            text += text[0]
        if token["single"]:
            self.noted["single quotes"] = None
            text = '"' + _ESCAPE.sub(_double_quoted, text[1:-1]) + '"'
        if "\\" in text:
            plain = _STRAY.sub(lambda match: match[0] if match[1] else "\\\\", text)
            if plain != text:
                self.noted["stray backslash in a string"], text = None, plain
        if _CONTROL.search(text):
            self.noted["raw newline in a string" if "\n" in text else "raw control character in a string"] = None
            text = text.translate(_ESCAPES)
        return text


def _odd_end(text: str) -> bool:
    """Whether a text ends within an escape."""
    tail = text[-6:]
    at = tail.rfind("\\")
    if at < 0 or not re.match(r"\\(?:u[0-9a-fA-F]{0,3})?\Z", tail[at:]):
        return False
    head = text[: len(text) - len(tail) + at]
    return (len(head) - len(head.rstrip("\\"))) % 2 == 0


def _double_quoted(match: re.Match[str]) -> str:
    return "'" if match[1] == "'" else '\\"' if match[1] is None else match[0]


# Beyond punctuation


def _by_library(text: str, at: int) -> Found | None:
    """What json_repair makes of an object, if it says the same words and no others."""
    end, closed = _end_of(text, at)
    broken = text[at:end]
    if len(broken) > _LONGEST or _depth(broken) > _DEEPEST // 2:
        return Found("", None, at, end)
    # Only here: most programs never meet such a reply.
    from json_repair import repair_json

    try:
        value: Any = repair_json(broken, return_objects=True, skip_json_loads=True)
        mended = json.dumps(value, ensure_ascii=False)
    except Exception:  # noqa: BLE001  # whatever it stumbles over, the reply stays broken
        return Found("", None, at, end)
    if not isinstance(value, dict | list) or _said(mended) != _said(broken):
        return Found("", None, at, end)
    if not _in_one_way(list(_texts(value)), broken):
        return Found("", None, at, end)
    repairs = ("broken JSON rewritten",) if closed else ("broken JSON rewritten", "cut off: brackets closed")
    return Found(mended, value, at, end, repairs)


def _end_of(text: str, at: int) -> tuple[int, bool]:
    """Where the brackets that begin at a place end, and whether all of them are closed there."""
    depth = 0
    for match in re.compile(r"[{\[]|([}\]])").finditer(text, at):
        depth += -1 if match[1] else 1
        if depth == 0:
            return match.end(), True
    return text.rfind("}" if text[at] == "{" else "]", at) + 1 or len(text), False


def _depth(text: str) -> int:
    deepest = depth = 0
    for match in re.finditer(r"[{\[]|([}\]])", text):
        depth += -1 if match[1] else 1
        deepest = max(deepest, depth)
    return deepest


def _said(text: str) -> list[str]:
    """The words, numbers and signs of a text, whatever quotes and brackets stand between them."""
    words = _SAID.findall(text)
    return [_PYTHON_WORDS.get(word, word) for word in words]


_QUOTES = "\"'\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"
_SAID = re.compile(rf"\w+|\.\.\.|[^\s\w(){{}}\[\],:;=`\\{_QUOTES}]")
_EMPTY = re.compile(r"""(?<!["'])(?:""|'')(?!["'])""")
_BORDER = re.compile(r"""["']\s*[,:;+=]\s*["']|["']\s*[}\]]+\s*\Z|[,:]\s+\Z""")


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value, names too, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _texts(item)


def _in_one_way(texts: list[str], broken: str) -> bool:
    """Whether it is plain where the texts begin and end that were made of a broken object.

    It is not where one of them holds what looks like the border of two, has a quote at one end only or
    inside only, or is empty in the place of something else. The end of a reply that is cut off is a quote, too.
    """
    if texts.count("") > len(_EMPTY.findall(broken)):
        return False
    at = 0
    for text in filter(None, texts):
        if _BORDER.search(text):
            return False
        start = broken.find(text, at)
        if start < 0:  # written with escapes
            if text[-1] in _QUOTES:
                return False  # the backslash may be the text's own, as in "C:\\"
            continue
        at = start + len(text)
        opened, closed = broken[start - 1] in _QUOTES, broken[at : at + 1] in _QUOTES
        if opened != closed or (not opened and not set(text).isdisjoint(_QUOTES)):
            return False
    return True
