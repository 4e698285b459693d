"""Calls of aiohttp: `ClientSession._request`, which is given one more middleware, the innermost.

There a request is complete, and nothing in this process has answered it. Redirects, history, `raise_for_status` and
the program's own middlewares are aiohttp's, while recording and in replay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial, wraps
from http.client import responses
from inspect import signature
from types import SimpleNamespace
from typing import Any, Protocol

from llm_strategy.errors import ModelError
from llm_strategy.http.clients import Patch
from llm_strategy.http.exchange import Exchange
from llm_strategy.http.receiving import Receiver
from llm_strategy.http.replaying import Replay
from llm_strategy.http.routing import Routes

_Handler = Callable[[Any], Awaitable[Any]]

_ANY_LINE = 1 << 40
"""How long a line may be: aiohttp would refuse one by how much it reads at once, which here says nothing."""

_BROKEN = frozenset(
    "ClientConnectionError ClientOSError ClientPayloadError ServerDisconnectedError SocketTimeoutError".split()
)
"""What aiohttp raises where a stream breaks."""


def patches(routes: Routes, module: Any) -> Iterator[Patch]:
    """What stands in the place of the method, which sessions of any age look up in their class."""
    yield Patch(module.ClientSession, "_request", partial(_recorded, _Middleware(routes, module)))


def _recorded(middleware: _Middleware, real: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(real)
    async def request(session: Any, method: str, url: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        if not hasattr(session, "_middlewares"):
            middleware.refuse(method, session._build_url(url))
            return await real(session, method, url, **options)
        given = options.get("middlewares")
        unpacks = options.get("auto_decompress")
        innermost = partial(middleware, unpacks=session.auto_decompress if unpacks is None else unpacks)
        options["middlewares"] = (*(session._middlewares if given is None else given), innermost)
        return await real(session, method, url, **options)

    return request


class _Middleware:
    """Answers what is recorded, and records what is answered."""

    def __init__(self, routes: Routes, aiohttp: Any) -> None:
        self._routes = routes
        self._aiohttp = aiohttp
        self._answers = _Answers(aiohttp)

    async def __call__(self, request: Any, handler: _Handler, *, unpacks: bool) -> Any:
        __tracebackhide__ = True
        # A web socket is no call with an answer.
        upgrades = "Upgrade" in request.headers
        sent = None if upgrades else self._routes.route(request.method, str(request.url), request.headers.items())
        if sent is None:
            return await handler(request)
        exchange = sent.begin(await request.body.as_bytes() if request.body else b"")
        if exchange is None:
            return await handler(request)
        with exchange:
            await exchange.aacquire()
            recorded = exchange.recorded
            if recorded is not None:
                source = _Recorded(Replay(exchange, recorded, self._error))
                return await self._answers.make(request, recorded.status, recorded.headers, source)
            exchange.check()
            return await self._receive(exchange, request, await handler(request), unpacks)

    def refuse(self, method: str, url: Any) -> None:
        """Raise ImportError for a call to a model, of a session that has no middlewares yet."""
        if self._routes.route(method, str(url), ()) is not None:
            raise ImportError(
                "recording and replaying calls of aiohttp needs aiohttp 3.12 or newer, and "
                f"{self._aiohttp.__version__} is installed: pip install -U aiohttp"
            )

    async def _receive(self, exchange: Exchange, request: Any, live: Any, unpacks: bool) -> Any:
        unpacked = {"content-encoding"} if unpacks else set()
        headers = [(name, value) for name, value in live.headers.items() if name.lower() not in unpacked]
        receiver = exchange.receive(live.status, headers)
        source = _Live(live, request._session, receiver)
        answer = await self._answers.make(request, live.status, receiver.headers, source)
        # What an error says is short, and kept even if its reader wants no more than the status.
        if live.status >= 400 or live.content.at_eof():
            await source.fetch()
        return answer

    def _error(self, broken: str) -> Exception:
        """What a stream raised that broke, as this library names it."""
        name, _, text = broken.partition(": ")
        if name == "TimeoutError":
            return TimeoutError(text)
        if name not in _BROKEN:
            # Another client has recorded it.
            name, text = "SocketTimeoutError" if "Timeout" in name else "ClientPayloadError", broken
        error: Exception = getattr(self._aiohttp, name)(text)
        return error


class _Source(Protocol):
    """Where the pieces of an answer come from."""

    async def pull(self) -> bytes | None:
        """The next piece; None, again and again, when there is none any more."""

    def close(self) -> None:
        """The program reads no further, or has read it all."""


class _Recorded:
    """The pieces of a recorded answer."""

    def __init__(self, replay: Replay) -> None:
        self._pieces = aiter(replay)

    async def pull(self) -> bytes | None:
        return await anext(self._pieces, None)

    def close(self) -> None:
        """There is no connection."""


class _Live:
    """The pieces of a server's answer as they arrive; the end comes when the call is on disk."""

    def __init__(self, live: Any, session: Any, receiver: Receiver) -> None:
        self._live = live
        self._session = session
        self._receiver = receiver
        self._taking: asyncio.Task[list[bytes]] | None = None
        self._pieces: deque[bytes] = deque()
        self._handed_on = False
        self._was_stopped = False
        self._ended = False

    async def pull(self) -> bytes | None:
        await self.fetch()
        self._handed_on = True
        return self._pieces.popleft() if self._pieces else None

    async def fetch(self) -> None:
        """Wait until there is a piece, or the end."""
        while not self._pieces and not self._ended:
            if self._taking is None:
                chunk = await self._read()
                self._taking = asyncio.ensure_future(self._take(chunk))
            # A reader that is stopped while the call is written down can come back for it.
            self._pieces += await asyncio.shield(self._taking)
            self._taking = None

    async def _take(self, chunk: bytes) -> list[bytes]:
        if chunk:
            return await self._receiver.afeed(chunk)
        self._ended = True
        return await self._receiver.aend()

    async def _read(self) -> bytes:
        self._was_stopped = True
        try:
            chunk: bytes = await self._live.content.readany()
        except Exception as error:
            self._ended = True
            self._live.close()
            # A program that closes its session means to stop.
            await (self._receiver.aclose() if self._session.closed else self._receiver.abroke(error))
            raise
        self._was_stopped = False
        return chunk

    def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            self._settle()
        finally:
            self._live.close()

    def _settle(self) -> None:
        content = self._live.content
        if self._was_stopped:
            self._receiver.abandon()
            return
        if not self._handed_on and content.exception() is None:
            # A program may want to know no more than the status. An answer that is all there is kept all the same,
            # unless its scope has ended and settled it.
            with suppress(ModelError):
                self._receiver.feed(content.read_nowait())
                if content.at_eof():
                    self._receiver.end()
        self._receiver.close()


