"""httpcore and httpcore2, through which httpx and httpx2 send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import Any

from llm_strategy.http.clients import Patch
from llm_strategy.http.exchange import Exchange
from llm_strategy.http.receiving import Receiver
from llm_strategy.http.replaying import Replay
from llm_strategy.http.routing import Routes, Sent
from llm_strategy.http.traffic import Recorded

_Method = Callable[[Any, Any], Any]
"""Takes a pool of connections and a request."""


def patches(routes: Routes, module: Any) -> Iterator[Patch]:
    """Pools of connections: what lies above them answers in this process."""
    yield Patch(module.ConnectionPool, "handle_request", partial(_synchronous, routes, module))
    yield Patch(module.AsyncConnectionPool, "handle_async_request", partial(_asynchronous, routes, module))


def _synchronous(routes: Routes, httpcore: Any, real: _Method) -> _Method:
    @wraps(real)
    def handle_request(pool: Any, request: Any) -> Any:
        __tracebackhide__ = True
        sent = _route(routes, request)
        if sent is None:
            return real(pool, request)
        body = b"".join(request.stream)
        exchange = sent.begin(body)
        if exchange is None:
            return real(pool, _with_body(httpcore, request, body))
        with exchange:
            exchange.acquire()
            recorded = exchange.recorded
            if recorded is not None:
                return _replayed(httpcore, exchange, recorded)
            exchange.check()
            response = real(pool, _with_body(httpcore, request, body))
            receiver = exchange.receive(response.status, _decoded(response.headers))
            return _response(httpcore, response, receiver, _Stream(response.stream, receiver))

    return handle_request


def _asynchronous(routes: Routes, httpcore: Any, real: _Method) -> _Method:
    @wraps(real)
    async def handle_async_request(pool: Any, request: Any) -> Any:
        __tracebackhide__ = True
        sent = _route(routes, request)
        if sent is None:
            return await real(pool, request)
        body = b"".join([part async for part in request.stream])
        exchange = sent.begin(body)
        if exchange is None:
            return await real(pool, _with_body(httpcore, request, body))
        with exchange:
            await exchange.aacquire()
            recorded = exchange.recorded
            if recorded is not None:
                return _replayed(httpcore, exchange, recorded)
            exchange.check()
            response = await real(pool, _with_body(httpcore, request, body))
            receiver = exchange.receive(response.status, _decoded(response.headers))
            return _response(httpcore, response, receiver, _AsyncStream(response.stream, receiver))

    return handle_async_request


def _route(routes: Routes, request: Any) -> Sent | None:
    url = request.url
    port = b"" if url.port is None else b":%d" % url.port
    host = b"[%b]" % url.host if b":" in url.host else url.host
    address = b"%b://%b%b%b" % (url.scheme, host, port, url.target)
    return routes.route(request.method.decode("ascii"), address.decode("latin-1"), _decoded(request.headers))


def _decoded(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def _with_body(httpcore: Any, request: Any, body: bytes) -> Any:
    """The request with its body read, which some can be only once."""
    return httpcore.Request(
        request.method, request.url, headers=request.headers, content=body, extensions=request.extensions
    )


def _replayed(httpcore: Any, exchange: Exchange, recorded: Recorded) -> Any:
    stream = Replay(exchange, recorded, partial(_error, httpcore))
    extensions = {"http_version": b"HTTP/1.1"}
    return httpcore.Response(recorded.status, headers=_encoded(recorded.headers), content=stream, extensions=extensions)


def _response(httpcore: Any, response: Any, receiver: Receiver, stream: Any) -> Any:
    headers = _encoded(receiver.headers)
    return httpcore.Response(response.status, headers=headers, content=stream, extensions=response.extensions)


def _error(httpcore: Any, broken: str) -> Exception:
    """What a stream raised that broke, as this library names it."""
    name, _, text = broken.partition(": ")
    kind: Any = getattr(httpcore, name, None)
    known = isinstance(kind, type) and issubclass(kind, Exception)
    error: Exception = kind(text) if known else httpcore.RemoteProtocolError(broken)
    return error


class _Stream:
    """The body of a live answer."""

    def __init__(self, incoming: Any, receiver: Receiver) -> None:
        self._incoming = incoming
        self._receiver = receiver

    def __iter__(self) -> Iterator[bytes]:
        incoming = iter(self._incoming)
        while (chunk := self._next(incoming)) is not None:
            yield from self._receiver.feed(chunk)
        yield from self._receiver.end()

    def _next(self, incoming: Iterator[bytes]) -> bytes | None:
        try:
            return next(incoming, None)
        except Exception as error:
            self._receiver.broke(error)
            raise
        except BaseException:
            self._receiver.abandon()
            raise

    def close(self) -> None:
        try:
            self._receiver.close()
        finally:
            self._incoming.close()


class _AsyncStream:
    """The same in an event loop."""

    def __init__(self, incoming: Any, receiver: Receiver) -> None:
        self._incoming = incoming
        self._receiver = receiver

    async def __aiter__(self) -> AsyncIterator[bytes]:
        incoming = aiter(self._incoming)
        while (chunk := await self._next(incoming)) is not None:
            for piece in await self._receiver.afeed(chunk):
                yield piece
        for piece in await self._receiver.aend():
            yield piece

    async def _next(self, incoming: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await anext(incoming, None)
        except Exception as error:
            await self._receiver.abroke(error)
            raise
        except GeneratorExit:
            # Nothing can be waited for here; the end of the scope settles it.
            raise
        except BaseException:
            await self._receiver.aabandon()
            raise

    async def aclose(self) -> None:
        try:
            await self._receiver.aclose()
        finally:
            await self._incoming.aclose()
