"""A stretch of a program whose steps somebody wants to have."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any, Self, TypeVar

from llm_strategy import observers
from llm_strategy.observers import Observer, Step
from llm_strategy.stays import in_loop
from llm_strategy.tracing.decoration import decorated

F = TypeVar("F", bound=Callable[..., Any])

_variable: ContextVar[Block | None] = ContextVar("llm_strategy_traced_block", default=None)

_open: list[Block] = []
"""The blocks of this process that are open."""


class Block:
    """A context manager, synchronous or not, and a decorator, each of whose calls is a block of its own.

    It listens, and hands on what belongs to it. A step belongs to the block around the one that it is in. Tasks, and
    threads with a context, are in the block that they were started in; a thread without one is in that which its own
    thread, or the main thread, has opened outside all tasks. A block within another hands on what is in it, and the
    outer one hands it on as well.
    """

    def __init__(self) -> None:
        self.closed = False
        self.outer: Block | None = None
        self.thread = 0
        self.in_main = self.in_loop = False
        self._sink: Observer | None = None
        self._token: Token[Block | None] | None = None

    def _opened(self) -> Observer:
        """What gets the steps of the block, which begins here."""
        raise NotImplementedError

    def _closed(self) -> None:
        """The block is over."""

    def _again(self) -> Block:
        """Another block like this one."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._token is not None:
            name = type(self).__name__
            raise RuntimeError(f"this {name} was entered before: each block needs a new one, as in `with {name}(...):`")
        self._sink = self._opened()
        self.outer = _variable.get()
        self.thread, self.in_loop = threading.get_ident(), in_loop()
        self.in_main = threading.current_thread() is threading.main_thread()
        self._token = _variable.set(self)
        _open.append(self)
        observers.listening.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._token is not None
        self.closed = True
        _open.remove(self)
        observers.listening.remove(self)
        with suppress(ValueError):
            # Left in another context than entered: an async fixture.
            _variable.reset(self._token)
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
        found = _here()
        while found is not None and found is not self:
            found = found.outer
        return found is self


def _here() -> Block | None:
    found = _variable.get()
    while found is not None and found.closed:
        # Event loops and fixtures carry contexts further than the block reaches.
        found = found.outer
    if found is not None:
        return found
    thread = threading.get_ident()
    outside_tasks = [block for block in list(_open) if not block.in_loop]
    own = [block for block in outside_tasks if block.thread == thread]
    reaching = own or [block for block in outside_tasks if block.in_main]
    return reaching[-1] if reaching else None