class _Connection:
    """Brings one answer, and hears when nobody wants the rest: what aiohttp sees of a connection and its protocol."""

    transport = None
    upgraded = False
    connected = True
    _reading_paused = False

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._callbacks: list[Callable[[], object]] = []
        self.arrived: tuple[Any, Any] | None = None

    @property
    def protocol(self) -> _Connection:
        return self

    async def read(self) -> Any:
        return self.arrived

    def pause_reading(self) -> None:
        """A piece is read when it is asked for."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """A piece is read when it is asked for."""

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Have the timer of the call stopped when it is over."""
        self._callbacks.append(callback)

    def release(self) -> None:
        while self._callbacks:
            self._callbacks.pop()()
        self._source.close()

    close = release


class _Answers:
    """Makes responses as aiohttp makes them, of the class that the session wants."""

    def __init__(self, aiohttp: Any) -> None:
        self._version = aiohttp.HttpVersion11
        self._body = _body_class(aiohttp)
        # The later ones want to know how much was written.
        wanted = "stream_writer" in signature(aiohttp.ClientResponse.__init__).parameters
        self._more = {"stream_writer": SimpleNamespace(output_size=0)} if wanted else {}

    async def make(self, request: Any, status: int, headers: Iterable[tuple[str, str]], source: _Source) -> Any:
        connection = _Connection(source)
        connection.arrived = self._message(status, headers), self._body(connection, source, request.loop)
        response = request.response_class(
            request.method,
            request.original_url,
            writer=None,
            continue100=None,
            timer=request._timer,
            request_info=request.request_info,
            traces=request._traces,
            loop=request.loop,
            session=request._session,
            **self._more,
        )
        await response.start(connection)
        return response

    def _message(self, status: int, headers: Iterable[tuple[str, str]]) -> Any:
        """What aiohttp's parser gives of the head of an answer."""
        from multidict import CIMultiDict, CIMultiDictProxy  # it comes with aiohttp, and is heavy without it

        pairs = list(headers)
        return SimpleNamespace(
            version=self._version,
            code=status,
            reason=responses.get(status, ""),
            headers=CIMultiDictProxy(CIMultiDict(pairs)),
            raw_headers=tuple((name.encode("utf-8"), value.encode("utf-8")) for name, value in pairs),
        )


def _body_class(aiohttp: Any) -> Any:
    class Body(aiohttp.StreamReader):  # type: ignore[misc]  # aiohttp is handed in when the program has imported it
        """The body of an answer, which fetches the next piece when somebody needs it."""

        __slots__ = ("_source",)

        def __init__(self, connection: _Connection, source: _Source, loop: asyncio.AbstractEventLoop) -> None:
            super().__init__(connection, _ANY_LINE, loop=loop)
            self._source = source

        async def _wait(self, _func_name: str) -> None:
            try:
                piece = await self._source.pull()
            except Exception as error:
                if self.exception() is None:
                    self.set_exception(error)
                raise
            if piece is None:
                self.feed_eof()
                return
            self.begin_http_chunk_receiving()
            self.feed_data(piece)
            self.end_http_chunk_receiving()

        async def wait_eof(self) -> None:
            while not self.is_eof():
                await self._wait("wait_eof")

    return Body
