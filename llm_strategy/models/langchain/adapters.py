"""A chat model of LangChain as an LLM, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field

from llm_strategy.models.langchain.identity import inner
from llm_strategy.models.langchain.messages import text_of

_END = "<|im_end|>"
_SPEAKERS = {"human": "user", "ai": "assistant", "system": "system"}


class ChatModelAsLLM(BaseLLM):
    """An LLM, text in and text out, that asks a chat model: `ChatModelAsLLM(chat_model=ChatOpenAI(...))`.

    A prompt is one message of the user. The model inside has LangChain's cache, not the adapter, so that it is looked
    up once.
    """

    chat_model: Runnable[Any, Any]
    cache: BaseCache | bool | None = Field(default=False, exclude=True)

    @property
    def adapted(self) -> Any:
        """The model inside."""
        return self.chat_model

    @property
    def _llm_type(self) -> str:
        return str(inner(self.chat_model)._llm_type)

    def dict(self, **kwargs: Any) -> dict[str, Any]:
        """What the model inside says of itself."""
        return _described(self.chat_model)

    def __call__(self, prompt: str, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The answer, as `invoke` gives it."""
        return self.invoke(prompt, stop=stop, **kwargs)

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        config = _inside(run_manager)
        return _completed([self.chat_model.invoke(prompt, config, stop=stop, **kwargs) for prompt in prompts])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        config = _inside(run_manager)
        return _completed([await self.chat_model.ainvoke(prompt, config, stop=stop, **kwargs) for prompt in prompts])

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        for chunk in self.chat_model.stream(prompt, _inside(run_manager), stop=stop, **kwargs):
            yield GenerationChunk(text=text_of(chunk), generation_info=chunk.response_metadata or None)

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        async for chunk in self.chat_model.astream(prompt, _inside(run_manager), stop=stop, **kwargs):
            yield GenerationChunk(text=text_of(chunk), generation_info=chunk.response_metadata or None)


class LLMAsChatModel(BaseChatModel):
    """A chat model that asks an LLM: `LLMAsChatModel(llm=OpenAI(...))`.

    A conversation becomes one text in ChatML, as `convert_messages_to_prompt` writes it, and the answer ends where the
    LLM ends its turn, or with one of the stop words. The LLM inside has LangChain's cache.
    """

    llm: Runnable[Any, Any]
    cache: BaseCache | bool | None = Field(default=False, exclude=True)

    @property
    def adapted(self) -> Any:
        """The model inside."""
        return self.llm

    @property
    def _llm_type(self) -> str:
        return str(inner(self.llm)._llm_type)

    def dict(self, **kwargs: Any) -> dict[str, Any]:
        """What the model inside says of itself."""
        return _described(self.llm)

    def __call__(self, messages: Any, stop: list[str] | None = None, **kwargs: Any) -> AIMessage:
        """The answer, as `invoke` gives it."""
        return self.invoke(messages, stop=stop, **kwargs)

    @staticmethod
    def convert_messages_to_prompt(messages: Sequence[BaseMessage]) -> str:
        """The conversation as text, up to where the assistant speaks. Raises ValueError for what is no text."""
        return "".join(map(_turn, messages)) + "<|im_start|>assistant\n"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt, stops = self.convert_messages_to_prompt(messages), [_END, *(stop or ())]
        if isinstance(self.llm, BaseLLM):
            result = self.llm.generate([prompt], stop=stops, callbacks=_inside(run_manager).get("callbacks"), **kwargs)
            return _said(result, stops)
        return _said_text(self.llm.invoke(prompt, _inside(run_manager), stop=stops, **kwargs), stops)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt, stops = self.convert_messages_to_prompt(messages), [_END, *(stop or ())]
        if isinstance(self.llm, BaseLLM):
            inside = _inside(run_manager).get("callbacks")
            return _said(await self.llm.agenerate([prompt], stop=stops, callbacks=inside, **kwargs), stops)
        return _said_text(await self.llm.ainvoke(prompt, _inside(run_manager), stop=stops, **kwargs), stops)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        prompt, stops = self.convert_messages_to_prompt(messages), [_END, *(stop or ())]
        end = _End(stops)
        for text in self.llm.stream(prompt, _inside(run_manager), stop=stops, **kwargs):
            yield _piece(end.before(text))
            if end.reached:
                return
        yield _piece(end.held)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        prompt, stops = self.convert_messages_to_prompt(messages), [_END, *(stop or ())]
        end = _End(stops)
        async for text in self.llm.astream(prompt, _inside(run_manager), stop=stops, **kwargs):
            yield _piece(end.before(text))
            if end.reached:
                return
        yield _piece(end.held)


