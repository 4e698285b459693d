"""`LangChainModel` drives real LangChain objects, over real HTTP where they speak it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import (
    BaseChatModel,
    FakeListChatModel,
    FakeListLLM,
    FakeMessagesListChatModel,
)
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAI
from openai import AuthenticationError, DefaultAsyncHttpxClient

from llm_strategy.errors import CassetteMiss, ModelError
from llm_strategy.models.langchain import LangChainModel, from_langchain, string_model, to_langchain, to_messages
from llm_strategy.models.langchain.messages import to_prompt
from llm_strategy.models.langchain.replies import from_message
from llm_strategy.models.openai import OpenAIModel
from llm_strategy.values import (
    BlobPart,
    FilePart,
    Message,
    ReasoningPart,
    Request,
    Response,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
    Usage,
)
from tests.llm_strategy.loopback import HANG_UP, MODEL, Loopback, Reply, completion, failure, refusal, text_completion

KEY = "sk-loopback-0123456789-0123456789"
INTEGER = {"type": "object", "properties": {"return_value": {"type": "integer"}}, "required": ["return_value"]}
OPEN_MAP = {
    "type": "object",
    "properties": {"return_value": {"type": "object", "additionalProperties": {"type": "integer"}}},
    "required": ["return_value"],
}
ANSWER = '{"return_value": 1}'
SAID = (Message("system", "Reply with JSON."), Message("user", "One?"))


def asked(model: LangChainModel, schema: Any = INTEGER, **settings: Any) -> Request:
    return Request(model.name, SAID, schema, settings={**model.settings, **settings})


def ask_sync(model: LangChainModel, request: Request) -> Response:
    return model.generate(request)


def ask_async(model: LangChainModel, request: Request) -> Response:
    return asyncio.run(model.agenerate(request))


both_ways = pytest.mark.parametrize("ask", [ask_sync, ask_async])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of this machine reaches a test."""
    for name in os.environ:
        if name.startswith(("OPENAI_", "LANGCHAIN_", "LANGSMITH_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def chat() -> Iterator[Any]:
    """Makes chat models of a server; their transport is their own, so that no event loop is shared between tests."""
    clients: list[Any] = []

    def make(server: Loopback, **options: Any) -> ChatOpenAI:
        clients.append(DefaultAsyncHttpxClient())
        options = {"model": "gpt-4o", "max_retries": 0, "http_async_client": clients[-1], **options}
        return ChatOpenAI(base_url=server.url, api_key=KEY, **options)

    yield make
    for client in clients:
        asyncio.run(client.aclose())


@both_ways
def test_a_chat_model_answers(ask: Any, chat: Any) -> None:
    """Messages and a strict schema reach the server, and the whole answer comes back."""
    with Loopback(ANSWER) as server:
        model = LangChainModel(chat(server))
        response = ask(model, asked(model))
    assert response == Response(ANSWER, Usage(11, 7), "stop", MODEL)
    body = server.bodies[0]
    assert body["messages"] == [
        {"role": "system", "content": "Reply with JSON."},
        {"role": "user", "content": "One?"},
    ]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "strict": True, "schema": {**INTEGER, "additionalProperties": False}},
    }


@pytest.mark.parametrize(("schema", "form"), [(OPEN_MAP, {"type": "json_object"}), (None, None)])
def test_chat_models_of_openai_use_json_mode_where_strict_mode_cannot(schema: Any, form: Any, chat: Any) -> None:
    """An open map is asked for as a JSON object, free text without a form."""
    with Loopback(ANSWER) as server:
        model = LangChainModel(chat(server))
        model.generate(asked(model, schema))
    assert server.bodies[0].get("response_format") == form


@pytest.mark.filterwarnings("ignore:This model does not support OpenAI's structured output feature")
@both_ways
def test_a_refused_form_is_followed_by_the_weaker_one(ask: Any, chat: Any) -> None:
    """A model that knows no schemas is asked in JSON mode."""
    words = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
    with Loopback(failure(400, words), ANSWER) as server:
        model = LangChainModel(chat(server))
        assert ask(model, asked(model)).content == ANSWER
    assert [body["response_format"]["type"] for body in server.bodies] == ["json_schema", "json_object"]


