"""A stretch of a program whose steps somebody wants to have."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from typing import Any, Self, TypeVar

from llm_strategy import observers
from llm_strategy.observers import Observer, Step
from llm_strategy.stays import Stay, Stays
from llm_strategy.tracing.decoration import decorated

F = TypeVar("F", bound=Callable[..., Any])


class Block:
    """A context manager, synchronous or not, and a decorator, each of whose calls is a block of its own.

    It listens, and hands on what belongs to it. A step belongs to the block around the one that it is in. Tasks, and
    threads with a context, are in the block that they were started in; a thread without one is in that which its own
    thread, or the main thread, has opened outside all tasks. A block within another hands on what is in it, and the
    outer one hands it on as well.
    """

    def __init__(self) -> None:
        self._sink: Observer | None = None
        self._stay: tuple[Stay[Block], Token[Stay[Block] | None]] | None = None

    def _opened(self) -> Observer:
        """What gets the steps of the block, which begins here."""
        raise NotImplementedError

    def _closed(self) -> None:
        """The block is over."""

    def _again(self) -> Block:
        """Another block like this one."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._stay is not None:
            name = type(self).__name__
            raise RuntimeError(f"this {name} was entered before: each block needs a new one, as in `with {name}(...):`")
        self._sink = self._opened()
        stay: Stay[Block] = Stay(self, _stays.current())
        self._stay = stay, _stays.enter(stay)
        observers.listening.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._stay is not None
        _stays.leave(*self._stay)
        observers.listening.remove(self)
        self._closed()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__()

    def __call__(self, function: F) -> F:
        return decorated(function, self._again, type(self).__name__)

    # As an observer

    def begun(self, step: Step) -> None:
        if self._has(step) and self._sink is not None:
            step.marks[self] = True
            self._sink.begun(step)

    def entered(self, step: Step) -> None:
        pass

    def left(self, step: Step, token: Any) -> None:
        pass

    def ended(self, step: Step) -> None:
        if self in step.marks and self._sink is not None:
            self._sink.ended(step)

    def _has(self, step: Step) -> bool:
        """Whether a step that begins here and now is one of the block's."""
        if step.parent is not None and self in step.parent.marks:
            return True
        found = _stays.current()
        while found is not None and found.value is not self:
            found = found.outer
        return found is not None


_stays: Stays[Block] = Stays("llm_strategy_traced_block")
