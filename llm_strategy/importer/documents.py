"""Reading the YAML and JSON of other tools without trusting it.

YAML is built from the parser's events in a loop: PyYAML's C loader crashes on deep nesting, and an alias of aliases may
stand for more than memory holds. Scalars mean what PyYAML takes them for, since its emitter decides what needs quotes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from llm_strategy.importer.outcomes import malformed

_LEVELS = 150
_VALUES = 20_000_000
"""Scalars, mappings and sequences of a file, those that aliases stand for included."""
_YAML = "tag:yaml.org,2002:"
_PYTHON = f"{_YAML}python/"
_TEXT = frozenset((f"{_YAML}str", f"{_PYTHON}str", f"{_PYTHON}unicode", "!"))
_TRUE = frozenset(("yes", "true", "on"))
_KEPT = frozenset(
    [f"{_YAML}seq", f"{_YAML}map", f"{_YAML}omap", f"{_PYTHON}tuple", f"{_PYTHON}list", f"{_PYTHON}dict", "!"]
    + [f"{_PYTHON}object:vcr.request.Request"]
    + [f"{_PYTHON}object/apply:{module}.frozenset" for module in ("__builtin__", "builtins")]
)
"""Tags of mappings and sequences that are read as such."""


@dataclass(frozen=True)
class Foreign:
    """Stands where a file asks for an object of Python, which nothing here makes."""

    tag: str


def load_json(data: bytes) -> Any:
    """The value of a JSON text; raises NotImported."""
    try:
        return json.loads(data)
    except RecursionError:
        raise malformed("it is nested too deeply") from None
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise malformed(f"this is no JSON{f' (line {line})' if line else ''}") from None


def load_yaml(data: bytes) -> Any:
    """The value of a YAML file; None for an empty one. Raises NotImported."""
    import yaml

    parser = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        return _Builder(yaml).build(parser(data).get_event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise malformed(f"this is no YAML, or it is not whole{place}") from None
    except UnicodeDecodeError:
        raise malformed("this is not UTF-8") from None


class _Level(NamedTuple):
    """A mapping or sequence that is open around the present one, and what there is to know when that ends."""

    container: Any
    key: Any
    tag: str | None
    anchor: str | None
    values: int


class _Size(NamedTuple):
    value: Any
    values: int


_NO_KEY: Any = object()


class _Builder:
    """Makes a value of the events of one document."""

    def __init__(self, yaml: Any) -> None:
        self._yaml = yaml
        self._root: list[Any] = []
        self._container: Any = self._root
        self._key = _NO_KEY
        self._levels: list[_Level] = []
        self._anchors: dict[str, _Size] = {}
        self._values = 0

    def build(self, next_event: Callable[[], Any]) -> Any:
        yaml = self._yaml
        mapping, sequence, scalar, alias = (
            yaml.MappingStartEvent,
            yaml.SequenceStartEvent,
            yaml.ScalarEvent,
            yaml.AliasEvent,
        )
        ends = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
        while (kind := type(event := next_event())) is not yaml.StreamEndEvent:
            if kind is scalar:
                self._scalar(event)
            elif kind is mapping or kind is sequence:
                self._enter({} if kind is mapping else [], event)
            elif kind in ends:
                self._leave()
            elif kind is alias:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent and self._root:
                raise malformed(f"a second document begins in line {event.start_mark.line + 1}")
        return self._root[0] if self._root else None

    def _scalar(self, event: Any) -> None:
        tag = event.tag
        if tag is None:
            value = _plain(event.value) if event.style is None or event.style == "" else event.value
        else:
            value = _tagged(tag, event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Size(value, 1)
        self._place(value, 1)

    def _enter(self, container: Any, event: Any) -> None:
        if len(self._levels) >= _LEVELS:
            raise malformed(f"it is nested deeper than {_LEVELS} levels (line {event.start_mark.line + 1})")
        self._levels.append(_Level(self._container, self._key, event.tag, event.anchor, self._values))
        self._container, self._key = container, _NO_KEY

    def _leave(self) -> None:
        value, level = self._container, self._levels.pop()
        self._container, self._key = level.container, level.key
        if level.tag is not None:
            value = _made(level.tag, value)
        if level.anchor is not None:
            self._anchors[level.anchor] = _Size(value, self._values - level.values + 1)
        self._place(value, 1)

    def _alias(self, event: Any) -> None:
        # Within itself a value has no size yet, and could not be written anyway.
        found = self._anchors.get(event.anchor)
        if found is None:
            raise malformed(f"an alias stands for nothing (line {event.start_mark.line + 1})")
        self._place(*found)

    def _place(self, value: Any, values: int) -> None:
        self._values += values
        if self._values > _VALUES:
            raise malformed(f"it stands for more than {_VALUES:,} values")
        container = self._container
        if type(container) is list:
            container.append(value)
        elif self._key is not _NO_KEY:
            container[self._key] = value
            self._key = _NO_KEY
        else:
            self._key = value if isinstance(value, str | int | float | bool | None) else repr(type(value))


@cache
def _resolvers() -> tuple[dict[str, list[tuple[str, Any]]], Any]:
    import yaml

    return yaml.SafeLoader.yaml_implicit_resolvers, yaml.constructor.SafeConstructor()


def _plain(text: str) -> Any:
    """A scalar without quotes. Times stay text: no recording holds any as a value."""
    known, _ = _resolvers()
    for tag, pattern in known.get(text[:1], ()):
        if pattern.match(text):
            return _tagged(tag, text)
    return text


def _tagged(tag: str, text: str) -> Any:
    kind = tag.removeprefix(_YAML)
    if tag in _TEXT or kind in ("timestamp", "merge", "value"):
        return text
    if kind in ("null", "python/none"):
        return None
    if kind in ("bool", "python/bool"):
        return text.lower() in _TRUE
    try:
        if kind in ("binary", "python/bytes"):
            return strict_base64(text)
        if kind in ("int", "float", "python/int", "python/long", "python/float"):
            return _number(kind.removeprefix("python/"), text)
    except (ValueError, binascii.Error):
        raise malformed(f"a value is no {kind}") from None
    return Foreign(kind)


def _number(kind: str, text: str) -> int | float:
    import yaml

    _, constructor = _resolvers()
    node = yaml.ScalarNode(kind, text)
    number: int | float = (
        constructor.construct_yaml_float(node) if kind == "float" else constructor.construct_yaml_int(node)
    )
    return number


def _made(tag: str, value: Any) -> Any:
    """What a mapping or sequence with a tag stands for."""
    if tag in _KEPT:
        return value
    if tag == f"{_YAML}set":
        return list(value)
    name = tag.removeprefix(_PYTHON)
    if isinstance(value, dict):
        if name == "object/new:_io.BytesIO":
            return next(iter(value.get("state") or ()), b"")
        if name in ("object/apply:builtins.iter", "object/apply:__builtin__.iter"):
            return next(iter(value.get("args") or ()), [])
    return Foreign(name)


def strict_base64(text: str) -> bytes:
    """What base64 stands for, of however many lines. Raises ValueError for damage, which decoders pass over."""
    return base64.b64decode("".join(text.split()), validate=True)


def find_foreign(value: Any) -> Iterator[str]:
    """The tags of objects that a value asks for."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, Foreign):
            yield item.tag
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
