"""The blocks of lines that prompts are made of, and those that describe types."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from llm_strategy.docstring import Documented, documented
from llm_strategy.hints import has_fields
from llm_strategy.rendering import field_names, type_text
from llm_strategy.signature import description_in


class Block(NamedTuple):
    """Lines of a prompt and what they say, in words that an error can use: "the docstring"."""

    subject: str
    text: str
    end: str = "\n\n"


def joined(blocks: Iterable[Block]) -> str:
    return "".join([block.text + block.end for block in blocks])


def paragraph(blocks: Iterable[Block]) -> Iterator[Block]:
    """Blocks that stand on adjoining lines."""
    lines = list(blocks)
    yield from (Block(block.subject, block.text, "\n") for block in lines[:-1])
    yield from lines[-1:]


def heading(subject: str, text: str) -> Iterator[Block]:
    """A paragraph that is left out where it says nothing."""
    if text:
        yield Block(subject, text)


def one_line(text: str) -> str:
    return " ".join(text.split())


def structured_types(annotations: Iterable[Any]) -> Iterator[type]:
    """The classes with fields, and the enumerations, that annotations speak of, each once, outermost first."""
    seen: set[type] = set()
    queue = list(annotations)
    while queue:
        annotation = queue.pop(0)
        queue.extend(arg for arg in typing.get_args(annotation) if not isinstance(arg, str | int | bytes | enum.Enum))
        kind = typing.get_origin(annotation) or annotation
        if isinstance(kind, type) and kind not in seen and is_structured(kind):
            seen.add(kind)
            yield kind
            queue.extend(hint for _, hint, _ in _fields(kind))


def _is_typed_dict(kind: type) -> bool:
    """Whether the class is a TypedDict; `typing` does not know those of typing_extensions on every Python."""
    return hasattr(kind, "__total__") and hasattr(kind, "__required_keys__")


def is_structured(kind: type) -> bool:
    """Whether the class declares fields or values in a way of its own, as dataclasses and enumerations do."""
    return issubclass(kind, enum.Enum) or has_fields(kind)


def _fields(kind: type) -> Iterator[tuple[str, Any, str | None]]:
    """Name, annotation and description of each field of a class."""
    if issubclass(kind, enum.Enum):
        return
    told = _told_by_docstrings(kind)
    if issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            yield name, info.annotation, info.description or told.get(name)
        return
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        # A name that exists only for type checkers, or inside a function: the text says as much as the type.
        hints = dict(getattr(kind, "__annotations__", {}))
    fields: Mapping[str, dataclasses.Field[Any]] = getattr(kind, "__dataclass_fields__", {})
    for name in hints if _is_typed_dict(kind) or issubclass(kind, tuple) else field_names(kind):
        hint = hints.get(name, Any)
        field = fields.get(name)
        description = description_in([*getattr(hint, "__metadata__", ()), getattr(field, "default", None)])
        yield name, hint, description or (field.metadata.get("description") if field else None) or told.get(name)


def _told_by_docstrings(kind: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say about its fields."""
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        told |= _documented_class(base).descriptions
    return told


def _documented_class(kind: type) -> Documented:
    # pydantic makes a class of its own for each `Box[int]`, without the docstring.
    generic = getattr(kind, "__pydantic_generic_metadata__", {}).get("origin")
    written = (generic or kind).__dict__.get("__doc__")
    names = {*field_names(kind), *getattr(kind, "__annotations__", ())}
    return documented(inspect.cleandoc(written), names) if isinstance(written, str) else Documented("", {})


def _summary(kind: type) -> str:
    documentation = _documented_class(kind).text
    # dataclasses write a docstring of their own, which is the signature once more.
    return "" if documentation.startswith(f"{kind.__name__}(") else documentation.partition("\n\n")[0]


def place_of(kind: type) -> str:
    """The name under which a class is described, whatever stands for its type variables."""
    return type_text(kind).partition("[")[0]


def type_descriptions(kind: type) -> Iterator[tuple[str, str]]:
    """What is said about a class and each of its fields, by place: `Customer`, `Customer.key`."""
    name = place_of(kind)
    yield name, one_line(_summary(kind))
    for field, _, description in _fields(kind):
        yield f"{name}.{field}", one_line(description or "")


def type_blocks(kind: type, told: Mapping[str, str]) -> Iterator[Block]:
    """A class with fields as a few lines: its name, what it is, each field with its type and description.

    What is `told` of a place counts instead of what the class says.
    """
    name, place = type_text(kind), place_of(kind)
    summary = told.get(place, _summary(kind))
    comment = f"  # {one_line(summary)}" if summary else ""
    yield Block(f"the type {name}", f"{name}:{comment}")
    if issubclass(kind, enum.Enum):
        yield Block(f"the type {name}", f"  one of {', '.join(repr(member.value) for member in kind)}")
    for field, annotation, description in _fields(kind):
        text = one_line(told.get(f"{place}.{field}", description or ""))
        comment = f"  # {text}" if text else ""
        yield Block(f"the field {name}.{field}", f"  {field}: {type_text(annotation)}{comment}")
