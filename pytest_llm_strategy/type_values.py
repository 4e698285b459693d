"""A hypothesis strategy for the values of a type, where `from_type` alone gives too much or too little.

Made after the annotation: `from_type` lets a class that contains itself grow without limit, gives up
where a validator refuses a value, and knows neither generic dataclasses, nor most of pydantic's own types,
nor the constraints that `Field(...)` puts on a type. What has no parts is `type_scalars`' part.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections import Counter, OrderedDict, abc, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, NewType, TypeVar, Union

import typing_extensions
from hypothesis import strategies as st
from hypothesis.strategies._internal import types as known_types
from pydantic import BaseModel, Json, RootModel, Secret, TypeAdapter
from pydantic.fields import FieldInfo

from pytest_llm_strategy.type_scalars import Constraints, scalar, understood

_DEEPEST = 3
"""Levels of a class inside itself."""
_WIDEST = (6, 3, 2, 1)
"""Items of a collection of objects: outside all classes, inside one, two, and more."""

Path = tuple[Any, ...]
"""The classes around a type, outermost first."""

_NONE = Constraints(())


def strategy_of(annotation: Any, path: Path = (), constraints: Constraints = _NONE) -> st.SearchStrategy[Any]:
    """What pydantic makes values of a type from; it may refuse some, and has to look at them all.

    Raises hypothesis's InvalidArgument or ResolutionFailed for a type without a strategy, some of
    them only when the strategy is validated or drawn from.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        if any(item is Json or type(item) is Json for item in annotation.__metadata__):
            return _encoded(annotation.__origin__, path)
        return strategy_of(args[0], path, Constraints([*constraints.items, *annotation.__metadata__]))
    if annotation is Json:
        return _encoded(Any, path)
    if origin in (typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly):
        return strategy_of(args[0], path, constraints)
    if origin in (Union, UnionType):
        return st.one_of([strategy_of(arg, path, constraints) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is Secret:
        return strategy_of(args[0], path)
    return _named(annotation, origin, args, path, constraints)


def _named(annotation: Any, origin: Any, args: Any, path: Path, constraints: Constraints) -> st.SearchStrategy[Any]:
    if isinstance(annotation, NewType):
        return strategy_of(annotation.__supertype__, path, constraints)
    if isinstance(annotation, TypeVar):
        choices = annotation.__constraints__ or (annotation.__bound__ or Any,)
        return st.one_of([strategy_of(choice, path) for choice in choices])
    if isinstance(origin or annotation, _ALIASES):
        return _alias(annotation, origin, args, path, constraints)
    if type(annotation).__name__ == "PydanticRecursiveRef":
        return strategy_of(_referred(annotation, path), path)
    if (origin or annotation) in _COLLECTIONS:
        return _collections(annotation, args, path, constraints)
    kind = origin or annotation
    made = scalar(kind, constraints)
    if made is not None:
        return made
    # There is no public way to ask hypothesis whether a user has registered a strategy.
    if isinstance(kind, type) and _has_fields(kind) and kind not in known_types._global_type_lookup:
        return _objects(annotation, path)
    return st.from_type(understood(constraints, annotation))


def _encoded(inner: Any, path: Path) -> st.SearchStrategy[Any]:
    """JSON texts of the values of a type."""
    adapter = TypeAdapter(inner)
    return strategy_of(inner, path).map(lambda value: adapter.dump_json(adapter.validate_python(value)).decode())


# Names for types

_ALIASES = tuple({typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType)})


def _alias(annotation: Any, origin: Any, args: Any, path: Path, constraints: Constraints) -> st.SearchStrategy[Any]:
    named = origin or annotation
    if path.count(named) >= _DEEPEST:
        return st.nothing()
    meant = named.__value__
    if args:
        meant = meant[args]
    names = vars(sys.modules.get(named.__module__, typing))
    return strategy_of(_evaluated(meant, {**names, named.__name__: named}), (*path, named), constraints)


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """An annotation with the names in it looked up."""

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    return typing.get_type_hints(holder, dict(names), include_extras=True)["it"]


def _referred(reference: Any, path: Path) -> Any:
    """The generic model around a place where pydantic refers to it."""
    for kind in reversed(path):
        origin = getattr(kind, "__pydantic_generic_metadata__", {}).get("origin") or kind
        if f":{id(origin)}" in reference.type_ref:
            return kind
    return reference


# Collections

_Make = Callable[..., st.SearchStrategy[Any]]


def _lists_as(kind: Any) -> _Make:
    return lambda *inner, **sizes: st.lists(*inner, **sizes).map(kind)


_COLLECTIONS: Mapping[Any, _Make] = {
    list: st.lists,
    abc.Sequence: st.lists,
    abc.MutableSequence: st.lists,
    abc.Iterable: st.lists,
    abc.Collection: st.lists,
    deque: _lists_as(deque),
    tuple: _lists_as(tuple),
    set: st.sets,
    abc.Set: st.sets,
    abc.MutableSet: st.sets,
    frozenset: st.frozensets,
    dict: st.dictionaries,
    abc.Mapping: st.dictionaries,
    abc.MutableMapping: st.dictionaries,
    defaultdict: st.dictionaries,
    OrderedDict: lambda *inner, **sizes: st.dictionaries(*inner, **sizes).map(OrderedDict),
    Counter: lambda inner, **sizes: st.dictionaries(inner, st.integers(), **sizes).map(Counter),
}
_MAPPINGS = {dict, abc.Mapping, abc.MutableMapping, defaultdict, OrderedDict}
_SETS = {set, abc.Set, abc.MutableSet, frozenset}


def _collections(annotation: Any, args: Any, path: Path, constraints: Constraints) -> st.SearchStrategy[Any]:
    kind = typing.get_origin(annotation) or annotation
    if kind is tuple and annotation is not tuple and args[-1:] != (Ellipsis,):
        return st.tuples(*[strategy_of(arg, path) for arg in args])
    if not args:
        args = (Any, Any) if kind in _MAPPINGS else (Any,)
    first, *others = (arg for arg in args if arg is not Ellipsis)
    if first is Any:
        # JSON's keys are texts, and its objects and lists cannot be hashed.
        first = str if kind in _MAPPINGS else abc.Hashable if kind in _SETS or kind is Counter else Any
    inner = [strategy_of(arg, path) for arg in (first, *others)]
    if any(strategy.is_empty for strategy in inner):
        return st.builds(dict if kind in _MAPPINGS or kind is Counter else list)
    return _COLLECTIONS[kind](*inner, **constraints.sizes(_WIDEST[min(len(path), len(_WIDEST) - 1)]))


# Classes with fields


def _has_fields(kind: type) -> bool:
    return (
        issubclass(kind, BaseModel)
        or dataclasses.is_dataclass(kind)
        or typing_extensions.is_typeddict(kind)
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def _objects(annotation: Any, path: Path) -> st.SearchStrategy[Any]:
    if path.count(annotation) >= _DEEPEST:
        # A list of nothing is empty, and nothing or None is None: so everything around finds its end.
        return st.nothing()
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, kind, required in _fields(annotation):
        (needed if required else optional)[name] = strategy_of(kind, (*path, annotation))
    if any(strategy.is_empty for strategy in needed.values()):
        return st.nothing()
    possible = {name: strategy for name, strategy in optional.items() if not strategy.is_empty}
    drawn = st.fixed_dictionaries(needed, optional=possible)
    return drawn.map(lambda arguments: _built(annotation, arguments)).filter(lambda value: value is not _REFUSED)


_REFUSED = object()
_adapter: Callable[[Any], TypeAdapter[Any]] = lru_cache(maxsize=256)(TypeAdapter)


def _built(annotation: Any, arguments: Mapping[str, Any]) -> Any:
    """The object, or _REFUSED: another is drawn then, and what is around it need not be given up."""
    try:
        given = arguments["root"] if isinstance(annotation, type) and issubclass(annotation, RootModel) else arguments
        return _adapter(annotation).validate_python(given)
    except (ValueError, ArithmeticError):
        return _REFUSED


def _fields(annotation: Any) -> Iterable[tuple[str, Any, bool]]:
    """Name, type and necessity of each field of a class."""
    kind = typing.get_origin(annotation) or annotation
    described: Mapping[str, FieldInfo] | None = getattr(kind, "__pydantic_fields__", None)
    if described is not None and issubclass(kind, BaseModel):
        for name, field in described.items():
            alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias
            bare = field.annotation
            yield alias or name, Annotated[bare, *field.metadata] if field.metadata else bare, field.is_required()
        return
    bound = dict(zip(getattr(kind, "__parameters__", ()), typing.get_args(annotation), strict=False))
    hints = typing_extensions.get_type_hints(kind, include_extras=True)
    for name, needed in _necessity(kind):
        yield name, _substituted(hints.get(name, Any), bound), needed


def _necessity(kind: Any) -> Iterable[tuple[str, bool]]:
    if typing_extensions.is_typeddict(kind):
        return [(name, name in kind.__required_keys__) for name in kind.__annotations__]
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        return [
            (item.name, item.default is missing and item.default_factory is missing)
            for item in dataclasses.fields(kind)
            if item.init
        ]
    return [(name, name not in kind._field_defaults) for name in kind._fields]


def _substituted(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    """A field's type with the class's type variables replaced by what the class is subscripted with."""
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, annotation)
    if not bound or not typing.get_args(annotation) or typing.get_origin(annotation) is Literal:
        return annotation
    parameters = getattr(annotation, "__parameters__", ())
    wanted = tuple(bound.get(parameter, parameter) for parameter in parameters)
    return annotation[wanted] if parameters else annotation
