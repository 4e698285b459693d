"""Models, and every way to name one: string, client, LangChain object, factory, object of one's own."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from contextvars import copy_context
from typing import Any, Protocol, TypeVar, runtime_checkable

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import LLMStrategyError, ModelError
from llm_strategy.redaction import scrub
from llm_strategy.values import JSON, Message, Request, Response

T = TypeVar("T")

ENVIRONMENT = "LLM_STRATEGY_MODEL"


class Model(Protocol):
    """What answers requests.

    `name` is "provider:name", as it stands in keys; `settings` are those the model brings along, in
    provider-neutral names; `recorded` says whether its answers are kept in cassettes. One of
    `generate` and `agenerate` is enough: the other is derived from it.

    A model that gives its answers in pieces has `stream(request)` or `astream(request)` too. They
    yield the texts as they arrive, and last, where more is known, a `Response` that says how the
    answer ended and what it cost; the pieces, joined, are its content.
    """

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, JSON]: ...
    @property
    def recorded(self) -> bool: ...
    def generate(self, request: Request) -> Response: ...
    async def agenerate(self, request: Request) -> Response: ...


@runtime_checkable
class Conversation(Protocol):
    """A model with what was said before, such as a `ChatChain`; usable wherever a model is."""

    @property
    def model(self) -> Any: ...
    @property
    def messages(self) -> tuple[Message, ...]: ...


class ModelSource:
    """A model, or how to make it once a call must really be made.

    `name` and `settings` are known without making it wherever they can be, so that a replay needs
    neither key nor SDK.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        name: str | None = None,
        settings: Mapping[str, JSON] | None = None,
        recorded: bool | None = None,
    ) -> None:
        self._make = make
        self._name = name
        self._settings = None if settings is None else FrozenJSON(settings)
        self._recorded = recorded
        self._model: Model | None = None
        self._lock = threading.Lock()
        self._given: tuple[Any, ...] | None = None

    def __reduce__(self) -> str | tuple[Any, ...]:
        # As it was given, since neither a lock nor what makes the model would pickle.
        return super().__reduce__() if self._given is None else (resolve, self._given)

    @property
    def model(self) -> Model:
        with self._lock:
            if self._model is None:
                self._model = _as_model(self._make())
            return self._model

    @property
    def name(self) -> str:
        return self._name if self._name is not None else self.model.name

    @property
    def settings(self) -> FrozenJSON:
        if self._settings is None:
            self._settings = FrozenJSON(getattr(self.model, "settings", None) or {})
        return self._settings

    @property
    def recorded(self) -> bool:
        if self._recorded is None:
            self._recorded = bool(getattr(self.model, "recorded", True))
        return self._recorded

    def generate(self, request: Request) -> Response:
        """Ask the model. Its errors arrive as ModelError, with the original as `__cause__`."""
        __tracebackhide__ = True
        model = self.model
        try:
            if hasattr(model, "generate"):
                return self._checked(model.generate(request))
            return self._checked(awaited(lambda: model.agenerate(request)))
        except LLMStrategyError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    async def agenerate(self, request: Request) -> Response:
        __tracebackhide__ = True
        model = self.model
        try:
            if hasattr(model, "agenerate"):
                return self._checked(await model.agenerate(request))
            import asyncio

            return self._checked(await asyncio.to_thread(model.generate, request))
        except LLMStrategyError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def stream(self, request: Request) -> Generator[str | Response, None, None]:
        """Ask the model, and get the texts of its answer as they arrive, or the answer whole."""
        __tracebackhide__ = True
        from llm_strategy.models.streaming import pieces

        try:
            arriving = pieces(self.model, request)
            if arriving is None:
                yield self.generate(request)
                return
            with closing(arriving):
                for piece in arriving:
                    yield self._checked_piece(piece)
        except LLMStrategyError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    async def astream(self, request: Request) -> AsyncGenerator[str | Response, None]:
        """As `stream`, in an event loop."""
        __tracebackhide__ = True
        from llm_strategy.models.streaming import apieces

        try:
            arriving = apieces(self.model, request)
            if arriving is None:
                yield await self.agenerate(request)
                return
            async with aclosing(arriving):
                async for piece in arriving:
                    yield self._checked_piece(piece)
        except LLMStrategyError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def _checked_piece(self, piece: object) -> str | Response:
        if not isinstance(piece, str | Response):
            raise ModelError(
                f"the model {self.name} has to stream texts, and last a Response, not {type(piece).__name__}"
            )
        return piece

    def _checked(self, response: object) -> Response:
        if not isinstance(response, Response):
            raise ModelError(f"the model {self.name} has to answer with a Response, not with {type(response).__name__}")
        return response

    def _failed(self, error: Exception) -> ModelError:
        return ModelError(f"the model {self.name} failed: {type(error).__name__}: {scrub(str(error))}")


def awaited(make: Callable[[], Awaitable[T]]) -> T:
    """Drive what is asynchronous from synchronous code, inside a running event loop too."""

    async def wait() -> T:
        return await make()

    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, wait()).result()


