"""Where a miss leaves asynchronous code, or sets up a fixture, it becomes an ordinary failure.

`CassetteMiss` is no `Exception`; past the end of a coroutine it would stop anyio's runner, and with it
the later tests and the teardowns of the module. Of a fixture pytest keeps ordinary failures only, for the next test
that asks for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from types import MethodType
from typing import Any

import pytest

from llm_strategy import CassetteMiss

_GUARDED = "__llm_guarded__"


class MissFailure(pytest.fail.Exception):  # type: ignore[name-defined,misc]  # its only public name
    """The failure that a miss has become."""

    def __init__(self, miss: CassetteMiss) -> None:
        super().__init__(str(miss), pytrace=False)
        self.miss = miss


def find_miss(error: BaseException | None) -> CassetteMiss | None:
    """The miss that an exception is or was, or that a group of exceptions holds."""
    if isinstance(error, CassetteMiss):
        return error
    if isinstance(error, MissFailure):
        return error.miss
    if isinstance(error, BaseExceptionGroup):
        return next((miss for inner in error.exceptions if (miss := find_miss(inner)) is not None), None)
    return None


@contextmanager
def _turned_into_failure() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        miss = find_miss(error)
        if miss is None:
            raise
        raise MissFailure(miss) from None


def guard(function: Callable[..., Any]) -> Callable[..., Any]:
    """An asynchronous function whose misses arrive as failures; others are returned as they are."""
    if getattr(function, _GUARDED, False):
        return function
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            with _turned_into_failure():
                return await function(*args, **kwargs)

    elif inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            async with aclosing(function(*args, **kwargs)) as values:
                with _turned_into_failure():
                    async for value in values:
                        yield value

    else:
        return function
    setattr(guarded, _GUARDED, True)
    return guarded


def _guard_wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a fixture that several tests share, likewise; a method stays one."""
    if getattr(function, _GUARDED, False):
        return function
    if isinstance(function, MethodType):
        return MethodType(_guard_wide(function.__func__), function.__self__)
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with _turned_into_failure():
                yield from function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with _turned_into_failure():
                return function(*args, **kwargs)

    setattr(guarded, _GUARDED, True)
    return guarded


def guard_fixture(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Guard a fixture's function, before an asynchronous plugin takes it over."""
    guarded = guard(fixturedef.func)
    if guarded is fixturedef.func and fixturedef.scope != "function":
        guarded = _guard_wide(guarded)
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
