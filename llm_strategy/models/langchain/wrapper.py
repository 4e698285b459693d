"""LangChain's chat models and LLMs as models of this library."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from itertools import chain, islice
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.errors import LLMStrategyError, ModelError
from llm_strategy.models.exchange import ResponseFormats, at_once, model_error
from llm_strategy.models.langchain.identity import (
    FIELDS,
    changed,
    completes_text,
    inner,
    is_recorded,
    name_of,
    settings_of,
    settled,
    speaks_openai,
)
from llm_strategy.models.langchain.loading import INSTALL
from llm_strategy.models.langchain.messages import to_langchain, to_prompt
from llm_strategy.models.langchain.replies import (
    MessageAssembly,
    TextAssembly,
    from_error,
    from_message,
    from_result,
    swallowed,
)
from llm_strategy.values import JSON, Request, Response
from llm_strategy.wire.chat_completions import encode_tool

_Call = Callable[..., Awaitable[Any]]


class LangChainModel:
    """A LangChain chat model or LLM: `LangChainModel(ChatAnthropic(model="..."))`.

    `name` and `settings` are read from the object, so that an equal model has an equal key however
    it is written. Of the settings those count that were given to the object; a request's own are
    set on a copy of it, or passed with the call where it has no field for them. Models of
    `langchain_openai` are asked for strict `json_schema` replies as `OpenAIModel` asks; others have
    the schema in the prompt only. LLMs get the messages as one text. `recorded` is False for
    LangChain's fake models unless said otherwise. What fails raises ModelError, with LangChain's
    error as `__cause__`.
    """

    def __init__(self, obj: Any, *, recorded: bool | None = None) -> None:
        obj = obj if isinstance(obj, type) else settled(obj)
        if isinstance(obj, type) or not (completes_text(obj) or hasattr(inner(obj), "bind_tools")):
            raise TypeError(f"{obj!r} is neither a chat model nor an LLM of LangChain")
        self.name = name_of(obj)
        self.settings: FrozenJSON = settings_of(obj)
        self.recorded = is_recorded(obj) if recorded is None else recorded
        self._obj = obj
        self._formats = ResponseFormats()

    def __repr__(self) -> str:
        return f"LangChainModel({type(self._obj).__name__}, name={self.name!r})"

    def generate(self, request: Request) -> Response:
        """Ask the model and wait for the answer."""
        return at_once(self._answer(request, _call))

    async def agenerate(self, request: Request) -> Response:
        """Ask the model by its own asynchronous method."""
        return await self._answer(request, _call_async)

    def stream(self, request: Request) -> Generator[str | Response, None, None]:
        """Ask the model, and get the texts of its answer as they arrive, and last the rest."""
        try:
            assembly = _assembly(self._obj)
            first, chunks = at_once(self._send(request, "stream", _open))
            for chunk in chain(first, chunks):
                if text := assembly.add(chunk):
                    yield text
        except Exception as error:  # noqa: BLE001  # raised as ModelError
            yield self._instead(error)
        else:
            yield assembly.response

    async def astream(self, request: Request) -> AsyncGenerator[str | Response, None]:
        """As `stream`, by the model's own asynchronous method."""
        try:
            assembly = _assembly(self._obj)
            first, chunks = await self._send(request, "stream", _open_async)
            for chunk in first:
                if text := assembly.add(chunk):
                    yield text
            async with aclosing(chunks):
                async for chunk in chunks:
                    if text := assembly.add(chunk):
                        yield text
        except Exception as error:  # noqa: BLE001  # raised as ModelError
            yield self._instead(error)
        else:
            yield assembly.response

    async def _answer(self, request: Request, call: _Call) -> Response:
        obj = self._obj
        try:
            if not completes_text(obj):
                return from_message(await self._send(request, "invoke", call))
            if inner(obj) is not obj:
                # What `bind` and `with_retry` return gives the text and nothing else.
                return Response(await self._send(request, "invoke", call))
            return from_result(await self._send(request, "generate", call))
        except Exception as error:  # noqa: BLE001  # raised as ModelError
            return self._instead(error)

    def _instead(self, error: Exception) -> Response:
        """The response that an error is after all, or the error to raise."""
        if isinstance(error, LLMStrategyError):
            raise error
        if (lost := swallowed(error)) is not None:
            raise lost from None
        if (cut_off := from_error(error)) is not None:
            return cut_off
        raise model_error(self.name, error, address=_address(self._obj), key="its key") from error

    async def _send(self, request: Request, method: str, call: _Call) -> Any:
        """What the object's method gives for a request, put in the object's own terms."""
        obj, kwargs = _with_settings(self._obj, _others(request.settings, self.settings))
        if completes_text(obj):
            if request.tools:
                raise ModelError(f"{self.name} completes text and cannot call tools: take a chat model")
            prompt = to_prompt(request.sent().messages)
            return await call(obj, method, [prompt] if method == "generate" else prompt, **kwargs)
        messages = to_langchain(request.sent().messages)
        if request.tools:
            obj = _with_tools(obj, request.tools, kwargs.pop("tool_choice", None), self.name)

        async def send(form: JSON) -> Any:
            return await call(obj, method, messages, **kwargs, **({"response_format": form} if form else {}))

        # With both, the openai package takes only tools of its strict mode, which knows no defaults.
        told = speaks_openai(obj) and "response_format" not in self.settings and not request.tools
        return await (self._formats.ask(request, send) if told else send(None))


