"""Which scope a call belongs to.

A `use_cassette` block is found by a context variable. Where there is none, or it has closed (event
loops and fixtures carry contexts further than the block reaches), one process-wide slot decides,
which a test runner sets for the running test or fixture: so threads and tasks of a test find it too.
A child process finds its parent's scope in an environment variable.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llm_strategy import observers, slot
from llm_strategy.errors import CassetteMiss
from llm_strategy.log import Call, CallLog
from llm_strategy.values import Request, Response

if TYPE_CHECKING:
    from llm_strategy.models import ModelSource
    from llm_strategy.signature import Signature


class CallSite(NamedTuple):
    """Where a request comes from; for errors.

    `blocks` are the pieces of the last message and what each of them says: (subject, text, end). `given` is what they
    were rendered from: the signature, what a member is called on, and the arguments.
    """

    function: str | None = None
    file: str | None = None
    line: int | None = None
    blocks: Sequence[tuple[str, str, str]] = ()
    given: tuple[Signature, Any, Mapping[str, Any]] | None = None


class Ask(NamedTuple):
    """A request on its way: the model it is for (None while none is configured) and where it comes from."""

    request: Request
    source: ModelSource | None
    site: CallSite


class Stream(Protocol):
    """An answer on its way, piece by piece."""

    def end(self) -> None:
        """Stop reading; what has arrived is recorded when this returns."""


Place = tuple[CallLog, int]
"""A log, and where in it a call stands."""


class Turn:
    """One call of a scope. Either `call` is there already, or the model has to be asked.

    Who asks holds the turn meanwhile: `acquire`, look at `call` again, `reserve`, `record`, `release`. `seconds` is how
    long the model has taken so far, where it was asked.
    """

    seconds: float | None = None
    told: observers.Step | None = None
    """The step that observers know the call by."""
    cassette: str | None = None
    """The path of the file that has the call."""

    def __init__(self, logs: Sequence[Place], ask: Ask, occurrence: int) -> None:
        self.ask = ask
        self.occurrence = occurrence
        self.call: Call | None = None
        self._logs = list(logs)

    def acquire(self, blocking: bool = True) -> bool:  # noqa: ARG002  # what asks nobody waits for nobody
        """Take the right to ask. False where another holds it and `blocking` is not set."""
        return True

    def reserve(self, blocking: bool = True) -> bool:  # noqa: ARG002  # what is not counted costs nothing here
        """Set aside what the answer may cost. False where that has to wait and `blocking` is not set.

        Raises CassetteMiss where it is more than may be spent.
        """
        return True

    def record(self, response: Response) -> Call:
        """Keep the answer; it is durable when this returns."""
        return self.finish(self._made(response))

    def release(self) -> None:
        """Give the right to ask back."""

    def _made(self, response: Response, *, replayed: bool = False) -> Call:
        request, seconds = self.ask.request, None if replayed else self.seconds
        return Call(request.key, self.occurrence, self.ask.site.function, request, response, replayed, seconds=seconds)

    def finish(self, call: Call) -> Call:
        self.call = call
        for log, place in self._logs:
            log.finish(place, call)
        return call

    def reopen(self) -> None:
        """Take the answer back: the model is asked anew, or has not answered after all."""
        self.call = None
        for log, place in self._logs:
            log.reopen(place)

    def withhold(self) -> None:
        """Keep an answer that is there already out of the logs until `publish`: whose turn it is reads it first."""
        for log, place in self._logs:
            log.reopen(place)

    def publish(self) -> None:
        if self.call is not None:
            self.finish(self.call)

    def watch(self, stream: Stream) -> None:
        """The answer is read from a stream, which ends with the scope at the latest."""

    def read_on(self) -> CassetteMiss:
        """The error for a caller who reads on where the recorded one stopped."""
        return CassetteMiss("this answer was closed before its end", request=self.ask.request)

    def ask_again(self) -> bool:
        """Prepare to ask for all of an answer that is read further than it was recorded; False where it must not be."""
        return False

    def give_up(self) -> None:
        """Stay with the recording after all, though it has been read to its end."""

    def diverged(self) -> CassetteMiss:
        """The error for an answer that, asked for again, begins otherwise than what had been read of it."""
        return CassetteMiss("this answer begins otherwise than before", request=self.ask.request)

    def log_to(self, log: CallLog) -> None:
        """Keep the call in another log too."""
        place = log.begin()
        self._logs.append((log, place))
        if self.call is not None:
            log.finish(place, self.call)

    def repaired(self, repairs: tuple[str, ...]) -> None:
        """Note what had to be mended in the reply."""
        if self.told is not None:
            self.told.repaired(repairs)
        for log, place in self._logs:
            log.repaired(place, repairs)


class Scope:
    """A stretch of a program whose calls belong together; this one asks every time and keeps nothing.

    `parent` is a scope around it, whose log gets the calls too if it `hears_inner` ones. `default_model`
    names the model of functions that name none. `http` says whether it takes in what clients send over HTTP.
    """

    hears_inner = True

    @property
    def http(self) -> bool:
        return False

    def __init__(self, parent: Scope | None = None, default_model: str | None = None) -> None:
        self.calls = CallLog()
        self.closed = False
        self.parent = parent
        self.default_model: str | None = default_model or (parent.default_model if parent else None)

    def enter(self, ask: Ask) -> Turn:
        """Begin a call. Raises CassetteMiss where this scope must not ask and has no recording."""
        return self._begin(ask)

    def _places(self) -> list[Place]:
        places = [(self.calls, self.calls.begin())]
        scope = self.parent
        while scope is not None:
            if scope.hears_inner:
                places.append((scope.calls, scope.calls.begin()))
            scope = scope.parent
        return places

    def _begin(self, ask: Ask) -> Turn:
        return Turn(self._places(), ask, self.calls.next_occurrence(ask.request.key))

    def close(self) -> None:
        self.closed = True


_variable: ContextVar[Scope | None] = ContextVar("llm_strategy_scope", default=None)
_child: dict[str, Scope] = {}


def current() -> Scope | None:
    """The scope of a call made here and now; None outside all."""
    scope = _variable.get()
    if scope is not None and not scope.closed:
        return scope
    for holder in reversed(slot.holders):
        held: Scope = holder.scope
        if not held.closed:
            return held
    open_blocks: list[Scope] = list(slot.blocks)
    if len(open_blocks) > 1:
        return Unknown(
            "a thread that does not say which of the open use_cassette blocks it belongs to: start it with "
            "asyncio.to_thread or contextvars.copy_context().run, or open the block inside it",
            "a thread without its block",
            http=any(block.http for block in open_blocks),
        )
    if open_blocks:
        return open_blocks[0]
    described = os.environ.get(slot.CHILD_VARIABLE)
    return _child_scope(described) if described else None


def is_in_block() -> bool:
    """Whether a block says what a call made here and now belongs to, and not where the program is as a whole."""
    scope = _variable.get()
    return scope is not None and not scope.closed


class Unknown(Scope):
    """Where several blocks are open and none is known to be the caller's own: asking could cost money."""

    def __init__(self, where: str, cause: str, *, http: bool = False) -> None:
        super().__init__()
        self._where = where
        self._cause = cause
        self._http = http

    @property
    def http(self) -> bool:
        return self._http

    def enter(self, ask: Ask) -> Turn:
        if ask.source is not None and not ask.source.recorded:
            return super().enter(ask)
        raise CassetteMiss(
            f"{ask.site.function or 'a model'} is called in {self._where}",
            request=ask.request,
            function=ask.site.function,
            causes=(self._cause,),
        )


