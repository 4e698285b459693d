"""The answer to one request, as it arrives: from the model, or from its recording."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from llm_strategy.context import Turn
from llm_strategy.stream.effects import Acquire, Effect, HangUp, Keep, Next, Steps
from llm_strategy.values import Response


class Reception:
    """One answer, which is recorded when it is whole, or when its reader has stopped."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        # Replayed or not, a call is in the logs once it has been read.
        turn.withhold()
        self._arrived: list[str] = []
        self._known: Iterator[str] | None = None
        self._last: Response | None = None
        self._half = ""
        self._asked = False
        self._given: str | None = None

    @property
    def response(self) -> Response:
        """The whole answer, once it is there."""
        assert self.turn.call is not None
        return self.turn.call.response

    @property
    def text(self) -> str:
        """What has arrived so far."""
        return "".join(self._arrived) if self.turn.call is None else self.response.content

    def close(self, repairs: tuple[str, ...] = ()) -> None:
        """Nothing more is read."""
        self.turn.publish()
        if repairs:
            self.turn.repaired(repairs)
        if self.turn.told is not None and self.turn.call is not None:
            self.turn.told.answered(self.turn)
            self.turn.told.end()
        self.turn.release()

    def next(self) -> Generator[Effect, Any, str | None]:
        """The next piece; None at the end, by when the answer is recorded."""
        if not self._asked and self.turn.call is None:
            yield Acquire(self.turn)
        self._asked = True
        if self.turn.call is None:
            piece = yield from self._receive()
            if piece is not None:
                self._arrived.append(piece)
                return piece
            yield Keep(self.turn, self._whole())
            if self._arrived:
                return None
        # Replayed, or it came whole.
        if self._known is None:
            self._known = iter(() if self._arrived else _pieces(self.response))
        piece = next(self._known, None)
        if piece is None and self.response.closed_early:
            return (yield from self._ask_again())
        return piece

    def _ask_again(self) -> Generator[Effect, Any, str | None]:
        """Read further than the recording goes: where that is allowed the model is asked for all of it.

        What the caller has got already must be how the new answer begins.
        """
        given = self.text
        if not self.turn.ask_again():
            raise self.turn.read_on()
        self._given, self._known, self._asked = given, None, False
        text = ""
        while len(text) <= len(given) and (piece := (yield from self.next())) is not None:
            text += piece
        if text.startswith(given):
            return text[len(given) :] or None
        while (yield from self.next()) is not None:
            pass
        raise self.turn.diverged()

    def _receive(self) -> Generator[Effect, Any, str | None]:
        while self._last is None:
            got = yield Next(self.turn.ask)
            if not isinstance(got, str):
                self._last = got or Response("")
                break
            text, self._half = _split_half(self._half + got)
            if text:
                return text
        text, self._half = self._half, ""
        return text or None

    def _whole(self) -> Response:
        assert self._last is not None
        if not self._arrived:
            return self._last
        return replace(self._last, content="".join(self._arrived), pieces=tuple(self._arrived), closed_early=False)

    def cut(self) -> Steps:
        """Record what has arrived as all that the caller wanted to read."""
        if not self._asked and self.turn.call is None:
            yield Acquire(self.turn)
        if self.turn.call is None:
            content, pieces = "".join(self._arrived), tuple(self._arrived)
            if self._given is not None and len(content) <= len(self._given):
                # The recording that is there goes as far.
                self.turn.give_up()
                yield HangUp()
                return
            try:
                yield Keep(self.turn, Response(content, finish_reason="", pieces=pieces, closed_early=True))
            finally:
                yield HangUp()


def _pieces(response: Response) -> Sequence[str]:
    """The pieces of an answer that is known; the words of a refusal are no part of any text."""
    if response.pieces or not response.content or response.finish_reason == "refusal":
        return response.pieces
    return (response.content,)


def _split_half(text: str) -> tuple[str, str]:
    """The text, and half a character at its end; halves that lie side by side are joined.

    Servers that count in UTF-16 cut a text within an emoji.
    """
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    text = text[: len(text) - len(half)]
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text, half
