"""`llm-strategy import`: answers in LangChain's SQLite cache replay for the models that got them."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from llm_strategy import Cassette, CassetteMiss, use_cassette
from llm_strategy.cli import main
from tests.llm_strategy.loopback import Loopback, completion
from tests.llm_strategy.programs import output

CACHE = Path(".langchain.db")
CASSETTE = "cassettes/langchain.yaml"
NOWHERE = "http://127.0.0.1:9/v1"
TOOL = {"id": "call_x", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
SCHEMA = {"title": "Sum", "type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}


class Sum(BaseModel):
    sum: int


def add(a: int, b: int) -> int:
    """Add two integers."""
    raise NotImplementedError


def model(url: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-5-mini", base_url=url, api_key="sk-any", max_retries=0, **settings)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty project, in which nothing is cached."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LLM_STRATEGY_RECORD"):
        monkeypatch.delenv(name, raising=False)
    yield
    set_llm_cache(None)
    while _opened:
        _opened.pop().dispose()


_opened: list[Any] = []
"""The databases of a test, which the cache does not close."""


def caching() -> None:
    """Let LangChain's real cache answer from now on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package says that it is no longer maintained
        cache = pytest.importorskip("langchain_community.cache", reason="LangChain's SQLiteCache is not installed")
    opened = cache.SQLiteCache(str(CACHE))
    _opened.append(opened.engine)
    set_llm_cache(opened)


