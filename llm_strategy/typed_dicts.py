"""`typing.TypedDict` for pydantic on Python 3.11, where it accepts only that of typing_extensions."""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from typing import Annotated, Any, Union

import typing_extensions

_SAME = (
    *("__module__", "__qualname__", "__doc__", "__pydantic_config__"),
    *("__total__", "__required_keys__", "__optional_keys__"),
)


def accepted(annotation: Any) -> Any:
    """The annotation with the TypedDicts that it names in a form that pydantic takes; their values are the same."""
    if sys.version_info >= (3, 12):
        return annotation
    return _replaced(annotation, {})


def _replaced(annotation: Any, known: dict[Any, Any]) -> Any:
    if type(annotation) is typing._TypedDictMeta:  # type: ignore[attr-defined]  # the only mark of such a class
        return known.get(annotation) or _copied(annotation, known)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None or origin is typing.Literal:
        return annotation
    if origin is Annotated:
        inner = _replaced(args[0], known)
        return annotation if inner is args[0] else Annotated[(inner, *annotation.__metadata__)]
    new = tuple(_replaced(arg, known) for arg in args)
    if all(one is other for one, other in zip(new, args, strict=True)):
        return annotation
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, new)
    return annotation.copy_with(new) if hasattr(annotation, "copy_with") else origin[new]


def _copied(kind: Any, known: dict[Any, Any]) -> Any:
    """The same TypedDict, made by typing_extensions."""
    new: Any = typing_extensions.TypedDict(kind.__name__, {})  # type: ignore[misc]  # a name that is computed
    # Known before its fields are looked at: they may speak of it.
    known[kind] = new
    for name in _SAME:
        if hasattr(kind, name):
            setattr(new, name, getattr(kind, name))
    hints = typing.get_type_hints(kind, include_extras=True)
    new.__annotations__ = {name: _replaced(hint, known) for name, hint in hints.items()}
    return new
