"""`Hyperparameters`: the values that hold for the tracked functions called in a block, and what these calls have used.

A function's values stand under `module:qualified name`, so that no two functions are taken for one. Whoever gives
values may leave the module out, as long as one function only answers to the rest.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel, SerializeAsAny, ValidationError, model_validator

from llm_strategy.hyperparameters.kinds import (
    FunctionHyperparameters,
    Made,
    copied,
    defaults_of,
    grow,
    made_model,
    problem_text,
)
from llm_strategy.stays import Block, Stay, Stays

stays: Stays[Hyperparameters] = Stays("llm_strategy_hyperparameters")

entered = stays.entered
"""The blocks of this process that are open; nearly always none."""

_collecting = threading.RLock()
"""Held again where a default is made by a function that is tracked itself."""


class Untyped(BaseModel):
    """Values for a function that was not seen yet; they are checked when it is called."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class AllHyperparameters(Made):
    """Values for several functions, by name: `Hyperparameters.model` gives the class."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    __keys__: ClassVar[Mapping[str, str]] = {}
    """The function that each field is for."""

    def __getitem__(self, function: Any) -> Any:
        key, *bare = _names(function)
        found = [name for name, known in self.__keys__.items() if key in (known, name) or name in bare]
        if not found:
            raise KeyError(f"{key}: there are only {', '.join(self.__keys__) or 'no functions'}")
        return getattr(self, found[0])

    @classmethod
    def __reduce_class__(cls) -> Any:
        if not cls.__keys__:
            return cls.__qualname__
        return _all_of, (tuple((name, key, cls.model_fields[name].annotation) for name, key in cls.__keys__.items()),)


@lru_cache(maxsize=64)
def _all_of(fields: tuple[tuple[str, str, type[FunctionHyperparameters]], ...]) -> type[AllHyperparameters]:
    """The class for several functions; the same for the same functions."""
    typed = {name: (kind, ...) for name, _, kind in fields}
    made = made_model("AllHyperparameters", AllHyperparameters, typed, __name__)
    made.__keys__ = {name: key for name, key, _ in fields}
    return made


class Hyperparameters(RootModel[dict[str, SerializeAsAny[BaseModel]]]):
    """The hyperparameters of all tracked functions that are called in a block.

    `with Hyperparameters(values) as h:` lets `values` hold for them, and collects what the calls have used.
    `h[function].x`, or `h["function"].x`, is read and assigned, inside the block and outside. An argument that is
    passed wins over it; of nested blocks the inner one wins. `values` are other hyperparameters, which stay as they
    are, a dict as it comes from JSON, `{"function": {"x": 1}}`, what a function's own model holds, or None.

    Raises pydantic's ValidationError for what are no values by function, and TypeError, when a function is called, for
    values that do not fit it.
    """

    _block: Block[Hyperparameters] = PrivateAttr(default_factory=Block)
    _taken: dict[str, str] = PrivateAttr(default_factory=dict)
    """Names without a module, and the function that has taken the values under each."""
    _unsaid: set[str] = PrivateAttr(default_factory=set)
    """The functions for which nothing was given when they were first called."""

    def __init__(self, values: Any = None, /, **named: Any) -> None:
        # pydantic hands what it validates over as keywords; a function may have the name of the only parameter.
        if named.keys() == {"values"} and not _is_of_one_function(named["values"]):
            values = named.pop("values")
        super().__init__(named or values)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        try:
            return _by_name(values)
        except TypeError as error:
            # pydantic makes its own error of it.
            raise ValueError(str(error)) from None

    # A block

    def __enter__(self) -> Self:
        outer = stays.current() if entered else None
        self._block.enter(stays, Stay(self, outer))
        return self

    def __exit__(self, *error: object) -> None:
        self._leave(any(error))

    def _leave(self, is_failing: bool) -> None:
        self._block.leave(stays)
        if self._block:
            return
        with _collecting:
            for held in self._typed():
                held.keep()
            misnamed = [*self._misnamed()]
            self._unsaid.clear()
        if is_failing:
            return
        for name, called in misnamed:
            warnings.warn(
                f"the hyperparameters for {name!r} were not used, since that function was not called; {called} was, "
                f"and had its defaults: if they are meant for it, give them under {called!r}, or under the name "
                "without module",
                UserWarning,
                stacklevel=3,
            )

    def _misnamed(self) -> Iterator[tuple[str, str]]:
        """Names whose values no function has taken, each with one of the same name in another module that had none."""
        for name, held in self.root.items():
            module, _, qualname = name.rpartition(":")
            if module and isinstance(held, Untyped):
                yield from ((name, called) for called in sorted(self._unsaid) if called.endswith(f":{qualname}"))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self._leave(any(error))

    # Values by function

    def __getitem__(self, function: Any) -> Any:
        """What holds for a function, given by itself or by its name; raises KeyError for an unknown name."""
        kind = None if isinstance(function, str) else kind_in(function)
        if kind is not None:
            with _collecting:
                return self.held(kind)
        found = [name for name, held in self.root.items() if function in _answering(name, held)]
        if len(found) != 1:
            known = ", ".join(found or self.root) or "none yet"
            raise KeyError(f"{function}: {'which of' if found else 'there are only'} {known}")
        return self.root[found[0]]

    def __contains__(self, function: Any) -> bool:
        try:
            names = _names(function)
        except TypeError:
            return False
        return any(set(names) & {*_answering(name, held)} for name, held in self.root.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hyperparameters):
            return NotImplemented
        return bool(self.model_dump() == other.model_dump())

    __hash__ = None  # type: ignore[assignment]  # they change

    def __len__(self) -> int:
        return len(self.root)

    def held(self, kind: type[FunctionHyperparameters]) -> FunctionHyperparameters:
        """The values for a function, typed; its defaults where there were none."""
        named = kind.__function__
        held = self.root.get(named.key)
        if held is None:
            held = self._named_without_module(kind)
            if held is None:
                self._unsaid.add(named.key)
        if not isinstance(held, FunctionHyperparameters) or not held.is_of(kind):
            held = self.root[named.key] = _typed(held, kind)
        return held

    def _named_without_module(self, kind: type[FunctionHyperparameters]) -> BaseModel | None:
        named = kind.__function__
        for name in named.bare:
            if self._taken.get(name, named.key) != named.key:
                raise TypeError(
                    f"the hyperparameters for {name!r} are those of {self._taken[name]}, and {named.key} goes by that "
                    "name too: give the values under the names with modules"
                )
            if name in self.root:
                self._taken[name] = named.key
                return self.root.pop(name)
        return None

    def _typed(self) -> Iterator[FunctionHyperparameters]:
        return (held for held in self.root.values() if isinstance(held, FunctionHyperparameters))

    # One class for all

    @property
    def model(self) -> type[AllHyperparameters]:
        """A pydantic class with a field for each function that was seen; its objects are values for another block."""
        kinds = {key: type(held) for key, held in self.root.items() if isinstance(held, FunctionHyperparameters)}
        names = [kind.__function__.name for kind in kinds.values()]
        fields = [(key if names.count(name) > 1 else name, key) for name, key in zip(names, kinds, strict=True)]
        return _all_of(tuple((name, key, kinds[key]) for name, key in fields))

    @property
    def values(self) -> AllHyperparameters:
        """The present values, as an object of `model`."""
        model = self.model
        held = {name: self.root[key].model_copy(deep=True) for name, key in model.__keys__.items()}
        return model.model_construct(None, **held)

    @classmethod
    def merge(cls, several: Iterable[Any]) -> Self:
        """Those of several in one; what a later one gives wins."""
        merged = cls()
        for one in several:
            for name, held in cls(one).root.items():
                # One of the two may lack the module.
                alike = [known for known, other in merged.root.items() if _is_same(known, other, name, held)]
                before = merged.root.pop(alike[0]) if len(alike) == 1 else None
                key = max(name, *alike, key=len) if before else name
                merged.root[key] = held if before is None else _followed_by(before, held)
        return merged

    # Copies and pickles are independent of the original, and in no block

    def __copy__(self) -> Self:
        return type(self)(self)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return type(self)(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model_dump(),)


def _is_of_one_function(values: Any) -> bool:
    return isinstance(values, Mapping) and not all(isinstance(held, Mapping | BaseModel) for held in values.values())


def _by_name(values: Any) -> dict[str, BaseModel]:
    """Values in any form, by the name of the function."""
    if values is None:
        return {}
    if isinstance(values, FunctionHyperparameters):
        values = {values.__function__.key: values}
    elif isinstance(values, AllHyperparameters):
        values = {key: getattr(values, name) for name, key in values.__keys__.items()}
    elif isinstance(values, Hyperparameters):
        values = values.root
    if not isinstance(values, Mapping):
        raise TypeError(
            f"hyperparameters are given by function, as in {{'write_essay': {{'style': 'plain'}}}}, not as {values!r}"
        )
    return {_names(function)[0]: _values_of(held) for function, held in values.items()}


def _values_of(held: Any) -> BaseModel:
    if isinstance(held, BaseModel):
        return held.model_copy(deep=True)
    if not isinstance(held, Mapping):
        raise TypeError(
            f"the hyperparameters of a function are given by name, as in {{'style': 'plain'}}, not {held!r}"
        )
    return Untyped.model_validate(held)


def _names(function: Any) -> tuple[str, ...]:
    """The names that a function goes by, the full one first; a name is its own."""
    if isinstance(function, str):
        return (function,)
    named = kind_in(function).__function__
    return named.key, *named.bare


def _answering(name: str, held: BaseModel) -> tuple[str, ...]:
    """The names by which the values that stand under a name are found."""
    if isinstance(held, FunctionHyperparameters):
        return name, *held.__function__.bare
    qualname = name.rpartition(":")[2]
    return name, qualname, qualname.rpartition("<locals>.")[2]


def _is_same(one: str, held: BaseModel, other: str, also: BaseModel) -> bool:
    """Whether values stand under two names for the same function."""
    return one == other or other in _answering(one, held) or one in _answering(other, also)


def kind_in(function: Any) -> type[FunctionHyperparameters]:
    """The class of a tracked function's hyperparameters; raises TypeError for what is none."""
    found: Any = function
    while found is not None and not isinstance(found, type):
        kind = getattr(found, "hyperparameters", None)
        if isinstance(kind, type) and issubclass(kind, FunctionHyperparameters):
            return kind
        inner = (getattr(found, name, None) for name in ("func", "fget", "__func__"))
        found = next((at for at in inner if at is not None), None)
    name = getattr(function, "__qualname__", None) or repr(function)
    raise TypeError(f"{name} has no hyperparameters: decorate it with @track_hyperparameters")


