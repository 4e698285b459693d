"""Stands between HTTP clients and the network, once for all scopes that want it.

vcrpy puts itself in the place of the clients' methods and translates their requests and answers; which
scope a call belongs to, and what answers it, is decided for each call anew.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial, wraps
from typing import Any, NamedTuple

from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.engine import acquire, in_thread
from llm_strategy.http.exchange import Exchange, HTTPCalls
from llm_strategy.http.routing import Routes

_Handler = Callable[[Any, Any], Any]
"""A method of a transport: takes the transport and the request."""


@contextmanager
def intercept(scope: CassetteScope) -> Iterator[None]:
    """Record and replay in `scope` what is sent to models over HTTP while this is entered.

    Raises ImportError where vcrpy is missing.
    """
    calls = _installation.enter(scope)
    well = False
    try:
        yield
        well = True
    finally:
        _installation.leave(scope)
        if not calls.users:
            calls.end(well=well)


class _Installation:
    """Patches the clients when the first scope comes, and takes the patches away after the last."""

    def __init__(self) -> None:
        self.routes = Routes()
        self._lock = threading.Lock()
        self._patches = ExitStack()

    def enter(self, scope: CassetteScope) -> HTTPCalls:
        with self._lock:
            if not self.routes:
                with ExitStack() as patches:
                    for patcher in _patchers(self.routes):
                        patches.enter_context(patcher)
                    self._patches = patches.pop_all()
            return self.routes.add(scope)

    def leave(self, scope: CassetteScope) -> None:
        with self._lock:
            self.routes.remove(scope)
            if not self.routes:
                self._patches.close()


_installation = _Installation()


class _Patches(NamedTuple):
    """What vcrpy's builder reads of a cassette."""

    custom_patches: Sequence[tuple[Any, str, _Handler]]
    skip_patchers: Sequence[str]


def _patchers(routes: Routes) -> Iterator[AbstractContextManager[Any]]:
    """Patches of the transports that reach the network; those that answer in this process stay as they are."""
    try:
        from vcr.patch import PATCHER_NAMES, CassettePatcherBuilder  # type: ignore[import-untyped]  # it has no types
        from vcr.stubs.httpx_stubs import (  # type: ignore[import-untyped]  # it has no types
            vcr_handle_async_request,
            vcr_handle_request,
        )
    except ImportError as error:
        raise ImportError(
            'recording and replaying HTTP calls (http=True) needs vcrpy 9.4 or newer: pip install "llm-strategy[http]"'
        ) from error
    patches: list[tuple[Any, str, _Handler]] = []
    # vcrpy has imported what is installed of these.
    for httpx in filter(None, map(sys.modules.get, ("httpx", "httpx2"))):
        for transport, name, handler, stub in (
            (httpx.HTTPTransport, "handle_request", _synchronous, vcr_handle_request),
            (httpx.AsyncHTTPTransport, "handle_async_request", _asynchronous, vcr_handle_async_request),
        ):
            patches.append((transport, name, handler(routes, getattr(transport, name), stub, httpx)))
    # Its own list of patches takes in transports that answer in this process, and reads all traffic.
    patcher: Iterator[AbstractContextManager[Any]] = CassettePatcherBuilder(_Patches(patches, PATCHER_NAMES)).build()
    return patcher


def _synchronous(routes: Routes, real: _Handler, stub: Callable[..., _Handler], httpx: Any) -> _Handler:
    @wraps(real)
    def handle_request(transport: Any, request: Any) -> Any:
        sent = routes.route(request)
        if sent is None:
            return real(transport, request)
        exchange = sent.begin(request.read())
        turn = exchange.turn
        if turn.call is None:
            turn.acquire()
        try:
            replayed = exchange.replayed
            if replayed is not None:
                return _response(httpx, *replayed)
            exchange.check()
            response = stub(exchange, real, httpx)(transport, request)
            sent.calls.settle(exchange, exchange.answer(_content(exchange, response, httpx)))
            return response
        finally:
            turn.release()

    return handle_request


def _asynchronous(routes: Routes, real: _Handler, stub: Callable[..., _Handler], httpx: Any) -> _Handler:
    @wraps(real)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        sent = routes.route(request)
        if sent is None:
            return await real(transport, request)
        exchange = sent.begin(await request.aread())
        turn = exchange.turn
        if turn.call is None:
            await acquire(turn)
        try:
            replayed = exchange.replayed
            if replayed is not None:
                return _response(httpx, *replayed)
            exchange.check()
            response = await stub(exchange, real, httpx)(transport, request)
            answer = exchange.answer(_content(exchange, response, httpx))
            await in_thread(partial(sent.calls.settle, exchange), answer)
            return response
        finally:
            turn.release()

    return handle_async_request


def _response(httpx: Any, status: int, headers: dict[str, str], body: bytes) -> Any:
    # A stream, which the client has still to read, as from the network.
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


def _content(exchange: Exchange, response: Any, httpx: Any) -> bytes:
    """The body of a fetched answer as its client will read it."""
    body: bytes = exchange.fetched["body"]["string"]
    if "content-encoding" not in response.headers:
        return body
    content: bytes = httpx.Response(200, headers=response.headers, content=body).content
    return content