def test_a_warning_turned_into_an_error_hides_no_refusal(chat: Any) -> None:
    """Where warnings are errors, LangChain's advice about the refused form does not stand in its way."""
    with Loopback(failure(400, "Invalid schema for response_format 'reply'"), ANSWER) as server:
        model = LangChainModel(chat(server))
        assert model.generate(asked(model)).content == ANSWER


@both_ways
def test_a_completion_model_answers(ask: Any) -> None:
    """A model that completes text gets system and user text as one prompt, and says why it stopped."""
    with Loopback(text_completion(ANSWER, finish_reason="length")) as server:
        model = LangChainModel(OpenAI(base_url=server.url, api_key=KEY, max_tokens=256, max_retries=0))
        response = ask(model, asked(model))
    assert response == Response(ANSWER, Usage(11, 7), "length", "gpt-3.5-turbo-instruct")
    (seen,) = server.requests
    assert seen.path == "/v1/completions"
    assert seen.body["prompt"] == ["Reply with JSON.\n\nOne?"]
    assert seen.body["max_tokens"] == 256
    assert "response_format" not in seen.body


def test_equal_models_have_equal_names_and_settings() -> None:
    """A model is named and set alike by string, by client and by LangChain object."""
    by_langchain = LangChainModel(ChatOpenAI(model="gpt-4o", temperature=0, max_tokens=9, seed=3, api_key=KEY))
    by_client = OpenAIModel("gpt-4o", temperature=0, max_tokens=9, seed=3)
    assert by_langchain.name == by_client.name == "openai:gpt-4o"
    assert by_langchain.settings.canonical == by_client.settings.canonical


@pytest.mark.parametrize(
    ("obj", "name", "settings"),
    [
        (ChatOpenAI(model="gpt-4o", api_key=KEY), "openai:gpt-4o", {}),
        (
            ChatOpenAI(model="m", api_key=KEY, stop=["x"], top_p=1, extra_body={"top_k": 3}, reasoning_effort="low"),
            "openai:m",
            {"stop": ["x"], "top_p": 1.0, "extra_body": {"top_k": 3}, "reasoning_effort": "low"},
        ),
        (ChatOpenAI(model="m", api_key=KEY, model_kwargs={"top_a": 1}), "openai:m", {"top_a": 1}),
        (ChatOpenAI(model="m", api_key=KEY, temperature=1).bind(temperature=0), "openai:m", {"temperature": 0.0}),
        (ChatOpenAI(model="m", api_key=KEY).with_retry(), "openai:m", {}),
        (OpenAI(model="i", max_tokens=256, api_key=KEY), "openai:i", {"max_tokens": 256}),
        (
            AzureChatOpenAI(model="gpt-4o", api_key=KEY, azure_endpoint="https://x.example", api_version="1"),
            "azure_openai:gpt-4o",
            {},
        ),
        (FakeListChatModel(responses=[]), "langchain:FakeListChatModel", {}),
        (FakeListLLM(responses=[]), "langchain:FakeListLLM", {}),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "invoke") else None,
)
def test_objects_are_read(obj: Any, name: str, settings: dict[str, Any]) -> None:
    """Name and settings come from the object; only what it was given counts as a setting."""
    model = LangChainModel(obj)
    assert model.name == name
    assert model.settings == settings


@both_ways
def test_settings_of_a_request_win(ask: Any, chat: Any) -> None:
    """A request's settings reach the server, and the object stays as it was."""
    with Loopback(ANSWER) as server:
        obj = chat(server, temperature=0.5, seed=1)
        model = LangChainModel(obj)
        ask(model, asked(model, temperature=0, max_tokens=20, logprobs=True))
    body = server.bodies[0]
    assert (body["temperature"], body["seed"], body["max_completion_tokens"], body["logprobs"]) == (0, 1, 20, True)
    assert obj.temperature == 0.5


def test_settings_reach_a_bound_model(chat: Any) -> None:
    """What `bind` returns is asked as it is, with the request's settings over its own."""
    with Loopback(ANSWER) as server:
        model = LangChainModel(chat(server).bind(temperature=0.5, seed=1))
        model.generate(asked(model, temperature=0))
    assert (server.bodies[0]["temperature"], server.bodies[0]["seed"]) == (0, 1)


