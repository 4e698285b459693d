"""A second process, with other hashes, that renders the prompts of this one again.

What differs there differs from run to run: the order of a set that a property or a default has joined into a text, a
number drawn when a module is imported. One process serves all recorded calls. It is started with the first, which does
not wait for it; whatever goes wrong with it is no finding, and no trouble.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from os.path import commonprefix
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NamedTuple, Protocol

from llm_strategy.redaction import placeholders, scrub

LIMIT = 3.0
"""Seconds to wait for it at the end."""
_CALLS = 20
"""Calls of each function that are rendered again: the cause is in the code, and shows in the first ones."""
_LARGEST = 1 << 20
"""Bytes of arguments; larger ones are not sent."""
_SHOWN = 60
DIFFERS = "another text in each process"
OFF = "LLM_STRATEGY_RENDER_TWICE"
"""An environment variable: with the value 0 there is no second process."""

Blocks = Sequence[tuple[str, str, str]]
Report = Callable[[str, str, str, str], None]


class Site(Protocol):
    """The place of a call, with what its prompt was rendered from."""

    @property
    def function(self) -> str | None: ...
    @property
    def blocks(self) -> Blocks: ...
    @property
    def given(self) -> tuple[Any, Any, Mapping[str, Any]] | None: ...


class _Job(NamedTuple):
    function: str
    key: str
    blocks: Blocks
    report: Report
    named: Collection[str]
    text: bytes


class SecondProcess:
    """The process, and the thread that talks to it: neither is there before the first job."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._sent: Counter[str] = Counter()
        self._done = threading.Condition()
        self._open = 0
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = _cannot_start()

    @property
    def pid(self) -> int | None:
        """The number of the process, once it has been started."""
        return None if self._process is None else self._process.pid

    def prepared(self, site: Site) -> bytes | None:
        """What it takes to render a prompt again, taken before anybody changes the arguments; None to leave it."""
        function = site.function or ""
        if site.given is None or self._failed or self._sent[function] >= _CALLS:
            return None
        self._sent[function] += 1
        return _described(*site.given)

    def render(self, text: bytes, site: Site, key: str, report: Report, named: Collection[str] = ()) -> None:
        """Have a prompt rendered again, and report what differs there; what has been `named` already need not be.

        All has been reported when `collect` returns.
        """
        if self._failed:
            return
        with self._done:
            self._open += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="llm-strategy-second-process", daemon=True)
                self._thread.start()
        self._jobs.put(_Job(site.function or "", key, site.blocks, report, named, text))

    def collect(self) -> None:
        """Wait until all that was sent is answered, but not long."""
        with self._done:
            if not self._done.wait_for(lambda: not self._open or self._failed, LIMIT):
                self._failed = True
        if self._failed:
            self.stop()

    def stop(self) -> None:
        """End the process."""
        self._failed = True
        process = self._process
        if process is not None:
            with suppress(OSError):
                process.kill()
            process.wait()

    def _work(self) -> None:
        try:
            with _start() as self._process:
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                while not self._failed:
                    job = self._jobs.get()
                    _compare(job, _answer(job.text, self._process.stdin, self._process.stdout))
                    with self._done:
                        self._open -= 1
                        self._done.notify_all()
        except Exception:  # noqa: BLE001  # what cannot be rendered a second time is no finding
            pass
        finally:
            with self._done:
                self._failed = True
                self._done.notify_all()


def _cannot_start() -> bool:
    """Whether there is no Python to start: `sys.executable` may be a program of another name, which would run again."""
    name = Path(sys.executable or "").name.lower()
    return os.environ.get(OFF) == "0" or hasattr(sys, "frozen") or not name.startswith(("python", "pypy"))


def _described(signature: Any, owner: Any, arguments: Mapping[str, Any]) -> bytes | None:
    """What the other process needs, or None where it cannot have it: defaults it takes from the function itself.

    It knows nothing of the blocks that a call is made in.
    """
    function = signature.function
    if signature.tuned or function.__module__ in (None, "__main__") or "<locals>" in function.__qualname__:
        return None
    defaults = signature.defaults
    given = {name: value for name, value in arguments.items() if defaults.get(name, _NONE) is not value}
    try:
        values = pickle.dumps((owner, given))
    except Exception:  # noqa: BLE001  # classes may do anything when they are pickled
        return None
    if len(values) > _LARGEST or b"__main__" in values:
        return None
    return pickle.dumps((function.__module__, function.__qualname__, signature.line, owner is not None, values))


_NONE = object()


def _start() -> subprocess.Popen[bytes]:
    """The process: with the modules of this one, without its scope, its credentials and its coverage."""
    program = (
        f"import sys; sys.path[:] = {list(sys.path)!r}; "
        f"from llm_strategy.volatility.rendering_again import main; main({os.getpid()})"
    )
    unwanted = ("LLM_STRATEGY", "COV_", "COVERAGE", "PYTHONHASHSEED", "PYTHONWARNINGS", "PYTHONSTARTUP")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environment, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def _answer(text: bytes, to: IO[bytes], back: IO[bytes]) -> list[tuple[str, str]] | None:
    """The blocks as the other process renders them; None where it cannot."""
    to.write(len(text).to_bytes(8, "big") + text)
    to.flush()
    line = back.readline()
    if not line:
        raise EOFError
    answer: list[tuple[str, str]] | None = json.loads(line)
    return answer


def _compare(job: _Job, answer: list[tuple[str, str]] | None) -> None:
    if answer is None or len(answer) != len(job.blocks):
        return
    for (subject, here, _), (other, there) in zip(job.blocks, answer, strict=True):
        old, new = placeholders(here), placeholders(there)
        if subject == other and old != new and subject not in job.named:
            job.report(job.function, f"{subject}: {DIFFERS}", _shown(old, new), job.key)


def _shown(old: str, new: str) -> str:
    """Where two texts differ."""
    same = len(commonprefix([old, new]))
    # A few characters more tell where in a long text it is; the name of an argument is told already.
    start = max(same - 10, old.find(" = ") + 3 if " = " in old[:same] else 0)
    end = max(len(commonprefix([old[same:][::-1], new[same:][::-1]])) - 10, 0)
    pieces = (scrub(text[start : len(text) - end]) for text in (old, new))
    return " and ".join(piece if len(piece) <= _SHOWN else f"{piece[:_SHOWN]}..." for piece in pieces)


_second: SecondProcess | None = None
_lock = threading.Lock()


def second_process() -> SecondProcess:
    """The one of this process."""
    global _second  # noqa: PLW0603  # one for each process
    with _lock:
        if _second is None:
            _second = SecondProcess()
            atexit.register(_second.stop)
        return _second


def collect() -> None:
    """Wait for what was sent to the second process, if there is one."""
    if _second is not None:
        _second.collect()


def _forget() -> None:
    """A forked child has no thread that talks to it, and must not end what is its parent's."""
    global _second, _lock
    if _second is not None:
        atexit.unregister(_second.stop)
    _second, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
