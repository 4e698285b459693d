"""HTTP calls on their way through a scope."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from llm_strategy import engine, observers
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.cassette.turns import CassetteTurn
from llm_strategy.context import Ask, Scope, Turn
from llm_strategy.errors import CassetteError, CassetteMiss, SecretFound
from llm_strategy.http import settings
from llm_strategy.http.receiving import Receiver
from llm_strategy.http.traffic import Headers, Recorded, is_failure, is_retryable, recorded, retried
from llm_strategy.known_secrets import SENT, described
from llm_strategy.log import Call, CallLog
from llm_strategy.redaction import find_known
from llm_strategy.values import JSON
from llm_strategy.wire.bodies import laid_out
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse
from llm_strategy.wire.registry import find

_RETRIES = "x-stainless-retry-count"
"""The header in which the clients of OpenAI, Anthropic and Groq say how often they have asked again of themselves."""
_ATTEMPT = "amz-sdk-request"
"""And in which botocore does: `attempt=2; max=5`."""


class Exchange:
    """One call. Its client asks only if there is nothing `recorded`, and holds the right to ask meanwhile.

    A context manager that gives this right back, unless an answer is on its way by then.
    """

    def __init__(self, calls: HTTPCalls, turn: Turn, asker: Hashable, told: observers.Step | observers.Nothing) -> None:
        self.turn = turn
        self.told = told
        self.asker = asker
        self._calls = calls
        self._receiver: Receiver | None = None
        self._began = perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._receiver is None:
            self.told.end(error)
            self.release()

    def acquire(self) -> None:
        """Take the right to ask, unless the call is answered; it may turn out to be, by another's asking."""
        if self.turn.call is None:
            self.turn.acquire()
        if self.turn.call is None:
            self.turn.reserve()
        self._began = perf_counter()

    async def aacquire(self) -> None:
        if self.turn.call is None:
            await engine.acquire(self.turn)
        if self.turn.call is None:
            await engine.reserve(self.turn)
        self._began = perf_counter()

    @property
    def recorded(self) -> Recorded | None:
        """The answer that is recorded; None where the server has to be asked."""
        if self.turn.call is None:
            return None
        response = self.turn.call.response
        if not isinstance(response, HTTPResponse):
            raise CassetteError("a recorded answer to an HTTP call is none; record again: pytest --llm-record=all")
        self._calls.replayed(self, response)
        self.told.answered(self.turn)
        return recorded(response)

    def check(self) -> None:
        """Refuse to send what could not be recorded without writing a credential down; raises SecretFound."""
        request = self.turn.ask.request
        if not isinstance(self.turn, CassetteTurn) or not isinstance(request, HTTPRequest):
            return
        name = find_known(laid_out(request.http.get("body"), ""))
        if name is not None:
            sent = "the credential that it is sent with, or an earlier one was"
            raise SecretFound(
                f"the body of an HTTP call holds {sent if name == SENT else described(name)}: recorded, it would be "
                "published with the cassette. Send something else"
            )

    def receive(self, status: int, headers: Headers) -> Receiver:
        """Take in the answer that has begun to arrive."""
        self._receiver = Receiver(self, status, headers)
        self.turn.watch(self._receiver.ending)
        self._calls.arriving.add(self)
        return self._receiver

    def settle(self, response: HTTPResponse) -> None:
        """The answer is there, as far as it goes; it is durable when this returns, but an error waits."""
        self.turn.seconds = perf_counter() - self._began
        try:
            self._calls.settle(self, response)
            self.told.answered(self.turn)
        except BaseException as error:
            self.told.end(error)
            raise
        finally:
            self.release()

    @cached_property
    def ends(self) -> Callable[[JSON], bool] | None:
        """Says of an event whether nothing of the answer follows it; None where the format of the call is not known."""
        request = self.turn.ask.request
        format = find(urlsplit(request.http["url"]).path) if isinstance(request, HTTPRequest) else None
        return None if format is None else format.ends

    def release(self) -> None:
        """Give the right to ask back."""
        self._calls.arriving.discard(self)
        self.turn.release()
        self.told.end()

    def read_on(self) -> CassetteMiss:
        """The error for a client that reads on where the recording was closed."""
        return self.turn.read_on()


class _Failure(NamedTuple):
    """An answer that is an error, which counts unless the client itself asks again."""

    turn: Turn
    response: HTTPResponse