class _End:
    """Where a text that arrives in pieces ends: before the first of some words, which may be split between pieces."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [word for word in words if word]
        self.held = ""
        self.reached = False

    def before(self, piece: str) -> str:
        """What is certain to stand before the end; what could be the beginning of a word is held."""
        text = self.held + piece
        places = [place for word in self._words if (place := text.find(word)) >= 0]
        if places:
            self.held, self.reached = "", True
            return text[: min(places)]
        begun = (size for word in self._words for size in range(1, len(word)) if text.endswith(word[:size]))
        kept = len(text) - max(begun, default=0)
        self.held = text[kept:]
        return text[:kept]


def _cut(text: str, stops: Sequence[str]) -> str:
    """Up to the first stop word: not every LLM knows of them."""
    end = _End(stops)
    return end.before(text) + end.held


def _turn(message: BaseMessage) -> str:
    role = _SPEAKERS.get(message.type) or (getattr(message, "role", "").capitalize() if message.type == "chat" else "")
    if not role:
        raise ValueError(f"an LLM has no place for a message of type {message.type!r}: take a chat model")
    if not isinstance(message.content, str) and any(
        not isinstance(block, str) and block.get("type") != "text" for block in message.content
    ):
        raise ValueError(f"an LLM takes text only, and the message of the {role} holds more: take a chat model")
    return f"<|im_start|>{role}\n{text_of(message)}{_END}"


def _inside(run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None) -> RunnableConfig:
    """So that callbacks take the call of the model inside for a part of the adapter's."""
    if run_manager is None:
        return RunnableConfig()
    kind = AsyncCallbackManager if isinstance(run_manager, AsyncCallbackManagerForLLMRun) else CallbackManager
    manager: BaseCallbackManager = kind(handlers=[], parent_run_id=run_manager.run_id)
    manager.set_handlers(run_manager.inheritable_handlers)
    manager.add_tags(run_manager.inheritable_tags)
    manager.add_metadata(run_manager.inheritable_metadata)
    return RunnableConfig(callbacks=manager)


def _described(model: Any) -> dict[str, Any]:
    # LangChain is about to rename it.
    own = inner(model)
    said: dict[str, Any] = (own.asdict if hasattr(own, "asdict") else own.dict)()
    return said


def _completed(messages: Sequence[BaseMessage]) -> LLMResult:
    generations = [
        [Generation(text=text_of(each), generation_info=each.response_metadata or None)] for each in messages
    ]
    used = [usage for each in messages if (usage := getattr(each, "usage_metadata", None)) and "input_tokens" in usage]
    about: dict[str, Any] = {}
    if used:
        sent, answered = (sum(usage[name] for usage in used) for name in ("input_tokens", "output_tokens"))
        about["token_usage"] = {
            "prompt_tokens": sent,
            "completion_tokens": answered,
            "total_tokens": sent + answered,
        }
    if name := next((each.response_metadata.get("model_name") for each in messages), None):
        about["model_name"] = name
    return LLMResult(generations=generations, llm_output=about)


def _said(result: LLMResult, stops: Sequence[str]) -> ChatResult:
    generation, about = result.generations[0][0], result.llm_output or {}
    message = AIMessage(_cut(generation.text, stops), response_metadata=dict(generation.generation_info or {}))
    tokens = about.get("token_usage") or {}
    if "prompt_tokens" in tokens:
        sent, answered = tokens["prompt_tokens"], tokens.get("completion_tokens", 0)
        message.usage_metadata = {"input_tokens": sent, "output_tokens": answered, "total_tokens": sent + answered}
    output = {"model_name": about["model_name"]} if about.get("model_name") else None
    return ChatResult(generations=[ChatGeneration(message=message)], llm_output=output)


def _said_text(text: str, stops: Sequence[str]) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(_cut(text, stops)))])


def _piece(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text))
