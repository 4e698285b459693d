"""Reading one document of a cassette, or the lines that hold one of its fields, without trusting them.

Values are built from the parser's stream of events, so that a tag, an anchor, an alias, a repeated key or too deep a
nesting is refused where it stands. PyYAML's own loaders look at these later or never, and the C one crashes on
`"[" * 200_000`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, NoReturn

from llm_strategy.cassette.emitter import ENCODED_TEXT, LIMITS, Limits, is_encoding
from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON


def load(data: bytes, *, source: str = "cassette", first_line: int = 1, limits: Limits = LIMITS) -> JSON:
    """The value of one YAML document, or of the lines that hold some of its fields; None where there is nothing.

    Plain scalars are null, booleans and numbers where they look so in JSON (infinity and NaN: in YAML), and text
    otherwise: no dates, no `yes`. Raises CassetteError where the text is no YAML, holds what no cassette holds, or
    exceeds `limits`. The message quotes nothing of it, and says where: in `source`, counted from `first_line`.
    """
    yaml = _yaml()
    try:
        if excess := limits.exceeded(data):
            raise _Refusal(0, f"{excess} is not allowed in a cassette")
        if b"%TAG" in data and (directive := _TAG_DIRECTIVE.search(data)):
            raise _Refusal(data.count(b"\n", 0, directive.start(1)), "a directive (%TAG) is not allowed in a cassette")
        data.decode()
        return _Builder(yaml, limits).build(yaml.parser(data).get_event)
    except _Refusal as refusal:
        line, problem = refusal.args
    except UnicodeDecodeError as error:
        line, problem = data.count(b"\n", 0, error.start), "this is not UTF-8"
    except yaml.error as error:
        line, problem = _locate(error, data)
    conflict = _CONFLICT.search(data)
    if conflict is not None:
        line = data.count(b"\n", 0, conflict.start())
        problem = "git left conflict markers here; keep whole documents of both sides"
    raise CassetteError(
        f"{source}:{first_line + line}: {problem}. Restore the file, or record again: pytest --llm-record=all"
    )


# libyaml compares each with all before it: 300,000 of them take it minutes
_TAG_DIRECTIVE = re.compile(rb"(?:^|[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9])(?:\xef\xbb\xbf)*(%TAG)")
# git's markers start a line; text in blocks is indented
_CONFLICT = re.compile(rb"^(?:<{7} |={7}\r?$|>{7} |\|{7} )", re.MULTILINE)


class _YAML(NamedTuple):
    """What is needed of PyYAML."""

    parser: Callable[[bytes], Any]
    error: type[Exception]
    scalar: type
    mapping: type
    sequence: type
    ends: tuple[type, ...]
    alias: type
    document: type
    stream_end: type


@cache
def _yaml() -> _YAML:
    """PyYAML, imported when it is needed first: it takes longer to import than this library."""
    import yaml

    return _YAML(
        parser=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader,
        error=yaml.YAMLError,
        scalar=yaml.ScalarEvent,
        mapping=yaml.MappingStartEvent,
        sequence=yaml.SequenceStartEvent,
        ends=(yaml.MappingEndEvent, yaml.SequenceEndEvent),
        alias=yaml.AliasEvent,
        document=yaml.DocumentStartEvent,
        stream_end=yaml.StreamEndEvent,
    )


class _Refusal(Exception):
    """`args`: the line, counted from 0, and what is wrong there."""


_NO_KEY: Any = object()


class _Builder:
    """Makes a value of events, in a loop: a recursion would overflow the stack at a document's whim."""

    __slots__ = ("_container", "_key", "_levels", "_limits", "_root", "_values", "_yaml")

    def __init__(self, yaml: _YAML, limits: Limits) -> None:
        self._yaml = yaml
        self._limits = limits
        self._root: list[JSON] = []
        self._container: Any = self._root
        self._key = _NO_KEY
        self._levels: list[tuple[Any, Any]] = []
        self._values = -1

    def build(self, next_event: Callable[[], Any]) -> JSON:
        yaml = self._yaml
        while (kind := type(event := next_event())) is not yaml.stream_end:
            if kind is yaml.scalar:
                if event.tag is not None or event.anchor is not None:
                    _refuse_reference(event)
                self._place(event.value if event.style else _plain(event), event)
            elif kind is yaml.mapping:
                self._enter({}, event)
            elif kind is yaml.sequence:
                self._enter([], event)
            elif kind in yaml.ends:
                self._leave(event)
            elif kind is yaml.alias:
                _refuse_reference(event)
            elif kind is yaml.document and self._root:
                _refuse(event, "a second document within one")
        return self._root[0] if self._root else None

    def _enter(self, container: JSON, event: Any) -> None:
        if event.tag is not None or event.anchor is not None:
            _refuse_reference(event)
        if self._key is _NO_KEY and type(self._container) is dict:
            _refuse(event, "a key that is not text")
        self._levels.append((self._container, self._key))
        if len(self._levels) > self._limits.levels:
            _refuse(event, f"a nesting of more than {self._limits.levels} levels")
        self._container, self._key = container, _NO_KEY

    def _leave(self, event: Any) -> None:
        value = self._container
        self._container, self._key = self._levels.pop()
        self._place(_decoded(value, event) if type(value) is dict and len(value) == 2 else value, event)

    def _place(self, value: JSON, event: Any) -> None:
        self._values += 1
        if self._values > self._limits.values:
            _refuse(event, f"a document of more than {self._limits.values:,} values")
        container, key = self._container, self._key
        if type(container) is list:
            container.append(value)
        elif key is not _NO_KEY:
            container[key] = value
            self._key = _NO_KEY
        elif type(value) is not str:
            _refuse(event, "a key that is not text")
        elif value in container:
            _refuse(event, "the same key twice in a mapping")
        else:
            self._key = value


