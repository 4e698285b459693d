"""Which scope an HTTP call belongs to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from llm_strategy.caller import caller
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.context import Ask, CallSite, Scope, current, is_asking
from llm_strategy.http.credentials import remember
from llm_strategy.http.exchange import Exchange, HTTPCalls
from llm_strategy.http.hosts import is_common, is_model_call
from llm_strategy.http.traffic import http_request
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

    def begin(self, body: bytes) -> Exchange | None:
        """None for what passes untouched, by what its body is.

        Raises CassetteMiss where the scope must not ask and has no recording.
        """
        __tracebackhide__ = True
        remember(self.headers, self.query)
        request = http_request(
            self.method, self.address, self.query, self.headers, body, is_recorded=self.calls.is_recorded
        )
        url = urlsplit(self.address)
        if is_common(url.hostname or "", url.path) and request.understood is None:
            return None
        return self.calls.begin(Ask(request, _CLIENT, CallSite(None, *caller())), self.headers, self.listening)


class Routes:
    """The HTTP calls of all scopes that take them in."""

    def __init__(self) -> None:
        self._calls: dict[Scope, HTTPCalls] = {}
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def route(self, method: str, url: str, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Sent | None:
        """Whose call a request is, if one's; None for what passes untouched."""
        scope, listening = current(), []
        while scope is not None and not scope.http:
            if not isinstance(scope, CassetteScope):
                listening.append(scope.calls)
            scope = scope.parent
        if scope is None or is_asking():
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not is_model_call(method, parts.hostname or "", parts.path):
            return None
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        named = {name.lower(): value for name, value in pairs}
        if "upgrade" in named:
            # What follows is another protocol, such as WebSocket.
            return None
        return Sent(self._calls_of(scope), listening, method, address, parts.query, named)

    def _calls_of(self, scope: Scope) -> HTTPCalls:
        with self._lock:
            calls = self._calls.get(scope)
            if calls is None:
                calls = HTTPCalls(scope)
                if isinstance(scope, CassetteScope):
                    self._calls[scope] = calls
                    scope.at_end(lambda passed: self._end(scope, passed))
            return calls

    def _end(self, scope: Scope, passed: bool) -> None:
        with self._lock:
            calls = self._calls.pop(scope, None)
        if calls is not None:
            calls.end(passed=passed)

    def _forget(self) -> None:
        """In a forked child: these are the parent's scopes."""
        self._lock = threading.Lock()
        self._calls.clear()


def _ask_nobody() -> Any:
    raise RuntimeError("an HTTP call is answered by its client's server, not by a model of this library")


_CLIENT = ModelSource(_ask_nobody, name="http", settings={}, recorded=True)
"""Stands where a model would."""
