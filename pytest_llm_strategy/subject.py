"""A type, or the return type of a function that a model implements, with the library's own parser for it."""

from __future__ import annotations

import functools
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import suppress
from types import FunctionType, MethodType
from typing import Any, NoReturn

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, ResolutionFailed
from pydantic import PydanticUserError, TypeAdapter

from llm_strategy import ReplyError, llm_strategy
from pytest_llm_strategy.equality import all_parts, same
from pytest_llm_strategy.type_values import strategy_of

_NONE_SUCH = object()


class NoValues(TypeError):
    """There is no strategy for the values of a type."""


class Lost(AssertionError):
    """A value did not come back, or a reply was answered by another exception than ReplyError."""


class Subject:
    """What is tested: `parse` and `reply` are the library's, `values` makes what they are tested with.

    `accepted` holds, as text, the different values that were made, `refused` counts those that pydantic refused.
    """

    def __init__(self, x: Any) -> None:
        function: Any = function_in(x) or _function_for(x)
        with suppress(ReplyError):
            # An impossible type raises PromptError instead, which says why it is one.
            function.parse("")
        annotation = typing.get_type_hints(_written(function), include_extras=True)["return"]
        item = _streamed(annotation)
        if item is not None:
            # A stream's reply is the list of what it yields.
            annotation = list[item]  # type: ignore[valid-type]  # made from a value
            function = _function_for(annotation)
        self.name = type_name(annotation)
        self.annotation = annotation
        self.parse: Callable[[str], Any] = function.parse
        self._reply: Callable[[Any], str] = function.reply
        try:
            self.adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        except PydanticUserError as error:
            # A TypedDict of `typing` on Python 3.11, which only the library's own parser can read.
            raise NoValues(f"no values of {self.name}: {str(error).splitlines()[0]}") from None
        self.accepted: set[str] = set()
        self.refused = 0

    def values(self) -> st.SearchStrategy[Any]:
        try:
            strategy = strategy_of(self.annotation)
            strategy.validate()
        except (InvalidArgument, ResolutionFailed) as error:
            self.refuse(str(error))
        return strategy.map(self._validated).filter(lambda value: value is not _NONE_SUCH)

    def _validated(self, made: Any) -> Any:
        """A value that pydantic allows too, and that JSON can hold: several keys NaN would be one."""
        try:
            value = self.adapter.validate_python(made)
        except (ValueError, ArithmeticError):
            value = _NONE_SUCH
        if any(isinstance(part, Mapping) and any(key != key for key in part) for part in all_parts(value)):
            value = _NONE_SUCH
        if value is _NONE_SUCH:
            self.refused += 1
        else:
            self.accepted.add(repr(value))
        return value

    def refuse(self, reason: str) -> NoReturn:
        raise NoValues(
            f"no values of {self.name}: {reason}. Register a strategy for the type at fault: "
            "hypothesis.strategies.register_type_strategy(Type, strategy)"
        ) from None

    def reply(self, value: Any) -> str:
        """The text of the reply that carries a value; raises ValueError where there is none."""
        return self._reply(value)

    def check(self, value: Any) -> None:
        """Raise Lost for a value that does not come back from its reply."""
        try:
            text = self.reply(value)
        except ValueError as error:
            raise Lost(
                f"a value of {self.name} cannot be written as a reply\nvalue:     {_shown(value)}\nreason:    {error}"
            ) from None
        try:
            back = self.parse(text)
        except Exception as error:  # noqa: BLE001  # whatever it is, the value is lost
            came = f"{type(error).__name__}: {error}"
        else:
            if same(value, back):
                return
            came = _shown(back)
        raise Lost(
            f"a value of {self.name} is lost on its way through a reply\n"
            f"value:     {_shown(value)}\nreply:     {text}\ncame back: {came}"
        )

    def check_refusal(self, text: str) -> None:
        """Raise Lost for a reply that gives neither a value nor ReplyError."""
        try:
            self.parse(text)
        except ReplyError:
            return
        except Exception as error:  # noqa: BLE001  # that there is another is what is looked for
            at = error.__traceback__
            while at is not None and at.tb_next is not None:
                at = at.tb_next
            where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "unknown"
            raise Lost(
                f"a reply for {self.name} is answered by {type(error).__name__}, where ReplyError is expected\n"
                f"reply:     {text!r}\nraised:    {type(error).__name__}: {error}\nat:        {where}"
            ) from None


def _shown(value: Any) -> str:
    return f"{value!r} ({type(value).__qualname__})"


# Functions and types


def function_in(x: Any) -> FunctionType | None:
    """The function that a model implements, out of what a class or an object shows of it; None for a type."""
    if isinstance(x, property):
        return function_in(x.fget)
    if isinstance(x, functools.partial | functools.cached_property):
        return function_in(x.func)
    if isinstance(x, staticmethod | classmethod | MethodType):
        return function_in(x.__func__)
    if isinstance(x, FunctionType) and not hasattr(x, "parse"):
        raise TypeError(f"{x.__qualname__} is no function that a model implements: decorate it, or give a type")
    return x if isinstance(x, FunctionType) else None


def _function_for(annotation: Any) -> FunctionType:
    """A function that returns the type, for the sake of its parser."""

    def value() -> Any:
        """A value of the type."""
        raise NotImplementedError

    value.__qualname__ = type_name(annotation)
    value.__annotations__ = {"return": annotation}
    decorated: Any = llm_strategy()(value)
    return decorated  # type: ignore[no-any-return]  # a function, as it was


def type_name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _written(function: FunctionType) -> Any:
    return function.__wrapped__  # type: ignore[attr-defined]  # decorated functions have it


_STREAMS = (Iterator, Iterable, Generator, AsyncIterator, AsyncIterable, AsyncGenerator)


def _streamed(annotation: Any) -> Any:
    """The type of what a stream yields; None for another type."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) in _STREAMS else None
