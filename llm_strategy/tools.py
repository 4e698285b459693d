"""Tools: functions that a model may call before it answers, as it is told of them and as it calls them."""

from __future__ import annotations

import functools
import inspect
import json
import re
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from types import FunctionType, MethodType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from llm_strategy.canonical import FrozenJSON
from llm_strategy.carriers import JSONSchema
from llm_strategy.docstring import Documented, documented
from llm_strategy.errors import PromptError
from llm_strategy.exact import is_utf8
from llm_strategy.rendering import value_text
from llm_strategy.schema import IMPOSSIBLE, Output, reason_of, without_titles
from llm_strategy.signature import VolatileMarker, description_in, display_name
from llm_strategy.typed_dicts import accepted
from llm_strategy.values import JSON

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What every provider takes for a name."""


class WrongCall(Exception):
    """A call that the model has to mend; the text is for the model."""


class Tool:
    """A function that a model may call.

    Raises TypeError for what is no function, and PromptError for what a model cannot be told of: without docstring
    or annotations, with parameters that JSON has no place for.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if isinstance(function, type) or not callable(function):
            raise TypeError(
                f"{function!r} is no tool: tools are functions, such as a `def`, an `async def`, a bound method or "
                "another function that a model implements"
            )
        self.function = function
        self._inner = _inner(function)
        self.name = _name(function, self._inner)
        self._written = _docstring(function, self._inner)
        self._check()

    def __reduce__(self) -> tuple[Any, ...]:
        return Tool, (self.function,)

    def __repr__(self) -> str:
        return f"<the tool {self.name}>"

    @property
    def place(self) -> str:
        """Name, file and line, for errors."""
        code = getattr(self._inner, "__code__", None)
        return f"the tool {self.name}" + (f" ({code.co_filename}:{code.co_firstlineno})" if code else "")

    def _check(self) -> None:
        """Refuse what lacks something that the model is told."""
        if not _NAME.fullmatch(self.name):
            raise PromptError(
                f"{self.place}: providers take names of at most 64 letters of the alphabet, digits, `_` and `-` only: "
                "write a `def` with such a name"
            )
        if not self._written.strip():
            raise PromptError(
                f"{self.place} has no docstring: say in one what it does, since that is how a model knows when to call "
                "it (Python's option -OO strips docstrings)"
            )
        if inspect.isasyncgenfunction(self._inner):
            raise PromptError(f"{self.place} is an asynchronous generator: return a list")
        for parameter in self._own:
            self._check_parameter(parameter)

    def _check_parameter(self, parameter: inspect.Parameter) -> None:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise PromptError(
                f"{self.place} takes any number of arguments (`{stars}{parameter.name}`), which no model can be told "
                f"of: take a list or a dict, such as `{parameter.name}: list[str]`"
            )
        if parameter.name in getattr(self._inner, "__annotations__", {}):
            return
        if parameter.name in ("self", "cls"):
            raise PromptError(f"{self.place} is a method: give it bound to an object, as in tools=[obj.{self.name}]")
        raise PromptError(
            f"{self.place}: the parameter {parameter.name!r} has no annotation: add one, such as "
            f"`{parameter.name}: str`"
        )

    @cached_property
    def _own(self) -> list[inspect.Parameter]:
        """The parameters that the model is told of; not the private ones, which have their defaults."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except ValueError:
            raise PromptError(f"{self.place} does not tell its parameters: write a `def` around it") from None
        return [
            parameter
            for parameter in parameters
            if not (parameter.name.startswith("_") and parameter.default is not parameter.empty)
        ]

    @cached_property
    def _hints(self) -> Mapping[str, Any]:
        """The annotations, evaluated when a model is first told of the tool: by then every name they use exists."""
        try:
            return typing.get_type_hints(self._inner, include_extras=True)
        except Exception as error:  # an annotation that is a string can hold any expression
            raise PromptError(
                f"{self.place}: its annotations cannot be evaluated, because of {type(error).__name__}: {error}: "
                "import what they name in its module, or define it at the top of a module"
            ) from error

    @property
    def is_volatile(self) -> bool:
        """Whether what it returns differs from run to run: `-> Volatile[str]`."""
        metadata = getattr(self._hints.get("return"), "__metadata__", ())
        return any(isinstance(item, VolatileMarker) for item in metadata)

    @cached_property
    def is_asynchronous(self) -> bool:
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(self._inner)

    @cached_property
    def described(self) -> FrozenJSON:
        """What the model is told of it."""
        try:
            schema = self._arguments.model_json_schema(schema_generator=JSONSchema)
        except IMPOSSIBLE as error:
            raise PromptError(
                f"{self.place}: a model cannot pass its arguments, because {reason_of(error)}: take plain data, a "
                "dataclass, a TypedDict or a pydantic model"
            ) from error
        parameters = without_titles(schema, "Arguments")
        return FrozenJSON(
            {"type": "function", "name": self.name, "description": self._documented.text, "parameters": parameters}
        )

    @cached_property
    def _documented(self) -> Documented:
        return documented(self._written, [parameter.name for parameter in self._own])

    @cached_property
    def _arguments(self) -> type[BaseModel]:
        """The arguments as an object. Its fields have names of their own, since some are taken in a pydantic model."""
        fields = {f"p{number}": self._field(parameter) for number, parameter in enumerate(self._own)}
        model: type[BaseModel] = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]  # fields by name
        return model

    def _field(self, parameter: inspect.Parameter) -> tuple[Any, Any]:
        hint = accepted(self._hints[parameter.name])
        described = description_in([*getattr(hint, "__metadata__", ()), parameter.default])
        about = Field(alias=parameter.name, description=described or self._documented.descriptions.get(parameter.name))
        return Annotated[hint, about], ... if parameter.default is parameter.empty else parameter.default

    @cached_property
    def _output(self) -> Output:
        return Output(self._arguments, self.place)

    def bind(self, arguments: JSON) -> Callable[[], Any]:
        """The function with the model's arguments, validated. Raises WrongCall where they do not fit."""
        if isinstance(arguments, str):
            # As providers write them, which a model of a user's own may hand on.
            with suppress(ValueError, RecursionError):
                arguments = json.loads(arguments.strip() or "{}")
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, Mapping):
            raise WrongCall(f"{self.name} was not called: its arguments are no JSON object")
        try:
            found = self._output.validate(f'{{"return_value": {json.dumps(arguments)}}}', strict=False)
        except ValidationError as error:
            problems = "\n".join(f"- {problem}" for problem in _problems(error))
            raise WrongCall(f"{self.name} was not called: its arguments do not fit:\n{problems}") from None
        positional, named = [], {}
        for number, parameter in enumerate(self._own):
            if f"p{number}" not in found.model_fields_set and not isinstance(parameter.default, FieldInfo):
                continue
            value = getattr(found, f"p{number}")
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            else:
                named[parameter.name] = value
        return functools.partial(self.function, *positional, **named)

    def text(self, value: Any) -> str:
        """What a model is told of a value that the tool returned: a text as it is, all else as JSON.

        Raises PromptError for a value without a stable form.
        """
        if isinstance(value, str) and is_utf8(value):
            return str(value)
        if isinstance(value, Iterator):
            value = list(value)
        try:
            return value_text(value, "return value")
        except PromptError:
            raise PromptError(
                f"{self.place} returned a {type(value).__qualname__}, which has no stable form as JSON, or contains "
                "itself: return text, plain data, a dataclass or a pydantic model"
            ) from None


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(map(str, problem["loc"][1:]))
        yield f"{place}: {problem['msg']}" if place else problem["msg"]


