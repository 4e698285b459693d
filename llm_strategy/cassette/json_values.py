"""JSON replies as values: without their layout, and with numbers as they were written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from llm_strategy.mending import decoded, found_in
from llm_strategy.readings import CUT_OFF, readings_of, unfenced, without_reasoning
from llm_strategy.values import JSON

UNREADABLE = (ValueError, ArithmeticError, RecursionError)
"""What is raised for a text that is no JSON, for numbers that nobody can compute with, for a nesting without end."""


class Written(NamedTuple):
    """A number as it stands in a text."""

    digits: str


def written(text: str) -> Any:
    """What a JSON text says, apart from its layout and a fence around it. Raises one of UNREADABLE."""
    body, _ = unfenced(text.removeprefix("\ufeff"))
    return json.loads(body, parse_int=Written, parse_float=Written, parse_constant=Written)


def exact(text: str) -> Any:
    """The value of a JSON text, whose numbers are exact. Raises one of UNREADABLE."""
    return json.loads(text, parse_float=Decimal, parse_constant=Written)


def equal(old: Any, new: Any) -> bool:
    """Whether two JSON values are the same: 1 and 1.0 are, true is not 1."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(equal(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(equal, old, new))
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, float) and isinstance(new, float) and old != old:
        return new != new
    return bool(old == new)


def is_document(text: str) -> bool:
    """Whether a text is a JSON object or array and nothing else."""
    try:
        return isinstance(written(text), dict | list)
    except UNREADABLE:
        return False


def documents_in(text: str, *, wrapped: bool) -> Iterator[tuple[str, bool]]:
    """The JSON texts that a reply may stand for, the most exact first, and whether the end of one is missing.

    `wrapped` says that the value is a property of an object, as decorated functions ask for it.
    """
    if wrapped:
        yield from ((reading.text, reading.cut_off) for reading in readings_of(text))
        return
    answer, _ = without_reasoning(text)
    body, _ = unfenced(answer)
    try:
        decoded(body)
    except ValueError:
        parts = [part for part in found_in(answer, openings="{[") if part.json]
        for part in sorted(parts, key=lambda part: bool(part.repairs)):
            yield part.json, any(repair.startswith(CUT_OFF) for repair in part.repairs)
    else:
        yield body, False


def bools_agree(old: JSON, new: JSON) -> bool:
    """Whether no truth value stands where the other has a number: Python takes them for equal."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(bools_agree(value, new[key]) for key, value in old.items() if key in new)
    if isinstance(old, list) and isinstance(new, list):
        return all(map(bools_agree, old, new))
    return isinstance(old, bool) == isinstance(new, bool)
