"""Where a miss leaves asynchronous code it becomes an ordinary failure.

`CassetteMiss` is no `Exception`; past the end of a coroutine it would stop anyio's runner, and with it
the later tests and the teardowns of the module.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import pytest

from llm_strategy import CassetteMiss

_GUARDED = "__llm_guarded__"


def find_miss(error: BaseException | None) -> CassetteMiss | None:
    """The miss that an exception is, or that a group of exceptions holds."""
    if isinstance(error, CassetteMiss):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((miss for inner in error.exceptions if (miss := find_miss(inner)) is not None), None)
    return None


@asynccontextmanager
async def _turned_into_failure() -> AsyncIterator[None]:
    try:
        yield
    except BaseException as error:
        miss = find_miss(error)
        if miss is None:
            raise
        raise pytest.fail.Exception(str(miss), pytrace=False) from None


def guard(function: Callable[..., Any]) -> Callable[..., Any]:
    """An asynchronous function whose misses arrive as failures; others are returned as they are."""
    if getattr(function, _GUARDED, False):
        return function
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            async with _turned_into_failure():
                return await function(*args, **kwargs)

    elif inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            async with aclosing(function(*args, **kwargs)) as values, _turned_into_failure():
                async for value in values:
                    yield value

    else:
        return function
    setattr(guarded, _GUARDED, True)
    return guarded


def guard_fixture(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Guard a fixture's function, before an asynchronous plugin takes it over."""
    guarded = guard(fixturedef.func)
    if guarded is not fixturedef.func:
        fixturedef.func = guarded  # type: ignore[misc]  # anyio and pytest-asyncio replace it likewise


@contextmanager
def guarded_test(item: pytest.Item) -> Iterator[None]:
    """Guard a test's function while it runs."""
    function = getattr(item, "obj", None)
    if function is None:
        yield
        return
    given = getattr(function, "hypothesis", None)
    if given is not None:
        given.inner_test = guard(given.inner_test)
    guarded = guard(function)
    if guarded is function:
        yield
        return
    item.obj = guarded  # type: ignore[attr-defined]  # every function item has it
    try:
        yield
    finally:
        item.obj = function  # type: ignore[attr-defined]  # see above
