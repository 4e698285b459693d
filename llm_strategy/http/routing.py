"""Which scope an HTTP call belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from llm_strategy.caller import caller
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.context import Ask, CallSite, Scope, current, is_asking
from llm_strategy.http.exchange import Exchange, HTTPCalls
from llm_strategy.http.traffic import http_request, is_model_call
from llm_strategy.log import CallLog
from llm_strategy.models import ModelSource


class Sent(NamedTuple):
    """What a client is about to send, and whose call it is. `listening` are logs that get the call too."""

    calls: HTTPCalls
    listening: Sequence[CallLog]
    method: str
    address: str
    query: str
    headers: Mapping[str, str]

    def begin(self, body: bytes) -> Exchange:
        """Raises CassetteMiss where the scope must not ask and has no recording."""
        request = http_request(self.method, self.address, self.query, self.headers, body)
        return self.calls.begin(Ask(request, _CLIENT, CallSite(None, *caller())), self.headers, self.listening)


class Routes:
    """The scopes whose HTTP calls are taken in."""

    def __init__(self) -> None:
        self._calls: dict[Scope, HTTPCalls] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, scope: CassetteScope) -> HTTPCalls:
        """Take in the calls of a scope until it is removed as often as it was added."""
        calls = self._calls.setdefault(scope, HTTPCalls(scope))
        calls.users += 1
        return calls

    def remove(self, scope: CassetteScope) -> None:
        calls = self._calls[scope]
        calls.users -= 1
        if not calls.users:
            del self._calls[scope]

    def route(self, request: Any) -> Sent | None:
        """Whose call a request of httpx or httpx2 is; None for what passes untouched."""
        url = request.url
        path, _, query = url.raw_path.decode("ascii").partition("?")
        if not is_model_call(url.host, path) or is_asking():
            return None
        scope, listening = current(), []
        while scope is not None and (calls := self._calls.get(scope)) is None:
            if not isinstance(scope, CassetteScope):
                listening.append(scope.calls)
            scope = scope.parent
        if scope is None or calls is None:
            return None
        address = f"{url.scheme}://{url.netloc.decode('ascii')}{path}"
        return Sent(calls, listening, request.method, address, query, request.headers)


def _ask_nobody() -> Any:
    raise RuntimeError("an HTTP call is answered by its client's server, not by a model of this library")


_CLIENT = ModelSource(_ask_nobody, name="http", settings={}, recorded=True)
"""Stands where a model would."""
