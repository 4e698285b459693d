"""A model of this library as a chat model of LangChain."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, NamedTuple, Protocol

from langchain_core.caches import BaseCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import Field

from llm_strategy.models.langchain.messages import to_messages
from llm_strategy.values import JSON, Message, Response, ToolCallPart


class Asked(NamedTuple):
    """What a model is asked."""

    messages: tuple[Message, ...]
    tools: Sequence[Mapping[str, JSON]]
    settings: Mapping[str, JSON]


class Asks(Protocol):
    """Asks a model, by way of the call log."""

    @property
    def name(self) -> str: ...
    def ask(self, asked: Asked) -> Response: ...
    async def aask(self, asked: Asked) -> Response: ...
    def stream(self, asked: Asked) -> Generator[str | Response, None, None]: ...
    def astream(self, asked: Asked) -> AsyncGenerator[str | Response, None]: ...


class StrategyChatModel(BaseChatModel):
    """A model of this library in chains and agents of LangChain; its calls are recorded and replayed as all are.

    Keywords of a call are settings, by the names that `llm_strategy` takes. LangChain's cache is left alone, unless
    `cache` is set: what is recorded is not asked again.
    """

    model: Any
    cache: BaseCache | bool | None = Field(default=False, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "llm-strategy"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model.name}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        provider, _, name = self.model.name.partition(":")
        params = super()._get_ls_params(stop, **kwargs)
        return {**params, "ls_provider": provider, "ls_model_name": name or provider}

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        """The model with tools that it may call, in any form that LangChain takes."""
        described = [{"type": "function", **convert_to_openai_function(tool)} for tool in tools]
        choice = {} if tool_choice in (None, False) else {"tool_choice": _choice(tool_choice)}
        return self.bind(tools=described, **choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  # LangChain passes it
        **kwargs: Any,
    ) -> ChatResult:
        return _result(self.model.ask(_asked(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002  # LangChain passes it
        **kwargs: Any,
    ) -> ChatResult:
        return _result(await self.model.aask(_asked(messages, stop, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  # LangChain passes it
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk, None, None]:
        with closing(self.model.stream(_asked(messages, stop, kwargs))) as pieces:
            for piece in pieces:
                yield _chunk(piece)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002  # LangChain passes it
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        async with aclosing(self.model.astream(_asked(messages, stop, kwargs))) as pieces:
            async for piece in pieces:
                yield _chunk(piece)


def _choice(said: Any) -> JSON:
    """Which tool has to be called, as OpenAI says it; LangChain has shorter words for it."""
    if said is True or said == "any":
        return "required"
    if isinstance(said, str) and said not in ("auto", "none", "required"):
        return {"type": "function", "function": {"name": said}}
    return said


def _asked(messages: Sequence[BaseMessage], stop: list[str] | None, settings: Mapping[str, Any]) -> Asked:
    tools = settings.get("tools") or ()
    named = {name: value for name, value in settings.items() if name != "tools"}
    return Asked(to_messages(messages), tools, {**named, **({"stop": stop} if stop else {})})


def _result(response: Response) -> ChatResult:
    message = AIMessage(
        response.content,
        tool_calls=[{"type": "tool_call", **_call(call)} for call in response.tool_calls],
        usage_metadata=_usage(response),
        response_metadata=_about(response),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunk(piece: str | Response) -> ChatGenerationChunk:
    """A piece of the answer, or what is known when it has ended."""
    if isinstance(piece, str):
        return ChatGenerationChunk(message=AIMessageChunk(content=piece))
    calls = [
        tool_call_chunk(name=call.name, args=json.dumps(_call(call)["args"]), id=call.id, index=index)
        for index, call in enumerate(piece.tool_calls)
    ]
    message = AIMessageChunk(
        content="",
        tool_call_chunks=calls,
        usage_metadata=_usage(piece),
        response_metadata=_about(piece),
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message)


def _call(call: ToolCallPart) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "args": call.arguments if isinstance(call.arguments, Mapping) else {}}


def _usage(response: Response) -> UsageMetadata | None:
    usage = response.usage
    if usage is None:
        return None
    sent, answered = usage.input_tokens or 0, usage.output_tokens or 0
    return UsageMetadata(input_tokens=sent, output_tokens=answered, total_tokens=sent + answered)


def _about(response: Response) -> dict[str, Any]:
    about = {"finish_reason": response.finish_reason, "model_name": response.model}
    return {name: value for name, value in about.items() if value}
