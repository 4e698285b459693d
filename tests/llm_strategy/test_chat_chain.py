"""`ChatChain`: an immutable conversation that can be asked, branched, and given as a model."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from llm_strategy import ChatChain, Message, ReplyError, ScriptedModel, call_log, llm_function, use_cassette
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


def test_what_is_no_message_is_refused() -> None:
    """The message says which forms there are."""
    with pytest.raises(TypeError, match=r"'Hello' is no message: give a Message\(role, text\), a dict"):
        ChatChain(None, ("Hello",))


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
