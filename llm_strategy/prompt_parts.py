"""The words of a prompt that can be others than those that stand in the program, and the descriptions among them.

A description has a place by which it goes: a parameter's is its name, that of a type is its name too, and `Type.field`
is that of a field, wherever the prompt or the schema of the result speaks of it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.prompt_blocks import place_of, structured_types
from llm_strategy.schema import Output


@dataclass(frozen=True)
class Parts:
    """The words of one prompt; None stands for those that a prompt has by itself.

    `descriptions` are those that have changed, by place.
    """

    docstring: str | None = None
    instructions: str | None = None
    parameters_heading: str = "Parameters:"
    types_heading: str = "Types:"
    arguments_heading: str = "Arguments:"
    result_heading: str | None = None
    descriptions: tuple[tuple[str, str], ...] = ()


PLAIN = Parts()


def descriptions_in(output: Output, kinds: Iterable[type]) -> Iterator[tuple[str, str]]:
    """What the schema of a result says of each type and field, by place; `kinds` are the types of the arguments."""
    for place, node in _places(output.schema, "", _names(output, kinds)):
        yield place, node.get("description", "")


def with_descriptions(output: Output, told: Iterable[tuple[str, str]], kinds: Iterable[type]) -> Output:
    """The form of a result whose schema says something else of some places."""
    texts = dict(told)
    if not texts or output.schema is None:
        return output
    schema = json.loads(json.dumps(output.schema))
    for place, node in list(_places(schema, "", _names(output, kinds))):
        if texts.get(place):
            node["description"] = texts[place]
        elif place in texts:
            node.pop("description", None)
    changed = copy.copy(output)
    changed.schema = FrozenJSON(schema)
    return changed


def _names(output: Output, kinds: Iterable[type]) -> list[str]:
    return [place_of(kind) for kind in (*structured_types([output.annotation]), *kinds)]


_BY_NAME = ("properties", "$defs")
_DATA = ("default", "const", "enum", "examples", "example")


def _places(node: Any, place: str, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """What can be described in a schema: types and fields, and elsewhere what has a description already."""
    if isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from _inside(item, f"{place}.{number}", names)
    elif isinstance(node, Mapping):
        for keyword, value in node.items():
            if keyword in _BY_NAME:
                for name, item in value.items():
                    inner = _plain(name, names) if keyword == "$defs" else f"{place}.{name}".removeprefix(".")
                    if isinstance(item, Mapping):
                        yield inner, item
                    yield from _places(item, inner, names)
            elif keyword not in _DATA:
                yield from _inside(value, f"{place}.{keyword}", names)


def _inside(node: Any, place: str, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and "description" in node:
        yield place, node
    yield from _places(node, place, names)


def _plain(definition: str, names: Iterable[str]) -> str:
    """The name of a definition without what stands for the type variables of a generic class."""
    generic = (name for name in names if definition.startswith(f"{name}_") and definition.endswith("_"))
    return max(generic, key=len, default=definition)