def _typed(held: BaseModel | None, kind: type[FunctionHyperparameters]) -> FunctionHyperparameters:
    if held is None:
        made = defaults_of(kind)
        for name, value in dict(made).items():
            made.collect(name, value)
        return made
    given = held.given() if isinstance(held, FunctionHyperparameters) else dict(held)
    try:
        made = kind.model_validate(given)
    except ValidationError as error:
        raise TypeError(problem_text(kind, error)) from None
    for name, value in made.__dict__.items():
        if name not in made.model_fields_set:
            made.collect(name, value)
    return made


def _followed_by(before: BaseModel, later: BaseModel) -> BaseModel:
    said = later.given() if isinstance(later, FunctionHyperparameters) else dict(later)
    if isinstance(before, FunctionHyperparameters):
        return _typed(Untyped.model_validate({**before.given(), **said}), type(before))
    return Untyped.model_validate({**dict(before), **said})


def values_for(
    kind: type[FunctionHyperparameters], passed: Iterable[str] = (), found: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What holds for a call of a function made here and now; the blocks around it note what it uses.

    What is `passed` as an argument is no hyperparameter of this call. Defaults that only the call tells are `found`.
    """
    with _collecting:
        around = [values.held(kind) for values in _around()]
        defaults = dict(defaults_of(kind)) | dict(found or {})
        return {name: _value(around, name, defaults[name]) for name in kind.model_fields if name not in passed}


def value_named(kind: type[FunctionHyperparameters], name: str, annotation: Any, default: Any) -> Any:
    """What holds for a hyperparameter that a running function names."""
    with _collecting:
        around = [values.held(kind) for values in _around()]
        for held in around:
            if name not in type(held).model_fields:
                grow(held, name, annotation, default)
        return _value(around, name, default)


def _value(around: Iterable[FunctionHyperparameters], name: str, default: Any) -> Any:
    given = next((held for held in around if held.is_given(name)), None)
    value = default if given is None else copied(getattr(given, name))
    for held in around:
        if not held.is_given(name):
            held.collect(name, value)
    return value


def _around() -> list[Hyperparameters]:
    """The blocks around the code that runs here and now, the innermost first."""
    found: list[Hyperparameters] = []
    stay = stays.current()
    while stay is not None:
        if not stay.closed and not any(stay.value is one for one in found):
            found.append(stay.value)
        stay = stay.outer
    return found
