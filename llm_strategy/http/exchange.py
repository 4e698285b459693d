"""HTTP calls on their way through a scope."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.cassette.turns import CassetteTurn
from llm_strategy.context import Ask, Turn
from llm_strategy.errors import CassetteError, SecretFound
from llm_strategy.http.traffic import credentials, http_response, replayed
from llm_strategy.log import Call, CallLog
from llm_strategy.redaction import each_text, find_known
from llm_strategy.wire.bodies import laid_out
from llm_strategy.wire.contents import contents
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse

_RETRIES = "x-stainless-retry-count"
"""The header in which the clients of OpenAI and Anthropic say that they ask again of themselves."""


class Exchange:
    """One call. To vcrpy's stubs it is a cassette without recordings, to which they append what they fetch."""

    write_protected = False

    def __init__(self, turn: Turn, headers: Mapping[str, str]) -> None:
        self.turn = turn
        self.asker = _asker(turn.ask) if turn.call is None else None
        self.fetched: dict[str, Any] = {}
        self._headers = headers

    def can_play_response_for(self, _request: object) -> bool:
        return False

    def append(self, _request: object, response: dict[str, Any]) -> None:
        self.fetched = response

    @property
    def replayed(self) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers and body of the recording; None where the server has to be asked."""
        if self.turn.call is None:
            return None
        try:
            return replayed(self.turn.call.response)  # type: ignore[arg-type]  # what else it may be fails below
        except CassetteError:
            raise
        except (AttributeError, TypeError, ValueError) as error:
            raise CassetteError(f"a recorded HTTP answer is not complete ({error!r}); record again") from None

    def check(self) -> None:
        """Refuse to send what could not be recorded without writing a credential down; raises SecretFound."""
        request = self.turn.ask.request
        if not isinstance(self.turn, CassetteTurn) or not isinstance(request, HTTPRequest):
            return
        text = laid_out(request.http.get("body"), "")
        name = find_known(text)
        if name is not None or self._has_credential(text) or self._has_credential(_read(request.http)):
            what = f"the value of the environment variable {name}" if name else "the credential that it is sent with"
            raise SecretFound(
                f"the body of an HTTP call holds {what}: recorded, it would be published with the cassette. Send "
                "something else"
            )

    def answer(self, body: bytes) -> HTTPResponse:
        """What was fetched, as it is kept. `body` is what the client reads, without any compression."""
        pairs = ((name, value) for name, values in self.fetched["headers"].items() for value in values)
        http = http_response(self.fetched["status"]["code"], pairs, body).http
        if isinstance(self.turn, CassetteTurn) and self._has_credential(_read(http)):
            raise SecretFound(
                "an image or file in the answer to an HTTP call holds the credential that the call was sent with; "
                "nothing was written, since it would be published with the cassette"
            )
        return HTTPResponse.of(each_text(dict(http), self._without_credentials))

    def _has_credential(self, text: str) -> bool:
        return any(secret in text for secret in credentials(self._headers))

    def _without_credentials(self, text: str) -> str:
        for secret in credentials(self._headers):
            text = text.replace(secret, "<credential>")
        return text


def _read(http: Mapping[str, Any]) -> str:
    """The large contents in the body of an envelope, decoded."""
    return "\n".join((content.data or b"").decode("latin-1") for content in contents(http))


class _Failure(NamedTuple):
    """An answer with an error status, which counts unless the client itself asks again."""

    turn: Turn
    response: HTTPResponse


class HTTPCalls:
    """The HTTP calls of one scope.

    An answer with an error status waits here. If the client then asks again of itself, the next answer
    takes its place. If something else follows, or the block ends well, the program has lived with the
    error, and it is recorded. If the block fails, it is left out: recorded, it would fail every replay.
    """

    def __init__(self, scope: CassetteScope) -> None:
        self.users = 0
        self._scope = scope
        self._failures: dict[Hashable, _Failure] = {}
        self._lock = threading.Lock()

    def begin(self, ask: Ask, headers: Mapping[str, str], listening: Iterable[CallLog]) -> Exchange:
        """Raises CassetteMiss where the scope must not ask and has no recording."""
        before = self._take(ask)
        if before is not None and headers.get(_RETRIES, "0") != "0":
            before.turn.reopen()
            return Exchange(before.turn, headers)
        if before is not None:
            self._keep(before)
        turn = self._scope.enter(ask)
        for log in listening:
            turn.log_to(log)
        return Exchange(turn, headers)

    def _take(self, ask: Ask) -> _Failure | None:
        """The error that the same asker got to the same request just before."""
        if not self._failures:
            return None
        with self._lock:
            return self._failures.pop(_asker(ask), None)

    def settle(self, exchange: Exchange, response: HTTPResponse) -> None:
        """Record an answer, so that it is durable when this returns; an error waits."""
        turn = exchange.turn
        if response.status < 400:
            turn.record(response)
            return
        turn.finish(Call(turn.ask.request.key, turn.occurrence, None, turn.ask.request, response))
        with self._lock:
            self._failures[exchange.asker] = _Failure(turn, response)

    def end(self, *, well: bool) -> None:
        """No more calls come; what failed last is recorded where the block has ended well."""
        with self._lock:
            failures, self._failures = list(self._failures.values()), {}
        for failure in failures:
            if well:
                self._keep(failure)
            else:
                failure.turn.reopen()
                failure.turn.release()
                self._note(failure, "was not recorded, because the block that asked it failed")

    def _keep(self, failure: _Failure) -> None:
        turn = failure.turn
        turn.reopen()
        turn.acquire()
        try:
            if turn.call is None:
                turn.record(failure.response)
                self._note(failure, "is recorded with this error; --llm-record=all asks again")
        finally:
            turn.release()

    def _note(self, failure: _Failure, what: str) -> None:
        if isinstance(failure.turn, CassetteTurn):
            owner = self._scope.rules.owner or self._scope.path
            self._scope.account.notes.append(
                f"{owner}: an HTTP call was answered {failure.response.status}, and {what}"
            )


def _asker(ask: Ask) -> Hashable:
    """What is asked, and by whom: the client asks again from the same thread or task."""
    try:
        task: object = asyncio.current_task()
    except RuntimeError:
        task = None
    return ask.request.key, task or threading.get_ident()
