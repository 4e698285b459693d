"""Type variables: what they stand for in one call, told from its arguments and from the object it is made on."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar, TypeVarTuple

from llm_strategy.errors import PromptError
from llm_strategy.hints import bound_of
from llm_strategy.rendering import fields_of, type_text
from llm_strategy.signature import Parameter, Signature

_DEEPEST = 8
"""Levels of nested containers that are looked into for their elements' types."""

Bindings = Mapping[Any, Any]
"""Type variables, and `Self`, and what they stand for."""


class Found(NamedTuple):
    """A type variable and what one place makes of it."""

    variable: Any
    kind: Any
    place: str


def variables_in(annotation: Any) -> Iterator[Any]:
    """The type variables, and `Self`, in an annotation, in order and repeatedly."""
    if isinstance(annotation, TypeVar | ParamSpec | TypeVarTuple) or annotation is Self:
        yield annotation
    elif isinstance(annotation, typing.ParamSpecArgs | typing.ParamSpecKwargs):
        yield annotation.__origin__
    elif typing.get_origin(annotation) is not typing.Literal:
        for part in annotation if isinstance(annotation, list) else _parts(annotation)[1]:
            yield from variables_in(part)


def _has_variables(annotation: Any) -> bool:
    return next(variables_in(annotation), None) is not None