@both_ways
def test_fake_models_answer_unrecorded(ask: Any) -> None:
    """LangChain's fake models answer in order, and are not recorded unless asked to be."""
    for obj in (FakeListChatModel(responses=["a", "b"]), FakeListLLM(responses=["a", "b"])):
        model = LangChainModel(obj)
        assert not model.recorded
        assert LangChainModel(obj, recorded=True).recorded
        assert [ask(model, asked(model)) for _ in range(2)] == [Response("a"), Response("b")]


def test_descendants_of_fakes_are_fakes() -> None:
    """A test's own class built on a fake model is unrecorded too, a provider's is recorded."""

    class Mine(FakeMessagesListChatModel):
        pass

    assert not LangChainModel(Mine(responses=[])).recorded
    assert LangChainModel(ChatOpenAI(model="m", api_key=KEY)).recorded


def test_a_wrapped_llm_answers() -> None:
    """What `bind` makes of a completion model gives the text alone."""
    model = LangChainModel(FakeListLLM(responses=["a"]).bind(stop=["x"]))
    assert model.settings == {"stop": ["x"]}
    assert model.generate(asked(model)) == Response("a")


@pytest.mark.parametrize(
    "obj", [RunnableLambda(lambda x: x), ChatOpenAI, "openai:m", object()], ids="runnable class string object".split()
)
def test_other_objects_are_refused(obj: Any) -> None:
    """A chain, a class or a string is no model, and the error says so."""
    with pytest.raises(TypeError, match="neither a chat model nor an LLM"):
        LangChainModel(obj)


@both_ways
def test_a_429_is_tried_again(ask: Any, chat: Any) -> None:
    """The retries of the object serve."""
    with Loopback(failure(429, "Slow down", retry_after="0"), ANSWER) as server:
        model = LangChainModel(chat(server, max_retries=1))
        assert ask(model, asked(model)).content == ANSWER
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (failure(401, f"Incorrect API key provided: {KEY}"), "openai:gpt-4o answered 401. .* check its key"),
        (failure(404, "No such model"), "answered 404: No such model. Check the model's name"),
        (failure(429, "Slow down"), "answered 429: Slow down. Wait"),
        (failure(500, "Oops"), "answered 500: Oops. The fault is the server's"),
        (HANG_UP, r"cannot be reached at http://127.0.0.1:\d+/v1: .*disconnected"),
        (Reply({"choices": None}), "openai:gpt-4o failed: "),
        (Reply({"error": {"message": "Overloaded"}}), "openai:gpt-4o failed: .*Overloaded"),
    ],
)
@both_ways
def test_failures_say_what_to_do(ask: Any, reply: Reply, message: str, chat: Any) -> None:
    """Whatever goes wrong arrives as ModelError with a cause, and never with the key."""
    with Loopback(reply) as server:
        model = LangChainModel(chat(server))
        with pytest.raises(ModelError, match=message) as caught:
            ask(model, asked(model, None))
    assert caught.value.__cause__ is not None
    assert KEY not in str(caught.value)


def test_the_cause_is_the_clients_own_error(chat: Any) -> None:
    """The error of the `openai` package is the cause, as it is without LangChain."""
    with Loopback(failure(401, "No")) as server:
        model = LangChainModel(chat(server))
        with pytest.raises(ModelError) as caught:
            model.generate(asked(model))
    assert isinstance(caught.value.__cause__, AuthenticationError)


@pytest.mark.parametrize("schema", [INTEGER, None])
@both_ways
def test_a_cut_off_reply_is_a_response(ask: Any, schema: Any, chat: Any) -> None:
    """A reply that ran into its limit comes back, though the `openai` package makes an error of it."""
    with Loopback(completion('{"return_', finish_reason="length")) as server:
        model = LangChainModel(chat(server))
        assert ask(model, asked(model, schema)) == Response('{"return_', Usage(11, 7), "length", MODEL)