_CONSTANTS: dict[str, JSON] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?")


def _plain(event: Any) -> JSON:
    text = event.value
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    if number[1] or number[2]:
        return float(text)
    try:
        return int(text)
    except ValueError:  # Python reads no number of more than 4300 digits, for the time that it takes
        _refuse(event, "a whole number of this length")


def _decoded(mapping: dict[str, JSON], event: Any) -> JSON:
    """What a mapping stands for, if it is `{encoding, data}` (see the emitter), else itself."""
    encoding: JSON = mapping.get("encoding")
    data: JSON = mapping.get("data")
    if not is_encoding(encoding) or "data" not in mapping:
        return mapping
    if encoding.endswith("!"):
        return mapping | {"encoding": encoding[:-1]}
    if encoding == ENCODED_TEXT and isinstance(data, str) and data.startswith('"'):
        try:
            return json.loads(data)
        except ValueError:
            _refuse(event, "an encoded text that cannot be decoded")
    if encoding == ENCODED_TEXT or not isinstance(data, list) or not all(map(_is_pair, data)):
        _refuse(event, "an encoded value that cannot be decoded")
    if len(decoded := dict(data)) < len(data):
        _refuse(event, "the same key twice in an encoded mapping")
    return decoded


def _is_pair(item: JSON) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)


def _refuse(event: Any, problem: str) -> NoReturn:
    raise _Refusal(event.start_mark.line, f"{problem} is not allowed in a cassette")


def _refuse_reference(event: Any) -> NoReturn:
    """Tags run code in some readers, and aliases of aliases can stand for more than memory holds."""
    kind = "a tag (!)" if getattr(event, "tag", None) is not None else "an anchor or alias (& or *)"
    _refuse(event, kind)


def _locate(error: Any, data: bytes) -> tuple[int, str]:
    """Line, counted from 0, and problem of a YAML error, in words that quote nothing of the text."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        line = data.count(b"\n", 0, getattr(error, "position", 0))
        return line, "this is not YAML: a character that must be written as an escape"
    problem = re.sub("'.*'", "...", error.problem or "not YAML")
    return mark.line, f"this is not YAML, or not whole: {problem} (column {mark.column + 1})"


_KEY = rb'(?:[_$]*+[A-Za-z][A-Za-z0-9_$-]*+|"(?:[^"\\\x00-\x1f\x7f]|\\.)*+")'
_INLINE = rb'(?:"(?:[^"\\\x00-\x1f\x7f]|\\.)*+"|\[\]|\{\}|true|false|null|-?[0-9][0-9.e+-]*+|-?\.inf|\.nan)'
# In `(?>...)`: before 3.11.5 a possessive repeat also takes what a failing round has read. Limited, for its memory.
_LINES = re.compile(rb"(?>(?:---\n|(?:  )*+(?:- )*+(?:%b:(?: %b)?|%b)\n){1,1000})" % (_KEY, _INLINE, _INLINE))
_BLOCK_HEADER = re.compile(rb"((?:  )*+(?:- )*+)(%b: )?\|(2?)[-+]?\n" % _KEY)


def is_own_format(data: bytes) -> bool:
    """Whether the text consists of lines as our emitter writes them: one field, a document or a whole file.

    False where another tool has written the file anew. Says nothing about whether it is safe or sound.
    """
    position = 0
    while position < len(data):
        if lines := _LINES.match(data, position):
            position = lines.end()
            continue
        header = _BLOCK_HEADER.match(data, position)
        block = header and _block(len(header[1]) + 2 * bool(header[2]), bool(header[3])).match(data, header.end())
        if not block or not block[0]:
            return False
        position = block.end()
    return data.endswith(b"\n") and b"\r" not in data


@cache
def _block(indentation: int, explicit: bool) -> re.Pattern[bytes]:
    """The lines of a block; the first sets the indentation unless the header is explicit about it."""
    line = rb" {%d}.+\n" % indentation
    first = b"" if explicit else rb"(?= {%d}[^ \t\n])" % indentation
    return re.compile(rb"%b(?:%b|\n)*+" % (first, line))
