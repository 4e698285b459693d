"""Models of LangChain inside of what LangChain wraps around them implement functions, and their keys say how."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI, OpenAI

from llm_strategy import CassetteMiss, LangChainModel, ModelError, llm_strategy, use_cassette
from tests.llm_strategy.answers import reply
from tests.llm_strategy.loopback import Loopback, completion, failure, text_completion

KEY = "sk-loopback-0123456789-0123456789"


def chat(url: str = "http://127.0.0.1:1", **options: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": "gpt-4o", "base_url": url, "api_key": KEY, "max_retries": 0, **options})


def llm(url: str = "http://127.0.0.1:1", **options: Any) -> OpenAI:
    return OpenAI(**{"model": "instruct", "base_url": url, "api_key": KEY, "max_retries": 0, **options})


def configurable(model: Any) -> Any:
    return model.configurable_fields(temperature=ConfigurableField(id="heat"))


def with_alternatives(model: Any) -> Any:
    other = model.model_copy(update={"model_name": "other"})
    return model.configurable_alternatives(ConfigurableField(id="which"), other=other)


WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda model: model,
    "bind": lambda model: model.bind(temperature=0.5),
    "with_config": lambda model: model.with_config(tags=["a"]),
    "with_retry": lambda model: model.with_retry(),
    "with_fallbacks": lambda model: model.with_fallbacks([FakeListChatModel(responses=["x"])]),
    "configurable_fields": configurable,
    "configured": lambda model: configurable(model).with_config(configurable={"heat": 0.5}),
    "alternatives": with_alternatives,
    "an alternative": lambda model: with_alternatives(model).with_config(configurable={"which": "other"}),
    "all": lambda model: configurable(model).with_config(configurable={"heat": 0.5}).with_retry().bind(seed=1),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("make", [chat, llm])
def test_it_implements_functions(wrapping: str, make: Any, tmp_path: Path) -> None:
    """Chat models and LLMs, synchronous and asynchronous, recorded and replayed."""
    answer = completion(reply(3)) if make is chat else text_completion(reply(3))
    with Loopback(answer, answer) as server:
        model = WRAPPINGS[wrapping](make(server.url))

        @llm_strategy(model)
        def add(a: int, b: int) -> int:
            """Add."""
            raise NotImplementedError

        @llm_strategy(model)
        async def asynchronously(a: int, b: int) -> int:
            """Add."""
            raise NotImplementedError

        with use_cassette(tmp_path / "sums.yaml", mode="new") as block:
            assert (add(1, 2), asyncio.run(asynchronously(1, 2))) == (3, 3)
        with use_cassette(tmp_path / "sums.yaml", mode="replay"):
            assert (add(1, 2), asyncio.run(asynchronously(1, 2))) == (3, 3)
    warm = wrapping in ("bind", "configured", "all")
    assert {body.get("temperature") for body in server.bodies} == {0.5 if warm else (0.7 if make is llm else None)}
    assert {body["model"] for body in server.bodies} == {block.calls[0].request.model.partition(":")[2]}
    assert block.calls[0].request.settings.get("temperature") == (0.5 if warm else None)
    assert block.calls[0].request.model == ("openai:other" if wrapping == "an alternative" else f"openai:{_name(make)}")


def _name(make: Any) -> str:
    return "gpt-4o" if make is chat else "instruct"


def test_equal_models_have_equal_keys_however_they_are_configured() -> None:
    """What is configured counts like what is given at once."""
    plain = LangChainModel(chat(temperature=0.5))
    for wrapped in ("bind", "configured"):
        model = LangChainModel(WRAPPINGS[wrapped](chat()))
        assert (model.name, model.settings) == (plain.name, plain.settings)


def test_a_fallback_answers_where_the_first_fails(tmp_path: Path) -> None:
    """The key is the first's; streams fall back as well; where all fail, the error is the first's."""
    with Loopback(failure(500, "down"), failure(500, "down")) as server:
        model = chat(server.url).with_fallbacks([FakeListChatModel(responses=[reply(3), "ab"])])

        @llm_strategy(model)
        def add(a: int, b: int) -> int:
            """Add."""
            raise NotImplementedError

        @llm_strategy(model)
        def tell() -> Iterator[str]:
            """Tell."""
            raise NotImplementedError

        with use_cassette(tmp_path / "sums.yaml", mode="new") as block:
            assert add(1, 2) == 3
            assert "".join(tell()) == "ab"
        with use_cassette(tmp_path / "sums.yaml", mode="replay"):
            assert add(1, 2) == 3
    assert block.calls[0].request.model == "openai:gpt-4o"
    with Loopback(failure(500, "down"), failure(404, "gone")) as server:
        broken = add.with_options(model=chat(server.url).with_fallbacks([chat(server.url)]))
        with use_cassette(tmp_path / "none.yaml", mode="new"), pytest.raises(ModelError, match="answered 500"):
            broken(1, 2)


def test_the_form_of_the_reply_is_what_all_of_them_take() -> None:
    """Strict schemas are asked for where every fallback knows them."""
    with Loopback(reply(3), reply(3)) as server:
        for others in ([chat()], [FakeListChatModel(responses=[reply(3)])]):
            model = LangChainModel(chat(server.url).with_fallbacks(others))

            @llm_strategy(model)
            def add(a: int, b: int) -> int:
                """Add."""
                raise NotImplementedError

            model.generate(add.request(1, 2))
    assert ["response_format" in body for body in server.bodies] == [True, False]


def test_fakes_stay_unrecorded_unless_one_of_them_is_no_fake() -> None:
    """What may cost something is recorded."""
    fake = FakeListChatModel(responses=["a"])
    assert not LangChainModel(fake.with_fallbacks([fake])).recorded
    assert not LangChainModel(FakeListLLM(responses=["a"]).with_retry()).recorded
    assert LangChainModel(fake.with_fallbacks([chat()])).recorded


def test_a_miss_is_none_of_a_fallbacks_business(tmp_path: Path) -> None:
    """In replay nothing is asked, the fallbacks neither."""

    @llm_strategy(chat().with_fallbacks([FakeListChatModel(responses=[reply(3)])]))
    def add(a: int, b: int) -> int:
        """Add."""
        raise NotImplementedError

    with use_cassette(tmp_path / "none.yaml", mode="replay"), pytest.raises(CassetteMiss):
        add(1, 2)


def test_chains_are_no_models() -> None:
    """What takes and gives something else than a model is refused, and the error says what is taken."""
    model = FakeListChatModel(responses=["a"])
    for chain in (PromptTemplate.from_template("{a}") | model, model | str):
        with pytest.raises(TypeError, match="is no model: give a string such as 'openai:gpt-5-mini', an openai client"):
            llm_strategy(chain)
    with pytest.raises(TypeError, match="is neither a chat model nor an LLM of LangChain"):
        llm_strategy((PromptTemplate.from_template("{a}") | model).with_retry())


def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a drink"


@pytest.mark.parametrize("wrapping", ["bind", "with_retry", "with_fallbacks", "configured", "all"])
def test_tools_are_offered_with_all_that_is_bound(wrapping: str, tmp_path: Path) -> None:
    """What `bind` passes goes along with the tools, and a fallback is offered them too."""
    wrap = WRAPPINGS[wrapping]
    with Loopback(completion(reply(3))) as server:
        model = chat(server.url)
        wrapped = model.with_fallbacks([chat()]) if wrapping == "with_fallbacks" else wrap(model)

        @llm_strategy(wrapped, tools=[look_up])
        def rate(word: str) -> int:
            """Rate the word."""
            raise NotImplementedError

        with use_cassette(tmp_path / "rate.yaml", mode="new"):
            assert rate("tea") == 3
    (body,) = server.bodies
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look_up"]
    assert body.get("temperature") == (0.5 if wrapping in ("bind", "configured", "all") else None)
