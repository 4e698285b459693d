"""Models in the place of other models, for LangChain."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel, FakeListLLM, FakeStreamingListLLM
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel

from llm_strategy import (
    CassetteMiss,
    ChatChain,
    LangChainModel,
    Message,
    ModelError,
    OpenAIModel,
    Request,
    Response,
    ScriptedModel,
    StubModel,
    Usage,
    call_log,
    llm_strategy,
    override,
    tracing,
    use_cassette,
)
from llm_strategy.adapters import ChatModelAsLLM, LLMAsChatModel, as_chat_model
from llm_strategy.values import ToolCallPart, ToolCallResponsePart
from tests.llm_strategy.loopback import MODEL, Loopback, text_completion

KEY = "sk-loopback-0123456789-0123456789"
ANSWERS = {"Hello": "World", "Who?": "Me"}


def llm_answering(text: str) -> FakeListLLM:
    return FakeListLLM(responses=[text])


class Endless(FakeListLLM):
    """An LLM that knows of no stop words, and says what it was asked in its pieces."""

    asked: list[tuple[str, Any]] = []  # noqa: RUF012  # pydantic copies it

    def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> str:
        self.asked.append((prompt, stop))
        return super()._call(prompt, None, run_manager, **kwargs)


# A chat model as an LLM


def test_a_chat_model_completes_text():
    """As in 2.2, also by being called; one prompt is one message of the user."""
    with Loopback("World", "World") as server:
        chat = ChatOpenAI(model="gpt-4o", base_url=server.url, api_key=KEY)
        llm = ChatModelAsLLM(chat_model=chat)
        assert llm("Hello") == "World"
        assert llm.invoke("Hello", stop=["x"]) == "World"
    assert [body["messages"] for body in server.bodies] == [[{"role": "user", "content": "Hello"}]] * 2
    assert server.bodies[1]["stop"] == ["x"]
    assert llm._llm_type == "openai-chat"
    assert llm.dict() == chat.asdict()


def test_a_chat_model_completes_text_in_every_way():
    """`ainvoke`, `stream`, `astream`, `batch`, `generate` with several prompts."""
    llm = ChatModelAsLLM(chat_model=FakeListChatModel(responses=["a", "b", "c"]))
    assert asyncio.run(llm.ainvoke("1")) == "a"
    assert llm.batch(["2", "3"], {"max_concurrency": 1}) == ["b", "c"]
    result = llm.generate(["4", "5"])
    assert [generation[0].text for generation in result.generations] == ["a", "b"]
    slow = ChatModelAsLLM(chat_model=FakeListChatModel(responses=["Toronto"]))
    assert list(slow.stream("1")) == list("Toronto")

    async def pieces() -> list[str]:
        return [piece async for piece in slow.astream("1")]

    assert asyncio.run(pieces()) == list("Toronto")


def test_tokens_of_the_chat_model_are_those_of_the_llm():
    """What the provider counts is in the result, and so in the log of a function that it implements."""

    with Loopback('{"return_value": 1}') as server:
        chat = ChatOpenAI(model="gpt-4o", base_url=server.url, api_key=KEY, temperature=0)
        model = LangChainModel(ChatModelAsLLM(chat_model=chat))
        response = model.generate(Request(model.name, (Message("user", "One?"),)))
    assert response == Response('{"return_value": 1}', Usage(11, 7), "stop", MODEL)
    assert (model.name, model.settings, model.recorded) == ("openai:gpt-4o", {"temperature": 0.0}, True)


# An LLM as a chat model


def test_an_llm_converses():
    """As in 2.2: the conversation in ChatML, an answer that ends with its turn."""
    llm = llm_answering("World<|im_end|>and more")
    chat = LLMAsChatModel(llm=llm)
    assert chat([HumanMessage(content="Hello")]).content == "World"
    assert chat.invoke("Hello").content == "World"
    assert chat._llm_type == llm._llm_type
    assert chat.dict() == llm.asdict()


def test_the_prompt_of_a_conversation():
    """Every role has its turn, and the last is begun."""
    talk = [SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("World"), ChatMessage("Why?", role="judge")]
    assert LLMAsChatModel.convert_messages_to_prompt(talk) == (
        "<|im_start|>system\nBe brief.<|im_end|><|im_start|>user\nHello<|im_end|><|im_start|>assistant\nWorld<|im_end|>"
        "<|im_start|>Judge\nWhy?<|im_end|><|im_start|>assistant\n"
    )
    with pytest.raises(ValueError, match="no place for a message of type 'tool'"):
        LLMAsChatModel.convert_messages_to_prompt([ToolMessage("3", tool_call_id="1")])
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(ValueError, match="takes text only, and the message of the user holds more"):
        LLMAsChatModel.convert_messages_to_prompt([HumanMessage([{"type": "text", "text": "See"}, image])])
    blocks = [{"type": "text", "text": "See"}, " it"]
    assert "See it" in LLMAsChatModel.convert_messages_to_prompt([HumanMessage(blocks)])


def test_stop_words_reach_the_llm_and_hold_where_it_knows_none():
    """The end of the turn is one of them; the answer ends before the first."""
    llm = Endless(responses=["one two three"])
    chat = LLMAsChatModel(llm=llm)
    assert chat.invoke("Count.", stop=["three", "two"]).content == "one "
    assert llm.asked[-1][1] == ["<|im_end|>", "three", "two"]
    assert "".join(chunk.text for chunk in chat.stream("Count.", stop=["two"])) == "one "
    assert "".join(chunk.text for chunk in chat.stream("Count.", stop=["twenty"])) == "one two three"


def test_an_llm_converses_in_every_way():
    """`ainvoke`, `batch`, `astream`; also where the LLM is bound."""
    chat = LLMAsChatModel(llm=llm_answering("Toronto"))
    assert asyncio.run(chat.ainvoke("Hello")).content == "Toronto"
    assert [message.content for message in chat.batch(["a", "b"])] == ["Toronto", "Toronto"]

    async def pieces() -> list[str]:
        return [chunk.text async for chunk in chat.astream("Hello") if chunk.text]

    assert asyncio.run(pieces()) == ["Toronto"]
    chat = LLMAsChatModel(llm=FakeStreamingListLLM(responses=["Toronto<|im_end|>!"]))
    assert [chunk.text for chunk in chat.stream("Hello") if chunk.text] == list("Toronto")
    assert asyncio.run(pieces()) == list("Toronto")
    bound = LLMAsChatModel(llm=llm_answering("Toronto<|im_end|>!").with_retry())
    assert (bound.invoke("a").content, asyncio.run(bound.ainvoke("a")).content) == ("Toronto", "Toronto")
    assert bound._llm_type == "fake-list"


def test_tokens_of_the_llm_are_those_of_the_chat_model():
    """What the provider counts stands in the message; a fake inside stays a fake."""
    with Loopback(text_completion("World")) as server:
        llm = OpenAI(model="gpt-3.5-turbo-instruct", base_url=server.url, api_key=KEY, max_retries=0)
        message = LLMAsChatModel(llm=llm).invoke("Hello")
    assert message.content == "World"
    assert message.usage_metadata == {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    assert not LangChainModel(LLMAsChatModel(llm=llm_answering("a"))).recorded


def test_one_is_the_others_inverse():
    """An LLM as chat model as LLM answers as it does."""
    llm = ChatModelAsLLM(chat_model=LLMAsChatModel(llm=llm_answering("World")))
    assert llm.invoke("Hello") == "World"
    chain = ChatPromptTemplate.from_messages([("system", "{how}"), ("human", "{what}")]) | LLMAsChatModel(llm=llm)
    assert chain.invoke({"how": "Briefly.", "what": "Hello"}).content == "World"


def test_adapters_implement_functions():
    """They are LangChain models like any other."""

    @llm_strategy(LLMAsChatModel(llm=llm_answering('{"return_value": 3}<|im_end|>')))
    def add(a: int, b: int) -> int:
        """Add."""
        raise NotImplementedError

    assert add(1, 2) == 3
    assert (
        add.with_options(model=ChatModelAsLLM(chat_model=FakeListChatModel(responses=['{"return_value": 4}'])))(1, 2)
        == 4
    )


class Runs(BaseCallbackHandler):
    """Which runs begin inside of which."""

    def __init__(self) -> None:
        self.parents: list[bool] = []

    def on_chat_model_start(self, *args: Any, parent_run_id: Any = None, **kwargs: Any) -> None:
        self.parents.append(parent_run_id is not None)

    def on_llm_start(self, *args: Any, parent_run_id: Any = None, **kwargs: Any) -> None:
        self.parents.append(parent_run_id is not None)


@pytest.mark.parametrize(
    "model",
    [
        LLMAsChatModel(llm=llm_answering("a")),
        LLMAsChatModel(llm=llm_answering("a").with_retry()),
        ChatModelAsLLM(chat_model=FakeListChatModel(responses=["a"])),
    ],
)
def test_callbacks_see_the_model_inside(model: Any):
    """Its run is a part of the adapter's, synchronous or not."""
    runs = Runs()
    model.invoke("a", {"callbacks": [runs]})
    asyncio.run(model.ainvoke("a", {"callbacks": [runs]}))
    assert runs.parents == [False, True] * 2


