"""`llm_function`: a function whose model is passed at call time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from llm_strategy.implementation import StrategyFunction, implement, plain_function

P = ParamSpec("P")
R = TypeVar("R")


@overload
def llm_function(  # type: ignore[overload-overlap]  # a static method can be called too, and stays one
    function: staticmethod[Concatenate[Any, P], R],
) -> staticmethod[Concatenate[Any, P], R]: ...
@overload
def llm_function(function: Callable[Concatenate[Any, P], R]) -> StrategyFunction[Concatenate[Any, P], R]: ...
def llm_function(function: Any) -> Any:
    """Let the model that is passed at call time, as the first argument, implement a function.

    The first parameter takes a model in any form that `llm_strategy` takes, or a `ChatChain`, whose
    messages then come before the prompt; it needs no annotation and stays out of the prompt.

    Raises PromptError, also a NotImplementedError, where the function has a body, or lacks a
    docstring or annotations.
    """
    if isinstance(function, staticmethod):
        return staticmethod(implement(plain_function(function.__func__), None))
    return implement(plain_function(function), None)
