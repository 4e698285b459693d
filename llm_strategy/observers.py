"""Who is told what happens while models implement functions. Nearly always nobody listens.

What there is to tell is a tree of steps: a function is called, makes attempts at a value, each of which calls the model
and runs the tools that the model asks for. A step finds the one around it by a context variable, so that concurrent
tasks and threads do not see each other's; a thread that was started without a context begins a tree of its own.

Where nobody listens this costs one truth test of `listening`:

    with observers.tool(call) if observers.listening else observers.NOTHING as told:
        result = run(call)
        told.set(result=result)
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar, Token
from typing import Any, Protocol, Self, TypeVar

from llm_strategy.values import Request, ToolCallPart

T = TypeVar("T")


class Turn(Protocol):
    """What this module needs to know of a `context.Turn`."""

    told: Step | None

    @property
    def call(self) -> Any: ...
    @property
    def cassette(self) -> str | None: ...


U = TypeVar("U", bound=Turn)

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who listens. Whatever it raises is logged, and hurts neither the program nor other observers.

    `entered` says that what runs in this context from now on is part of a step, `left` that it no longer is; a step
    may be entered several times, or never. What `entered` returns is handed to `left`.
    """

    def begun(self, step: Step) -> None: ...
    def entered(self, step: Step) -> Any: ...
    def left(self, step: Step, token: Any) -> None: ...
    def ended(self, step: Step) -> None: ...


listening: list[Observer] = []
"""The observers; nearly always none."""

_current: ContextVar[Step | None] = ContextVar("llm_strategy_step", default=None)


class Step:
    """A stretch of a program's work, of which those are told who listen when it begins.

    `kind` is "function", "attempt" (at a value), "call" (of a model), "tool" or "step" (a user's own). `facts` are what
    is known of it:

    - function: `site`, the `CallSite` of its requests; `result`, a value or, of a stream, nothing
    - attempt: `number`, from 1; `repairs`, what had to be mended in the reply
    - call: `request`; once it is answered `call`, the `Call`, and `cassette`, the path of the file that has it
    - tool: `call`, the `ToolCallPart`; `result`, what it returned
    - step: what its user says

    As a context manager it is the current step meanwhile, and over at the end. `error` is what it ended with, `began`
    is in nanoseconds since 1970, `seconds` is how long it took; None while it lasts.
    """

    error: BaseException | None = None
    seconds: float | None = None
    attempt: Step | None = None
    """The attempt that a function is making."""

    def __init__(self, kind: str, name: str, facts: dict[str, Any], parent: Step | None) -> None:
        self.kind = kind
        self.name = name
        self.facts = facts
        self.parent = parent
        self.id = os.urandom(8).hex()
        self.process = os.getpid()
        self.marks: dict[Any, Any] = {}
        """What observers note of the step; the key is the observer."""
        self.began = time.time_ns()
        self._started = time.perf_counter()
        self._observers = tuple(listening)
        self._stays: list[tuple[Token[Step | None], list[tuple[Observer, Any]]]] = []
        for observer in self._observers:
            _tell(observer, "begun", self)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r}>"

    def set(self, **facts: Any) -> None:
        """Say more of the step."""
        self.facts.update(facts)

    def rename(self, name: str) -> None:
        self.name = name

    def returned(self, value: T) -> T:
        """Note what a function or a tool returned, which is given back."""
        self.facts["result"] = value
        return value

    def failed(self, error: BaseException) -> None:
        """Note an error that its caller is not told as one: it goes to the model."""
        self.error = error

    def answered(self, turn: U) -> U:
        """Note what has become of a call, by its `Turn`, which is given back."""
        self.facts |= {"call": turn.call, "cassette": turn.cassette}
        turn.told = self
        return turn

    def repaired(self, repairs: tuple[str, ...]) -> None:
        """Note of a call what had to be mended in the reply, for the attempt that it was made in."""
        (self.parent or self).set(repairs=repairs)

    def refused(self, error: BaseException) -> None:
        """The attempt that a call was made in gave no value, and the model is asked again."""
        made = self.parent
        if made is not None and made.parent is not None and made.kind == "attempt":
            made.end(error)
            _attempt(made.facts["number"] + 1, made.parent)

    def end(self, error: BaseException | None = None) -> None:
        """The step is over. Only its first end counts, and none in a child process that was forked meanwhile."""
        if self.seconds is not None or self.process != os.getpid():
            return
        if self.attempt is not None:
            self.attempt.end(error)
        self.error, self.seconds = error or self.error, time.perf_counter() - self._started
        for observer in reversed(self._observers):
            _tell(observer, "ended", self)

    def __enter__(self) -> Self:
        tokens = [(observer, _tell(observer, "entered", self)) for observer in self._observers]
        self._stays.append((_current.set(self), tokens))
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._leave()
        self.end(error)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A block that belongs to the step, which may go on after it."""
        self.__enter__()
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        token, tokens = self._stays.pop()
        for observer, given in reversed(tokens):
            _tell(observer, "left", self, given)
        with suppress(ValueError):
            # Left in another context than entered: a coroutine that was dropped is closed anywhere.
            _current.reset(token)


class Nothing:
    """Stands for a step where nobody listens."""

    def set(self, **facts: Any) -> None:
        pass

    def rename(self, name: str) -> None:
        pass

    def returned(self, value: T) -> T:
        return value

    def failed(self, error: BaseException) -> None:
        pass

    def answered(self, turn: T) -> T:
        return turn

    def end(self, error: BaseException | None = None) -> None:
        pass

    def inside(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


NOTHING = Nothing()


def current() -> Step | None:
    """The step that what runs here and now is part of."""
    found = _current.get()
    while found is not None and found.seconds is not None:
        # Event loops and callbacks carry contexts further than a step lasts.
        found = found.parent
    return found


def step(kind: str, name: str, /, parent: Step | None = None, **facts: Any) -> Step:
    """Begin a step within another: `parent`, or the current one."""
    around = parent or current()
    # What a function does it does in its attempts.
    return Step(kind, name, facts, around and (around.attempt or around))


def function(name: str, site: Any) -> Step:
    """A function with a model for a body is called."""
    return step("function", name, site=site)


def call(request: Request, function: Step | None = None) -> Step:
    """A model is called, for a `function` or for the current step; `Step.answered` says what has become of it."""
    around = function or current()
    if (
        around is not None
        and around.kind == "function"
        and around.attempt is None
        and request.output_schema is not None
    ):
        _attempt(1, around)
    return step("call", request.model or "a model", function, request=request)


def beside(call: Step | None) -> AbstractContextManager[object]:
    """A block that belongs to what a call belongs to: the tools that it asks for run in it."""
    return NOTHING if call is None or call.parent is None else call.parent.inside()


def tool(called: ToolCallPart) -> Step:
    """A tool is run, as a model asked for it; `Step.returned` says what came of it."""
    return step("tool", called.name, call=called)


def _attempt(number: int, function: Step) -> None:
    # Begun within the function, not within the attempt before.
    function.attempt = None
    function.attempt = step("attempt", f"attempt {number}", function, number=number)


def _tell(observer: Observer, what: str, *said: Any) -> Any:
    try:
        return getattr(observer, what)(*said)
    except Exception:  # noqa: BLE001  # an exporter may raise anything
        _log.exception("%s failed; the program goes on without it", type(observer).__name__)
        return None


def _listen() -> None:
    """Let a whole program be traced, where its environment says so."""
    path = os.environ.get("LLM_STRATEGY_TRACE")
    if path:
        # By name, since what listens stands on a higher floor.
        importlib.import_module("llm_strategy.tracing.recording").trace_program(path)


_listen()
