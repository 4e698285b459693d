"""What formats have in common: fields of bodies, looked at with care, since servers and clients send what they like."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.values import JSON, BlobPart, Part, TextPart, Usage
from llm_strategy.wire.chat_messages import to_text
from llm_strategy.wire.embeddings import VECTORS
from llm_strategy.wire.format import Answer


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Raises ValueError where a value is no object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is no object")
    return value


def listed(value: Any, what: str) -> Sequence[Any]:
    """Raises ValueError where a value is no list."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{what} is no list")
    return value


def number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def total(values: Iterable[Any]) -> int | None:
    """The sum of what are numbers; None where none is one."""
    numbers = [value for value in map(number, values) if value is not None]
    return sum(numbers) if numbers else None


def usage(input_tokens: int | None, output_tokens: int | None) -> Usage | None:
    return None if input_tokens is None and output_tokens is None else Usage(input_tokens, output_tokens)


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def said(parts: Iterable[Part], counts: Usage | None, reason: str, model: Any) -> Answer:
    """An answer of these parts."""
    parts = tuple(parts)
    content = "".join(part.content for part in parts if isinstance(part, TextPart))
    return Answer(content, counts, reason, text(model), parts=parts)


def as_text(value: JSON) -> TextPart:
    """What is of a kind that is not known here: its JSON says what it is."""
    return TextPart(value if isinstance(value, str) else to_text(value))


def renamed(settings: Mapping[str, JSON], names: Mapping[str, str]) -> dict[str, JSON]:
    """Settings with other names for some of them."""
    return {names.get(name, name): value for name, value in settings.items()}


def inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {value: name for name, value in names.items()}


def function_tool(tool: Mapping[str, Any], parameters: str) -> FrozenJSON:
    """A tool as requests have it, of which a provider calls the schema of the arguments by another name."""
    return FrozenJSON({"type": "function", **renamed(tool, {parameters: "parameters"})})


def named_parameters(tool: Mapping[str, Any], parameters: str) -> dict[str, JSON]:
    """The opposite."""
    return renamed({name: value for name, value in tool.items() if name != "type"}, {"parameters": parameters})


def vector(numbers: Sequence[float]) -> BlobPart:
    """An embedding as content: its numbers in four bytes each, as OpenAI sends them in base64."""
    try:
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"an embedding is no list of numbers: {error}") from None
    return BlobPart("embedding", VECTORS, base64.b64encode(packed).decode("ascii"))


def numbers(part: BlobPart) -> list[float]:
    data = base64.b64decode(part.content)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def vectors(answer: Answer) -> list[list[float]]:
    return [numbers(part) for part in answer.parts if isinstance(part, BlobPart)]


def with_named_ids(value: JSON, is_id: Callable[[Mapping[str, Any], str], bool], opaque: frozenset[str]) -> JSON:
    """A value in which each id has a name by its first appearance.

    `is_id` says whether a field of an object is one; what lies in `opaque` fields is arguments and results of tools.
    """
    names: dict[str, str] = {}

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        # In one order, whatever that of the fields is: it must not name the ids.
        fields = {name: value[name] if name in opaque else field(value, name, value[name]) for name in sorted(value)}
        return {name: fields[name] for name in value}

    def field(holder: Mapping[str, Any], name: str, value: Any) -> Any:
        if isinstance(value, str):
            return names.setdefault(value, f"call_{len(names) + 1}") if is_id(holder, name) else value
        return named(value)

    return named(value)