def _inner(thing: Any) -> Any:
    """The `def` behind a callable: behind a partial, a method, a decorator, an object that is called."""
    while not isinstance(thing, FunctionType) or hasattr(thing, "__wrapped__"):
        if isinstance(thing, functools.partial):
            thing = thing.func
        elif isinstance(thing, MethodType):
            thing = thing.__func__
        elif hasattr(thing, "__wrapped__"):
            thing = thing.__wrapped__
        elif isinstance(called := getattr(type(thing), "__call__", None), FunctionType):  # noqa: B004  # its function is wanted
            thing = called
        else:
            break
    return thing


def _name(function: Any, inner: Any) -> str:
    """Its own name, that of the function in a partial, or that of the class of an object that is called."""
    if isinstance(named := getattr(function, "__name__", None), str):
        return named
    if isinstance(function, functools.partial):
        return str(getattr(inner, "__name__", "partial"))
    return display_name(type(function)).rpartition(".")[2]


def _docstring(function: Any, inner: Any) -> str:
    own = getattr(function, "__dict__", {}).get("__doc__")
    if isinstance(own, str):
        return inspect.cleandoc(own)
    plain = isinstance(function, FunctionType | MethodType | functools.partial)
    return inspect.getdoc(inner) or ("" if plain else inspect.getdoc(type(function))) or ""


def tools_of(given: Any) -> tuple[Tool, ...]:
    """The tools in a list of functions. Raises TypeError or PromptError, with what to write instead."""
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        written = getattr(given, "__name__", None)
        example = f"tools=[{written}]" if written else "tools=[look_up]"
        raise TypeError(f"tools is a list of functions, not {given!r}: write {example}")
    tools = tuple(one if isinstance(one, Tool) else Tool(one) for one in given)
    for name, count in Counter(tool.name for tool in tools).items():
        if count > 1:
            raise PromptError(
                f"{count} tools have the name {name!r}, by which a model calls them: give one of them another name, "
                f"with a `def` of its own, or a functools.partial whose __name__ is set"
            )
    return tools


def checked_turns(turns: Any) -> int:
    """The number of turns; raises TypeError or ValueError for what is none."""
    if not isinstance(turns, int) or isinstance(turns, bool):
        raise TypeError(f"max_turns is a whole number, not {turns!r}")
    if turns < 1:
        raise ValueError(f"max_turns must be 1 or more, not {turns}")
    return turns
