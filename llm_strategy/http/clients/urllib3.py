"""Calls of urllib3, and so of requests and botocore: `HTTPConnectionPool.urlopen`.

The program is given the answer as if it came over a connection of its own, in chunks: http.client and urllib3 read
it there as they read any other, so that whatever their objects can do works, while recording and in replay.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial, wraps
from http.client import HTTPResponse, responses
from inspect import Signature, signature
from typing import Any, Protocol

from llm_strategy.errors import CassetteError
from llm_strategy.http.clients import Patch
from llm_strategy.http.exchange import Exchange
from llm_strategy.http.receiving import Receiver
from llm_strategy.http.replaying import Replay
from llm_strategy.http.routing import Routes

_PORTS = {"http": 80, "https": 443}
_AT_MOST = 1 << 16
_LAST_CHUNK = b"0\r\n\r\n"

_asking: ContextVar[bool] = ContextVar("asking", default=False)
"""Whether the real `urlopen` is at work, which calls itself to follow a redirect or to try again."""


def patches(routes: Routes, module: Any) -> Iterator[Patch]:
    """What stands in the place of the method, which pools and sessions of any age look up in their class."""
    yield Patch(module.HTTPConnectionPool, "urlopen", partial(_recorded, routes, module))


def _recorded(routes: Routes, urllib3: Any, real: Callable[..., Any]) -> Callable[..., Any]:
    parameters = signature(real)

    @wraps(real)
    def urlopen(
        pool: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **options: Any
    ) -> Any:
        __tracebackhide__ = True
        sent = None
        if not _asking.get():
            sent = routes.route(method, _address(pool, url), _texts(pool.headers if headers is None else headers))
        if sent is None:
            return real(pool, method, url, body, headers, *args, **options)
        if "shutdown" not in vars(urllib3.HTTPResponse):
            raise ImportError(
                "recording and replaying calls of requests, botocore and urllib3 needs urllib3 2.3 or newer, and "
                f"{urllib3.__version__} is installed: pip install -U urllib3"
            )
        content = _content(body)
        exchange = sent.begin(content)
        if exchange is None:
            return real(pool, method, url, content or None, headers, *args, **options)
        call = _Call(urllib3, real, _arguments(parameters, pool, method, url, content, headers, *args, **options))
        return call.answer(exchange)

    return urlopen


def _arguments(parameters: Signature, *args: Any, **options: Any) -> dict[str, Any]:
    """The arguments of `urlopen` by name, those left out as well."""
    bound = parameters.bind(*args, **options)
    bound.apply_defaults()
    return bound.arguments


def _address(pool: Any, url: str) -> str:
    """The whole address: over a proxy the client may give it itself."""
    if not url.startswith("/"):
        return url
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    port = "" if pool.port in (None, _PORTS.get(pool.scheme)) else f":{pool.port}"
    return f"{pool.scheme}://{host}{port}{url}"


def _texts(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Headers as texts; botocore has bytes in some."""
    return {_text(name): _text(value) for name, value in headers.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _content(body: Any) -> bytes:
    """The bytes that a client would send, whatever it is given as a body."""
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        return body.encode("utf-8")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return b"".join(part.encode("utf-8") if isinstance(part, str) else bytes(part) for part in body)


class _Call:
    """A call of `urlopen`, with all its arguments by name."""

    def __init__(self, urllib3: Any, real: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self._urllib3 = urllib3
        self._real = real
        self._arguments = arguments
        self._pool = arguments["self"]
        self._retries = urllib3.Retry.from_int(
            arguments["retries"], redirect=arguments["redirect"], default=self._pool.retries
        )

    def answer(self, exchange: Exchange) -> Any:
        """The answer, from its recording or from its server."""
        __tracebackhide__ = True
        with exchange:
            exchange.acquire()
            recorded = exchange.recorded
            if recorded is not None:
                source = _Recorded(Replay(exchange, recorded, self._error))
                return self._response(recorded.status, recorded.headers, source)
            exchange.check()
            live = self._ask()
            receiver = exchange.receive(live.status, live.headers.items())
            incoming = _Live(live, receiver)
            if live.status >= 400 or self._arguments["method"] == "HEAD":
                # What an error says is short, and kept even if its reader wants no more than the status.
                incoming.fetch()
            return self._response(live.status, receiver.headers, incoming, live)

    def _ask(self) -> Any:
        """The answer of the server, unread; after the client's own retries the last one, whatever its status."""
        body = self._arguments["body"]
        changed = {
            "body": body or None,
            "retries": self._retries.new(raise_on_status=False),
            "preload_content": False,
            "release_conn": False,
            "enforce_content_length": True,
        }
        options = {**self._arguments, **self._arguments["response_kw"], **changed}
        del options["self"], options["response_kw"]
        token = _asking.set(True)
        try:
            return self._real(self._pool, **options)
        finally:
            _asking.reset(token)

    def _response(self, status: int, headers: Iterable[tuple[str, str]], source: _Source, live: Any = None) -> Any:
        """What the program is given."""
        arguments = self._arguments
        original = HTTPResponse(_Wire(status, headers, source), method=arguments["method"])  # type: ignore[arg-type]  # of a socket it uses makefile() only
        original.begin()
        response = self._urllib3.HTTPResponse(
            body=original,
            headers=self._urllib3.HTTPHeaderDict(original.msg.items()),
            status=status,
            version=original.version,
            version_string="HTTP/1.1",
            reason=original.reason,
            preload_content=arguments["preload_content"],
            decode_content=arguments["decode_content"],
            original_response=original,
            msg=original.msg,
            retries=self._retries if live is None else live.retries,
            request_method=arguments["method"],
            request_url=arguments["url"] if live is None else live.url,
            connection=source,
            sock_shutdown=source.shutdown,
        )
        self._refuse(response)
        return response

    def _refuse(self, response: Any) -> None:
        """Raise what the client raises that has tried again as often as it was to."""
        retries, exceptions = self._retries, self._urllib3.exceptions
        if retries.raise_on_status and retries.is_retry(self._arguments["method"], response.status):
            response.drain_conn()
            reason = exceptions.ResponseError.SPECIFIC_ERROR.format(status_code=response.status)
            raise exceptions.MaxRetryError(self._pool, self._arguments["url"], exceptions.ResponseError(reason))

    def _error(self, broken: str) -> Exception:
        """What a stream raised that broke, as this library names it."""
        exceptions = self._urllib3.exceptions
        name, _, text = broken.partition(": ")
        if "Timeout" in name:
            error: Exception = exceptions.ReadTimeoutError(self._pool, None, text)
        else:
            error = exceptions.ProtocolError(text if name == "ProtocolError" else broken)
        return error


class _Source(Protocol):
    """Where the pieces of an answer come from: to its readers, the connection."""

    def pull(self) -> bytes | None:
        """The next piece; None, again and again, when there is none any more."""

    def close(self) -> None:
        """The program reads no further."""

    def shutdown(self, _how: int) -> None:
        """Another thread wants no more of it."""


class _Recorded:
    """The pieces of a recorded answer."""

    def __init__(self, replay: Iterable[bytes]) -> None:
        self._pieces = iter(replay)

    def pull(self) -> bytes | None:
        return next(self._pieces, None)

    def close(self) -> None:
        """There is no connection."""

    def shutdown(self, _how: int) -> None:
        """Nothing is ever waited for."""


class _Live:
    """The pieces of a server's answer as they arrive; the end comes when the call is on disk."""

    def __init__(self, live: Any, receiver: Receiver) -> None:
        self._live = live
        self._receiver = receiver
        self._pieces: deque[bytes] = deque()
        self._ended = False

    def pull(self) -> bytes | None:
        self.fetch()
        return self._pieces.popleft() if self._pieces else None

    def fetch(self) -> None:
        """Wait until there is a piece, or the end."""
        while not self._pieces and not self._ended:
            chunk = self._read()
            self._ended = not chunk
            try:
                self._pieces += self._receiver.feed(chunk) if chunk else self._receiver.end()
            except OSError as error:
                # urllib3 would take it for a connection that broke.
                raise CassetteError(f"the answer to an HTTP call could not be recorded: {error}") from error

    def _read(self) -> bytes:
        try:
            chunk: bytes = self._live.read1(_AT_MOST, decode_content=False)
        except Exception as error:
            self._ended = True
            self._receiver.broke(error)
            raise
        except BaseException:
            self._ended = True
            self._receiver.abandon()
            raise
        return chunk

    def close(self) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            self._receiver.close()
        finally:
            self._live.close()
            self._live.release_conn()

    def shutdown(self, _how: int) -> None:
        self._live.shutdown()


class _Wire(io.RawIOBase):
    """A connection that brings one answer, in a chunk for each piece."""

    def __init__(self, status: int, headers: Iterable[tuple[str, str]], source: _Source) -> None:
        # A value that goes on in another line means the same in one.
        told = (f"{name}: {' '.join(value.splitlines())}" for name, value in headers)
        lines = [f"HTTP/1.1 {status} {responses.get(status, '')}", *told]
        head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""])
        # A view, because readers may take a large answer in small parts.
        self._left = memoryview(head.encode("latin-1", "replace"))
        self._source = source
        self._more = True
        self._error: ValueError | None = None

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left and self._more:
            self._left = memoryview(self._chunk())
        read = min(len(buffer), len(self._left))
        buffer[:read], self._left = self._left[:read], self._left[read:]
        return read

    def _chunk(self) -> bytes:
        if self._error is not None:
            raise self._error
        try:
            piece = self._source.pull()
        except ValueError as error:
            # Where http.client reads how long a chunk is, it takes one for the end of the connection.
            self._error = error
            return b"1\r\n"
        self._more = piece is not None
        return _LAST_CHUNK if piece is None else b"%x\r\n%b\r\n" % (len(piece), piece)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.close()
