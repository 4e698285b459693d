"""From the pieces of an answer to what the caller gets: texts, or items of a type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llm_strategy import engine
from llm_strategy.engine import Options
from llm_strategy.errors import ReplyError
from llm_strategy.items import ItemReader
from llm_strategy.redaction import scrub_reply
from llm_strategy.rendering import type_text
from llm_strategy.reply import SHOWN, parse
from llm_strategy.schema import Output
from llm_strategy.stream.effects import Begin, Closed, Enter, Out, Steps
from llm_strategy.stream.reception import Reception
from llm_strategy.values import Request, Response


def text_steps(enter: Enter, request: Request, place: str, options: Options) -> Steps:
    """Give the text of the answer as it arrives, and what the model says before it calls tools."""
    __tracebackhide__ = True
    turns = engine.tool_turns(options, place)
    while True:
        reception = Reception(enter(request))
        try:
            yield Begin(reception.turn)
            while (piece := (yield from reception.next())) is not None:
                yield Out(piece)
            if turns is None or not engine.calls_tools(reception.response):
                _check_end(reception, place)
                return
        except Closed:
            yield from reception.cut()
            return
        finally:
            reception.close()
        request = yield from turns.steps(request, reception.response)


def _check_end(reception: Reception, place: str) -> None:
    """Raise ReplyError for a text that was cut off."""
    __tracebackhide__ = True
    problem = _CUT.get(reception.response.finish_reason)
    if problem is not None:
        error = _error(place, reception, problem, str)
        engine.annotate(error, 0, reception.turn)
        raise error


_CUT = {
    "refusal": "the model refused",
    "length": "the reply was cut off at the length limit (raise max_tokens)",
    "content_filter": "the provider's content filter stopped the reply",
}


class Form(NamedTuple):
    """What the items are, and the list of them."""

    item: Output
    whole: Output
    strict: bool


def item_steps(enter: Enter, request: Request, form: Form, options: Options) -> Steps:
    """Give the items of the reply as they arrive; ask again as long as none is out."""
    __tracebackhide__ = True
    turns = engine.tool_turns(options, form.whole.place)
    attempt = 0
    while True:
        reading = _Reading(Reception(enter(request)), form, uses_tools=turns is not None)
        turn = reading.reception.turn
        try:
            yield Begin(turn)
            calling = yield from reading.steps()
        except ReplyError as error:
            yield from reading.reception.cut()
            if reading.count or engine.is_final(error, attempt, options):
                engine.annotate(error, attempt, turn)
                raise
            request, attempt = engine.request_again(request, error, options.again), attempt + 1
            if turn.told is not None:
                turn.told.refused(error)
            continue
        except Closed:
            yield from reading.reception.cut()
            return
        finally:
            reading.reception.close(tuple(dict.fromkeys(reading.repairs)))
        if turns is None or calling is None:
            return
        request = yield from turns.steps(request, calling)


class _Reading:
    """One reply, read item by item. `count` is the number of items that are out."""

    def __init__(self, reception: Reception, form: Form, *, uses_tools: bool) -> None:
        self.reception = reception
        self.uses_tools = uses_tools
        self.count = 0
        self.repairs: list[str] = []
        self._form = form
        self._reader = ItemReader()
        self._is_held = False

    def steps(self) -> Steps:
        """Give the items; returns the reply where it calls tools in place of giving any."""
        while (piece := (yield from self.reception.next())) is not None:
            if not self._is_held:
                yield from self._read(piece)
        reader, response = self._reader, self.reception.response
        if self.uses_tools and engine.calls_tools(response):
            if self.count:
                raise self._error("the model calls a tool when items are out")
            return response
        if not self.count and (self._is_held or not reader.complete):
            # Nothing is out, so nothing is lost: the reply is read as a whole, with all repairs.
            parsed = parse(response, self._form.whole, strict=self._form.strict)
            self.repairs += parsed.repairs
            for value in parsed.value:
                yield self._out(value)
        elif not reader.complete:
            raise self._error(_CUT.get(response.finish_reason, "the reply ended before its list did"))
        elif not reader.is_plain:
            self.repairs += self._repairs_around(response)
        return None

    def _read(self, piece: str) -> Steps:
        for text in self._reader.feed(piece):
            if self._form.strict and not self._reader.plain_so_far:
                break
            try:
                parsed = parse(Response(f'{{"return_value": {text}}}'), self._form.item, strict=self._form.strict)
            except ReplyError as error:
                if self.count:
                    raise self._error(f"item {self.count + 1} does not fit", error) from None
                break
            self.repairs += parsed.repairs
            yield self._out(parsed.value)
        else:
            if not (self._reader.broken or (self._form.strict and not self._reader.plain_so_far)):
                return
        if self.count:
            raise self._error(f"what follows item {self.count} is no list of JSON values")
        self._is_held = True

    def _out(self, value: Any) -> Out:
        self.count += 1
        return Out(value)

    def _repairs_around(self, response: Response) -> Sequence[str]:
        """What stands around the list, in the words of who repairs replies; raises ReplyError where nothing may."""
        try:
            return parse(response, self._form.whole, strict=self._form.strict).repairs
        except ReplyError:
            if self._form.strict:
                raise
            return ("text around the JSON object",)

    def _error(self, what: str, cause: ReplyError | None = None) -> ReplyError:
        return _error(
            self._form.whole.place,
            self.reception,
            what,
            self._form.item.annotation,
            problems=self._problems(cause),
            count=self.count,
        )

    def _problems(self, cause: ReplyError | None) -> Sequence[tuple[str, str]]:
        """The problems of an item, with their places in the reply."""
        name = "return_value"
        return [
            (f"{name}.{self.count}{place.removeprefix(name)}", problem)
            for place, problem in (cause.problems if cause else ())
        ]


def _error(
    place: str,
    reception: Reception,
    what: str,
    expected: Any,
    *,
    problems: Sequence[tuple[str, str]] = (),
    count: int | None = None,
) -> ReplyError:
    text = reception.text
    finish_reason = reception.turn.call.response.finish_reason if reception.turn.call else ""
    if finish_reason == "refusal":
        problems = [("", text.strip() or "no reason given")]
    after = "" if count is None else f", after {count} item{'s' * (count != 1)}"
    lines = [f"{place}: {what}{after}; expected a stream of {type_text(expected)}"]
    lines += [f"  {at}: {reason}" if at else f"  {reason}" for at, reason in problems]
    if finish_reason != "refusal" and text.strip():
        # Before it is cut: half a credential is not recognised.
        shown = scrub_reply(text)
        lines.append(f"the reply ended: {shown if len(shown) <= SHOWN else f'... {shown[-SHOWN:]}'}")
    message = scrub_reply("\n".join(lines))
    return ReplyError(message, reply=text, problems=problems, expected=expected, finish_reason=finish_reason or "stop")
