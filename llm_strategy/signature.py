"""What a function without a body says about itself: its name, documentation, parameters and result."""

from __future__ import annotations

import copy
import inspect
import sys
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Annotated, Any, Literal, TypeVar

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from llm_strategy.body import is_unimplemented
from llm_strategy.docstring import Documented, documented
from llm_strategy.errors import PromptError

T = TypeVar("T")


class VolatileMarker:
    """Marks an argument that differs from run to run."""


Volatile = Annotated[T, VolatileMarker()]
"""`now: Volatile[datetime]`: sent to the model, but a placeholder in key, cassette and snapshot."""

Binding = Literal["instance", "class"]
"""What a member is given as its first argument; None for functions and static methods."""


@dataclass(frozen=True)
class Parameter:
    """One parameter that stands in the prompt."""

    name: str
    annotation: Any
    kind: inspect._ParameterKind
    description: str | None = None

    @property
    def volatile(self) -> bool:
        return any(isinstance(item, VolatileMarker) for item in getattr(self.annotation, "__metadata__", ()))


class Signature:
    """The signature of a function that a model is to implement.

    `binding` says whether the first parameter is the instance or the class; `hidden` is the number
    of leading parameters that stay out of the prompt (the model that `llm_function` is given).

    Raises PromptError where something is missing without which there is no prompt.
    """

    def __init__(self, function: FunctionType, *, binding: Binding | None = None, hidden: int = 0) -> None:
        self.function = function
        self.binding = binding
        self.name = display_name(function)
        self.asynchronous = inspect.iscoroutinefunction(function)
        self._written = inspect.getdoc(function) or ""
        self.file, self.line = function.__code__.co_filename, function.__code__.co_firstlineno
        own = list(inspect.signature(function).parameters.values())
        skipped = hidden + (binding is not None)
        if len(own) < skipped:
            what = "the model" if hidden else "self"
            raise PromptError(f"{self.place} has no parameter for {what}: write it as the first one")
        self.bound_name = own[0].name if binding else None
        self._hidden, self._own = own[:skipped], own[skipped:]
        self._check()
        plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
        all_plain = all(parameter.kind is plain for parameter in self._own)
        self._positional = tuple(parameter.name for parameter in self._own) if all_plain else None
        self._for_binding = inspect.Signature([_with_plain_default(parameter) for parameter in self._own])

    @property
    def leading(self) -> tuple[str, ...]:
        """The parameters that stay out of the prompt: what a member is called on, or the model of `llm_function`."""
        return tuple(parameter.name for parameter in self._hidden)

    @property
    def place(self) -> str:
        """Name, file and line, for errors."""
        return f"{self.name} ({self.file}:{self.line})"

    def _check(self) -> None:
        """Refuse what lacks something that the prompt is made of."""
        if not is_unimplemented(self.function):
            raise PromptError(
                f"{self.place} has a body of its own, so there is nothing for a model to implement: "
                "let the body be a docstring and `raise NotImplementedError`"
            )
        if not self._written.strip():
            raise PromptError(f"{self.place} has no docstring: {_cure_for_no_docstring()}")
        annotations = self.function.__annotations__
        if "return" not in annotations:
            raise PromptError(f"{self.place} has no return annotation: add one, such as `-> str`")
        first = next((parameter.name for parameter in (*self._hidden, *self._own)), "")
        if self.binding is None and first in ("self", "cls") and first not in annotations and "." in self.name:
            raise PromptError(
                f"{self.place} is a method: decorate its class, for the prompt shows the fields of {first} too"
            )
        for parameter in self._own:
            if parameter.annotation is parameter.empty and parameter.default is parameter.empty:
                raise PromptError(
                    f"{self.place}: the parameter {parameter.name!r} has no annotation: "
                    f"add one, such as `{parameter.name}: str`"
                )

    @cached_property
    def _hints(self) -> Mapping[str, Any]:
        """The annotations, evaluated at the first call: by then every name they use exists."""
        try:
            return typing.get_type_hints(self.function, include_extras=True)
        except NameError as error:
            raise PromptError(
                f"{self.place}: its annotations use the name {error.name!r}, which is not defined in its module: "
                "import it there, or define the type at the top of a module"
            ) from error
        except Exception as error:  # an annotation that is a string can hold any expression
            raise PromptError(
                f"{self.place}: its annotations cannot be evaluated, because of {type(error).__name__}: {error}"
            ) from error

    @cached_property
    def _documented(self) -> Documented:
        return documented(self._written, [parameter.name for parameter in (*self._hidden, *self._own)])

    @property
    def docstring(self) -> str:
        """The docstring without what it says about single parameters; that is in their descriptions."""
        return self._documented.text

    @cached_property
    def declared(self) -> Any:
        """The return annotation as it is written, with its type variables."""
        return self.returns

    @cached_property
    def returns(self) -> Any:
        """The return annotation; a coroutine function's is that of what it returns."""
        return self._hints["return"]

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(self._parameter(parameter) for parameter in self._own)

    @property
    def written(self) -> tuple[inspect.Parameter, ...]:
        """The parameters as they are written, without what they are bound to."""
        return tuple(self._own)

    tuned = False
    """Whether the words of the prompt are others than those that stand in the program."""

    def reworded(self) -> Signature:
        """The signature for a prompt in other words."""
        changed = copy.copy(self)
        changed.tuned = True
        return changed

    def with_types(self, parameters: tuple[Parameter, ...], returns: Any) -> Signature:
        """The same signature with other types in it."""
        changed = copy.copy(self)
        vars(changed).update(parameters=parameters, returns=returns, declared=self.declared)
        return changed

    def _parameter(self, parameter: inspect.Parameter) -> Parameter:
        annotation = self._hints.get(parameter.name, Any)
        described = [*getattr(annotation, "__metadata__", ()), parameter.default]
        description = description_in(described) or self._documented.descriptions.get(parameter.name)
        return Parameter(parameter.name, annotation, parameter.kind, description)

    @property
    def defaults(self) -> dict[str, Any]:
        """What the parameters are that a call leaves out."""
        parameters = self._for_binding.parameters.values()
        return {item.name: item.default for item in parameters if item.default is not item.empty}

    def passed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Collection[str]:
        """The parameters that a call gives arguments for."""
        return self._for_binding.bind(*args, **kwargs).arguments.keys()

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of one call by parameter, defaults included.

        Raises TypeError where they do not fit the signature, as a call of the function would.
        """
        __tracebackhide__ = True
        if self._positional is not None and not kwargs and len(args) == len(self._positional):
            # The plain case, in a fifth of the time.
            return dict(zip(self._positional, args, strict=True))
        try:
            bound = self._for_binding.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None
        bound.apply_defaults()
        return bound.arguments


def _cure_for_no_docstring() -> str:
    if sys.flags.optimize >= 2:
        return "Python runs with -OO or PYTHONOPTIMIZE=2, which strips them, and they are the prompt's heart: use -O"
    return "say in one what it returns; it is the prompt's heart"


def _with_plain_default(parameter: inspect.Parameter) -> inspect.Parameter:
    """A default written as `Field(1, description=...)` stands for 1."""
    if not isinstance(parameter.default, FieldInfo):
        return parameter
    default = parameter.default.get_default(call_default_factory=True, validated_data={})
    return parameter.replace(default=parameter.empty if default is PydanticUndefined else default)


def description_in(metadata: Iterable[Any]) -> str | None:
    """The description among annotations: pydantic's `Field(description=...)` or `Doc(...)` of PEP 727."""
    for item in metadata:
        text = item.description if isinstance(item, FieldInfo) else getattr(item, "documentation", None)
        if isinstance(text, str):
            return text
    return None


def display_name(thing: type | Callable[..., Any]) -> str:
    """The qualified name without module and enclosing functions, so that moving code changes no prompt."""
    return thing.__qualname__.rpartition("<locals>.")[2]