class HTTPCalls:
    """The HTTP calls of one scope.

    An answer that is an error waits here. If the client then asks again of itself, the next answer
    takes its place. If something else follows, or the scope ends well, the program has lived with the
    error, and it is recorded. If the scope fails, it is left out: recorded, it would fail every replay.

    An answer that could not be recorded is not paid for again because its client takes that for a broken connection.

    `arriving` has the calls whose answers are being read, or would be, if their readers had not dropped them unclosed.
    """

    def __init__(self, scope: Scope) -> None:
        self.arriving: set[Exchange] = set()
        self._scope = scope
        self._failures: dict[Hashable, _Failure] = {}
        self._lost: dict[str, str] = {}
        self._lock = threading.Lock()

    def is_recorded(self, key: str) -> bool:
        """Whether a recording has a key, where recordings are looked at."""
        return isinstance(self._scope, CassetteScope) and self._scope.is_recorded(key)

    def begin(self, ask: Ask, headers: Mapping[str, str], listening: Iterable[CallLog]) -> Exchange:
        """Raises CassetteMiss where the scope must not ask and has no recording, CassetteError for what was lost."""
        __tracebackhide__ = True
        told = observers.call(ask.request) if observers.listening else observers.NOTHING
        try:
            turn, asker = self._begin(ask, headers, listening)
        except BaseException as error:
            told.end(error)
            raise
        return Exchange(self, turn, asker, told)

    def _begin(self, ask: Ask, headers: Mapping[str, str], listening: Iterable[CallLog]) -> tuple[Turn, Hashable]:
        __tracebackhide__ = True
        lost = self._lost.get(ask.request.key)
        if lost is not None and repeats(headers):
            raise CassetteError(lost)
        asker = _asker()
        before = self._take(asker)
        if before is not None:
            if _asks_again(before, ask, headers):
                if self._continue(before):
                    return before.turn, asker
            else:
                self._keep(before)
        turn = self._scope.enter(ask)
        for log in listening:
            turn.log_to(log)
        return turn, asker

    def _take(self, asker: Hashable) -> _Failure | None:
        """The error that the same asker has got just before."""
        if not self._failures:
            return None
        with self._lock:
            return self._failures.pop(asker, None)

    def _continue(self, failure: _Failure) -> bool:
        """Whether the next answer takes the place of an error."""
        if failure.turn.call is not None and failure.turn.call.replayed:
            # No other answer was recorded for it.
            return True
        if settings.record_errors():
            self._keep(failure._replace(response=retried(failure.response)))
            return False
        failure.turn.reopen()
        return True

    def replayed(self, exchange: Exchange, response: HTTPResponse) -> None:
        """An answer comes from a recording: if it is an error, its client may ask again."""
        if is_failure(response) and not response.http.get("retried"):
            with self._lock:
                self._failures[exchange.asker] = _Failure(exchange.turn, response)

    def settle(self, exchange: Exchange, response: HTTPResponse) -> None:
        """Record an answer, so that it is durable when this returns; an error waits."""
        turn = exchange.turn
        if not is_failure(response):
            try:
                turn.record(response)
            except Exception as error:
                self._lost[turn.ask.request.key] = f"an answer to this HTTP call could not be recorded: {error}"
                raise
            return
        request = turn.ask.request
        turn.finish(Call(request.key, turn.occurrence, None, request, response, seconds=turn.seconds))
        with self._lock:
            self._failures[exchange.asker] = _Failure(turn, response)

    def end(self, *, passed: bool) -> None:
        """No more calls come; what failed last is recorded where the scope has passed."""
        with self._lock:
            failures, self._failures = list(self._failures.values()), {}
        for failure in failures:
            if passed:
                self._keep(failure)
            elif not _is_replayed(failure):
                failure.turn.reopen()
                failure.turn.release()
                self._note(failure, "was not recorded, because what asked it failed")

    def _keep(self, failure: _Failure) -> None:
        turn = failure.turn
        if _is_replayed(failure):
            return
        turn.reopen()
        turn.acquire()
        try:
            if turn.call is None:
                turn.record(failure.response)
                if not failure.response.http.get("retried"):
                    self._note(failure, "is recorded with this error; --llm-record=all asks again")
        finally:
            turn.release()

    def _note(self, failure: _Failure, what: str) -> None:
        if isinstance(failure.turn, CassetteTurn) and isinstance(self._scope, CassetteScope):
            owner = self._scope.rules.owner or self._scope.path
            broken = "broken" in failure.response.http
            said = "broke off" if broken else f"was answered {failure.response.status}"
            self._scope.note(f"{owner}: an HTTP call {said}, and {what}")


def _is_replayed(failure: _Failure) -> bool:
    return failure.turn.call is not None and failure.turn.call.replayed


def _asks_again(before: _Failure, ask: Ask, headers: Mapping[str, str]) -> bool:
    """Whether a request is the client's own repetition of the one before.

    Some clients say so. Of others it is taken to be one where nothing else came in between.
    """
    if before.turn.ask.request.key != ask.request.key:
        return False
    said = repeats(headers)
    return is_retryable(before.response.status) if said is None else said


def repeats(headers: Mapping[str, str]) -> bool | None:
    """Whether a client says that it asks again of itself; None where it says nothing."""
    if _RETRIES in headers:
        return headers[_RETRIES] != "0"
    if _ATTEMPT in headers:
        return not headers[_ATTEMPT].startswith("attempt=1;")
    return None


def _asker() -> Hashable:
    """Who asks: clients ask again from the same thread or task. Who has tasks has imported what they come from."""
    asyncio: Any = sys.modules.get("asyncio")
    trio: Any = sys.modules.get("trio")
    task: Hashable | None = None
    with suppress(RuntimeError):
        task = asyncio and asyncio.current_task()
    with suppress(RuntimeError):
        task = task or (trio and trio.lowlevel.current_task())
    return task or threading.current_thread()