# Our models as chat models


def answer(request: Request) -> str:
    return ANSWERS[request.messages[-1].content]


def test_any_model_is_a_chat_model_in_chains():
    """Scripted and stub models, functions that make one, chains: what `llm_strategy` takes."""
    chat = as_chat_model(ScriptedModel(answer))
    assert chat.invoke("Hello").content == "World"
    assert (ChatPromptTemplate.from_messages([("human", "{q}")]) | chat).invoke({"q": "Who?"}).content == "Me"
    assert [message.content for message in chat.batch(["Hello", "Who?"])] == ["World", "Me"]
    assert asyncio.run(chat.ainvoke("Hello")).content == "World"
    assert as_chat_model(StubModel(recorded=False)).invoke("Hello").content == ""
    model = ScriptedModel(["Later."])
    begun = ChatChain(model, [Message("system", "Be brief.")])
    assert as_chat_model(begun).invoke("When?").content == "Later."
    assert [message.role for message in model.requests[0].messages] == ["system", "user"]
    with override(model=ScriptedModel(answer)):
        assert as_chat_model().invoke("Hello").content == "World"
    with pytest.raises(TypeError, match="is no model"):
        as_chat_model(3)


def test_its_answers_say_what_they_cost_and_how_they_ended():
    """Tokens, finish reason and the provider's name of the model are where LangChain has them."""
    chat = as_chat_model(ScriptedModel([Response("World", Usage(3, 4), "length", "gpt-x")] * 2))
    message = chat.invoke("Hello")
    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["model_name"] == "gpt-x"
    chunks = list(chat.stream("Hello"))
    assert chunks[-1].usage_metadata == message.usage_metadata