def test_a_filtered_reply_is_a_response(chat: Any) -> None:
    """A reply that the provider's filter stopped comes back with that reason."""
    with Loopback(completion("", finish_reason="content_filter")) as server:
        model = LangChainModel(chat(server))
        assert model.generate(asked(model)).finish_reason == "content_filter"


def test_a_refusal_is_a_response(chat: Any) -> None:
    """A refusal comes back in the model's own words."""
    with Loopback(refusal("I can't help with that.")) as server:
        model = LangChainModel(chat(server))
        assert model.generate(asked(model)) == Response("I can't help with that.", Usage(11, 7), "refusal", MODEL)


def test_a_reply_that_does_not_fit_is_a_response(chat: Any) -> None:
    """The model hands on what it got, JSON or not."""
    with Loopback("Sorry, no JSON today") as server:
        model = LangChainModel(chat(server))
        assert model.generate(asked(model)).content == "Sorry, no JSON today"


def test_a_streaming_object_gives_the_whole_reply(chat: Any) -> None:
    """An object made with `streaming=True` answers in one piece here."""
    with Loopback("Hello there") as server:
        model = LangChainModel(chat(server, streaming=True))
        response = model.generate(asked(model, None))
    assert server.bodies[0]["stream"] is True
    assert (response.content, response.finish_reason, response.usage) == ("Hello there", "stop", Usage(11, 7))


def test_tools_are_offered(chat: Any) -> None:
    """A request's tools reach the server, and a call of one is the finish reason."""
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    tool = {"type": "function", "name": "look", "description": "Look.", "parameters": {"type": "object"}}
    with Loopback(completion(None, finish_reason="tool_calls", tool_calls=[call])) as server:
        model = LangChainModel(chat(server))
        response = model.generate(Request(model.name, SAID, tools=(tool,)))
    assert server.bodies[0]["tools"][0]["function"]["name"] == "look"
    assert response.finish_reason == "tool_call"


class Missing(BaseChatModel):
    """A chat model under which a miss is raised."""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise CassetteMiss("not recorded")

    @property
    def _llm_type(self) -> str:
        return "missing"


@both_ways
def test_what_is_no_exception_passes(ask: Any) -> None:
    """A miss raised below LangChain is not taken for an error of the provider."""
    model = LangChainModel(Missing())
    with pytest.raises(CassetteMiss):
        ask(model, asked(model))


class Plain(BaseChatModel):
    """A chat model of another provider, which takes no `response_format`."""

    model: str = "plain-1"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kw: Any
    ) -> ChatResult:
        assert "response_format" not in kw
        reply = AIMessage(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
        reply.response_metadata = {"stop_reason": "max_tokens", "model": "plain-1-2026"}
        return ChatResult(generations=[ChatGeneration(message=reply)])

    @property
    def _llm_type(self) -> str:
        return "plain"


def test_other_providers_rely_on_the_prompt() -> None:
    """A chat model that is not OpenAI's gets messages alone; its own word for the end is translated."""
    model = LangChainModel(Plain())
    assert model.name == "plain:plain-1"
    assert model.generate(asked(model)) == Response("ab", None, "length", "plain-1-2026")


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"stop_reason": "end_turn"}, "stop"),
        ({"finish_reason": "STOP"}, "stop"),
        ({"done_reason": "length"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"stop_reason": "tool_use"}, "tool_call"),
        ({"stop_reason": "refusal"}, "refusal"),
        ({"stop_reason": "pause_turn"}, "pause_turn"),
        ({}, "stop"),
    ],
)
def test_finish_reasons_of_all_providers_have_one_name(about: dict[str, Any], reason: str) -> None:
    """Every provider's word for why it stopped becomes one of ours, an unknown one stays."""
    assert from_message(AIMessage(content="x", response_metadata=about)).finish_reason == reason


def test_a_refusal_in_a_block_is_a_response() -> None:
    """The Responses API puts a refusal among the blocks."""
    assert from_message(AIMessage(content=[{"type": "refusal", "refusal": "No."}])) == Response("No.", None, "refusal")


