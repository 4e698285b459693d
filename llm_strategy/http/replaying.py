"""A recorded answer, handed on as it was when it was recorded."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice

from llm_strategy.http import settings
from llm_strategy.http.exchange import Exchange
from llm_strategy.http.traffic import Recorded


class Replay:
    """The body of a recorded answer, for synchronous and asynchronous readers.

    It breaks where it broke, with what `error` makes of the recorded words. With LLM_STRATEGY_REPLAY_DELAY=0.02 there
    are 0.02 seconds between its pieces.
    """

    def __init__(self, exchange: Exchange, recorded: Recorded, error: Callable[[str], Exception]) -> None:
        self._exchange = exchange
        self._recorded = recorded
        self._error = error
        self._delay = settings.replay_delay()

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._recorded.pieces
        yield from pieces[:1]
        for piece in islice(pieces, 1, None):
            if self._delay:
                time.sleep(self._delay)
            yield piece
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._recorded.pieces
        for piece in pieces[:1]:
            yield piece
        for piece in islice(pieces, 1, None):
            if self._delay:
                import asyncio

                await asyncio.sleep(self._delay)
            yield piece
        self._end()

    def _end(self) -> None:
        """What comes behind the pieces, if it is not just the end."""
        if self._recorded.broken is not None:
            raise self._error(self._recorded.broken)
        if self._recorded.closed_early:
            raise self._exchange.read_on()

    def close(self) -> None:
        """There is nothing to close."""

    async def aclose(self) -> None:
        """Nor here."""
