"""`ChatChain`: an immutable conversation with a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

from llm_strategy import engine
from llm_strategy.context import CallSite
from llm_strategy.engine import Options
from llm_strategy.models import opening, resolve
from llm_strategy.prompt import schema_block
from llm_strategy.schema import Output
from llm_strategy.tracebacks import short_traceback
from llm_strategy.values import JSON, Message, Request
from llm_strategy.wire.chat_completions import decode_message

T = TypeVar("T")


@dataclass(frozen=True)
class ChatChain:
    """A model and what was said. Asking gives a new chain, so that one can branch from any point.

    `messages` may be given as `Message`s, as LangChain messages, or as dicts: with `role` and
    `content` as providers take them (a text or a list of parts, tool calls too), or with `role` and
    `parts` as `Message.to_json()` writes them. A chain can stand wherever a model is expected; what
    is asked then comes after its messages.
    """

    model: Any
    messages: tuple[Message, ...]

    def __init__(self, model: Any, messages: Any = ()) -> None:
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "messages", tuple(_messages(messages)))

    def __repr__(self) -> str:
        return f"<ChatChain of {_model_name(self.model)} with {len(self.messages)} messages>"

    def __hash__(self) -> int:
        # Models, and the arguments of tool calls, need not be hashable.
        return hash(tuple((message.role, message.content) for message in self.messages))

    @property
    def response(self) -> str:
        """The text of the last message. Raises ValueError where nothing was said."""
        if not self.messages:
            raise ValueError("this ChatChain has no messages, so there is no response: ask it with query(...)")
        return self.messages[-1].content

    def append(self, messages: Any) -> ChatChain:
        """The chain with further messages, given one by one or several at once, or with those of another chain."""
        return replace(self, messages=(*self.messages, *_messages(messages)))

    def __add__(self, messages: Any) -> ChatChain:
        return self.append(messages)

    def branch(self) -> ChatChain:
        """The same conversation, to go on in another way."""
        return replace(self)

    def query(self, question: str, model_args: Mapping[str, JSON] | None = None) -> tuple[str, ChatChain]:
        """Ask, and get the text of the answer and the longer chain. Raises ModelError, CassetteMiss."""
        __tracebackhide__ = True
        with short_traceback:
            options, request = self._ask(question, model_args, None)
            text: str = engine.run(engine.text_steps(request), options, _QUERY)
        return text, self._longer(question, text)

    async def aquery(self, question: str, model_args: Mapping[str, JSON] | None = None) -> tuple[str, ChatChain]:
        """As `query`, in an event loop."""
        __tracebackhide__ = True
        with short_traceback:
            options, request = self._ask(question, model_args, None)
            text: str = await engine.arun(engine.text_steps(request), options, _QUERY)
        return text, self._longer(question, text)

    @overload
    def structured_query(
        self, question: str, return_type: type[T], model_args: Mapping[str, JSON] | None = None
    ) -> tuple[T, ChatChain]: ...
    @overload
    def structured_query(
        self, question: str, return_type: Any, model_args: Mapping[str, JSON] | None = None
    ) -> tuple[Any, ChatChain]: ...
    def structured_query(
        self, question: str, return_type: Any, model_args: Mapping[str, JSON] | None = None
    ) -> tuple[Any, ChatChain]:
        """Ask for a value of a type, and get it and the longer chain. Raises ReplyError too."""
        __tracebackhide__ = True
        with short_traceback:
            output = Output(return_type, "ChatChain.structured_query")
            options, request = self._ask(question, model_args, output)
            answer = engine.run(engine.value_steps(request, output, options), options, _STRUCTURED)
        return answer.value, self._longer(question, answer.reply)

    @overload
    async def astructured_query(
        self, question: str, return_type: type[T], model_args: Mapping[str, JSON] | None = None
    ) -> tuple[T, ChatChain]: ...
    @overload
    async def astructured_query(
        self, question: str, return_type: Any, model_args: Mapping[str, JSON] | None = None
    ) -> tuple[Any, ChatChain]: ...
    async def astructured_query(
        self, question: str, return_type: Any, model_args: Mapping[str, JSON] | None = None
    ) -> tuple[Any, ChatChain]:
        """As `structured_query`, in an event loop."""
        __tracebackhide__ = True
        with short_traceback:
            output = Output(return_type, "ChatChain.structured_query")
            options, request = self._ask(question, model_args, output)
            answer = await engine.arun(engine.value_steps(request, output, options), options, _STRUCTURED)
        return answer.value, self._longer(question, answer.reply)

    def _ask(
        self, question: str, settings: Mapping[str, JSON] | None, output: Output | None
    ) -> tuple[Options, Request]:
        __tracebackhide__ = True
        if not isinstance(question, str):
            raise TypeError(
                f"a question is a text, not {question!r}: append what else belongs to it before, as a Message of parts"
            )
        source = None if self.model is None else resolve(self.model)
        options = replace(Options.of(source, settings or {}), before=opening(self.model)).resolved()
        text = question if output is None else f"{question}\n\n{schema_block(output).text}"
        messages = (*options.before, *self.messages, Message("user", text))
        name = options.source.name if options.source else None
        return options, Request(name, messages, output.schema if output else None, (), options.settings)

    def _longer(self, question: str, reply: str) -> ChatChain:
        return self.append([Message("user", question), Message("assistant", reply)])


_QUERY = CallSite("ChatChain.query")
_STRUCTURED = CallSite("ChatChain.structured_query")


def _model_name(model: Any) -> str:
    if model is None or isinstance(model, str):
        return repr(model)
    name = getattr(model, "name", None)
    return repr(name) if isinstance(name, str) else type(model).__name__


def _messages(given: Any) -> Iterator[Message]:
    """Messages in any of the forms that a chain takes; one alone will do."""
    if isinstance(given, ChatChain):
        given = given.messages
    alone = isinstance(given, str | Message | Mapping) or not isinstance(given, Iterable) or _is_langchain(given)
    for message in (given,) if alone else given:
        yield from _converted(message)


def _converted(message: Any) -> Iterable[Message]:
    if isinstance(message, Message):
        return [message]
    if isinstance(message, Mapping) and isinstance(message.get("role"), str):
        try:
            return [Message.from_json(message) if "parts" in message else decode_message(message)]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"the message {message!r} cannot be read: {type(error).__name__}: {error}") from None
    if _is_langchain(message):
        from llm_strategy.models.langchain import to_messages

        return to_messages([message])
    raise TypeError(
        f"{message!r} is no message: give a Message(role, text), a dict with role and content, or a LangChain message"
    )


def _is_langchain(message: Any) -> bool:
    return hasattr(message, "lc_attributes") or type(message).__module__.startswith("langchain")
