"""A live answer as it arrives: decoded, handed on in whole events, and recorded before its end is told.

Whoever reads the network feeds it. Nothing here waits for anything but the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from llm_strategy.engine import in_thread
from llm_strategy.errors import CassetteError, ModelError
from llm_strategy.http.decoding import Decoder, decoder
from llm_strategy.http.traffic import RECEIVED, Headers, http_response
from llm_strategy.values import JSON
from llm_strategy.wire.bodies import pack_answer
from llm_strategy.wire.envelope import HTTPResponse
from llm_strategy.wire.splitting import splitter

if TYPE_CHECKING:
    from llm_strategy.http.exchange import Exchange

_OF_TRANSFER = frozenset(("content-length", "transfer-encoding", "content-encoding"))


class Receiver:
    """The answer to one call. `headers` are those that its reader is given, who gets the body decoded.

    Methods with an `a` before their names write in a worker thread.
    """

    def __init__(self, exchange: Exchange, status: int, headers: Headers) -> None:
        sent = list(headers)
        received = [(name.lower(), value) for name, value in sent]
        known = dict(received)
        found = decoder(known.get("content-encoding", ""))
        # What cannot be decoded is kept, and handed on, as it came.
        self._is_decoded = found is not None
        dropped = _OF_TRANSFER if self._is_decoded else _OF_TRANSFER - {"content-encoding"}
        self.headers = [(name, value) for name, value in sent if name.lower() not in dropped]
        self.ending = _Ending(self)
        self._exchange = exchange
        self._status = status
        self._received = received
        self._type = known.get("content-type", "")
        self._decoder = found or Decoder()
        self._splitter = splitter(self._type) if self._is_decoded else None
        self._given: list[bytes] = []
        self._held: list[bytes] = []
        self._is_over = False
        self._is_settled = False
        self._scope_has_ended = False
        self._lock = threading.Lock()

    def feed(self, chunk: bytes) -> list[bytes]:
        """What can be handed on with this chunk. Where the stream says that it ends here, the call is on disk."""
        pieces = self._take(chunk)
        if self._is_over:
            self._settle(self._answer)
        return pieces

    async def afeed(self, chunk: bytes) -> list[bytes]:
        pieces = self._take(chunk)
        if self._is_over:
            await self._asettle(self._answer)
        return pieces

    def end(self) -> list[bytes]:
        """What is left, after all has arrived; the call is on disk."""
        pieces = self._take_rest()
        self._settle(self._answer)
        return pieces

    async def aend(self) -> list[bytes]:
        pieces = self._take_rest()
        await self._asettle(self._answer)
        return pieces

    def close(self) -> None:
        """Nobody reads on: what was handed on is recorded."""
        self._settle(self._cut_answer)

    async def aclose(self) -> None:
        await self._asettle(self._cut_answer)

    def broke(self, error: BaseException) -> None:
        """The connection broke, with this error; that is kept like an error status."""
        self._settle(self._broken_answer(error))

    async def abroke(self, error: BaseException) -> None:
        await self._asettle(self._broken_answer(error))

    def abandon(self) -> None:
        """Its reader was stopped, by a signal or a cancellation: what it did not get at all was not answered."""
        if self._given:
            self.close()
        elif self._begin_to_settle():
            self._exchange.release()

    async def aabandon(self) -> None:
        if self._given:
            await self.aclose()
        elif self._begin_to_settle():
            self._exchange.release()

    # What arrives

    def _take(self, chunk: bytes) -> list[bytes]:
        self._check_open()
        if self._is_over:
            # Nothing of an answer follows its end; in replay nothing does, either.
            return []
        data = self._decoded(chunk)
        if self._splitter is None:
            self._held.append(data)
            return []
        return self._give(self._splitter.feed(data))

    def _take_rest(self) -> list[bytes]:
        self._check_open()
        if self._is_over:
            return []
        data = self._decoded(None)
        if self._splitter is None:
            return self._give([b"".join([*self._held, data])])
        return self._give([*self._splitter.feed(data), self._splitter.end()])

    def _give(self, pieces: list[bytes]) -> list[bytes]:
        given = list(filter(None, pieces))
        self._is_over = any(map(self._says_end, given))
        if self._is_over and self._splitter is not None:
            # Some servers send a line more. What has come with the end is kept; who waited for more might wait long.
            rest = self._splitter.end()
            given += [rest] if rest and not rest.strip() else []
        self._given += given
        return given

    def _decoded(self, chunk: bytes | None) -> bytes:
        """What a chunk says, or with None what is left at the end."""
        try:
            return self._decoder.end() if chunk is None else self._decoder.feed(chunk)
        except Exception as error:  # noqa: BLE001  # each package for compressed bodies raises its own
            if self._begin_to_settle():
                self._exchange.release()
            encoding = dict(self._received).get("content-encoding")
            raise CassetteError(
                f"the answer to an HTTP call is not compressed as it says ({encoding}): {error}"
            ) from None

    def _says_end(self, piece: bytes) -> bool:
        ends = self._exchange.ends
        if self._splitter is None or ends is None:
            return False
        events: list[JSON] = pack_answer(piece, self._type).get("events") or []
        return any(map(ends, events))

    def _check_open(self) -> None:
        if self._scope_has_ended:
            raise ModelError(
                "the answer to an HTTP call cannot be read any more: the test or `use_cassette` block in which it was "
                "asked has ended, and so has its recording; read it there"
            )

    # What is kept of it

    def _answer(self) -> HTTPResponse:
        return self._kept()

    def _cut_answer(self) -> HTTPResponse:
        return self._kept(closed_early=True)

    def _broken_answer(self, error: BaseException) -> Callable[[], HTTPResponse]:
        return lambda: self._kept(broken=f"{type(error).__name__}: {error}")

    def _kept(self, **said: JSON) -> HTTPResponse:
        names = RECEIVED if self._is_decoded else RECEIVED | {"content-encoding"}
        return http_response(self._status, self._received, b"".join(self._given), names=names, **said)

    def _settle(self, answer: Callable[[], HTTPResponse]) -> None:
        if self._begin_to_settle():
            self._exchange.settle(answer())

    async def _asettle(self, answer: Callable[[], HTTPResponse]) -> None:
        if self._begin_to_settle():
            await in_thread(lambda response: self._exchange.settle(response()), answer)

    def _begin_to_settle(self) -> bool:
        """Whether nobody has yet: the reader and the end of the scope may come at once."""
        with self._lock:
            begun, self._is_settled = self._is_settled, True
        return not begun

    def scope_ends(self) -> None:
        self._scope_has_ended = not self._is_settled
        self.close()


class _Ending:
    """The end of the scope of a call, which ends the answer."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def end(self) -> None:
        self._receiver.scope_ends()
