"""System calls that fail, or in which the process is killed, for a program that runs in a process of its own."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ERRORS = {"write": errno.ENOSPC, "open": errno.ENOSPC, "mkdir": errno.ENOSPC}
_ERRORS |= {"replace": errno.EACCES, "rename": errno.EACCES, "unlink": errno.EACCES, "flock": errno.ENOLCK}
"""What else fails gives an input/output error."""
_PATHS = ("open", "mkdir", "replace", "rename", "unlink", "chmod", "stat")
_HANDLES = ("write", "fsync", "ftruncate", "close", "lseek", "read", "fstat")


class FailingCalls:
    """Counts the system calls that concern a folder, and lets the n-th of them fail, or all from the n-th on.

    With `kills` the process is killed in place of that.
    """

    def __init__(self, folder: Path, *, kills: bool = False) -> None:
        self._kills = kills
        self.folder = str(folder)
        self.count = 0
        self.failed: list[str] = []
        self._handles: set[int] = set()
        self._at = 0
        self._lasting = False

    @contextmanager
    def failing(self, at: int, *, lasting: bool) -> Iterator[None]:
        self._at, self._lasting = at, lasting
        import fcntl

        places: list[tuple[Any, str, Callable[..., Any]]] = [(os, name, self._of_path) for name in _PATHS]
        places += [(os, name, self._of_handle) for name in _HANDLES]
        places += [(fcntl, "flock", self._of_handle), (io, "open", self._of_path), (builtins, "open", self._of_path)]
        real = [(module, name, getattr(module, name)) for module, name, _ in places]
        for (module, name, wrap), (_, _, function) in zip(places, real, strict=True):
            setattr(module, name, wrap(name, function))
        try:
            yield
        finally:
            for module, name, function in real:
                setattr(module, name, function)

    def _of_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **named: Any) -> Any:
            ours = isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder)
            if ours and self._fails(name):
                raise self._error(name, os.fspath(path))
            got = real(path, *arguments, **named)
            if ours and name == "open" and isinstance(got, int):
                self._handles.add(got)
            return got

        return call

    def _of_handle(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(handle: Any, *arguments: Any) -> Any:
            ours = handle in self._handles
            if ours and name == "close":
                self._handles.discard(handle)
            if ours and self._fails(name):
                if name == "close":
                    # It fails after the system has closed the file.
                    real(handle)
                elif name == "write":
                    real(handle, arguments[0][: len(arguments[0]) // 2])
                raise self._error(name)
            return real(handle, *arguments)

        return call

    def _error(self, name: str, *path: str) -> OSError:
        if self._kills:
            os.kill(os.getpid(), signal.SIGKILL)
        return OSError(_ERRORS.get(name, errno.EIO), f"{name} fails", *path)

    def _fails(self, name: str) -> bool:
        self.count += 1
        # Who cannot give a lock back holds it to the end of the process: that happens once only.
        lasting = self._lasting and name != "flock" and self.count > self._at
        fails = self.count == self._at or lasting
        if fails:
            self.failed.append(name)
        return fails
