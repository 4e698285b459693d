"""Answers in pieces, from models that are synchronous, asynchronous, or know of no pieces."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from llm_strategy.values import Request

T = TypeVar("T")

_END: Any = object()


def pieces(model: Any, request: Request) -> Generator[Any, None, None] | None:
    """What a model gives to a request, piece by piece; None where it gives its answers whole."""
    if callable(getattr(model, "stream", None)):
        return _read(model, request)
    if callable(getattr(model, "astream", None)):
        return from_asynchronous(_aread(model, request))
    return None


def apieces(model: Any, request: Request) -> AsyncGenerator[Any, None] | None:
    """As `pieces`, for who reads in an event loop; a synchronous model is read in a worker thread."""
    if callable(getattr(model, "astream", None)):
        return _aread(model, request)
    if callable(getattr(model, "stream", None)):
        return from_synchronous(_read(model, request))
    return None


def _read(model: Any, request: Request) -> Generator[Any, None, None]:
    stream = iter(model.stream(request))
    try:
        yield from stream
    finally:
        if hasattr(stream, "close"):
            stream.close()


async def _aread(model: Any, request: Request) -> AsyncGenerator[Any, None]:
    stream = model.astream(request)
    if inspect.isawaitable(stream):
        # A coroutine that returns an iterator.
        stream = await stream
    try:
        async for piece in stream:
            yield piece
    finally:
        if hasattr(stream, "aclose"):
            await stream.aclose()


def from_asynchronous(stream: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Read an asynchronous stream from synchronous code, where a loop may be running already."""
    reading: list[asyncio.Task[Any]] = []

    async def read_on() -> Any:
        reading[:] = filter(None, [asyncio.current_task()])
        return await anext(stream, _END)

    with ThreadPoolExecutor(1) as thread:
        runner, context = asyncio.Runner(), copy_context()

        def run(steps: Callable[[], Any]) -> Any:
            return thread.submit(lambda: runner.run(steps(), context=context)).result()

        try:
            while (piece := run(read_on)) is not _END:
                yield piece
        finally:
            # An interrupt may have come while the thread is waiting for the model.
            if reading and not reading[0].done():
                runner.get_loop().call_soon_threadsafe(reading[0].cancel)
            _close_in(thread, runner, stream)


def _close_in(thread: ThreadPoolExecutor, runner: asyncio.Runner, stream: AsyncGenerator[Any, None]) -> None:
    try:
        thread.submit(_close, runner, stream)
    except RuntimeError:
        # There are no threads any more where the interpreter is shutting down.
        with suppress(RuntimeError):
            _close(runner, stream)


def _close(runner: asyncio.Runner, stream: AsyncGenerator[Any, None]) -> None:
    with runner:
        runner.run(stream.aclose())


async def from_synchronous(stream: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Read a synchronous stream in a worker thread, so that the event loop goes on meanwhile."""
    loop = asyncio.get_running_loop()
    # One thread of its own: what closes the stream waits there until nobody reads it.
    thread = ThreadPoolExecutor(1)
    try:
        while (piece := await loop.run_in_executor(thread, copy_context().run, lambda: next(stream, _END))) is not _END:
            yield piece
    finally:
        thread.submit(stream.close)
        thread.shutdown(wait=False)
