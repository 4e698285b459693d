"""Models in the place of other models, for LangChain: `as_chat_model`, `ChatModelAsLLM`, `LLMAsChatModel`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_strategy import engine
from llm_strategy.canonical import FrozenJSON
from llm_strategy.context import Ask, CallSite, Turn
from llm_strategy.engine import Options
from llm_strategy.models import ModelSource, opening, resolve
from llm_strategy.models.langchain.loading import wanted
from llm_strategy.models.settings import normalized
from llm_strategy.stream import AsyncStream, Stream
from llm_strategy.stream.effects import Begin, Closed, Out, Steps
from llm_strategy.stream.reception import Reception
from llm_strategy.tracebacks import short_traceback
from llm_strategy.values import Request, Response

if TYPE_CHECKING:
    from llm_strategy.models.langchain.adapters import ChatModelAsLLM, LLMAsChatModel
    from llm_strategy.models.langchain.chat_model import Asked, StrategyChatModel

__all__ = ["ChatModelAsLLM", "LLMAsChatModel", "as_chat_model"]

_SITE = CallSite("as_chat_model")


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
            request, options = self._request(asked)
            response: Response = engine.run(_steps(request), options, _SITE)
            return response

    async def aask(self, asked: Asked) -> Response:
        __tracebackhide__ = True
        with short_traceback:
            request, options = self._request(asked)
            response: Response = await engine.arun(_steps(request), options, _SITE)
            return response

    def stream(self, asked: Asked) -> Generator[str | Response, None, None]:
        reading = _Reading(*self._request(asked))
        stream: Stream[str] = Stream(reading.steps(), "as_chat_model")
        try:
            yield from stream
        finally:
            stream.close()
        yield reading.response

    async def astream(self, asked: Asked) -> AsyncGenerator[str | Response, None]:
        reading = _Reading(*self._request(asked))
        stream: AsyncStream[str] = AsyncStream(reading.steps(), "as_chat_model")
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


def _steps(request: Request) -> engine.Steps:
    turn = yield request
    assert turn.call is not None
    return turn.call.response


class _Reading:
    """An answer that is read as it arrives, and the whole of it afterwards."""

    response: Response

    def __init__(self, request: Request, options: Options) -> None:
        self._ask = Ask(request, options.source, _SITE)

    def _enter(self) -> Turn:
        return engine.scope().enter(self._ask)

    def steps(self) -> Steps:
        reception = Reception(self._enter())
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