TALK = (
    Message("system", "Be brief."),
    Message("user", "Hi"),
    Message(
        "user",
        [
            TextPart("What is this?"),
            BlobPart("image", "image/png", "iVBO"),
            UriPart("image", None, "https://example.org/a.png"),
            BlobPart("audio", "audio/wav", "UklG"),
            BlobPart("document", "application/pdf", "JVBE"),
            FilePart("document", None, "file-1"),
        ],
    ),
    Message("assistant", [TextPart("Let me see."), ToolCallPart("call_1", "look", {"at": 1})]),
    Message("tool", [ToolCallResponsePart("call_1", "a cat")]),
    Message("assistant", "A cat."),
)


def test_messages_survive_the_way_there_and_back() -> None:
    """Our messages as LangChain's and back are the same messages."""
    converted = to_langchain(TALK)
    kinds = [SystemMessage, HumanMessage, HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert [type(message) for message in converted] == kinds
    assert to_messages(converted) == TALK


def test_messages_are_taken_in_every_usual_form() -> None:
    """Message, LangChain message, dict, pair and plain text stand for the same turns."""
    mine = Message("user", "Hi")
    assert to_messages("Hi") == (mine,)
    items = [mine, "Hi", ("human", "Hi"), HumanMessage("Hi"), {"role": "user", "content": "Hi"}]
    items += [{"role": "human", "content": [{"type": "text", "text": "Hi"}]}, ChatMessage(role="user", content="Hi")]
    assert to_messages(items) == (mine,) * 7
    assert to_messages([AIMessageChunk(content="Hi")]) == (Message("assistant", "Hi"),)


@pytest.mark.parametrize("item", [3, None, object()], ids=["number", "nothing", "object"])
def test_what_is_no_message_is_refused(item: Any) -> None:
    """Anything else raises TypeError."""
    with pytest.raises(TypeError, match="is no message"):
        to_messages([item])


def test_what_has_no_counterpart_is_left_out() -> None:
    """Ids, metadata and unknown blocks of a LangChain message stay out of keys; what a model thought is kept."""
    message = AIMessage(
        content=[{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Yes."}, {"type": "odd"}],
        id="run-1",
        response_metadata={"model_name": "m"},
    )
    assert from_langchain(message) == Message("assistant", [ReasoningPart("Hm."), TextPart("Yes.")])
    (again,) = to_langchain([from_langchain(message)])
    assert again.content == "Yes."


def test_a_conversation_names_its_speakers() -> None:
    """As one text, a single question stands bare, a conversation says who speaks and whose turn it is."""
    assert to_prompt(SAID) == "Reply with JSON.\n\nOne?"
    repaired = (*SAID, Message("assistant", "one"), Message("user", "No JSON."))
    assert to_prompt(repaired) == (
        "Reply with JSON.\n\nUser:\nOne?\n\nAssistant:\none\n\nUser:\nNo JSON.\n\nAssistant:"
    )


def test_a_string_makes_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name goes to `init_chat_model`, and stays the model's name."""
    with Loopback(ANSWER) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        model = string_model("openai:gpt-4o")
        assert (model.name, model.settings) == ("openai:gpt-4o", {})
        assert model.generate(asked(model, temperature=0)).content == ANSWER
    assert server.bodies[0]["temperature"] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "upstage:solar",
            r"upstage:solar needs a package: .*langchain-upstage.*, besides pip install \"llm-strategy\[",
        ),
        ("nobody:x", "nobody:x failed: ValueError: .*nobody"),
    ],
)
def test_a_string_that_makes_no_model(name: str, message: str) -> None:
    """A provider whose package is missing, or that LangChain does not know, is told with the cure."""
    with pytest.raises(ModelError, match=message):
        string_model(name)


def test_nothing_of_langchain_is_imported_early() -> None:
    """Importing the model class, and messages in any form but LangChain's, import no LangChain; its absence is told."""
    code = (
        "import sys\n"
        "from llm_strategy.models.langchain import LangChainModel, string_model, to_messages\n"
        "to_messages(['Hi', {'role': 'user', 'content': 'Hi'}])\n"
        "assert not [name for name in sys.modules if name.startswith('langchain')]\n"
        "sys.modules['langchain'] = None\n"
        "try:\n"
        "    string_model('anthropic:x')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == (
        'ModelError anthropic:x is asked by way of LangChain: pip install "llm-strategy[langchain]"\n'
    )
