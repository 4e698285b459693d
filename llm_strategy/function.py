"""`llm_function`: a function whose model is passed at call time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from llm_strategy.implementation import AtCall, StrategyFunction, at_call, implement
from llm_strategy.overrides import MAX_TURNS

P = ParamSpec("P")
R = TypeVar("R")


@overload
def llm_function(  # type: ignore[overload-overlap]  # a static method can be called too, and stays one
    function: staticmethod[Concatenate[Any, P], R],
) -> staticmethod[Concatenate[Any, P], R]: ...
@overload
def llm_function(function: Callable[Concatenate[Any, P], R]) -> StrategyFunction[Concatenate[Any, P], R]: ...
@overload
def llm_function(*, tools: Sequence[Callable[..., Any]] = (), max_turns: int = MAX_TURNS) -> AtCall: ...
def llm_function(function: Any = None, *, tools: Sequence[Callable[..., Any]] = (), max_turns: int = MAX_TURNS) -> Any:
    """Let the model that is passed at call time, as the first argument, implement a function.

    The first parameter takes a model in any form that `llm_strategy` takes, or a `ChatChain`, whose
    messages then come before the prompt; it needs no annotation and stays out of the prompt.
    `@llm_function(tools=[...])` lets it call tools, as `llm_strategy` does.

    Raises PromptError, also a NotImplementedError, where the function has a body, or lacks a
    docstring or annotations.
    """
    return at_call(function, tools, max_turns, partial(implement, at_call=True))