def _child_scope(described: str) -> Scope:
    """The scope that the parent process was in when it started this one."""
    if described not in _child:
        module, _, function = json.loads(described)[slot.CHILD_OPENER].partition(":")
        _child[described] = getattr(importlib.import_module(module), function)(described)
    return _child[described]


_asking: ContextVar[bool] = ContextVar("llm_strategy_asking", default=False)


@contextmanager
def asking(turn: Turn) -> Iterator[None]:
    """While a model is asked: what it sends over HTTP is part of that call, and no call of its own."""
    token = _asking.set(True)
    began = perf_counter()
    try:
        with turn.told.inside() if turn.told is not None else observers.NOTHING:
            yield
    finally:
        turn.seconds = (turn.seconds or 0) + perf_counter() - began
        _asking.reset(token)


def is_asking() -> bool:
    return _asking.get()


def enter_block(scope: Scope) -> Token[Scope | None]:
    """Make a scope the current one of this thread or task, until `leave_block`."""
    return _variable.set(scope)


def leave_block(token: Token[Scope | None]) -> None:
    # Left in another context than entered (an async fixture), the closed scope is passed over.
    with suppress(ValueError):
        _variable.reset(token)


def _forget() -> None:
    """In a forked child: what it has belongs to the parent, whose environment variable says more."""
    slot.holders.clear()
    slot.blocks.clear()
    slot.sessions.clear()
    _variable.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
