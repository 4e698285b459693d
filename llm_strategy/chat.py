"""`ChatChain`: an immutable conversation with a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from llm_strategy import engine
from llm_strategy.context import CallSite
from llm_strategy.engine import Options
from llm_strategy.models import resolve
from llm_strategy.prompt import schema_block
from llm_strategy.schema import Output
from llm_strategy.values import JSON, Message, Request, TextPart

T = TypeVar("T")


@dataclass(frozen=True)
class ChatChain:
    """A model and what was said. Asking gives a new chain, so that one can branch from any point.

    `messages` may be given as `Message`s, as dicts with `role` and `content`, or as LangChain
    messages. A chain can stand wherever a model is expected; what is asked then comes after its
    messages.
    """

    model: Any
    messages: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(_messages(self.messages)))

    @property
    def response(self) -> str:
        """The text of the last message."""
        return self.messages[-1].content

    def append(self, messages: Iterable[Any]) -> ChatChain:
        return replace(self, messages=(*self.messages, *_messages(messages)))

    def __add__(self, messages: Iterable[Any]) -> ChatChain:
        return self.append(messages)

    def branch(self) -> ChatChain:
        """The same conversation, to go on in another way."""
        return replace(self)

    def query(self, question: str, model_args: Mapping[str, JSON] | None = None) -> tuple[str, ChatChain]:
        """Ask, and get the text of the answer and the longer chain. Raises ModelError, CassetteMiss."""
        options, request = self._ask(question, model_args, None)
        text: str = engine.run(engine.text_steps(request), options, _QUERY)
        return text, self._longer(question, text)

    async def aquery(self, question: str, model_args: Mapping[str, JSON] | None = None) -> tuple[str, ChatChain]:
        """As `query`, in an event loop."""
        options, request = self._ask(question, model_args, None)
        text: str = await engine.arun(engine.text_steps(request), options, _QUERY)
        return text, self._longer(question, text)

    def structured_query(
        self, question: str, return_type: type[T], model_args: Mapping[str, JSON] | None = None
    ) -> tuple[T, ChatChain]:
        """Ask for a value of a type, and get it and the longer chain. Raises ReplyError too."""
        output = Output(return_type, "ChatChain.structured_query")
        options, request = self._ask(question, model_args, output)
        answer = engine.run(engine.value_steps(request, output, options), options, _STRUCTURED)
        return answer.value, self._longer(question, answer.reply)

    async def astructured_query(
        self, question: str, return_type: type[T], model_args: Mapping[str, JSON] | None = None
    ) -> tuple[T, ChatChain]:
        """As `structured_query`, in an event loop."""
        output = Output(return_type, "ChatChain.structured_query")
        options, request = self._ask(question, model_args, output)
        answer = await engine.arun(engine.value_steps(request, output, options), options, _STRUCTURED)
        return answer.value, self._longer(question, answer.reply)

    def _ask(
        self, question: str, settings: Mapping[str, JSON] | None, output: Output | None
    ) -> tuple[Options, Request]:
        source = None if self.model is None else resolve(self.model)
        options = Options.of(source, settings or {}).resolved()
        text = question if output is None else f"{question}\n\n{schema_block(output).text}"
        messages = (*options.before, *self.messages, Message("user", text))
        name = options.source.name if options.source else None
        return options, Request(name, messages, output.schema if output else None, (), options.settings)

    def _longer(self, question: str, reply: str) -> ChatChain:
        return self.append([Message("user", question), Message("assistant", reply)])


_QUERY = CallSite("ChatChain.query")
_STRUCTURED = CallSite("ChatChain.structured_query")


def _messages(messages: Iterable[Any]) -> Iterable[Message]:
    for message in messages:
        if isinstance(message, Message):
            yield message
        elif isinstance(message, Mapping) and {"role", "content"} <= message.keys():
            yield Message(message["role"], [TextPart(message["content"])])
        elif hasattr(message, "lc_attributes") or type(message).__module__.startswith("langchain"):
            from llm_strategy.models.langchain import to_messages

            yield from to_messages([message])
        else:
            raise TypeError(
                f"{message!r} is no message: give a Message(role, text), a dict with role and content, or a "
                "LangChain message"
            )
