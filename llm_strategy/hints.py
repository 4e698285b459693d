"""The annotations of fields: what a class says about each, evaluated."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from llm_strategy.errors import PromptError
from llm_strategy.rendering import field_names

_WRAPPERS = {typing.ClassVar, typing.Final, typing.Required, typing.NotRequired}


def bare(annotation: Any) -> Any:
    """Without what stands around a type: the name of an alias, `Final`, `NotRequired`."""
    while True:
        origin = typing.get_origin(annotation)
        if hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif origin in _WRAPPERS or getattr(origin, "_name", None) == "ReadOnly":
            annotation = typing.get_args(annotation)[0]
        else:
            return annotation


def bound_of(variable: Any) -> Any:
    """The bound of a type variable, one written as a string too; None where it has none, or none that can be found."""
    limit = getattr(variable, "__bound__", None)
    if not isinstance(limit, typing.ForwardRef):
        return limit
    names = vars(sys.modules.get(variable.__module__, types))
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={"bound": limit}), names)["bound"]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return None


def with_types(hint: Any, types_of: Mapping[Any, Any]) -> Any:
    """An annotation with types in place of type variables."""
    if isinstance(hint, TypeVar):
        return types_of.get(hint, hint)
    own = getattr(hint, "__parameters__", ())
    # A class is no use of its own parameters, `list[T]` is one.
    return hint[tuple(types_of.get(name, name) for name in own)] if own and not isinstance(hint, type) else hint


def has_fields(kind: type) -> bool:
    """Whether objects of a class are written with the names of their fields."""
    return (
        dataclasses.is_dataclass(kind)
        or (issubclass(kind, BaseModel) and kind is not BaseModel)
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__required_keys__")
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def hints_of(kind: type) -> dict[str, Any]:
    """The annotation of each field, with what stands in `Annotated`."""
    if issubclass(kind, BaseModel):
        return {
            name: typing.Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            for name, info in kind.model_fields.items()
        }
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        hints = dict(_each_hint(kind))
    if hasattr(kind, "__required_keys__"):
        return hints
    names = getattr(kind, "_fields", ()) if issubclass(kind, tuple) else field_names(kind)
    return {name: hints[name] for name in names if name in hints}


def _each_hint(kind: type) -> Iterator[tuple[str, Any]]:
    """The annotations one by one: some of them use names that exist only for type checkers, or in a function."""
    for base in reversed(kind.__mro__):
        names = vars(sys.modules.get(base.__module__, types))
        for name, written in inspect.get_annotations(base).items():
            holder = types.SimpleNamespace(__annotations__={name: written})
            try:
                yield from typing.get_type_hints(holder, names, dict(vars(base)), include_extras=True).items()
            except (NameError, TypeError, AttributeError, SyntaxError) as error:
                if isinstance(written, str) and ("Volatile[" in written or "Media(" in written):
                    raise PromptError(
                        f"the annotation {written!r} of {kind.__qualname__}.{name} cannot be evaluated ({error}), so "
                        "that what it marks is not found: define or import its names at the top of the module"
                    ) from None