def configured(name: str | None = None) -> ModelSource | None:
    """The model for functions that name none: `name`, else the environment's LLM_STRATEGY_MODEL."""
    named = name or os.environ.get(ENVIRONMENT)
    return resolve(named) if named else None


def resolve(model: Any, name: str | None = None) -> ModelSource:
    """The source of a model given in any of the ways that `llm_strategy` takes.

    Raises TypeError or ValueError, with what to write instead.
    """
    if isinstance(model, ModelSource):
        return model
    source = _source(model, name)
    source._given = (model, name)
    return source


def _source(model: Any, name: str | None) -> ModelSource:
    __tracebackhide__ = True
    if isinstance(model, str):
        return _from_string(model)
    if _is_conversation(model):
        return resolve(model.model)
    if isinstance(model, type):
        raise TypeError(
            f"{model.__name__} is a class: give an instance, such as {model.__name__}(...). To let a model implement "
            'the class, write @llm_strategy("openai:gpt-5-mini") above it'
        )
    package = _package(model)
    if package == "openai":
        return _from_client(model, name)
    if package == "langchain_core" or hasattr(model, "generate") or hasattr(model, "agenerate"):
        made = _as_model(model)
        return ModelSource(lambda: made)
    if callable(model) and _takes_nothing(model):
        # Made only when needed, so what it brings along cannot be part of the key: only the name is.
        settings: dict[str, JSON] | None = {} if name else None
        return ModelSource(model, name=name, settings=settings, recorded=True if name else None)
    # Who forgets the model of an @llm_function gives its first argument in place of it: that may be long.
    said = repr(model)
    said = said if len(said) <= _LONGEST_REPR else f"{said[:_LONGEST_REPR]} ..."
    raise TypeError(
        f"{said} is no model: give a string such as 'openai:gpt-5-mini', an openai client with name=..., a "
        "LangChain model, a function without arguments that makes one, or an object with name and generate()"
    )


_LONGEST_REPR = 200


def opening(model: Any) -> tuple[Message, ...]:
    """What was said before, where the model is given as a conversation."""
    return tuple(model.messages) if _is_conversation(model) else ()


def _is_conversation(model: Any) -> bool:
    # What LangChain wraps around a model fails to say what it lacks.
    return _package(model) is None and not hasattr(model, "generate") and isinstance(model, Conversation)


def _from_string(text: str) -> ModelSource:
    provider, colon, name = text.partition(":")
    if provider == "stub" and colon:
        return resolve(_stub())
    if not (provider and colon and name):
        example = f"openai:{provider}" if provider and not colon else "openai:gpt-5-mini"
        raise ValueError(f"the model {text!r} is not of the form 'provider:name': write it as in {example!r}")
    if provider == "openai":
        from llm_strategy.models.openai import OpenAIModel

        return resolve(OpenAIModel(name))
    return ModelSource(lambda: _init_chat_model(text), name=text, settings={}, recorded=True)


def _stub() -> Any:
    from llm_strategy.models.stub import StubModel

    return StubModel()


def _init_chat_model(text: str) -> Any:
    from llm_strategy.models.langchain import string_model

    return string_model(text)


def _from_client(client: Any, name: str | None) -> ModelSource:
    if name is None:
        raise TypeError(
            f"an {type(client).__name__} client serves many models: say which, as in "
            "llm_strategy(client, name='gpt-5-mini')"
        )
    return resolve(_as_model(client, name))


def _as_model(made: Any, name: str | None = None) -> Model:
    """What a factory or a caller gave, as a Model."""
    if isinstance(made, str):
        return resolve(made).model
    package = _package(made)
    if package == "openai" and name is not None:
        from llm_strategy.models.openai import OpenAIModel

        return OpenAIModel(name.removeprefix("openai:"), client=made)
    if package == "langchain_core":
        from llm_strategy.models.langchain import LangChainModel

        return LangChainModel(made)
    if not (hasattr(made, "generate") or hasattr(made, "agenerate")):
        raise TypeError(f"{made!r} is no model: it has neither generate() nor agenerate()")
    if not isinstance(getattr(made, "name", None), str):
        raise TypeError(f"{made!r} is no model: it has no name, a text such as 'provider:name', which stands in keys")
    model: Model = made
    return model


def _package(model: Any) -> str | None:
    """Which optional package a model's class comes from, found without importing any."""
    return _package_of(type(model))


# What `bind`, `with_fallbacks` and `configurable_fields` make of a model of LangChain.
_WRAPPING = ("RunnableBindingBase", "RunnableWithFallbacks", "DynamicRunnable")


def _package_of(cls: type) -> str | None:
    for base in cls.__mro__:
        module = base.__module__
        if module.startswith("openai.") and base.__name__.endswith("Client"):
            return "openai"
        if module.startswith("langchain_core.language_models") or base.__name__ in _WRAPPING:
            return "langchain_core"
    return None


def is_model_class(cls: type) -> bool:
    """Whether a class is one of models or their clients, given where an instance was meant."""
    return _package_of(cls) is not None or hasattr(cls, "generate") or hasattr(cls, "agenerate")


def _takes_nothing(factory: Callable[..., Any]) -> bool:
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError):
        return False
    return True
