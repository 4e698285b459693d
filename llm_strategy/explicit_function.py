"""`llm_explicit_function`: from one object with fields to a value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from llm_strategy.engine import Options
from llm_strategy.errors import PromptError
from llm_strategy.implementation import AtCall, StrategyFunction, at_call, implement
from llm_strategy.overrides import MAX_TURNS
from llm_strategy.signature import display_name

P = ParamSpec("P")
R = TypeVar("R")


@overload
def llm_explicit_function(  # type: ignore[overload-overlap]  # a static method can be called too, and stays one
    function: staticmethod[Concatenate[Any, P], R],
) -> staticmethod[Concatenate[Any, P], R]: ...
@overload
def llm_explicit_function(function: Callable[Concatenate[Any, P], R]) -> StrategyFunction[Concatenate[Any, P], R]: ...
@overload
def llm_explicit_function(*, tools: Sequence[Callable[..., Any]] = (), max_turns: int = MAX_TURNS) -> AtCall: ...
def llm_explicit_function(
    function: Any = None, *, tools: Sequence[Callable[..., Any]] = (), max_turns: int = MAX_TURNS
) -> Any:
    """Let a model, passed at call time, turn one pydantic model or dataclass into a value.

    The function has two parameters: the model, in any form that `llm_strategy` takes, and the input.
    `@llm_explicit_function(tools=[...])` lets it call tools, as `llm_strategy` does.

    Raises PromptError, also a NotImplementedError, where it has other parameters, has a body, or
    lacks a docstring or annotations.
    """
    return at_call(function, tools, max_turns, _implement)


def _implement(function: FunctionType, options: Options) -> FunctionType:
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2:
        raise PromptError(
            f"{display_name(function)} takes {len(parameters)} parameters; an explicit function takes two, the model "
            "and one input: put the inputs into a dataclass or a pydantic model, or use llm_function"
        )
    return implement(function, options, at_call=True)
