"""Decorators made of blocks: one block for each call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def decorated(function: F, block: Callable[[], AbstractContextManager[Any]], what: str) -> F:
    """The function, each of whose calls is in a block of its own. Raises TypeError for what is no such function."""
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"{what}(...) decorates a function, not {function!r}; around other code use it as a block")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        # Its caller's code runs between two items, and would be taken for part of it.
        raise TypeError(
            f"{what}(...) cannot decorate a generator, {function!r}: use it as a block around a loop over it"
        )
    around = _around_coroutine if inspect.iscoroutinefunction(function) else _around_function
    return cast(F, around(function, block))


def _around_function(
    function: Callable[..., Any], block: Callable[[], AbstractContextManager[Any]]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with block():
            return function(*args, **kwargs)

    return called


def _around_coroutine(
    function: Callable[..., Any], block: Callable[[], AbstractContextManager[Any]]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        with block():
            return await function(*args, **kwargs)

    return awaited
