"""The path of a call: request, answer, value; and again where the reply was no value.

The steps are written once, as generators that yield a request and receive the call, and are driven
by two small drivers, one synchronous, one not.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from llm_strategy import observers
from llm_strategy.canonical import FrozenJSON
from llm_strategy.context import Ask, CallSite, Scope, Turn, asking, current
from llm_strategy.errors import ModelError, ReplyError
from llm_strategy.models import ENVIRONMENT, ModelSource, configured
from llm_strategy.models.settings import normalized
from llm_strategy.overrides import MAX_TURNS, NOT_GIVEN, Changes, current_changes, entered
from llm_strategy.reply import AGAIN, Again, complaint, parse
from llm_strategy.schema import Output
from llm_strategy.tool_turns import ToolTurns, ToolUse
from llm_strategy.tools import Tool
from llm_strategy.values import JSON, Message, Request, Response

# A second try helps where the model slipped, not where it was stopped or does not want to.
_FINAL = ("refusal", "length", "content_filter")


@dataclass(frozen=True)
class Options:
    """How to ask: the model (None: whichever is configured when called), its settings, the patience, the tools.

    `max_turns` is how often the model may call tools before it has to answer. `again` are the words of a retry,
    `changes` those of `with_options`.
    """

    source: ModelSource | None = None
    settings: FrozenJSON = field(default_factory=FrozenJSON)
    retries: int = 2
    strict_replies: bool = False
    before: tuple[Message, ...] = ()
    changes: Changes | None = None
    tools: tuple[Tool, ...] = ()
    max_turns: int = MAX_TURNS
    again: Again = AGAIN

    @classmethod
    def of(cls, source: ModelSource | None, settings: Mapping[str, JSON]) -> Options:
        return cls(source, normalized(settings))

    def resolved(self) -> Options:
        """With the configured model in place of none, the model's own settings below these, and all changes made."""
        if self.changes is not None or entered:
            changes = current_changes(self.changes)
            if changes is not None:
                return self._changed(changes)
        return self._merged if self.source is not None else self._with_model(None)

    def _with_model(self, source: ModelSource | None) -> Options:
        if source is None:
            scope = current()
            source = configured(scope.default_model if scope else None)
        return replace(self, source=source) if source is None else replace(self, source=source)._merged

    def _changed(self, changes: Changes) -> Options:
        chosen = self._with_model(self.source if changes.source is NOT_GIVEN else changes.source)
        return replace(
            chosen,
            settings=changes.put_into(chosen.settings),
            retries=self.retries if changes.retries is None else changes.retries,
            strict_replies=self.strict_replies if changes.strict_replies is None else changes.strict_replies,
            before=changes.before or self.before,
            changes=None,
            tools=changes.tools_among(self.tools),
            max_turns=self.max_turns if changes.max_turns is None else changes.max_turns,
        )

    @cached_property
    def described_tools(self) -> tuple[FrozenJSON, ...]:
        """What the model is told of the tools."""
        return tuple(tool.described for tool in self.tools)

    @cached_property
    def _merged(self) -> Options:
        assert self.source is not None
        return replace(self, settings=FrozenJSON({**self.source.settings, **self.settings}))


class Answer(NamedTuple):
    """A value, and the text that it came as."""

    value: Any
    reply: str


Steps = Generator[Request | ToolUse, Any, Any]
"""They yield a request and are sent its turn, or calls of tools and are sent what each gives."""


def value_steps(request: Request, output: Output, options: Options) -> Steps:
    """Ask until the reply is a value, at most `retries` times more; each try, and each turn of tools, is a call."""
    __tracebackhide__ = True
    turns = tool_turns(options, output.place)
    for attempt in range(options.retries + 1):
        turn = yield request
        assert turn.call is not None
        while turns is not None and calls_tools(turn.call.response):
            request = yield from turns.steps(request, turn.call.response)
            turn = yield request
        try:
            parsed = parse(turn.call.response, output, strict=options.strict_replies)
        except ReplyError as error:
            if is_final(error, attempt, options):
                annotate(error, attempt, turn)
                raise
            request = request_again(request, error, options.again)
            if turn.told is not None:
                turn.told.refused(error)
        else:
            if parsed.repairs:
                turn.repaired(parsed.repairs)
            return Answer(parsed.value, turn.call.response.content)
    raise ValueError(f"retries must be 0 or more, not {options.retries}")


def tool_turns(options: Options, place: str) -> ToolTurns | None:
    """What lets tools run; None where there are none."""
    return ToolTurns(place, options.tools, options.max_turns) if options.tools else None


def calls_tools(response: Response) -> bool:
    """Whether the model wants tools called before it answers; what was stopped may lack half of a call."""
    return bool(response.tool_calls) and response.finish_reason not in _FINAL


def is_final(error: ReplyError, attempt: int, options: Options) -> bool:
    """Whether the model is not asked again after a reply that was no value."""
    return attempt == options.retries or error.finish_reason in _FINAL