def test_its_calls_are_recorded_and_replayed(tmp_path: Path):
    """A chain is tested from a cassette; a miss passes through the chain; the request is an ordinary one."""
    model = ScriptedModel(answer, name="acme:m", recorded=True)

    def work() -> list[Any]:
        chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | as_chat_model(model, temperature=0)
        return [
            chain.invoke({"q": "Hello"}).content,
            *(m.content for m in chain.batch([{"q": "Hello"}, {"q": "Who?"}])),
        ]

    file = tmp_path / "chain.yaml"
    with use_cassette(file, mode="new"):
        assert work() == ["World", "World", "Me"]
    with use_cassette(file, mode="replay") as block:
        assert work() == ["World", "World", "Me"]
    assert len(model.requests) == 3
    assert all(call.replayed for call in block.calls)
    assert block.calls[0].request == Request("acme:m", (Message("user", "Hello"),), settings={"temperature": 0.0})
    with use_cassette(tmp_path / "none.yaml", mode="replay"), pytest.raises(CassetteMiss):
        work()


def test_its_streams_are_recorded_in_pieces(tmp_path: Path):
    """Read to the end, or closed early; from an event loop too."""
    model = ScriptedModel(lambda _: ["To", "ron", "to"], recorded=True)
    file = tmp_path / "stream.yaml"

    async def asynchronously() -> list[str]:
        return [chunk.text async for chunk in as_chat_model(model).astream("b") if chunk.text]

    def work() -> tuple[list[str], list[str]]:
        return [chunk.text for chunk in as_chat_model(model).stream("a") if chunk.text], asyncio.run(asynchronously())

    with use_cassette(file, mode="new") as block:
        assert work() == (["To", "ron", "to"], ["To", "ron", "to"])
        begun: Iterator[Any] = as_chat_model(model).stream("c")
        assert next(begun).text == "To"
        begun.close()  # type: ignore[attr-defined]  # a generator
    assert [call.response.closed_early for call in block.calls] == [False, False, True]
    with use_cassette(file, mode="replay"):
        assert work() == (["To", "ron", "to"], ["To", "ron", "to"])
    assert len(model.requests) == 3