def imported(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    main(["import", str(CACHE), "--json"])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def conversation(url: str) -> list[Any]:
    """Plain calls, settings, tools and their results, a schema, stop words."""
    plain, warm = model(url), model(url, max_tokens=7, seed=1, model_kwargs={"user": "me"})
    asked = HumanMessage("1 + 2?")
    calling = plain.bind_tools([add]).invoke([asked])
    return [
        plain.invoke("Hello").content,
        warm.invoke([SystemMessage("Be brief."), HumanMessage("Grüß Gott 🙂")], stop=["\n"]).content,
        calling.tool_calls[0]["args"],
        plain.invoke(
            [asked, AIMessage("", tool_calls=calling.tool_calls), ToolMessage("3", tool_call_id="call_x")]
        ).content,
        json.loads(str(plain.bind(response_format=FORM).invoke("As JSON").content)),
        plain.invoke(
            [HumanMessage([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": PNG}])]
        ).content,
    ]


PNG = {"url": "data:image/png;base64,iVBORw0KGgo="}
FORM = {"type": "json_schema", "json_schema": {"name": "Sum", "schema": SCHEMA}}


def test_cached_answers_replay_for_the_model_that_got_them(capsys: pytest.CaptureFixture[str]) -> None:
    """What the real ChatOpenAI has cached it gets back over HTTP, with the cache gone and the server stopped."""
    caching()
    calling = completion(None, finish_reason="tool_calls", tool_calls=[TOOL])
    with Loopback(calling, "Hi!", "Hallo", "3", '{"sum": 3}', "A dot") as server:
        cached = conversation(server.url)
        assert len(server.requests) == 6
    assert imported(capsys)["outcomes"] == {"imported": 6, "not_a_model_call": 0, "unsupported": 0, "malformed": 0}
    set_llm_cache(None)
    with use_cassette(CASSETTE, http=True):
        assert conversation(NOWHERE) == cached
    with use_cassette(CASSETTE, http=True), pytest.raises(CassetteMiss):
        model(NOWHERE).invoke("Hello!")
    assert Cassette(CASSETTE).header["answered_by"] == "loopback-1"


def test_what_the_cache_has_only_by_name_is_unsupported(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a class for the answer the cache keeps the name: the call is reported, and the others are imported."""
    caching()
    with Loopback('{"sum": 3}', "Hi!") as server:
        model(server.url).with_structured_output(Sum).invoke("1 + 2?")
        model(server.url).invoke("Hello")
    said = imported(capsys)
    assert said["outcomes"] == {"imported": 1, "not_a_model_call": 0, "unsupported": 1, "malformed": 0}
    assert said["problems"] == [
        {
            "file": ".langchain.db",
            "index": 0,
            "outcome": "unsupported",
            "reason": "a class was passed with the call, of which the cache has only the name; record it: "
            "pytest --llm-record",
        }
    ]


def put(*rows: tuple[str, str, int, str]) -> None:
    """A cache with these rows."""
    with closing(sqlite3.connect(CACHE)) as database:
        database.execute("CREATE TABLE full_llm_cache (prompt TEXT, llm TEXT, idx INTEGER, response TEXT)")
        database.executemany("INSERT INTO full_llm_cache VALUES (?, ?, ?, ?)", rows)
        database.commit()


CHAT = json.dumps(
    {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "chat_models", "openai", "ChatOpenAI"],
        "kwargs": {"model_name": "gpt-5-mini"},
    }
)
PROMPT = json.dumps(
    [
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", "HumanMessage"],
            "kwargs": {"content": "Hello", "type": "human"},
        }
    ]
)


def generation(text: str) -> str:
    message = {"kwargs": {"content": text, "response_metadata": {"model_name": "m", "finish_reason": "stop"}}}
    return json.dumps({"kwargs": {"message": message}})


ROWS = {
    "a model of another class": ((PROMPT, CHAT.replace("ChatOpenAI", "ChatAnthropic"), 0, "{}"), "ChatAnthropic"),
    "a completion model": (("Hello", "[('_type', 'openai')]", 0, "Hi!"), "of which class"),
    "a prompt that is none": (("Hello", f"{CHAT}---[]", 0, generation("Hi!")), "prompt"),
    "another object as the prompt": (
        (PROMPT.replace("HumanMessage", "PromptTemplate"), f"{CHAT}---[]", 0, generation("Hi!")),
        "prompt",
    ),
    "an answer that is none": ((PROMPT, f"{CHAT}---[('stop', None)]", 0, "Hi!"), "none of a chat model"),
    "settings that run something": ((PROMPT, f"{CHAT}---__import__('os').system('touch hacked')", 0, "{}"), "name"),
    "a model that streams": (
        (PROMPT, CHAT.replace('"gpt-5-mini"', '"gpt-5-mini", "streaming": true') + "---[]", 0, generation("Hi!")),
        "streamed",
    ),
    "a call that streams": ((PROMPT, f"{CHAT}---[('stream', True)]", 0, generation("Hi!")), "streamed"),
    "the Responses API": (
        (PROMPT, CHAT.replace('"gpt-5-mini"', '"gpt-5-mini", "use_responses_api": true') + "---[]", 0, generation("")),
        "Responses",
    ),
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_cannot_be_rebuilt_are_named(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each row that is not imported says why; none runs code."""
    row, reason = ROWS[kind]
    put(
        row,
        (PROMPT, f"{CHAT}---[('stop', None)]", 0, generation("Hi!")) if row[1] != f"{CHAT}---[('stop', None)]" else row,
    )
    said = imported(capsys)
    assert said["problems"][0]["outcome"] == "unsupported"
    assert reason in said["problems"][0]["reason"]
    assert not Path("hacked").exists()


def test_several_choices_are_one_call(capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of one prompt and model are the choices of one answer."""
    put(*((PROMPT, f"{CHAT}---[('stop', None)]", index, generation(text)) for index, text in enumerate(("A", "B"))))
    assert imported(capsys)["outcomes"]["imported"] == 1
    (call,) = Cassette(CASSETTE)
    assert call.response.content == "A"
    assert [choice["message"]["content"] for choice in call.response.http["body"]["choices"]] == ["A", "B"]


WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "langchain_openai":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from llm_strategy.cli import main
main(["import", ".langchain.db", "--json"])
"""


def test_without_langchain_the_command_that_helps_is_named(run_output: Callable[[str], str]) -> None:
    """Where langchain-openai is not installed, nothing is rebuilt, and the reason says what to install."""
    put((PROMPT, f"{CHAT}---[('stop', None)]", 0, generation("Hi!")))
    (problem,) = json.loads(run_output(WITHOUT))["problems"]
    assert problem["outcome"] == "unsupported"
    assert 'pip install "llm-strategy[langchain]"' in problem["reason"]


@pytest.fixture
def run_output(tmp_path: Path) -> Callable[[str], str]:
    return lambda program: output(program, cwd=tmp_path)
