"""Replies that pydantic's JSON parser would round, refuse or misread: long decimals, lone surrogates, "2024" as a date.

Numbers and surrogates are replaced in the text by something that it reads as it is, and put back by the schemas of
the values: a number by a float that stands for it, half of a surrogate pair by a character of a private-use area.
A text of digits, which pydantic takes for seconds since 1970 without a word, is no date.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextvars import ContextVar
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, NamedTuple

from pydantic_core import SchemaValidator

from llm_strategy.carriers import Node, all_types, build, for_reading, rewritten

# Where a float may not say the same: many digits, a zero at the end, an exponent.
_MAYBE_LONG = re.compile(r"[0-9.]{16}|\.[0-9]*0(?![0-9.])|[0-9][eE]")
_STRING_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*+"|(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)', re.DOTALL)
_DIGITS = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?\Z")
_MAYBE_DIGITS = re.compile(r'"[-+]?[0-9]+(?:\.[0-9]*)?"')
_WHOLE = re.compile(r"-?[0-9]+\Z")
_PAIR_OR_LONE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([dD][89a-fA-F][0-9a-fA-F]{2})|\\[^u]"
    r"|([\ud800-\udfff])",
    re.DOTALL,
)
_ESCAPED_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_MAYBE_LONE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_FIRST_SURROGATE = 0xD800
_SURROGATES = 2048
# Private-use code points, of which a text hardly uses any.
_AREAS = range(0x10F000, 0xF0000, -_SURROGATES)


class _Stood(NamedTuple):
    """What stands for what, in the reply that is being read."""

    numbers: dict[float, str]
    area: int


_standing: ContextVar[_Stood] = ContextVar("_standing")


def is_utf8(text: str) -> bool:
    """Whether a text can be sent: it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Exact:
    """The exact way of reading replies, for the core schema of the ordinary way."""

    def __init__(self, core: Node) -> None:
        self._core = core
        kinds = {node["type"] for node in all_types(core)}
        self.decimals = "decimal" in kinds
        # Not where pydantic chooses among members by how exactly they fit, which the step behind a function blurs.
        self._dates = not kinds.isdisjoint(("date", "datetime")) and "union" not in kinds

    def is_needed(self, text: str) -> bool:
        """Whether the ordinary way might read a reply as another value, without a complaint."""
        if self.decimals and _MAYBE_LONG.search(text):
            return True
        return self._dates and _MAYBE_DIGITS.search(text) is not None

    @staticmethod
    def has_surrogate(text: str) -> bool:
        return _MAYBE_LONE.search(text) is not None

    @cached_property
    def _validator(self) -> SchemaValidator:
        return build(
            SchemaValidator, rewritten(self._core, lambda node, original: self._exact(for_reading(node, original)))
        )

    def _exact(self, node: Node) -> Node:
        return _no_digits(node) if self._dates and node["type"] in ("date", "datetime") else _put_back(node)

    def validate(self, text: str, *, strict: bool) -> Any:
        """The reply in a text, by the ordinary way's model; raises pydantic's ValidationError."""
        written = _ESCAPED_PAIR.sub(_pair, text)
        area = next((area for area in _AREAS if not _uses(written, area)), _AREAS[0])
        text = _PAIR_OR_LONE.sub(lambda match: _stand_in(match, area), text)
        numbers: dict[float, str] = {}
        if self.decimals:
            text = _STRING_OR_NUMBER.sub(lambda match: _float_for(match, numbers), text)
        token = _standing.set(_Stood(numbers, area))
        try:
            return self._validator.validate_json(text, strict=strict)
        finally:
            _standing.reset(token)


def _pair(match: re.Match[str]) -> str:
    """The character that two escapes stand for."""
    return (chr(int(match[1], 16)) + chr(int(match[2], 16))).encode("utf-16", "surrogatepass").decode("utf-16")


def _uses(text: str, area: int) -> bool:
    return re.search(f"[{chr(area)}-{chr(area + _SURROGATES - 1)}]", text) is not None


