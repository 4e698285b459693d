"""Python values and types as the text of a prompt: JSON laid out for people, types without modules."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import threading
import types
import typing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, TypeVar

from pydantic import BaseModel, RootModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from llm_strategy.errors import PromptError

R = TypeVar("R")

WIDTH = 100
"""A value that fits into as many characters stands on one line."""


def for_each_type(function: Callable[[type], R]) -> Callable[[type], R]:
    """Compute once for each type."""
    return lru_cache(maxsize=1024)(function)


def value_text(value: Any, name: str) -> str:
    """A value as JSON text: on one line where it fits, else one child per line.

    Sets are sorted. Raises PromptError, which names the argument `name`, for a value without a
    stable form: its text would differ from run to run.
    """
    try:
        return _text(value, "")
    except RecursionError:
        raise PromptError(f"the argument {name!r} contains itself, so it cannot be written into a prompt") from None
    except _Unstable as unstable:
        kind = unstable.args[0]
        raise PromptError(
            f"the argument {name!r} holds a value of type {type_text(kind)}, which has no stable form as JSON: pass "
            "plain data, a dataclass or a pydantic model, or leave it out of the class's fields (where "
            "a class declares none: by a name that begins with an underscore)"
        ) from None


class _Unstable(Exception):
    """A value of this type would be shown by its address or not at all."""


def _string(value: str) -> str:
    if value.isascii():
        return encode_basestring(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        # A lone surrogate cannot be sent as UTF-8; JSON can spell it.
        return encode_basestring_ascii(value)
    return encode_basestring(value)


def _text(value: Any, indent: str) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring(value) if value.isascii() else _string(value)
    if kind is int:
        return int.__repr__(value)
    if value is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[value]
    return _writer(kind)(value, indent)


def _layout(start: str, children: list[str], end: str, indent: str) -> str:
    """Children are written for one level deeper; they are kept on one line while that is short."""
    line = start + ", ".join(children) + end
    if len(line) + len(indent) <= WIDTH and "\n" not in line:
        return line
    inner = "\n" + indent + "  "
    return start + inner + ("," + inner).join(children) + "\n" + indent + end


def _array(value: Any, indent: str) -> str:
    inner = indent + "  "
    return _layout("[", [_text(item, inner) for item in value], "]", indent)


def _set(value: Any, indent: str) -> str:
    return _layout("[", sorted(_text(item, indent + "  ") for item in value), "]", indent)


def _object(items: Iterator[tuple[str, Any]], indent: str) -> str:
    inner = indent + "  "
    return _layout("{", [f"{_string(name)}: {_text(item, inner)}" for name, item in items], "}", indent)


def _mapping(value: Mapping[Any, Any], indent: str) -> str:
    return _object(((key if type(key) is str else _key(key), item) for key, item in value.items()), indent)


def _key(key: Any) -> str:
    text = _text(key, "")
    return text[1:-1] if text.startswith('"') and "\\" not in text else text


def _scalar(value: Any, indent: str) -> str:
    """What pydantic knows how to write as JSON: dates, UUIDs, Decimal, Path, bytes."""
    try:
        return _text(to_jsonable_python(value, bytes_mode="base64"), indent)
    except PydanticSerializationError:
        raise _Unstable(type(value)) from None


@for_each_type
def _writer(kind: type) -> Callable[[Any, str], str]:
    """The function that writes the values of one type, chosen once."""
    if issubclass(kind, enum.Enum):
        return lambda value, indent: _text(value.value, indent)
    if issubclass(kind, RootModel):
        return lambda value, indent: _text(value.model_dump(), indent)
    if issubclass(kind, BaseModel):
        return lambda value, indent: _mapping(_dumped(value), indent)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__"):
        return _writer_of_fields(field_names(kind))
    if issubclass(kind, str):
        return lambda value, indent: _string(str.__str__(value))
    if issubclass(kind, float):
        return lambda value, indent: _float(float(value))
    for family, writer in ((dict, _mapping), (list | tuple | deque, _array), (set | frozenset, _set)):
        if issubclass(kind, family):
            return writer
    if issubclass(kind, type | types.GenericAlias | types.UnionType) or kind.__module__ == "typing":
        return lambda value, indent: _string(type_text(value))
    if hasattr(kind, "__next__") or issubclass(kind, types.FunctionType | types.MethodType | types.ModuleType):
        # pydantic would use up an iterator, and shows no function.
        return _refuse
    return _scalar


def _writer_of_fields(names: Iterable[str]) -> Callable[[Any, str], str]:
    heads = [(name, f"{_string(name)}: ") for name in names]

    def write(value: Any, indent: str) -> str:
        inner = indent + "  "
        return _layout("{", [head + _text(getattr(value, name), inner) for name, head in heads], "}", indent)

    return write


def _refuse(value: Any, indent: str) -> str:  # noqa: ARG001  # a writer takes two
    raise _Unstable(type(value))


def _float(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    return repr(value)


class _Writing(threading.local):
    """Whether this thread is writing a value down."""

    dumping = False


_writing = _Writing()


class _Asked(Exception):
    """A value was to be written of which a part would have to be asked for."""


def refuse_while_writing() -> None:
    """Called where a model is about to be asked for a member of an object: to write an object down asks for none."""
    if _writing.dumping:
        raise _Asked


def _dumped(value: BaseModel) -> Mapping[str, Any]:
    """The model's own form; without computed fields where a model would have to be asked for one."""
    _writing.dumping = True
    try:
        return value.model_dump()
    except _Asked:
        return fields_of(value)
    finally:
        _writing.dumping = False


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of an object by name. Where its class declares none, its public attributes are taken for them."""
    kind = type(value)
    names: Iterable[str] = field_names(kind)
    if not names and not _declares(kind):
        names = [name for name in (*_slots(kind), *getattr(value, "__dict__", ())) if _is_public(kind, name)]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def content_of(value: Any) -> Any:
    """What an object is made of: its fields, or where it has none what a subclass of `str` or `list` holds."""
    fields = fields_of(value)
    return value if not fields and isinstance(value, _HOLDERS) else fields


_HOLDERS = (str, bytes, int, float, list, tuple, dict, set, frozenset, deque)


def _declares(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel) or hasattr(kind, "__attrs_attrs__")


def _slots(kind: type) -> list[str]:
    named = [
        (name, member)
        for base in reversed(kind.__mro__)
        if "__slots__" in vars(base)
        for name, member in vars(base).items()
    ]
    return [name for name, member in named if inspect.ismemberdescriptor(member)]


def _is_public(kind: type, name: str) -> bool:
    return not name.startswith("_") and not isinstance(inspect.getattr_static(kind, name, None), cached_property)


@for_each_type
def field_names(kind: type) -> tuple[str, ...]:
    """The names of the fields that make up a value of a class; what a model is asked for is no part of it."""
    return tuple(
        name for name in _declared(kind) if not hasattr(inspect.getattr_static(kind, name, None), "asks_model")
    )


def _declared(kind: type) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, BaseModel):
        return tuple(kind.model_fields)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return tuple(kind._fields)
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in kind.__attrs_attrs__)
    hints: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        hints |= inspect.get_annotations(base)
    return tuple(name for name, hint in hints.items() if "ClassVar" not in str(hint) and not name.startswith("__"))


def type_text(annotation: Any) -> str:
    """A type as a person writes it: `list[Customer] | None`, without modules and metadata."""
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, str | typing.ForwardRef):
        return annotation if isinstance(annotation, str) else annotation.__forward_arg__
    if isinstance(annotation, list):
        return f"[{', '.join(map(type_text, annotation))}]"
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_text(args[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(type_text, args))
    if origin is typing.Literal:
        return f"Literal[{', '.join(str(arg) if isinstance(arg, enum.Enum) else repr(arg) for arg in args)}]"
    name: str = getattr(origin or annotation, "__qualname__", None) or getattr(annotation, "__name__", None) or "Any"
    name = name.rpartition("<locals>.")[2]
    return f"{name}[{', '.join(map(type_text, args))}]" if args else name
