"""A hypothesis strategy for the values of a type, where `from_type` alone gives too much or too little.

`from_type` does most of the work. Classes with fields are built here, because it lets a class that
contains itself grow without limit, gives up where a validator refuses a value, and knows neither the
digits of a Decimal nor the constraints that pydantic's `Field(...)` puts on a type.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, Union

from hypothesis import strategies as st
from hypothesis.strategies._internal import types as known_types
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

_DEEPEST = 3
"""Levels of a class inside itself."""
_WIDEST = (6, 3, 2, 1)
"""Items of a collection of objects: outside all classes, inside one, two, and more."""

Path = tuple[type, ...]
"""The classes around a type, outermost first."""


def strategy_of(annotation: Any, path: Path = ()) -> st.SearchStrategy[Any]:
    """Values of a type; not all of them satisfy every constraint, so pydantic has to look at them too.

    Raises hypothesis's InvalidArgument or ResolutionFailed for a type without a strategy, some of
    them only when the strategy is validated or drawn from.
    """
    if not _special(annotation):
        return st.from_type(_spelled_out(annotation))
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _decimals(_constraints(args[1:])) if args[0] is Decimal else strategy_of(args[0], path)
    if origin in (Union, UnionType):
        return st.one_of([strategy_of(arg, path) for arg in args])
    if origin in _COLLECTIONS:
        return _collections(origin, [arg if arg is Ellipsis else strategy_of(arg, path) for arg in args], path)
    if annotation is Decimal:
        return _decimals([])
    return _objects(annotation, path) if isinstance(annotation, type) else st.from_type(annotation)


def _special(annotation: Any) -> bool:
    """Whether the type is, or is made of, one that is built here."""
    if typing.get_origin(annotation) is Literal:
        return False
    if isinstance(annotation, type) and not typing.get_args(annotation):
        # There is no public way to ask hypothesis whether a user has registered a strategy.
        registered = annotation in known_types._global_type_lookup
        return annotation is Decimal or (not registered and _has_fields(annotation))
    return any(map(_special, typing.get_args(annotation)))


def _has_fields(kind: type) -> bool:
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)


_COLLECTIONS: Mapping[Any, Callable[..., st.SearchStrategy[Any]]] = {
    list: st.lists,
    set: st.sets,
    frozenset: st.frozensets,
    dict: st.dictionaries,
    tuple: lambda inner, max_size: st.lists(inner, max_size=max_size).map(tuple),
}


def _collections(kind: Any, inner: list[Any], path: Path) -> st.SearchStrategy[Any]:
    if kind is tuple and inner[-1] is not Ellipsis:
        return st.tuples(*inner)
    inner = [strategy for strategy in inner if strategy is not Ellipsis]
    if any(strategy.is_empty for strategy in inner):
        return st.builds(kind)
    return _COLLECTIONS[kind](*inner, max_size=_WIDEST[min(len(path), len(_WIDEST) - 1)])


def _objects(kind: type, path: Path) -> st.SearchStrategy[Any]:
    if path.count(kind) >= _DEEPEST:
        # A list of nothing is empty, and nothing or None is None: so everything around finds its end.
        return st.nothing()
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, annotation, required in _fields(kind):
        (needed if required else optional)[name] = strategy_of(annotation, (*path, kind))
    if any(strategy.is_empty for strategy in needed.values()):
        return st.nothing()
    possible = {name: strategy for name, strategy in optional.items() if not strategy.is_empty}
    built = st.fixed_dictionaries(needed, optional=possible).map(lambda arguments: _built(kind, arguments))
    return built.filter(lambda value: value is not _REFUSED)


_REFUSED = object()
_adapter: Callable[[Any], TypeAdapter[Any]] = lru_cache(maxsize=256)(TypeAdapter)


def _built(kind: type, arguments: Mapping[str, Any]) -> Any:
    """The object, or _REFUSED: another is drawn then, and what is around it need not be given up."""
    try:
        if dataclasses.is_dataclass(kind):
            # It checks nothing itself, but a reply is checked.
            _adapter(kind).validate_python(arguments)
        return kind(**arguments)
    except (ValueError, ArithmeticError):
        return _REFUSED


def _fields(kind: type) -> Iterable[tuple[str, Any, bool]]:
    """Name, type and necessity of each argument of a class with fields."""
    described: Mapping[str, FieldInfo] | None = getattr(kind, "__pydantic_fields__", None)
    if described is not None:
        for name, field in described.items():
            alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias
            bare = field.annotation
            yield alias or name, Annotated[bare, *field.metadata] if field.metadata else bare, field.is_required()
        return
    hints = typing.get_type_hints(kind, include_extras=True)
    for item in dataclasses.fields(kind):
        if item.init:
            missing = dataclasses.MISSING
            yield item.name, hints[item.name], item.default is missing and item.default_factory is missing


# Constraints


def _constraints(metadata: Iterable[Any]) -> list[Any]:
    return [item for given in metadata for item in (given.metadata if isinstance(given, FieldInfo) else [given])]


def _understood(item: Any) -> bool:
    return isinstance(item, st.SearchStrategy) or type(item).__module__.partition(".")[0] == "annotated_types"


def _spelled_out(annotation: Any) -> Any:
    """The type with the constraints inside pydantic's `Field(...)` as types of their own, which hypothesis knows."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if not args or origin is Literal:
        return annotation
    if origin is Annotated:
        constraints, bare = list(filter(_understood, _constraints(args[1:]))), _spelled_out(args[0])
        return Annotated[bare, *constraints] if constraints else bare
    changed = tuple(_spelled_out(arg) for arg in args)
    if changed == args:
        return annotation
    return Union[changed] if origin in (Union, UnionType) else origin[changed]  # noqa: UP007  # made from a tuple


def _decimals(constraints: list[Any]) -> st.SearchStrategy[Decimal]:
    """Decimals within bounds and digits. What is nearest to a bound that is itself excluded is left out."""

    def given(name: str) -> Any:
        found = [getattr(item, name) for item in constraints if getattr(item, name, None) is not None]
        return found[0] if found else None

    known = st.from_type(Decimal)
    if repr(known) != repr(st.decimals()):
        # A user's own strategy.
        return known
    places, digits = given("decimal_places"), given("max_digits")
    if digits is not None:
        places = places or 0
    step = Decimal(10) ** -(6 if places is None else places)
    largest = None if digits is None else Decimal(10) ** (digits - places) - step
    lowest = [
        given("ge"),
        None if given("gt") is None else Decimal(given("gt")) + step,
        None if largest is None else -largest,
    ]
    highest = [given("le"), None if given("lt") is None else Decimal(given("lt")) - step, largest]
    return st.decimals(
        max((bound for bound in lowest if bound is not None), default=None),
        min((bound for bound in highest if bound is not None), default=None),
        allow_nan=False,
        allow_infinity=False,
        places=places,
    )
