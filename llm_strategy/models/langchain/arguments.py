"""The arguments of an implemented function by name, as chains and models give them."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel, ConfigDict, Field, PydanticSchemaGenerationError, PydanticUserError, create_model
from pydantic import TypeAdapter as Adapter
from pydantic_core import PydanticSerializationError, to_json

from llm_strategy.prompt import Prompt
from llm_strategy.prompt_blocks import one_line
from llm_strategy.schema import argument_check
from llm_strategy.signature import Parameter
from llm_strategy.typed_dicts import accepted

_PLAIN = inspect.Parameter
_CONFIG = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())


class Arguments:
    """What a function takes: its parameters, of a method that is not bound the object too, of `llm_function` the model.

    `schema` is the pydantic model of what stands in the prompt. Raises AttributeError for what is not implemented.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        # A method of an object is one.
        bound = isinstance(function, functools.partial)
        written: Any = function.func if isinstance(function, functools.partial) else function
        if written.__llm_prompt__ is None:
            # A member that no prompt can be made from: called, it says why.
            written()
        self.prompt: Prompt = written.__llm_prompt__
        self.signature = self.prompt.signature
        self.leading = () if bound else self.signature.leading

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        # Pydantic takes no TypedDict of `typing` on older Pythons.
        own = (replace(item, annotation=accepted(item.annotation)) for item in self.signature.parameters)
        return {parameter.name: parameter for parameter in own}

    @cached_property
    def schema(self) -> type[BaseModel]:
        fields: dict[str, Any] = {
            # What begins with an underscore is set by who writes the program.
            name: _field(parameter, self.signature.defaults)
            for name, parameter in self.parameters.items()
            if not name.startswith("_")
        }
        with warnings.catch_warnings():
            # A parameter may be called `json` or `copy`, as methods of pydantic's models are.
            warnings.simplefilter("ignore")
            return create_model(self.signature.name.replace(".", "_"), __config__=_CONFIG, **fields)

    @cached_property
    def only(self) -> str | None:
        """The parameter that takes a plain value: the only one, or the only one without a default."""
        names = [*self._given_leading, *self.parameters]
        needed = [name for name in names if self._is_needed(name)]
        for found in (names, needed):
            if len(found) == 1:
                return found[0]
        return None

    @property
    def _given_leading(self) -> tuple[str, ...]:
        """The object of a method; a model need not be given, it may be configured."""
        return self.leading if self.signature.binding else ()

    def _is_needed(self, name: str) -> bool:
        parameter = self.parameters.get(name)
        variadic = parameter is not None and parameter.kind in (_PLAIN.VAR_POSITIONAL, _PLAIN.VAR_KEYWORD)
        return name not in self.signature.defaults and not variadic

    def bound(self, given: Any, more: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """A call's arguments: `given` is a dict of them or the plain value of the only one. Raises TypeError."""
        __tracebackhide__ = True
        named = {**self._named(given), **more}
        values = {name: self._fitting(name, value) for name, value in named.items()}
        args = [values.pop(name) if self.signature.binding else values.pop(name, None) for name in self._taken(values)]
        return self._arranged(args, values)

    def _taken(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        for name in self._given_leading:
            if name not in values:
                raise TypeError(f"{self.signature.name}() needs the object to call it on as {name!r}, or bind it first")
        return self.leading

    def _named(self, given: Any) -> dict[str, Any]:
        names = {*self.leading, *self.parameters}
        more = any(parameter.kind is _PLAIN.VAR_KEYWORD for parameter in self.parameters.values())
        named = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
        if named and (names.issuperset(given) or more) and (given or self.only is None):
            return dict(given)
        if given is None and not any(map(self._is_needed, names)) and not (self.only and self._fits(self.only, None)):
            return {}
        if self.only is not None and (not named or self._fits(self.only, given)):
            return {self.only: given}
        takes = ", ".join(map(repr, [*self._given_leading, *self.parameters])) or "nothing"
        if named and (unknown := [name for name in given if name not in names]):
            raise TypeError(
                f"{self.signature.name}() has no parameter {unknown[0]!r}, it takes {takes}; in a chain, choose what "
                f"it gets: .pick({sorted(names.intersection(given))!r})"
            )
        if named:
            return dict(given)
        raise TypeError(f"{self.signature.name}() takes {takes}: give a dict of arguments, not {given!r}")

    def _arranged(self, args: list[Any], values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """By position as far as the function wants it, the rest by name; defaults stay out where they can."""
        by_position = [name for name in self._ordered if name in values and self._is_positional(name, values[name])]
        for name in self._ordered[: self._ordered.index(by_position[-1]) + 1] if by_position else ():
            if self.parameters[name].kind is _PLAIN.VAR_POSITIONAL:
                args += values.pop(name)
            elif name in values or name in self.signature.defaults:
                args.append(values.pop(name, self.signature.defaults.get(name)))
            else:
                raise TypeError(f"{self.signature.name}() missing a required argument: {name!r}")
        for name, parameter in self.parameters.items():
            if parameter.kind is _PLAIN.VAR_POSITIONAL:
                values.pop(name, None)
            elif parameter.kind is _PLAIN.VAR_KEYWORD:
                values |= values.pop(name, {})
        return args, values

    @cached_property
    def _ordered(self) -> list[str]:
        """The parameters that can be given by position."""
        kinds = (_PLAIN.KEYWORD_ONLY, _PLAIN.VAR_KEYWORD)
        return [name for name, parameter in self.parameters.items() if parameter.kind not in kinds]

    def _is_positional(self, name: str, value: Any) -> bool:
        kind = self.parameters[name].kind
        return kind is _PLAIN.POSITIONAL_ONLY or (kind is _PLAIN.VAR_POSITIONAL and bool(value))

    @cached_property
    def _checks(self) -> dict[str, Callable[[Any], str | None]]:
        return {name: argument_check(parameter.annotation) for name, parameter in self.parameters.items()}

    def _fits(self, name: str, value: Any) -> bool:
        parameter = self.parameters.get(name)
        if parameter is None or self._checks[name](value) is None:
            return True
        return self._read(parameter, value) is not _UNREADABLE

    def _fitting(self, name: str, value: Any) -> Any:
        """A value as the parameter takes it: a message's text, JSON as the object that it stands for."""
        parameter = self.parameters.get(name)
        if parameter is None or parameter.kind in (_PLAIN.VAR_POSITIONAL, _PLAIN.VAR_KEYWORD):
            return value
        if self._checks[name](value) is None:
            return value
        read = self._read(parameter, value)
        return value if read is _UNREADABLE else read

    def _read(self, parameter: Parameter, value: Any) -> Any:
        text = _text_in(value)
        if text is not None and self._checks[parameter.name](text) is None:
            return text
        with suppress(ValueError, PydanticSerializationError, PydanticSchemaGenerationError, PydanticUserError):
            return Adapter(parameter.annotation).validate_json(to_json(value), strict=True)
        return _UNREADABLE


_UNREADABLE: Any = object()


def _text_in(value: Any) -> str | None:
    """What a prompt or a model's message says, for a function that takes text."""
    if isinstance(value, PromptValue):
        return value.to_string()
    return str(value.text) if isinstance(value, BaseMessage) else None


def _field(parameter: Parameter, defaults: Mapping[str, Any]) -> tuple[Any, Any]:
    annotation = parameter.annotation
    description = one_line(parameter.description) if parameter.description else None
    if parameter.kind is _PLAIN.VAR_POSITIONAL:
        return list.__class_getitem__(annotation), Field(default_factory=list, description=description)
    if parameter.kind is _PLAIN.VAR_KEYWORD:
        return dict.__class_getitem__((str, annotation)), Field(default_factory=dict, description=description)
    if parameter.name not in defaults:
        return annotation, Field(description=description)
    default = defaults[parameter.name]
    try:
        to_json(default)
    except PydanticSerializationError:
        # It has no place in a JSON schema.
        return annotation, Field(default_factory=lambda: default, description=description)
    return annotation, Field(default=default, description=description)
