"""`ChatChain`: an immutable conversation that can be asked, branched, and given as a model."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from llm_strategy import ChatChain, Message, ReplyError, ScriptedModel, call_log, llm_function, use_cassette
from llm_strategy.values import BlobPart, TextPart, ToolCallPart, ToolCallResponsePart, UriPart
from tests.llm_strategy.answers import counting, reply

START = (Message("system", "Be brief."), Message("user", "Hello"))


@dataclass
class Joke:
    text: str
    funny: bool


def test_asking_gives_the_answer_and_the_longer_conversation() -> None:
    """The chain that was asked stays as it is."""
    model = ScriptedModel(["Hi!", "Fine."])
    chain = ChatChain(model, START)

    first, longer = chain.query("How are you?")
    second, longest = longer.query("Really?")

    assert (first, second, longest.response) == ("Hi!", "Fine.", "Fine.")
    assert chain.messages == START
    assert [(message.role, message.content) for message in longest.messages[2:]] == [
        ("user", "How are you?"),
        ("assistant", "Hi!"),
        ("user", "Really?"),
        ("assistant", "Fine."),
    ]
    assert model.requests[1].messages == longest.messages[:-1]
    assert model.requests[0].output_schema is None


def test_a_chain_cannot_be_changed() -> None:
    """So that one can branch from any point."""
    chain = ChatChain(ScriptedModel(["one", "two"]), START)

    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.messages = ()
    _, left = chain.branch().query("Left?")
    _, right = chain.branch().query("Right?")

    assert (left.response, right.response) == ("one", "two")
    assert left.messages[:2] == right.messages[:2] == chain.messages


def test_a_structured_question_is_answered_with_a_value() -> None:
    """The schema is part of what is asked, and no part of the conversation that goes on."""
    model = ScriptedModel([reply({"text": "Knock", "funny": True})])

    joke, longer = ChatChain(model, START).structured_query("Tell a joke", Joke)

    assert joke == Joke("Knock", True)
    assert "Reply with a JSON object that fits this JSON schema:" in model.requests[0].messages[-1].content
    assert model.requests[0].output_schema
    assert [message.content for message in longer.messages[2:]] == [
        "Tell a joke",
        reply({"text": "Knock", "funny": True}),
    ]


def test_a_bad_reply_to_a_structured_question_is_asked_again() -> None:
    """The conversation that goes on holds the good reply only."""
    model = ScriptedModel(["no", reply(3)])
    number, longer = ChatChain(model).structured_query("A number?", int)

    assert number == 3
    assert [message.content for message in longer.messages] == ["A number?", reply(3)]
    with pytest.raises(ReplyError, match=r"ChatChain\.structured_query"):
        ChatChain(ScriptedModel(["no"] * 3)).structured_query("A number?", int)


def test_a_chain_can_be_asked_in_an_event_loop() -> None:
    """The same answers and the same conversations."""

    async def main() -> tuple[Any, ...]:
        text, longer = await ChatChain(ScriptedModel(["Hi!", reply(3)])).aquery("Hello?")
        number, longest = await longer.astructured_query("A number?", int)
        return text, number, [message.content for message in longest.messages]

    assert asyncio.run(main()) == ("Hi!", 3, ["Hello?", "Hi!", "A number?", reply(3)])


def test_settings_can_be_given_for_one_question() -> None:
    """In provider-neutral names."""
    model = ScriptedModel(["Hi!"])
    ChatChain(model).query("Hello?", {"temperature": 0})

    assert model.requests[0].settings == {"temperature": 0.0}


def test_messages_are_appended() -> None:
    """With `+` or `append`, as `Message`s, dicts or LangChain messages; the chain stays as it is."""
    chain = ChatChain(None)
    longer = chain + (Message("user", "one"),) + ({"role": "assistant", "content": "two"},)  # noqa: RUF005  # on purpose
    longest = longer.append([SystemMessage("three"), HumanMessage("four"), AIMessage("five")])

    assert [(message.role, message.content) for message in longest.messages] == [
        ("user", "one"),
        ("assistant", "two"),
        ("system", "three"),
        ("user", "four"),
        ("assistant", "five"),
    ]
    assert (len(chain.messages), len(longer.messages)) == (0, 2)


CALL = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "tea"}'}}
FORMS: dict[str, tuple[Any, Message]] = {
    "text": ({"role": "user", "content": "Hi"}, Message("user", "Hi")),
    "developer": ({"role": "developer", "content": "Be brief."}, Message("system", "Be brief.")),
    "parts of a provider": (
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look: "},
                {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
            ],
        },
        Message("user", [TextPart("Look: "), UriPart("image", None, "https://a/b.png")]),
    ),
    "our own parts": (
        Message("user", [TextPart("a"), TextPart("b")]).to_json(),
        Message("user", [TextPart("a"), TextPart("b")]),
    ),
    "tool call": (
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        Message("assistant", [ToolCallPart("c1", "search", {"q": "tea"})]),
    ),
    "tool response": (
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        Message("tool", [ToolCallResponsePart("c1", "found")]),
    ),
    "LangChain's tool call": (
        AIMessage("", tool_calls=[{"id": "c1", "name": "search", "args": {"q": "tea"}}]),
        Message("assistant", [ToolCallPart("c1", "search", {"q": "tea"})]),
    ),
    "LangChain's tool response": (
        ToolMessage("found", tool_call_id="c1"),
        Message("tool", [ToolCallResponsePart("c1", "found")]),
    ),
}


@pytest.mark.parametrize(("given", "message"), FORMS.values(), ids=FORMS)
def test_messages_are_taken_as_providers_write_them(given: Any, message: Message) -> None:
    """With several parts and with calls of tools; alone or among others."""
    assert ChatChain(None, [given, given]).messages == (message, message)
    assert (ChatChain(None) + given).messages == (message,)


def test_a_message_that_cannot_be_read_is_shown() -> None:
    """With what is wrong in it."""
    with pytest.raises(ValueError, match=r"the message .*'hologram'.* cannot be read: .*content of type 'hologram'"):
        ChatChain(None, [{"role": "user", "content": [{"type": "hologram"}]}])
    with pytest.raises(ValueError, match="cannot be read: KeyError: 'smell'"):
        ChatChain(None, [{"role": "user", "parts": [{"type": "smell"}]}])


def test_a_chain_is_shown_in_short_and_can_be_a_key() -> None:
    """Whatever its model is, and whatever was said."""
    chain = ChatChain("openai:any", [{"role": "assistant", "content": None, "tool_calls": [CALL]}])

    assert repr(chain) == "<ChatChain of 'openai:any' with 1 messages>"
    assert repr(ChatChain(ScriptedModel([]))) == "<ChatChain of 'scripted' with 0 messages>"
    assert {chain: 1}[ChatChain("openai:any", chain.messages)] == 1
    assert chain != ChatChain("openai:other", chain.messages)


def test_chains_are_joined() -> None:
    """What was said in the other one follows; the model stays."""
    joined = ChatChain("openai:any", START) + ChatChain("openai:other", [Message("user", "And?")])

    assert joined == ChatChain("openai:any", (*START, Message("user", "And?")))


def test_a_chain_on_a_chain_says_all_of_it() -> None:
    """As a function that is given the chain does."""
    model = ScriptedModel(["Fine."])
    ChatChain(ChatChain(model, START), [Message("assistant", "Hi")]).query("How are you?")

    assert [message.content for message in model.requests[0].messages] == ["Be brief.", "Hello", "Hi", "How are you?"]


def test_a_chain_without_messages_has_no_response() -> None:
    """The error says how to get one."""
    with pytest.raises(ValueError, match=r"has no messages, so there is no response: ask it with query"):
        _ = ChatChain(None).response


def test_what_is_no_message_is_refused() -> None:
    """The message says which forms there are."""
    with pytest.raises(TypeError, match=r"'Hello' is no message: give a Message\(role, text\), a dict"):
        ChatChain(None, ("Hello",))
    with pytest.raises(TypeError, match="'Hello' is no message"):
        ChatChain(None, "Hello")


@pytest.mark.parametrize("question", [5, None, b"How many?", ["How many?"]])
def test_a_question_that_is_no_text_is_refused_before_it_is_asked(question: Any) -> None:
    """Whichever way it is asked: an answer that cannot be put behind its question is paid for in vain."""
    chain = ChatChain(model := ScriptedModel([]))
    asked: list[Callable[[], Any]] = [
        lambda: chain.query(question),
        lambda: chain.structured_query(question, int),
        lambda: asyncio.run(chain.aquery(question)),
        lambda: asyncio.run(chain.astructured_query(question, int)),
    ]

    for ask in asked:
        with pytest.raises(TypeError, match="a question is a text, not "):
            ask()
    assert model.requests == []


def test_a_chain_takes_its_model_in_any_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """A string, an object, or none for the configured one."""
    monkeypatch.setenv("LLM_STRATEGY_MODEL", "stub:")

    with call_log() as calls, use_cassette("unused.yaml", "live"):
        ChatChain("stub:").query("Hello?")
        ChatChain(None).query("Hello?")

    assert [(call.request.model, call.function) for call in calls] == [("stub:", "ChatChain.query")] * 2


def test_a_conversation_is_recorded_and_replayed(tmp_path: Path) -> None:
    """Each question with all that was said before it."""

    def talk() -> list[str]:
        chain = ChatChain(counting(), START)
        answers = []
        for question in ("One?", "One?", "Two?"):
            text, chain = chain.query(question)
            answers.append(text)
        number, _ = chain.structured_query("A number?", int)
        return [*answers, str(number)]

    with use_cassette(tmp_path / "x.yaml", "new"):
        recorded = talk()
    with use_cassette(tmp_path / "x.yaml", "replay") as cassette:
        assert talk() == recorded
    assert all(call.replayed for call in cassette.calls)
    assert [len(call.request.messages) for call in cassette.calls] == [3, 5, 7, 9]


def test_a_chain_given_to_a_function_is_not_changed_by_it() -> None:
    """A function is asked behind the conversation, and does not continue it."""

    @llm_function
    def count(model: Any, text: str) -> int:
        """Count."""
        raise NotImplementedError

    model = ScriptedModel([reply(1), reply(2)])
    chain = ChatChain(model, START)

    assert (count(chain, "a"), count(chain, "b")) == (1, 2)
    assert chain.messages == START
    assert [len(request.messages) for request in model.requests] == [3, 3]


def test_a_dict_may_have_several_parts() -> None:
    """Images and files stand in a dict as Chat Completions has them; what is none of its parts is refused."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    chain = ChatChain(None, [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}])
    assert chain.messages == (Message("user", [TextPart("What is this?"), BlobPart("image", "image/png", "iVBO")]),)
    with pytest.raises(ValueError, match="content of type 'odd' is not known"):
        ChatChain(None, [{"role": "user", "content": [{"type": "odd"}]}])
