"""LangChain's caches beside cassettes: what is asked, recorded and replayed where one is set."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_openai import ChatOpenAI, OpenAI

from llm_strategy import ScriptedModel, Usage, call_log, llm_strategy, use_cassette
from llm_strategy.adapters import ChatModelAsLLM, LLMAsChatModel, as_chat_model
from tests.llm_strategy.answers import reply
from tests.llm_strategy.loopback import Loopback, text_completion

KEY = "sk-loopback-0123456789-0123456789"


class Counting(BaseCache):
    """A cache that counts how often it is looked into and written to."""

    def __init__(self, inner: BaseCache) -> None:
        self.inner = inner
        self.lookups = self.updates = 0

    def lookup(self, prompt: str, llm_string: str) -> Any:
        self.lookups += 1
        with warnings.catch_warnings():
            # LangChain's loader calls itself a beta, which as an error would spoil what is in the file.
            warnings.simplefilter("ignore")
            return self.inner.lookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        self.updates += 1
        self.inner.update(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        self.inner.clear(**kwargs)

    @property
    def used(self) -> tuple[int, int]:
        return self.lookups, self.updates


@pytest.fixture(params=["memory", "sqlite"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counting]:
    """A cache of either kind, set for the whole process as users set it."""
    if request.param == "memory":
        inner: BaseCache = InMemoryCache()
    else:
        with warnings.catch_warnings():
            # The package says on import that it is not developed any further.
            warnings.simplefilter("ignore")
            from langchain_community.cache import SQLiteCache

            inner = SQLiteCache(str(tmp_path / "langchain.db"))
    counting = Counting(inner)
    set_llm_cache(counting)
    yield counting
    set_llm_cache(None)
    if request.param == "sqlite":
        inner.engine.dispose()  # type: ignore[attr-defined]  # of SQLAlchemy


def adding(model: Any) -> Any:
    @llm_strategy(model)
    def add(a: int, b: int) -> int:
        """Add."""
        raise NotImplementedError

    return add


def chat_of(server: Loopback) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o", base_url=server.url, api_key=KEY, max_retries=0)


def test_outside_of_cassettes_a_hit_is_a_call_like_any(cache: Counting, tmp_path: Path) -> None:
    """The server is asked once; the log has both calls with what the answer once cost, and none is replayed."""
    live = use_cassette(tmp_path / "unused.yaml", mode="live")
    with Loopback(reply(3)) as server, live, call_log() as calls:
        add = adding(chat_of(server))
        assert (add(1, 2), add(1, 2)) == (3, 3)
    assert len(server.bodies) == 1
    assert cache.used == (2, 1)
    assert [(call.replayed, call.response.usage, call.occurrence) for call in calls] == [
        (False, Usage(11, 7), 1),
        (False, Usage(11, 7), 2),
    ]


@pytest.mark.parametrize("warm", [False, True])
def test_what_is_recorded_is_the_same_with_a_cold_and_a_warm_cache(cache: Counting, warm: bool, tmp_path: Path) -> None:
    """A hit is recorded, and replays where no cache is set; replaying looks into no cache."""
    file = tmp_path / "sums.yaml"
    with Loopback(reply(3)) as server:
        add = adding(chat_of(server))
        if warm:
            with use_cassette(tmp_path / "unused.yaml", mode="live"):
                assert add(1, 2) == 3
        before = cache.used
        with use_cassette(file, mode="new") as block:
            assert add(1, 2) == 3
        assert len(server.bodies) == 1
        assert cache.used == (before[0] + 1, 1)
        assert [call.replayed for call in block.calls] == [False]
        used = cache.used
        with use_cassette(file, mode="replay") as replayed:
            assert add(1, 2) == 3
        assert cache.used == used
        set_llm_cache(None)
        with use_cassette(file, mode="replay") as alone:
            assert add(1, 2) == 3
        assert len(server.bodies) == 1
    (recorded,), (first,), (second,) = block.calls, replayed.calls, alone.calls
    assert first.replayed
    assert first == second
    assert first.response == recorded.response
    assert first.response.usage == Usage(11, 7)
    assert first.response.finish_reason == "stop"


def test_what_was_recorded_is_not_asked_of_the_cache_again(cache: Counting, tmp_path: Path) -> None:
    """Recording more of a cassette looks up only what it lacks."""
    file = tmp_path / "sums.yaml"
    with Loopback(reply(3), reply(7)) as server:
        add = adding(chat_of(server))
        with use_cassette(file, mode="new"):
            add(1, 2)
        with use_cassette(file, mode="new") as block:
            assert (add(1, 2), add(3, 4)) == (3, 7)
    assert cache.used == (2, 2)
    assert [call.replayed for call in block.calls] == [True, False]


def test_equal_calls_of_one_block_are_recorded_each(cache: Counting, tmp_path: Path) -> None:
    """The second is a hit, the server was asked once, and both replay."""
    file = tmp_path / "sums.yaml"
    with Loopback(reply(3)) as server:
        add = adding(chat_of(server))
        with use_cassette(file, mode="new"):
            assert (add(1, 2), add(1, 2)) == (3, 3)
        assert len(server.bodies) == 1
        with use_cassette(file, mode="replay") as block:
            assert (add(1, 2), add(1, 2)) == (3, 3)
    assert [(call.replayed, call.occurrence) for call in block.calls] == [(True, 1), (True, 2)]


def test_a_retry_is_another_request(cache: Counting, tmp_path: Path) -> None:
    """A reply that was no value is not given again to the question what was wrong with it."""
    file = tmp_path / "sums.yaml"
    with Loopback("three", reply(3)) as server:
        add = adding(chat_of(server))
        with use_cassette(file, mode="new") as block:
            assert add(1, 2) == 3
        assert (len(block.calls), cache.used) == (2, (2, 2))
        with use_cassette(tmp_path / "again.yaml", mode="new") as again:
            assert add(1, 2) == 3
        assert len(server.bodies) == 2
    assert [call.response.content for call in again.calls] == ["three", reply(3)]


def test_an_event_loop_uses_the_cache_as_well(cache: Counting, tmp_path: Path) -> None:
    """Asynchronous calls: a hit is recorded, replaying looks into no cache."""

    @llm_strategy(FakeListChatModel(responses=[reply(3), reply(4)]))
    async def add(a: int, b: int) -> int:
        """Add."""
        raise NotImplementedError

    async def both() -> tuple[int, int]:
        return await add(1, 2), await add(1, 2)

    with use_cassette(tmp_path / "sums.yaml", mode="new") as block:
        assert asyncio.run(both()) == (3, 3)
    assert cache.used == (2, 1)
    assert [call.response.usage for call in block.calls] == [None, None]


def test_a_hit_without_tokens_is_an_answer(cache: Counting) -> None:
    """LangChain notes on a hit that it cost nothing, also where nothing is known of its tokens."""
    add = adding(FakeListChatModel(responses=[reply(3), reply(4)]))
    with call_log() as calls:
        assert (add(1, 2), add(1, 2)) == (3, 3)
    assert [call.response.usage for call in calls] == [None, None]


def test_llms_have_their_cache_too(cache: Counting, tmp_path: Path) -> None:
    """Of a hit LangChain tells no tokens, so that none are recorded."""
    with Loopback(text_completion(reply(3))) as server:
        add = adding(OpenAI(model="gpt-3.5-turbo-instruct", base_url=server.url, api_key=KEY, max_retries=0))
        with use_cassette(tmp_path / "sums.yaml", mode="new") as block:
            assert (add(1, 2), add(1, 2)) == (3, 3)
        assert len(server.bodies) == 1
    assert [call.response.usage for call in block.calls] == [Usage(11, 7), None]
    assert cache.used == (2, 1)


def test_streams_are_not_cached(cache: Counting, tmp_path: Path) -> None:
    """LangChain caches no streams; recordings keep them."""

    @llm_strategy(FakeListChatModel(responses=["abc"]))
    def tell(topic: str) -> Iterator[str]:
        """Tell."""
        raise NotImplementedError

    with use_cassette(tmp_path / "tell.yaml", mode="new"):
        assert list(tell("x")) == ["a", "b", "c"]
    assert cache.used == (0, 0)


def test_our_models_leave_the_cache_alone(cache: Counting, tmp_path: Path) -> None:
    """What a cassette records in a chain is not looked up in a cache as well, unless that is asked for."""
    model = ScriptedModel(["a", "b"], recorded=True)
    chat = as_chat_model(model)
    with use_cassette(tmp_path / "chat.yaml", mode="new"):
        assert [chat.invoke("Hello").content for _ in range(2)] == ["a", "b"]
    with use_cassette(tmp_path / "chat.yaml", mode="replay"):
        assert [chat.invoke("Hello").content for _ in range(2)] == ["a", "b"]
    assert cache.used == (0, 0)
    cached = as_chat_model(ScriptedModel(["a", "b"])).model_copy(update={"cache": True})
    assert [cached.invoke("Hello").content for _ in range(2)] == ["a", "a"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LLMAsChatModel(llm=FakeListLLM(responses=["a", "b"])),
        lambda: ChatModelAsLLM(chat_model=FakeListChatModel(responses=["a", "b"])),
    ],
    ids=["an LLM", "a chat model"],
)
def test_behind_an_adapter_the_cache_is_asked_once(cache: Counting, make: Any) -> None:
    """The model inside has the cache, not the adapter too."""
    model = make()
    answers = [model.invoke("Hello") for _ in range(2)]
    assert [getattr(answer, "content", answer) for answer in answers] == ["a", "a"]
    assert cache.used == (2, 1)


def test_a_model_with_a_cache_of_its_own(tmp_path: Path) -> None:
    """`cache=` of the model works like the one that is set for all."""
    own = Counting(InMemoryCache())
    with Loopback(reply(3)) as server:
        chat = ChatOpenAI(model="gpt-4o", base_url=server.url, api_key=KEY, max_retries=0, cache=own)
        with use_cassette(tmp_path / "sums.yaml", mode="new"):
            assert [adding(chat)(1, 2) for _ in range(2)] == [3, 3]
        assert len(server.bodies) == 1
    assert own.used == (2, 1)
