"""The typed model of one function's hyperparameters: a pydantic class with a field for each."""

from __future__ import annotations

import copy
import copyreg
import enum
import importlib
import inspect
import typing
import warnings
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    PydanticUserError,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from llm_strategy.signature import display_name

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    # It has no public name.
    ModelMetaclass = type(BaseModel)

M = TypeVar("M", bound=BaseModel)

_NONE: Any = object()


class Named(NamedTuple):
    """A function, by the names that it goes by."""

    module: str
    qualname: str
    name: str
    place: str

    @classmethod
    def of(cls, function: FunctionType) -> Named:
        # The name that a program has in the processes which `multiprocessing` spawns.
        module = "__main__" if function.__module__ in (None, "__mp_main__") else function.__module__
        name, code = display_name(function), function.__code__
        return cls(module, function.__qualname__, name, f"{name} ({code.co_filename}:{code.co_firstlineno})")

    @property
    def key(self) -> str:
        """The one name that no other function has."""
        return f"{self.module}:{self.qualname}"

    @property
    def bare(self) -> tuple[str, ...]:
        """The names without a module."""
        return (self.name,) if self.name == self.qualname else (self.name, self.qualname)


class _Kind(ModelMetaclass):
    """The class of the classes below, which makes them pickle as each says."""


class Made(BaseModel, metaclass=_Kind):
    """A class that is made while a program runs, and so cannot be found by its name; its subclasses say how to."""

    @classmethod
    def __reduce_class__(cls) -> Any:
        return cls.__qualname__


