"""`llm_explicit_function`: from one object with fields to a value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from llm_strategy.errors import PromptError
from llm_strategy.implementation import StrategyFunction, implement, plain_function
from llm_strategy.signature import display_name

P = ParamSpec("P")
R = TypeVar("R")


@overload
def llm_explicit_function(  # type: ignore[overload-overlap]  # a static method can be called too, and stays one
    function: staticmethod[Concatenate[Any, P], R],
) -> staticmethod[Concatenate[Any, P], R]: ...
@overload
def llm_explicit_function(function: Callable[Concatenate[Any, P], R]) -> StrategyFunction[Concatenate[Any, P], R]: ...
def llm_explicit_function(function: Any) -> Any:
    """Let a model, passed at call time, turn one pydantic model or dataclass into a value.

    The function has two parameters: the model, in any form that `llm_strategy` takes, and the input.

    Raises PromptError, also a NotImplementedError, where it has other parameters, has a body, or
    lacks a docstring or annotations.
    """
    if isinstance(function, staticmethod):
        return staticmethod(_implement(plain_function(function.__func__)))
    return _implement(plain_function(function))


def _implement(function: FunctionType) -> FunctionType:
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2:
        raise PromptError(
            f"{display_name(function)} takes {len(parameters)} parameters; an explicit function takes two, the model "
            "and one input: put the inputs into a dataclass or a pydantic model, or use llm_function"
        )
    return implement(function, None)