def annotate(error: ReplyError, attempt: int, turn: Turn) -> None:
    """Say of an error which attempt it ends, and what to do about a reply that is replayed."""
    if attempt:
        error.add_note(f"This was attempt {attempt + 1}; each is a call in the log.")
    if turn.call is not None and turn.call.replayed:
        error.add_note("The reply was replayed; to ask the model again: pytest --llm-record=all (mode='all')")


def request_again(request: Request, error: ReplyError, words: Again) -> Request:
    """The conversation with the reply that was no value, and a short account of what is wrong with it."""
    said = Message("assistant", error.reply), Message("user", complaint(error, words))
    return replace(request, messages=(*request.messages, *said))


def text_steps(request: Request) -> Steps:
    """Ask once, for the text as it is."""
    __tracebackhide__ = True
    turn = yield request
    assert turn.call is not None
    return turn.call.response.content


def run(steps: Steps, options: Options, site: CallSite) -> Any:
    """Drive steps synchronously."""
    __tracebackhide__ = True
    if observers.listening and site.function is not None:
        with observers.function(site.function, site) as told:
            return told.returned(_run(steps, options, site))
    return _run(steps, options, site)


def _run(steps: Steps, options: Options, site: CallSite) -> Any:
    __tracebackhide__ = True
    try:
        step = next(steps)
        while True:
            got = step.run() if isinstance(step, ToolUse) else _answer(Ask(step, options.source, site))
            step = steps.send(got)
    except StopIteration as stop:
        return stop.value


async def arun(steps: Steps, options: Options, site: CallSite) -> Any:
    """Drive steps in an event loop."""
    __tracebackhide__ = True
    if observers.listening and site.function is not None:
        with observers.function(site.function, site) as told:
            return told.returned(await _arun(steps, options, site))
    return await _arun(steps, options, site)


async def _arun(steps: Steps, options: Options, site: CallSite) -> Any:
    __tracebackhide__ = True
    try:
        step = next(steps)
        while True:
            asked = step.arun() if isinstance(step, ToolUse) else _aanswer(Ask(step, options.source, site))
            step = steps.send(await asked)
    except StopIteration as stop:
        return stop.value


def scope() -> Scope:
    """The scope of a call made here and now."""
    return current() or Scope()


def source(ask: Ask) -> ModelSource:
    """The model to ask; raises ModelError where none is given."""
    if ask.source is None:
        raise ModelError(
            f"no model is given for {ask.site.function or 'this call'}: name one, as in "
            f'llm_strategy("openai:gpt-5-mini"), or set {ENVIRONMENT}=openai:gpt-5-mini '
            "(under pytest also --llm-model or the ini option llm_model)"
        )
    return ask.source


def _answer(ask: Ask) -> Turn:
    __tracebackhide__ = True
    if observers.listening:
        with observers.call(ask.request) as told:
            return told.answered(_answered(ask))
    return _answered(ask)


def _answered(ask: Ask) -> Turn:
    __tracebackhide__ = True
    turn = scope().enter(ask)
    if turn.call is None:
        try:
            turn.acquire()
            if turn.call is None:
                model = source(ask)
                turn.reserve()
                with asking(turn):
                    response = model.generate(ask.request.sent())
                turn.record(response)
        finally:
            turn.release()
    return turn


_POLL = 0.02
"""Seconds between two looks at a turn that another thread or process holds."""


async def _aanswer(ask: Ask) -> Turn:
    __tracebackhide__ = True
    if observers.listening:
        with observers.call(ask.request) as told:
            return told.answered(await _aanswered(ask))
    return await _aanswered(ask)


async def _aanswered(ask: Ask) -> Turn:
    __tracebackhide__ = True
    turn = scope().enter(ask)
    if turn.call is None:
        try:
            await acquire(turn)
            if turn.call is None:
                model = source(ask)
                await reserve(turn)
                with asking(turn):
                    response = await model.agenerate(ask.request.sent())
                await in_thread(turn.record, response)
        finally:
            turn.release()
    return turn


async def acquire(turn: Turn) -> None:
    """Take the right to ask, without holding up the event loop."""
    # Here, as in the other places that need it: synchronous programs are spared its 20 ms.
    import asyncio

    while not turn.acquire(blocking=False):  # noqa: ASYNC110  # the reason is below
        await asyncio.sleep(_POLL)  # another process may hold it, which no asyncio.Event tells


async def reserve(turn: Turn) -> None:
    """Set aside what an answer may cost, without holding up the event loop."""
    import asyncio

    while not turn.reserve(blocking=False):  # noqa: ASYNC110  # see above
        await asyncio.sleep(_POLL)


async def in_thread(record: Any, response: Any) -> None:
    """Write in a worker thread, to the end even where the task is cancelled: the answer was paid for."""
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Another event loop than asyncio's, such as trio's.
        record(response)
        return
    writing = loop.run_in_executor(None, record, response)
    cancelled: asyncio.CancelledError | None = None
    while not writing.done():
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    writing.result()
