"""Which block a call is made in, of those that hold for all code inside them.

A block is found by a context variable, so that concurrent tasks and threads do not see each other's. A thread
that was started without a context follows the main thread, unless a task is what opened the block there: while one
task is in a block others are not, and they have threads too.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Generic, TypeVar

T = TypeVar("T")


class Stay(Generic[T]):
    """One stay in a block, in the thread that entered it.

    `outer` is the stay around it; `value` is what holds inside. `in_loop` says that it was entered by a task.
    """

    def __init__(self, value: T, outer: Stay[T] | None) -> None:
        self.value = value
        self.outer = outer
        self.closed = False
        self.thread = threading.get_ident()
        self.in_main = threading.current_thread() is threading.main_thread()
        self.in_loop = in_loop()


def in_loop() -> bool:
    """Whether a task is running here; what is not even imported runs none."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return True
    try:
        return asyncio is not None and asyncio.get_running_loop() is not None
    except RuntimeError:
        return False


class Stays(Generic[T]):
    """The stays in blocks of one kind. `entered` are those of this process that are open; nearly always none."""

    def __init__(self, name: str) -> None:
        self.entered: list[Stay[T]] = []
        self._variable: ContextVar[Stay[T] | None] = ContextVar(name, default=None)

    def current(self) -> Stay[T] | None:
        """The innermost stay of the code that runs here and now."""
        found = self._variable.get()
        while found is not None and found.closed:
            # Event loops and fixtures carry contexts further than the block reaches.
            found = found.outer
        if found is not None:
            return found
        thread = threading.get_ident()
        # Whatever runs in a thread before a block ends that was opened outside all tasks has been started in the block.
        outside_tasks = [stay for stay in list(self.entered) if not stay.in_loop]
        own = [stay for stay in outside_tasks if stay.thread == thread]
        reaching = own or [stay for stay in outside_tasks if stay.in_main]
        return reaching[-1] if reaching else None

    def enter(self, stay: Stay[T]) -> Token[Stay[T] | None]:
        token = self._variable.set(stay)
        self.entered.append(stay)
        return token

    def leave(self, stay: Stay[T], token: Token[Stay[T] | None]) -> None:
        stay.closed = True
        self.entered.remove(stay)
        with suppress(ValueError):
            # Left in another context than entered (an async fixture), the closed block is passed over.
            self._variable.reset(token)

    def is_innermost(self, stay: Stay[T]) -> bool:
        """Whether this context entered the stay last."""
        return self._variable.get() is stay


class Block(Generic[T]):
    """The stays in one block. Several tasks or threads may be inside it: each leaves the stay that it entered."""

    def __init__(self) -> None:
        self._open: list[tuple[Stay[T], Token[Stay[T] | None]]] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def enter(self, stays: Stays[T], stay: Stay[T]) -> None:
        self._open.append((stay, stays.enter(stay)))

    def leave(self, stays: Stays[T]) -> None:
        mine = [at for at, (stay, _) in enumerate(self._open) if stays.is_innermost(stay)]
        stays.leave(*self._open.pop(mine[-1] if mine else -1))