def _parts(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """What a type is made of: the generic class, and its arguments. pydantic has a class of its own for each."""
    made = getattr(annotation, "__pydantic_generic_metadata__", None)
    if made and isinstance(annotation, type):
        return made["origin"] or annotation, tuple(made["args"] or made["parameters"])
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _parts(typing.get_args(annotation)[0])
    return origin or annotation, typing.get_args(annotation)


def check_variables(signature: Signature) -> list[Any]:
    """The variables of a signature. Raises PromptError for those that no value can tell."""
    annotations = [parameter.annotation for parameter in signature.parameters]
    variables = [found for annotation in (*annotations, signature.returns) for found in variables_in(annotation)]
    for variable in variables:
        if isinstance(variable, ParamSpec | TypeVarTuple):
            raise PromptError(
                f"{signature.place} uses {type_text(variable)}, which stands for several types at once: a model is "
                "shown one type for each argument, so write the parameters out"
            )
        if variable is Self and signature.binding is None:
            raise PromptError(f"{signature.place} uses Self, but it is no method: name the class")
    return variables


def _only_bare(signature: Signature) -> bool:
    """Whether no variable is written but in `Box` of pydantic, which is the same class as `Box[T]`.

    What it holds is shown all the same, but two such parameters need not hold the same.
    """
    written = [parameter.annotation for parameter in signature.parameters if not _is_bare(parameter.annotation)]
    return not any(map(_has_variables, [*written, signature.returns]))


def _is_bare(annotation: Any) -> bool:
    return isinstance(annotation, type) and typing.get_origin(annotation) is None


def bindings(signature: Signature, arguments: Mapping[str, Any], owner: Any) -> dict[Any, Any]:
    """What the variables stand for in one call.

    Raises TypeError where two arguments disagree, or a bound is not kept, and PromptError where
    nothing says what a variable in the result stands for.
    """
    __tracebackhide__ = True
    bound: dict[Any, Any] = {}
    places: dict[Any, str] = {}
    for found in _found(signature, arguments, owner):
        name, kind, place = found
        if name not in bound:
            bound[name], places[name] = _allowed(found, signature), place
            continue
        joined = _agreed(bound[name], found, settled=places[name] == signature.bound_name)
        if joined is None and _only_bare(signature):
            joined = _either([bound[name], kind])
        if joined is None:
            raise TypeError(
                f"{signature.name}() cannot tell what {type_text(name)} stands for: {places[name]} makes it "
                f"{type_text(bound[name])}, {place} makes it {type_text(kind)}"
            )
        bound[name] = _allowed(Found(name, joined, place), signature)
    for variable in variables_in(signature.returns):
        if variable not in bound:
            bound[variable] = _without_argument(variable, signature)
    return bound


def _found(signature: Signature, arguments: Mapping[str, Any], owner: Any) -> Iterator[Found]:
    if signature.binding is not None:
        kind = owner if isinstance(owner, type) else type(owner)
        yield Found(Self, kind, "self")
        base = _defining(kind, signature)
        for variable, known in (_arguments_of(owner, base) if base else {}).items():
            yield Found(variable, known, signature.bound_name or "self")
    for parameter in signature.parameters:
        yield from _in_parameter(parameter, arguments[parameter.name])


def _in_parameter(parameter: Parameter, value: Any) -> Iterator[Found]:
    place = f"the argument {parameter.name!r}"
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        yield from _together((parameter.annotation, item) for item in value)
    elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
        yield from _together((parameter.annotation, item) for item in value.values())
    else:
        for found in _match(parameter.annotation, value):
            yield found._replace(place=place)


def _defining(kind: type, signature: Signature) -> type | None:
    """The class in which the function stands: its variables are the function's."""
    name = signature.function.__qualname__.rpartition(".")[0]
    return next((base for base in kind.__mro__ if base.__qualname__ == name), None)


def _match(annotation: Any, value: Any) -> Iterator[Found]:
    """What a value says about the variables in its annotation."""
    if isinstance(annotation, TypeVar):
        yield Found(annotation, _type_of(value), "")
        return
    if not _has_variables(annotation):
        return
    origin, args = _parts(_expanded(annotation))
    if origin in (typing.Union, types.UnionType):
        yield from _match_union(args, value)
    elif origin is type:
        if isinstance(value, type) or typing.get_origin(value) is not None:
            yield from _match_type(args[0], value)
    elif origin is collections.abc.Callable:
        yield from _match_callable(args, value)
    elif origin is tuple and isinstance(value, tuple):
        pairs = ((args[0], item) for item in value) if args[-1] is Ellipsis else zip(args, value, strict=False)
        yield from _together(pairs) if args[-1] is Ellipsis else (f for pair in pairs for f in _match(*pair))
    elif isinstance(origin, type) and isinstance(value, origin):
        yield from _match_generic(origin, args, value)


def _expanded(annotation: Any) -> Any:
    """What an alias made by `type Pair[T] = ...` stands for."""
    alias = typing.get_origin(annotation)
    if not hasattr(alias, "__value__"):
        return annotation
    return substituted(alias.__value__, dict(zip(alias.__type_params__, typing.get_args(annotation), strict=False)))


def _match_union(members: tuple[Any, ...], value: Any) -> Iterator[Found]:
    """The member that the value is of; a lone variable takes what no other member is for."""
    for member in members:
        origin, _ = _parts(member)
        if not isinstance(member, TypeVar) and isinstance(origin, type) and isinstance(value, origin):
            yield from _match(member, value)
            return
    for member in members:
        if isinstance(member, TypeVar):
            yield from _match(member, value)
            return


def _match_generic(origin: type, args: tuple[Any, ...], value: Any) -> Iterator[Found]:
    if isinstance(value, collections.abc.Mapping) and len(args) == 2:
        yield from _together((args[0], key) for key in value)
        yield from _together((args[1], item) for item in value.values())
    elif isinstance(value, collections.abc.Collection) and len(args) == 1 and not _parameters(origin):
        yield from _together((args[0], item) for item in value)
    else:
        known = _arguments_of(value, origin)
        for parameter, annotation in zip(_parameters(origin), args, strict=False):
            if parameter in known:
                yield from _match_type(annotation, known[parameter])


def _match_callable(args: tuple[Any, ...], value: Any) -> Iterator[Found]:
    """What a class that is called, or a function's annotations, say."""
    if isinstance(value, type):
        yield from _match_type(args[-1], value)
        return
    try:
        hints = typing.get_type_hints(value)
        names = list(inspect.signature(value).parameters)
    except (TypeError, ValueError, NameError):
        return
    taken = zip(args[0], names, strict=False) if isinstance(args[0], list) else ()
    for annotation, name in (*taken, (args[-1], "return")):
        if name in hints:
            yield from _match_type(annotation, hints[name])


def _match_type(annotation: Any, kind: Any) -> Iterator[Found]:
    """What a type says about the variables in an annotation that it fits."""
    if isinstance(annotation, TypeVar):
        yield Found(annotation, kind, "")
        return
    origin, args = _parts(annotation)
    actual, known = _parts(kind)
    if origin is actual:
        for inner, part in zip(args, known, strict=False):
            yield from _match_type(inner, part)


def _together(pairs: Iterable[tuple[Any, Any]]) -> Iterator[Found]:
    """What all elements of a container say: a variable stands for any of their types."""
    kinds: dict[Any, list[Any]] = {}
    for annotation, value in pairs:
        for found in _match(annotation, value):
            kinds.setdefault(found.variable, []).append(found.kind)
    for variable, several in kinds.items():
        yield Found(variable, _either(several), "")


def _either(kinds: list[Any]) -> Any:
    """One type for all: the widest of them, else their union."""
    distinct = list(dict.fromkeys(kinds))
    widest = _joined(distinct)
    return typing.Union[tuple(distinct)] if widest is None else widest  # noqa: UP007  # a union of types not known here


def _joined(kinds: list[Any]) -> Any:
    """The one of the types that the others are kinds of."""
    return next((wide for wide in kinds if all(conforms(kind, wide) for kind in kinds)), None)


def conforms(kind: Any, wide: Any) -> bool:
    """Whether values of one type are values of another, as far as classes tell."""
    if kind == wide or wide is Any or (kind is int and wide is float):
        return True
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return all(conforms(member, wide) for member in typing.get_args(kind))
    if typing.get_origin(wide) in (typing.Union, types.UnionType):
        return any(conforms(kind, member) for member in typing.get_args(wide))
    (narrow, of), (origin, args) = _parts(kind), _parts(wide)
    if not (isinstance(narrow, type) and isinstance(origin, type) and issubclass(narrow, origin)):
        return False
    return (
        not args or len(of) != len(args) or all(Any in pair or conforms(*pair) for pair in zip(of, args, strict=True))
    )


def _allowed(found: Found, signature: Signature) -> Any:
    """The type, or the constraint that it falls under. Raises TypeError where the variable does not allow it."""
    __tracebackhide__ = True
    variable, kind, place = found
    constraints = getattr(variable, "__constraints__", ())
    if constraints:
        chosen = next((wide for wide in constraints if conforms(kind, wide)), None)
        if chosen is not None:
            return chosen
        wanted = " or ".join(map(type_text, constraints))
    else:
        limit = bound_of(variable)
        if limit is None or conforms(kind, limit):
            return kind
        wanted = type_text(limit)
    where = place or "an argument"
    raise TypeError(
        f"{signature.name}(): {where} makes {type_text(variable)} {type_text(kind)}, but it stands for {wanted}"
    )


def _agreed(known: Any, found: Found, *, settled: bool) -> Any:
    """One type for what two places make of a variable: the wider, or the bound that covers both; else None.

    What the object's class says is settled.
    """
    if settled:
        return known if conforms(found.kind, known) else None
    limit = bound_of(found.variable)
    return _joined([known, found.kind]) or (None if limit is None else _joined([limit, known, found.kind]))


def _without_argument(variable: Any, signature: Signature) -> Any:
    if getattr(variable, "has_default", lambda: False)():
        return variable.__default__
    limit = bound_of(variable)
    if limit is not None:
        return limit
    named = [p.name for p in signature.parameters if variable in variables_in(p.annotation)]
    where = (
        f"{' and '.join(map(repr, named))} did not tell: pass a value that shows it" if named else "no parameter has it"
    )
    returns = type_text(signature.returns)
    raise PromptError(f"{signature.place} returns {returns}, but nothing says what {type_text(variable)} is: {where}")


def _type_of(value: Any, level: int = 0) -> Any:
    """The type of a value, with those of its elements."""
    kind = type(value)
    if value is None or level > _DEEPEST:
        return kind
    if isinstance(value, type):
        return type[value]
    if kind in (list, set, frozenset):
        return kind[_of_all(value, level)]
    if kind is dict:
        return types.GenericAlias(dict, (_of_all(value, level), _of_all(value.values(), level)))
    if kind is tuple:
        return types.GenericAlias(tuple, tuple(_type_of(item, level + 1) for item in value)) if value else kind
    parameters = _parameters(kind)
    known = _arguments_of(value, kind) if parameters else {}
    return kind[tuple(known[p] for p in parameters)] if parameters and known.keys() >= {*parameters} else kind


def _of_all(values: Iterable[Any], level: int) -> Any:
    kinds = [_type_of(value, level + 1) for value in values]
    return _either(kinds) if kinds else Any


def _parameters(kind: Any) -> tuple[Any, ...]:
    made = getattr(kind, "__pydantic_generic_metadata__", None)
    return tuple(made["parameters"]) if made else tuple(getattr(kind, "__parameters__", ()))


def _arguments_of(value: Any, base: type) -> dict[Any, Any]:
    """What the variables of a generic class stand for in an object of it, or in a class derived from it."""
    kind = value if isinstance(value, type) else type(value)
    parameters = _parameters(base)
    if not parameters:
        return {}
    if known := _from_class(getattr(value, "__orig_class__", kind), base):
        return known
    if isinstance(value, type):
        return {}
    hints = _hints(base)
    pairs = [(hints[name], held) for name, held in fields_of(value).items() if name in hints]
    found = [found for annotation, held in pairs for found in _match(annotation, held)]
    return {
        name: _either([one.kind for one in found if one.variable is name]) for name in {one.variable for one in found}
    }


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        return {}


def _from_class(kind: Any, base: type) -> dict[Any, Any]:
    """What the variables of a base stand for by the way a class derives from it: `class IntBox(Box[int])`."""
    origin, args = _parts(kind)
    own = _parameters(origin)
    here = {name: arg for name, arg in zip(own, args, strict=False) if arg is not name}
    if origin is base:
        return here
    for written in (*getattr(origin, "__orig_bases__", ()), *getattr(origin, "__bases__", ())):
        above = _parts(written)[0]
        if isinstance(above, type) and issubclass(above, base) and above is not origin:
            known = _from_class(substituted(written, here), base)
            known = {name: arg for name, arg in known.items() if not _has_variables(arg)}
            if known:
                return known
    return {}


def substituted(annotation: Any, bound: Bindings) -> Any:
    """The annotation with what its variables stand for in their place."""
    if isinstance(annotation, list):
        return [substituted(part, bound) for part in annotation]
    if isinstance(annotation, TypeVar) or annotation is Self:
        return bound.get(annotation, annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return typing.Annotated[(substituted(annotation.__origin__, bound), *annotation.__metadata__)]
    generic, args = _parts(annotation)
    if origin is typing.Literal or not args:
        return annotation
    parts = tuple(substituted(part, bound) for part in args)
    if parts == args:
        return annotation
    if origin in (typing.Union, types.UnionType):
        return typing.Union[parts]  # noqa: UP007  # a union of types not known here
    return generic[parts]


def resolved(signature: Signature, bound: Bindings) -> Signature:
    """The signature as one call has it."""
    parameters = tuple(
        replace(parameter, annotation=substituted(parameter.annotation, bound)) for parameter in signature.parameters
    )
    return signature.with_types(parameters, substituted(signature.returns, bound))
