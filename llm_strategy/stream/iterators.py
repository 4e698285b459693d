"""What the caller gets: iterators that can be closed, and that close themselves when they are dropped."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeVar

from llm_strategy.stream.drivers import AsyncDriver, SyncDriver
from llm_strategy.stream.effects import Steps

T = TypeVar("T")

# What drops an iterator may drop all that it refers to, in any order. So that the steps are closed in good order they
# belong to a driver which outlives it, and which knows nothing of it.


class Stream(Generator[T, None, None]):
    """The items or texts of a reply, for `for`."""

    def __init__(self, steps: Steps, place: str) -> None:
        self._driver = SyncDriver(steps, place)
        weakref.finalize(self, self._driver.abandon)

    def __repr__(self) -> str:
        return f"<the stream of {self._driver.place}>"

    def send(self, value: None) -> T:
        __tracebackhide__ = True
        item: T = self._driver.send(value)
        return item

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> T:
        self.close()
        return super().throw(kind, value, traceback)

    def close(self) -> None:
        """Stop reading; what has arrived is recorded when this returns."""
        self._driver.close()


class AsyncStream(AsyncGenerator[T, None]):
    """The items or texts of a reply, for `async for`."""

    def __init__(self, steps: Steps, place: str) -> None:
        self._driver = AsyncDriver(steps, place)
        weakref.finalize(self, self._driver.abandon)

    def __repr__(self) -> str:
        return f"<the asynchronous stream of {self._driver.place}>"

    async def asend(self, value: None) -> T:
        __tracebackhide__ = True
        item: T = await self._driver.send(value)
        return item

    async def athrow(self, kind: Any, value: Any = None, traceback: Any = None) -> T:
        await self.aclose()
        return await super().athrow(kind, value, traceback)

    async def aclose(self) -> None:
        """Stop reading; what has arrived is recorded when this returns."""
        await self._driver.close()