def _with_tools(obj: Any, tools: Sequence[FrozenJSON], choice: JSON, name: str) -> Any:
    if isinstance(choice, Mapping):
        choice = choice.get("function", choice).get("name")
    # Providers say it each in another way; LangChain has a word that all its models know.
    chosen = {} if choice is None else {"tool_choice": "any" if choice == "required" else choice}
    encoded = [encode_tool(tool) for tool in tools]
    try:
        # What is bound or wrapped around the model stays there.
        return changed(obj, lambda model: model.bind_tools(encoded, **chosen))
    except NotImplementedError as error:
        kind = type(inner(obj)).__name__
        raise ModelError(
            f"{name} cannot call tools: {kind} has no bind_tools of its own; take another model"
        ) from error


def _assembly(obj: Any) -> MessageAssembly | TextAssembly:
    return TextAssembly() if completes_text(obj) else MessageAssembly()


async def _call(obj: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(obj, method)(*args, **kwargs)


async def _call_async(obj: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    return await getattr(obj, f"a{method}")(*args, **kwargs)


async def _open(obj: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """The first piece of a stream, if it has any, and the stream: nobody is asked before a piece is wanted."""
    chunks = iter(getattr(obj, method)(*args, **kwargs))
    return list(islice(chunks, 1)), chunks


async def _open_async(obj: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    chunks = getattr(obj, f"a{method}")(*args, **kwargs)
    try:
        return [await anext(chunks)], chunks
    except StopAsyncIteration:
        return [], chunks


def _others(wanted: FrozenJSON, own: FrozenJSON) -> dict[str, JSON]:
    """What a request sets otherwise than the object does."""
    return {name: value for name, value in wanted.items() if name not in own or own[name] != value}


def _with_settings(obj: Any, settings: dict[str, JSON]) -> tuple[Any, dict[str, JSON]]:
    """The object with the settings that it has fields for, and the rest, to be passed with the call.

    Fields come first because every integration reads them, while some refuse arguments of a call.
    """
    fields = getattr(type(obj), "model_fields", {}) if inner(obj) is obj else {}
    update: dict[str, JSON] = {}
    rest: dict[str, JSON] = {}
    for name, value in settings.items():
        field = next((field for field in FIELDS.get(name, ()) if field in fields), None)
        (rest if field is None else update)[field or name] = value
    return (obj.model_copy(update=update) if update else obj), rest


def _address(obj: Any) -> str | None:
    for name in ("openai_api_base", "base_url", "endpoint"):
        if isinstance(address := getattr(inner(obj), name, None), str):
            return address
    return None


def string_model(name: str) -> LangChainModel:
    """The chat model that "provider:name" stands for in LangChain's `init_chat_model`.

    Raises ModelError where a package or a key is missing.
    """
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise ModelError(f"{name} is asked by way of LangChain: {INSTALL}") from error
    try:
        model = LangChainModel(init_chat_model(name))
    except ImportError as error:
        raise ModelError(f"{name} needs a package: {error}, besides {INSTALL}") from error
    except Exception as error:
        raise model_error(name, error) from error
    model.name = name
    return model