def test_settings_stop_words_and_errors():
    """Keywords of a call are settings of the request; a wrong one is refused, a failure is a ModelError."""
    model = ScriptedModel(["a", "b"])
    chat = as_chat_model(model, temperature=1)
    chat.invoke("Hello", stop=["x"], max_tokens=3)
    chat.bind(seed=1).invoke("Hello", temperature=0)
    assert model.requests[0].settings == {"temperature": 1.0, "stop": ["x"], "max_tokens": 3}
    assert model.requests[1].settings == {"temperature": 0.0, "seed": 1}
    with pytest.raises(TypeError, match="belongs to the connection"):
        chat.invoke("Hello", api_key="x")
    with pytest.raises(ModelError, match="has 2 replies and is asked for number 3"):
        chat.invoke("Hello")


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_it_calls_tools_in_an_agent():
    """An agent runs on a scripted model: what it may call stands in the request, and its calls in the answer."""
    call = ToolCallPart("call_1", "add", {"a": 1, "b": 2})
    model = ScriptedModel([Response("", finish_reason="tool_call", tool_calls=(call,)), "It is 3."])
    state = create_agent(as_chat_model(model), [add]).invoke({"messages": [HumanMessage("1 + 2?")]})
    assert state["messages"][-1].content == "It is 3."
    first, second = model.requests
    assert first.tools[0]["name"] == "add"
    assert first.tools[0]["parameters"]["required"] == ["a", "b"]
    assert second.messages[-2].parts[-1] == call
    assert second.messages[-1].parts == (ToolCallResponsePart("call_1", "3"),)
    streamed = as_chat_model(ScriptedModel([Response("", finish_reason="tool_call", tool_calls=(call,))]))
    whole = None
    for chunk in streamed.bind_tools([add]).stream("1 + 2?"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.tool_calls == [{"type": "tool_call", "id": "call_1", "name": "add", "args": {"a": 1, "b": 2}}]


def test_a_tool_goes_to_openai_as_it_takes_it(tmp_path: Path):
    """Offered by LangChain, asked by our own model."""
    with use_cassette(tmp_path / "tool.yaml", mode="new"), Loopback("It is 3.") as server:
        chat = as_chat_model(OpenAIModel("gpt-4o", client=_client(server)))
        assert chat.bind_tools([add], tool_choice="auto").invoke("1 + 2?").content == "It is 3."
    (body,) = server.bodies
    assert body["tools"][0]["function"]["name"] == "add"
    assert body["tool_choice"] == "auto"


def _client(server: Loopback) -> Any:
    from openai import OpenAI as Client

    return Client(base_url=server.url, api_key=KEY, max_retries=0)


def test_it_can_implement_a_function_and_be_named():
    """As a LangChain model it has the name of what it asks; one that is never recorded stays so."""
    chat = as_chat_model(ScriptedModel([]))
    assert LangChainModel(as_chat_model("openai:gpt-4o")).name == "openai:gpt-4o"
    assert chat._llm_type == "llm-strategy"
    assert chat.with_retry().invoke is not None


def test_what_it_is_asked_is_in_the_log():
    """`track_langchain` of 2.2 wrapped a model to see its calls; this one's are in the log."""
    with call_log() as calls:
        as_chat_model(FakeListChatModel(responses=["World"])).invoke(
            [SystemMessage("Be brief."), HumanMessage("Hello")]
        )
    assert [message.content for message in calls[0].request.messages] == ["Be brief.", "Hello"]
    assert calls[0].response.content == "World"


def test_it_is_in_traces(tmp_path: Path):
    """Whole answers and streams are calls of `as_chat_model`."""
    chat = as_chat_model(ScriptedModel(lambda _: ["To", "ron", "to"]))
    with tracing.trace(tmp_path / "trace.jsonl"):
        chat.invoke("a")
        assert [chunk.text for chunk in chat.stream("b") if chunk.text] == ["To", "ron", "to"]
    spans = (tmp_path / "trace.jsonl").read_text().splitlines()
    told = [json.loads(span) for span in spans]
    # Each stands there twice: when it begins, and with all that it said when it has ended.
    assert len({span["id"] for span in told if span.get("name") == "as_chat_model"}) == 2


def test_adapters_pickle():
    """They go to worker processes with the model inside."""
    chat = pickle.loads(pickle.dumps(as_chat_model(ScriptedModel(["World"]))))  # noqa: S301  # our own
    assert chat.invoke("Hello").content == "World"
    llm = pickle.loads(pickle.dumps(ChatModelAsLLM(chat_model=FakeListChatModel(responses=["a"]))))  # noqa: S301  # our own
    assert llm.invoke("a") == "a"


def test_a_missing_langchain_is_named_with_its_extra():
    """Importing the module costs nothing; a name of it that needs LangChain says how to install it."""
    program = """
import sys
sys.modules["langchain_core"] = None
import llm_strategy.adapters as adapters
for name in ("ChatModelAsLLM", "LLMAsChatModel"):
    try:
        getattr(adapters, name)
    except ImportError as error:
        print(error)
try:
    adapters.as_chat_model("stub:")
except ImportError as error:
    print(error)
assert not hasattr(adapters, "Other")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.count('pip install "llm-strategy[langchain]"') == 3


class Sum(BaseModel):
    """The sum."""

    total: int


def test_structured_output_is_a_tool_that_has_to_be_called():
    """LangChain's `with_structured_output` works, and the setting says in OpenAI's words what LangChain wants."""
    calls = (ToolCallPart("call_1", "Sum", {"total": 3}),)
    model = ScriptedModel([Response("", finish_reason="tool_call", tool_calls=calls)])
    assert as_chat_model(model).with_structured_output(Sum).invoke("1 + 2?") == Sum(total=3)
    assert model.requests[0].settings == {"tool_choice": "required"}
    assert model.requests[0].tools[0]["name"] == "Sum"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        (True, "required"),
        ("auto", "auto"),
        ("add", {"type": "function", "function": {"name": "add"}}),
        (None, None),
    ],
)
def test_which_tool_has_to_be_called_reaches_every_provider(choice: Any, sent: Any, tmp_path: Path):
    """Our own model and LangChain's send the same."""
    with use_cassette(tmp_path / "tool.yaml", mode="live"), Loopback("3", "3") as server:
        ours = OpenAIModel("gpt-4o", client=_client(server))
        theirs = ChatOpenAI(model="gpt-4o", base_url=server.url, api_key=KEY, max_retries=0)
        for model in (ours, theirs):
            as_chat_model(model).bind_tools([add], tool_choice=choice).invoke("1 + 2?")
    assert [body.get("tool_choice") for body in server.bodies] == [sent, sent]


def test_its_events_are_those_of_a_chat_model():
    """`astream_events` has its pieces."""

    async def pieces() -> list[str]:
        chat = as_chat_model(ScriptedModel(lambda _: ["To", "ron", "to"]))
        events = [event async for event in chat.astream_events("x", version="v2")]
        chunks = [event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream"]
        return [chunk.text for chunk in chunks if chunk.text]

    assert asyncio.run(pieces()) == ["To", "ron", "to"]
