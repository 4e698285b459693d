"""`trace`: the steps of a block, or of a whole program, in a file of their own."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any
from weakref import WeakSet

from llm_strategy import observers
from llm_strategy.observers import Step
from llm_strategy.tracing.blocks import Block
from llm_strategy.tracing.description import described
from llm_strategy.tracing.format import header, line

_log = logging.getLogger(__name__)


_files: WeakSet[TraceFile] = WeakSet()


class TraceFile:
    """An observer that appends a line to a file when a step begins, and one when it ends."""

    def __init__(self, path: Path, *, content: bool) -> None:
        # A program may change its folder meanwhile.
        self.path = Path(os.path.abspath(path))
        self.content = content
        self._file: int | None = None
        self._process = 0
        self._lock = threading.Lock()
        _files.add(self)

    def forked(self) -> None:
        """In a child process: a thread of the parent may have held the lock, and is not here to give it back."""
        self._lock = threading.Lock()

    def open(self) -> None:
        """Say in the file that a program begins. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Each line is one write to the file's end: so threads and processes share it, and a killed one loses nothing.
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        self._process = os.getpid()
        self._write(line(header(self._process)))

    def close(self) -> None:
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def begun(self, step: Step) -> None:
        self._write(line(described(step, content=self.content)))

    def entered(self, step: Step) -> None:
        pass

    def left(self, step: Step, token: Any) -> None:
        pass

    def ended(self, step: Step) -> None:
        self._write(line(described(step, content=self.content)))

    def _write(self, data: bytes) -> None:
        with self._lock:
            if self._file is None:
                return
            try:
                left = data[os.write(self._file, data) :]
                if left:
                    # The disk is full: the next line is not to go on with half of this one.
                    os.write(self._file, b"\n")
            except OSError as error:
                _log.error("the trace %s ends here, since it cannot be written: %s", self.path, error)
                os.close(self._file)
                self._file = None


class trace(Block):  # noqa: N801  # a context manager and decorator that reads as a verb
    """Write what happens in a block to a file: functions, attempts, calls and tools, one within the other.

    `with trace("trace.jsonl"):`, around synchronous and asynchronous code alike, or as a decorator of a function or
    coroutine function. The file is appended to, a line when a step begins and one when it ends, so that a crash loses
    nothing; `llm-strategy trace trace.jsonl` shows it. `content=False` leaves out what is said: arguments, messages,
    answers. Secrets are left out in any case. Raises OSError where the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, content: bool = True) -> None:
        super().__init__()
        self._file = TraceFile(Path(path), content=content)

    def _opened(self) -> TraceFile:
        self._file.open()
        return self._file

    def _closed(self) -> None:
        self._file.close()

    def _again(self) -> trace:
        return trace(self._file.path, content=self._file.content)


def trace_program(path: str) -> None:
    """Write what happens from now on in this process; LLM_STRATEGY_TRACE has it done."""
    file = TraceFile(Path(path), content=True)
    try:
        file.open()
    except OSError as error:
        _log.error("LLM_STRATEGY_TRACE: %s cannot be written, so nothing is traced: %s", path, error)
    else:
        observers.listening.append(file)


def _forked() -> None:
    for file in _files:
        file.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