def _stand_in(match: re.Match[str], area: int) -> str:
    digits, character = match.groups()
    if digits is None and character is None:
        return match[0]
    code = ord(character) if character else int(digits, 16)
    return chr(area + code - _FIRST_SURROGATE)


def _float_for(match: re.Match[str], numbers: dict[float, str]) -> str:
    """The text of a float that stands for a number; nothing else in the reply has the same."""
    text = match[1]
    if text is None or _WHOLE.match(text):
        return match[0]
    number = float(text)
    if math.isinf(number):
        number = math.copysign(1.7e308, number)
    while numbers.setdefault(number, text) != text:
        number = math.nextafter(number, 0.0 if number else 1.0)
    return repr(number)


def _putting_back(node: Node, original: Node) -> Node:
    return _put_back(for_reading(node, original))


def _put_back(node: Node) -> Node:
    """The schema with a step that turns what stands for something into it."""
    if node["type"] == "union":
        return {**node, "choices": list(_as_ordinary(node["choices"]))}
    step = _STEPS.get(node["type"])
    if step is None:
        return node
    kind, function = step
    outer = {"type": kind, "function": {"type": "no-info", "function": function}, "schema": node}
    for name in ("ref", "serialization"):
        if name in node:
            outer[name] = node.pop(name)
    return outer


def _as_ordinary(choices: list[Any]) -> Iterator[Any]:
    """The choices of a union, of which the same wins as in the ordinary way."""
    functions = [_function_of(choice) for choice in choices]
    for choice, function in zip(choices, functions, strict=True):
        if function is not _decimal:
            yield choice
            continue
        if _number not in functions:
            # A number with a point can only be meant for this choice, others for another one too.
            yield {**choice, "function": {"type": "no-info", "function": _decimal_of_number}}
        yield choice["schema"]


def _function_of(choice: Any) -> Any:
    function = choice.get("function") if isinstance(choice, dict) else None
    return function["function"] if isinstance(function, dict) else None


def _decimal_of_number(value: Any) -> Any:
    if type(value) is not float:
        raise ValueError("no number")
    return _decimal(value)


def _decimal(value: Any) -> Any:
    # Past this step pydantic asks for a Decimal, strictly, where JSON has a number or a string.
    if type(value) not in (int, float, str):
        return value
    text = _standing.get().numbers.get(value) if type(value) is float else None
    try:
        return Decimal(str(value) if text is None else text)
    except InvalidOperation:
        return value


def _number(value: Any) -> Any:
    text = _standing.get().numbers.get(value) if type(value) is float else None
    return value if text is None else float(text)


def _no_digits(node: Node) -> Node:
    """The schema of a date, or time and date, that no text of digits is."""
    kept: Node = {name: node.pop(name) for name in ("ref", "serialization") if name in node}
    # As JSON: behind a function pydantic would ask for a date, strictly, where JSON has a text.
    inner = {"type": "json", "schema": node}
    return {"type": "function-before", "function": {"type": "no-info", "function": _no_number}, "schema": inner, **kept}


def _no_number(value: Any) -> str:
    if isinstance(value, str) and _DIGITS.match(value):
        raise ValueError("a text of digits is no date: write it as in ISO 8601")
    return json.dumps(value)


def _text(value: Any) -> Any:
    area = _standing.get().area
    last = area + _SURROGATES
    if type(value) is not str or not any(area <= ord(character) < last for character in value):
        return value
    change = _FIRST_SURROGATE - area
    return "".join(chr(ord(item) + change) if area <= ord(item) < last else item for item in value)


def _anything(value: Any) -> Any:
    if isinstance(value, list):
        return [_anything(item) for item in value]
    if isinstance(value, dict):
        return {_text(name): _anything(item) for name, item in value.items()}
    return _text(_number(value))


_STEPS = {
    "decimal": ("function-before", _decimal),
    "float": ("function-before", _number),
    "str": ("function-after", _text),
    "any": ("function-after", _anything),
}
