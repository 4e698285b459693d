"""JSON texts as values and the layouts that give their characters back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import product
from typing import TypeGuard

from llm_strategy.values import JSON

_LAYOUTS = [
    " ".join(filter(None, words)) for words in product(("", "spaced", "indented"), ("", "escaped"), ("", "newline"))
]


def parse_text(text: str) -> JSON:
    """A JSON object or array, or the text itself where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) and not is_base64(value) else text


def in_base64(data: bytes) -> dict[str, JSON]:
    """Bytes that are no text, as an envelope holds them."""
    return {"base64": base64.b64encode(data).decode("ascii")}


def is_base64(value: JSON) -> TypeGuard[Mapping[str, str]]:
    return isinstance(value, Mapping) and value.keys() == {"base64"}


def from_base64(value: Mapping[str, str]) -> bytes:
    return base64.b64decode(value["base64"], validate=True)


def laid_out(value: JSON, layout: str) -> str:
    """The JSON text of a value. `layout` has the words of the format: "spaced" or "indented", "escaped", "newline"."""
    text = _writer(layout)(value)
    return f"{text}\n" if "newline" in layout.split() else text


@lru_cache(maxsize=32)
def _writer(layout: str) -> Callable[[JSON], str]:
    words = layout.split()
    loose = "spaced" in words or "indented" in words
    return json.JSONEncoder(
        ensure_ascii="escaped" in words,
        indent=2 if "indented" in words else None,
        separators=None if loose else (",", ":"),
    ).encode


def layout_of(value: JSON, text: str) -> str | None:
    """The layout in which a value has this very text; None where there is none (numbers have many forms)."""
    return next((layout for layout in _LAYOUTS if _may_be(layout, text) and laid_out(value, layout) == text), None)


def _may_be(layout: str, text: str) -> bool:
    """Whether a glance at the text leaves it open: to write a large value in each layout takes long."""
    words = layout.split()
    if ("newline" in words) != text.endswith("\n") or ("indented" in words) != text.startswith(("{\n", "[\n")):
        return False
    return "escaped" not in words or text.isascii()
