"""Models in the place of other models, for LangChain: `as_chat_model`, `ChatModelAsLLM`, `LLMAsChatModel`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_strategy import engine, observers
from llm_strategy.canonical import FrozenJSON
from llm_strategy.context import Ask, CallSite, Turn
from llm_strategy.engine import Options
from llm_strategy.models import ModelSource, opening, resolve
from llm_strategy.models.langchain.loading import wanted
from llm_strategy.models.settings import normalized
from llm_strategy.stream import AsyncStream, Stream
from llm_strategy.stream.effects import Begin, Closed, Out, Steps
from llm_strategy.stream.reception import Reception
from llm_strategy.stream.telling import Telling
from llm_strategy.tracebacks import short_traceback
from llm_strategy.values import Request, Response

if TYPE_CHECKING:
    from llm_strategy.models.langchain.adapters import ChatModelAsLLM, LLMAsChatModel
    from llm_strategy.models.langchain.chat_model import Asked, StrategyChatModel

__all__ = ["ChatModelAsLLM", "LLMAsChatModel", "as_chat_model"]

_NAME = "as_chat_model"
_SITE = CallSite(_NAME)


def as_chat_model(model: Any = None, **settings: Any) -> StrategyChatModel:
    """A model, in any form that `llm_strategy` takes, as a chat model for chains and agents of LangChain.

    Its calls are recorded and replayed as those of functions are. Without a model, the configured one is asked.
    Raises ImportError where LangChain is missing, else what `llm_strategy` raises.
    """
    with wanted("as_chat_model()"):
        from llm_strategy.models.langchain.chat_model import StrategyChatModel
    options = Options(None if model is None else resolve(model), normalized(settings), before=opening(model))
    return StrategyChatModel(model=_LoggedModel(options))


@dataclass(frozen=True)
class _LoggedModel:
    """Asks a model by way of the call log."""

    options: Options

    def __repr__(self) -> str:
        return f"<the model {self.name}>"

    @property
    def name(self) -> str:
        source = self.options.resolved().source
        return "none" if source is None else source.name

    def ask(self, asked: Asked) -> Response:
        __tracebackhide__ = True
        with short_traceback:
            reading = _Reading(*self._request(asked))
            engine.run(reading.at_once(), reading.options, _SITE)
            return reading.response

    async def aask(self, asked: Asked) -> Response:
        __tracebackhide__ = True
        with short_traceback:
            reading = _Reading(*self._request(asked))
            await engine.arun(reading.at_once(), reading.options, _SITE)
            return reading.response

    def stream(self, asked: Asked) -> Generator[str | Response, None, None]:
        reading = _Reading(*self._request(asked))
        stream: Stream[str] = Stream(reading.steps(), _NAME)
        try:
            yield from stream
        finally:
            stream.close()
        yield reading.response

    async def astream(self, asked: Asked) -> AsyncGenerator[str | Response, None]:
        reading = _Reading(*self._request(asked))
        stream: AsyncStream[str] = AsyncStream(reading.steps(), _NAME)
        try:
            async for piece in stream:
                yield piece
        finally:
            await stream.aclose()
        yield reading.response

    def _request(self, asked: Asked) -> tuple[Request, Options]:
        own = self.options
        options = Options(own.source, normalized({**own.settings, **asked.settings}), before=own.before).resolved()
        source: ModelSource | None = options.source
        messages = (*options.before, *asked.messages)
        tools = tuple(map(FrozenJSON.of, asked.tools))
        return Request(source.name if source else None, messages, None, tools, options.settings), options


class _Reading:
    """An answer that is read, whole or as it arrives; `response` is all of it afterwards."""

    response: Response

    def __init__(self, request: Request, options: Options) -> None:
        self.options = options
        self._request = request

    def at_once(self) -> engine.Steps:
        """Ask, and give the text."""
        turn = yield self._request
        assert turn.call is not None
        self.response = turn.call.response
        return self.response.content

    def steps(self) -> Steps:
        """Ask, and give the text as it arrives."""
        ask, scope = Ask(self._request, self.options.source, _SITE), engine.scope()
        if not observers.listening:
            return self._received(lambda: scope.enter(ask))
        told = Telling(_NAME, _SITE)
        return told.steps(self._received(lambda: told.enter(scope, ask)))

    def _received(self, enter: Callable[[], Turn]) -> Steps:
        reception = Reception(enter())
        try:
            yield Begin(reception.turn)
            while (piece := (yield from reception.next())) is not None:
                yield Out(piece)
            self.response = reception.response
        except Closed:
            yield from reception.cut()
        finally:
            reception.close()


def __getattr__(name: str) -> Any:
    if name in ("ChatModelAsLLM", "LLMAsChatModel"):
        with wanted(name):
            from llm_strategy.models.langchain import adapters
        return getattr(adapters, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
