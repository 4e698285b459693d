"""They do, synchronously or not, what the steps of a stream ask for."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from llm_strategy import engine, observers
from llm_strategy.context import Ask, asking
from llm_strategy.errors import ModelError
from llm_strategy.stream.effects import Acquire, Begin, Closed, Effect, HangUp, Keep, Next, Out, Steps
from llm_strategy.tool_turns import ToolUse
from llm_strategy.values import Response


class Driver:
    """What both drivers have in common: the steps, and who may go on with them."""

    def __init__(self, steps: Steps, place: str) -> None:
        self._steps = steps
        self.place = place
        self._reading = threading.Lock()
        self._scope_ended = False
        begin = next(steps)
        assert isinstance(begin, Begin)
        self._turn = begin.turn
        self._turn.watch(self)

    @property
    def _is_finished(self) -> bool:
        return getattr(self._steps, "gi_frame", None) is None

    @contextmanager
    def _turn_taken(self) -> Iterator[None]:
        __tracebackhide__ = True
        if not self._reading.acquire(blocking=False):
            raise ValueError(f"the stream of {self.place} is being read already, in another thread or task")
        try:
            yield
        finally:
            self._reading.release()
            if self._scope_ended:
                self.end()

    def _check(self, value: object) -> None:
        __tracebackhide__ = True
        if value is not None:
            raise TypeError("nothing can be sent into a model's reply")
        if self._scope_ended:
            raise ModelError(
                f"the stream of {self.place} cannot be read any more: the test or `use_cassette` block in which it "
                "was called has ended, and so has its recording; read it there"
            )

    def end(self) -> None:
        """The scope of the call ends: what has arrived is what is recorded."""
        self._scope_ended = self._scope_ended or not self._is_finished
        # Who is reading just now does this afterwards.
        if self._reading.acquire(blocking=False):
            try:
                self._close_at_once()
            finally:
                self._reading.release()

    def _close_at_once(self) -> None:
        """Stop, from synchronous code."""
        with suppress(StopIteration, Closed):
            effect = self._steps.throw(Closed())
            while True:
                try:
                    self._do_at_once(effect)
                except BaseException as error:  # noqa: BLE001  # raised again by the steps
                    effect = self._steps.throw(error)
                else:
                    effect = self._steps.send(None)

    def _do_at_once(self, effect: Effect) -> None:
        match effect:
            case Acquire(turn):
                turn.acquire()
            case Keep(turn, response):
                turn.record(response)
            case Begin(turn):
                self._turn = turn
                turn.watch(self)
            case HangUp():
                self._hang_up()

    def _hang_up(self) -> None:
        raise NotImplementedError

    def abandon(self) -> None:
        """Nobody can read any more."""
        if self._is_finished:
            return
        if self._turn.call is not None:
            self._steps.close()
            return
        # This may come at any moment, while this very thread holds the cassette's lock, too. Another thread waits.
        closing = threading.Thread(target=self._close_at_once)
        try:
            closing.start()
        except RuntimeError:
            # The interpreter is shutting down.
            self._close_at_once()
        else:
            closing.join(_PATIENCE)


_PATIENCE = 1.0
"""Seconds to wait until a stream that was dropped is recorded; where its lock is held, that is after this."""


class SyncDriver(Driver):
    """Waits for what it does."""

    _incoming: Generator[str | Response, None, None] | None = None

    def send(self, value: object) -> Any:
        __tracebackhide__ = True
        with self._turn_taken():
            self._check(value)
            effect = self._steps.send(None)
            while not isinstance(effect, Out):
                try:
                    answer = self._do(effect)
                except BaseException as error:  # noqa: BLE001  # raised again by the steps
                    effect = self._steps.throw(error)
                else:
                    effect = self._steps.send(answer)
            return effect.value

    def close(self) -> None:
        with self._turn_taken():
            self._close_at_once()

    def _do(self, effect: Effect) -> Any:
        __tracebackhide__ = True
        if isinstance(effect, Next):
            return self._next(effect.ask)
        if isinstance(effect, ToolUse):
            with observers.beside(self._turn.told):
                return effect.run()
        self._do_at_once(effect)
        return None

    def _next(self, ask: Ask) -> str | Response | None:
        __tracebackhide__ = True
        if self._incoming is None:
            model = engine.source(ask)
            self._turn.reserve()
            self._incoming = model.stream(ask.request.sent())
        with asking(self._turn):
            got = next(self._incoming, None)
            if not isinstance(got, str):
                self._hang_up()
        return got

    def _hang_up(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.close()


class AsyncDriver(Driver):
    """Lets an event loop wait."""

    _incoming: AsyncGenerator[str | Response, None] | None = None

    async def send(self, value: object) -> Any:
        __tracebackhide__ = True
        with self._turn_taken():
            self._check(value)
            return await self._run(None)

    async def _run(self, thrown: BaseException | None) -> Any:
        __tracebackhide__ = True
        steps = self._steps
        try:
            effect = steps.send(None) if thrown is None else steps.throw(thrown)
            while not isinstance(effect, Out):
                try:
                    answer = await self._do(effect)
                except BaseException as error:
                    if isinstance(effect, Next) and _is_cancellation(error):
                        # Who cancels the caller does not want to read on either.
                        await self._stop()
                        raise
                    effect = steps.throw(error)
                else:
                    effect = steps.send(answer)
        except StopIteration:
            raise StopAsyncIteration from None
        return effect.value

    async def close(self) -> None:
        with self._turn_taken():
            await self._stop()

    async def _stop(self) -> None:
        with suppress(StopAsyncIteration, Closed):
            await self._run(Closed())

    async def _do(self, effect: Effect) -> Any:
        __tracebackhide__ = True
        match effect:
            case Next(ask):
                return await self._next(ask)
            case ToolUse():
                with observers.beside(self._turn.told):
                    return await effect.arun()
            case Acquire(turn):
                await engine.acquire(turn)
            case Keep(turn, response):
                await engine.in_thread(turn.record, response)
            case HangUp():
                if self._incoming is not None:
                    incoming, self._incoming = self._incoming, None
                    await incoming.aclose()
            case _:
                self._do_at_once(effect)
        return None

    async def _next(self, ask: Ask) -> str | Response | None:
        __tracebackhide__ = True
        if self._incoming is None:
            model = engine.source(ask)
            await engine.reserve(self._turn)
            self._incoming = model.astream(ask.request.sent())
        with asking(self._turn):
            got = await anext(self._incoming, None)
            if not isinstance(got, str):
                incoming, self._incoming = self._incoming, None
                await incoming.aclose()
        return got

    def _hang_up(self) -> None:
        # What is dropped without having been closed, the event loop closes.
        self._incoming = None


def _is_cancellation(error: BaseException) -> bool:
    # Whoever gets here has an event loop, and so has paid for this import.
    import asyncio

    return isinstance(error, asyncio.CancelledError)