class FunctionHyperparameters(Made):
    """The hyperparameters of a function, by name; a parameter `_x` goes by `x`, and by `_x` too.

    A value that was assigned, or given to the constructor, is checked against the field's type.
    """

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        validate_default=False,
        protected_namespaces=(),
        defer_build=True,
        # An argument may be of any class, so a default may be, too.
        arbitrary_types_allowed=True,
    )

    __function__: ClassVar[Named]
    __grown__: ClassVar[tuple[Any, ...]]
    __own_parameters__: ClassVar[Mapping[str, str]] = {}
    """The fields that are the function's own parameters, and the names of these."""

    _llm_collected: dict[str, Any] = PrivateAttr(default_factory=dict)
    """The values that were noted from calls, as they were then."""

    @classmethod
    def __reduce_class__(cls) -> Any:
        if "__grown__" in vars(cls):
            return _grown, cls.__grown__
        named = vars(cls).get("__function__")
        return cls.__qualname__ if named is None else (_found, (named.module, named.qualname))

    @model_validator(mode="before")
    @classmethod
    def _without_underscores(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        own = {parameter: name for name, parameter in cls.__own_parameters__.items()}
        return {own.get(name, name): value for name, value in data.items()}

    def __getattr__(self, name: str) -> Any:
        field = name.lstrip("_")
        if field != name and self.__own_parameters__.get(field) == name:
            return getattr(self, field)
        return super().__getattr__(name)  # type: ignore[misc]  # pydantic hides it from type checkers

    def __setattr__(self, name: str, value: Any) -> None:
        field = name.lstrip("_")
        super().__setattr__(field if self.__own_parameters__.get(field) == name else name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FunctionHyperparameters):
            return NotImplemented
        return self.__function__ == other.__function__ and bool(self.model_dump() == other.model_dump())

    __hash__ = None  # type: ignore[assignment]  # they change

    def is_given(self, name: str) -> bool:
        """Whether somebody has said what the value is to be; otherwise it is noted from a call."""
        if name in self.model_fields_set or name not in self.__dict__:
            return name in self.model_fields_set
        # A list or a dict may have been changed in place.
        return bool(self.__dict__[name] != self._llm_collected.get(name, _NONE))

    def collect(self, name: str, value: Any) -> None:
        """Note a value from a call, which says nothing about what it is to be."""
        self.__dict__[name], self._llm_collected[name] = copied(value), copied(value)

    def is_of(self, kind: type[FunctionHyperparameters]) -> bool:
        """Whether this is what a class stands for: the function may have been decorated twice."""
        if isinstance(self, kind):
            return True
        own, other = type(self).model_fields, kind.model_fields
        same = (name in own and own[name].annotation == field.annotation for name, field in other.items())
        return self.__function__ == kind.__function__ and all(same)

    def given(self) -> dict[str, Any]:
        """What somebody has said, without what was noted from calls."""
        return {name: value for name, value in self.__dict__.items() if self.is_given(name)}

    def keep(self) -> None:
        """Let all that was collected count as given."""
        self.__pydantic_fields_set__.update(self.__dict__)


def _reduced(kind: Any) -> Any:
    return kind.__reduce_class__()


def _found(module: str, qualname: str) -> Any:
    """The class of a function that is found by its name, in whichever process."""
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return found.hyperparameters


copyreg.pickle(_Kind, _reduced)


B = TypeVar("B", bound=FunctionHyperparameters)

Fields = Mapping[str, tuple[Any, Any]]
"""Type and default of each field, as `pydantic.create_model` takes them."""


def kind_of(
    function: FunctionType,
    parameters: Iterable[inspect.Parameter],
    *,
    base: type[B],
    strict: bool = True,
) -> type[B]:
    """The class for a function: what `base` has, and its parameters that begin with an underscore.

    Raises TypeError for a parameter without type or default; unless `strict`, it is an ordinary one.
    """
    named = Named.of(function)
    own: dict[str, tuple[Any, Any]] = {}
    names: dict[str, str] = {}
    for parameter in parameters:
        field = parameter.name.lstrip("_")
        if field in ("", parameter.name) or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        problem = _problem(parameter, field, names)
        if problem is None:
            own[field] = _hint(function, parameter), _default(parameter.default)
            names[field] = parameter.name
        elif strict:
            raise TypeError(f"{named.place}: the hyperparameter {parameter.name!r} {problem}")
    title = "".join(part[:1].upper() + part[1:] for part in named.name.replace(".", "_").split("_"))
    kind = made_model(
        f"{title}Hyperparameters",
        base,
        own,
        function.__module__,
    )
    kind.__function__, kind.__own_parameters__ = named, names
    return kind


def _problem(parameter: inspect.Parameter, field: str, names: Mapping[str, str]) -> str | None:
    """What is wrong with a parameter as a hyperparameter, and what to write."""
    name, default = parameter.name, parameter.default
    shown = "..." if default is parameter.empty or isinstance(default, FieldInfo) else repr(default)
    if parameter.annotation is parameter.empty:
        return f"has no type: write one, such as `{name}: {_type_name(default)} = {shown}`"
    if default is parameter.empty or (isinstance(default, FieldInfo) and default.is_required()):
        written = parameter.annotation if isinstance(parameter.annotation, str) else _type_name(parameter.annotation)
        return f"has no default, which a call without it would take: write one, such as `{name}: {written} = ...`"
    if field in names:
        return f"and {names[field]!r} both go by {field!r}: give one of them another name"
    if field.startswith("model_") and hasattr(BaseModel, field):
        return f"has the name of a method of pydantic's models, {field!r}: give it another name"
    return None


def copied(value: Any) -> Any:
    """A copy, so that who changes one changes no other; of what cannot be copied there is one only."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001  # an object may do anything when it is copied
        return value


def _default(default: Any) -> Any:
    """A default for pydantic, which copies what it is given."""
    is_one = not isinstance(default, FieldInfo) and copied(default) is default
    return Field(default_factory=lambda: default) if is_one and not isinstance(default, _PLAIN) else default


_PLAIN = (str, bytes, int, float, complex, bool, tuple, frozenset, enum.Enum, type, type(None))


def defaults_of(kind: type[B]) -> B:
    """What holds where nobody has said anything; raises TypeError where a type does not exist."""
    try:
        return kind()
    except PydanticUserError as error:
        reason = str(error).splitlines()[0]
        raise TypeError(
            f"{kind.__function__.place}: its annotations cannot be evaluated: define the types of its hyperparameters "
            f"at the top of a module ({reason})"
        ) from None


def _type_name(thing: Any) -> str:
    if isinstance(thing, type):
        return thing.__qualname__
    return "str" if thing is inspect.Parameter.empty or thing is None else type(thing).__qualname__


def _hint(function: FunctionType, parameter: inspect.Parameter) -> Any:
    """The annotation, evaluated; where a name in it does not exist yet, pydantic looks for it at the first use."""
    holder = type("_", (), {"__annotations__": {"_": parameter.annotation}})
    try:
        return typing.get_type_hints(holder, function.__globals__, _locals(function), include_extras=True)["_"]
    except NameError:
        return parameter.annotation


def _locals(function: FunctionType) -> dict[str, Any]:
    """What a function sees of the functions around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    return {name: cell.cell_contents for name, cell in cells if cell != type(cell)()}


def made_model(name: str, base: type[M], fields: Fields, module: str | None) -> type[M]:
    """A pydantic class with further fields, whatever they are called."""
    if not any(hasattr(base, field) for field in fields):
        return _model(name, base, fields, module)
    with warnings.catch_warnings():
        # A field may have the name of a method that pydantic has given up, such as `schema` or `json`.
        warnings.filterwarnings("ignore", 'Field name ".*" in ".*" shadows an attribute')
        return _model(name, base, fields, module)


def _model(name: str, base: type[M], fields: Fields, module: str | None) -> type[M]:
    made: type[M] = create_model(name, __base__=base, __module__=module or "__main__", **dict(fields))  # type: ignore[call-overload]  # fields of any name
    return made


def grow(held: FunctionHyperparameters, name: str, annotation: Any, default: Any) -> None:
    """Let an object have one more field. It stays the same object, so that whoever holds it sees the field."""
    kind = _grown(type(held), name, annotation, copied(default))
    extra = held.__pydantic_extra__
    object.__setattr__(held, "__class__", kind)
    if extra and name in extra:
        waiting = extra.pop(name)
        try:
            setattr(held, name, waiting)
        except ValidationError as error:
            raise TypeError(problem_text(kind, error)) from None
    else:
        held.collect(name, default)


def _grown(old: type[B], name: str, annotation: Any, default: Any) -> type[B]:
    kind = made_model(old.__name__, old, {name: (annotation, default)}, old.__module__)
    kind.__grown__ = old, name, annotation, default
    return kind


def problem_text(kind: type[FunctionHyperparameters], error: ValidationError) -> str:
    """What is wrong with values for a function, in one line for each."""
    lines = [f"{kind.__function__.place}: its hyperparameters do not fit:"]
    for problem in error.errors(include_url=False, include_context=False):
        at = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = ", ".join(kind.model_fields) or "none"
            lines.append(f"  {at}: there is none of this name, only {known}")
        else:
            lines.append(f"  {at}: {problem['msg']}, not {problem['input']!r}")
    return "\n".join(lines)
