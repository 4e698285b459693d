"""Every way to name a model, and what becomes of what it answers or raises."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from llm_strategy import (
    Message,
    ModelError,
    OpenAIModel,
    Request,
    Response,
    ScriptedModel,
    StubModel,
    llm_function,
    llm_strategy,
    use_cassette,
)
from llm_strategy.models import resolve
from tests.llm_strategy.answers import counting, reply, scripted
from tests.llm_strategy.programs import output


class Smallest:
    """The smallest model of one's own."""

    name = "own:model"

    def generate(self, request: Request) -> Response:
        return Response(reply(7))


class Own(Smallest):
    """One that says that its answers are not to be recorded."""

    recorded = False


class OwnAsync:
    """One that is asynchronous only."""

    name = "own:async"
    recorded = False

    def __init__(self) -> None:
        self.settings = {"temperature": 0.5}

    async def agenerate(self, request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(reply(8))


def make_own() -> Own:
    return Own()


def make_nothing() -> object:
    return object()


def ask(model: Any, **options: Any) -> int:
    @llm_strategy(model, **options)
    def number(text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    return number("a")


def ask_later(model: Any) -> int:
    @llm_strategy(model)
    async def number(text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    async def main() -> int:
        return await number("a")

    return asyncio.run(main())


def prompt_model(model: Any, **options: Any) -> Any:
    """The model that stands in a request."""

    @llm_strategy(model, **options)
    def number(text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    return number.request("a").model


NAMES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "string": ("openai:gpt-5-mini", {}, "openai:gpt-5-mini"),
    "string of LangChain": ("anthropic:claude", {}, "anthropic:claude"),
    "name with a colon": ("openai:ft:gpt:me", {}, "openai:ft:gpt:me"),
    "OpenAIModel": (OpenAIModel("gpt-5-mini"), {}, "openai:gpt-5-mini"),
    "client": (OpenAI(api_key="any"), {"name": "gpt-5-mini"}, "openai:gpt-5-mini"),
    "client, provider named": (OpenAI(api_key="any"), {"name": "openai:gpt-5-mini"}, "openai:gpt-5-mini"),
    "asynchronous client": (AsyncOpenAI(api_key="any"), {"name": "gpt-5-mini"}, "openai:gpt-5-mini"),
    "factory": (lambda: OpenAIModel("gpt-5-mini"), {}, "openai:gpt-5-mini"),
    "factory of a string": (lambda: "openai:gpt-5-mini", {}, "openai:gpt-5-mini"),
    "factory with a name": (make_own, {"name": "openai:gpt-5-mini"}, "openai:gpt-5-mini"),
    "own": (Own(), {}, "own:model"),
    "own, asynchronous": (OwnAsync(), {}, "own:async"),
    "scripted": (ScriptedModel([]), {}, "scripted"),
    "stub": ("stub:", {}, "stub:"),
}


@pytest.mark.parametrize(("model", "options", "name"), NAMES.values(), ids=NAMES)
def test_a_model_can_be_named_in_many_ways(model: Any, options: dict[str, Any], name: str) -> None:
    """String, client, factory or object: what stands in the key is provider and name."""
    assert prompt_model(model, **options) == name


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "no provider": ("gpt-5-mini", ValueError, "write it as in 'openai:gpt-5-mini'"),
    "no name": ("openai:", ValueError, "'openai:' is not of the form 'provider:name'"),
    "empty": ("", ValueError, "not of the form 'provider:name'"),
    "client without a name": (OpenAI(api_key="any"), TypeError, r"serves many models: say which.*name='gpt-5-mini'"),
    "class": (ScriptedModel, TypeError, r"ScriptedModel is a class: give an instance, such as ScriptedModel\(\.\.\.\)"),
    "class to decorate": (threading.Thread, TypeError, r'write @llm_strategy\("openai:gpt-5-mini"\) above it'),
    "number": (3, TypeError, "3 is no model: give a string such as"),
    "content": (b"x" * 1000, TypeError, r"^b'x{198} \.\.\. is no model: give a string such as"),
    "factory with parameters": (lambda key: Own(), TypeError, "is no model"),
    "without a name": (type("Nameless", (), {"generate": Smallest.generate})(), TypeError, "it has no name"),
}


@pytest.mark.parametrize(("model", "error", "cure"), WRONG.values(), ids=WRONG)
def test_what_is_no_model_is_refused_when_it_is_given(model: Any, error: type[Exception], cure: str) -> None:
    """Not at the first call; and the message says what to write instead."""
    with pytest.raises(error, match=cure):
        llm_strategy(model)


def test_a_factory_that_makes_no_model_is_refused_at_the_call() -> None:
    """The message says what it lacks."""
    with pytest.raises(TypeError, match="is no model"):
        ask(make_nothing)


def test_a_factory_is_called_once_and_only_when_needed() -> None:
    """Credentials are looked for when a call must be made, not at import."""
    made = []

    def make() -> ScriptedModel:
        made.append(1)
        return scripted(1, 2)

    @llm_strategy(make)
    def number(text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    assert made == []
    assert (number("a"), number("b")) == (1, 2)
    assert made == [1]


def test_a_factory_with_a_name_is_not_called_in_replay(tmp_path: Any) -> None:
    """So that neither key nor SDK is needed where cassettes answer."""

    def make() -> Any:
        raise RuntimeError("no key here")

    def number(text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    with use_cassette(tmp_path / "x.yaml", "new"):
        recorded = llm_strategy(counting(name="openai:any"))(number)("a")
    with use_cassette(tmp_path / "x.yaml", "replay"):
        assert llm_strategy(make, name="openai:any")(number)("a") == recorded


def test_an_asynchronous_model_serves_synchronous_code_and_the_other_way_round() -> None:
    """One of `generate` and `agenerate` is enough, inside a running event loop too."""

    async def in_a_loop() -> int:
        return ask(OwnAsync())

    assert (ask(Own()), ask_later(Own())) == (7, 7)
    assert (ask(OwnAsync()), ask_later(OwnAsync()), asyncio.run(in_a_loop())) == (8, 8, 8)


def test_settings_of_a_model_are_part_of_the_request_and_the_decorators_come_first() -> None:
    """The temperature of the model is asked for unless the decorator says another."""

    @llm_function
    def number(model: Any, text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    @llm_strategy(OwnAsync(), temperature=1, seed=3)
    def seeded(text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    assert number.request(OwnAsync(), "a").settings == {"temperature": 0.5}
    assert seeded.request("a").settings == {"temperature": 1.0, "seed": 3}


@pytest.mark.parametrize("asking", [ask, ask_later])
def test_what_a_model_raises_arrives_as_a_model_error(asking: Any) -> None:
    """With the model's name, and the original as its cause."""

    class Failing(Own):
        def generate(self, request: Request) -> Response:
            raise ConnectionError("no route")

    with pytest.raises(ModelError, match="the model own:model failed: ConnectionError: no route") as raised:
        asking(Failing())
    assert isinstance(raised.value.__cause__, ConnectionError)


def test_an_error_of_a_model_does_not_show_a_key() -> None:
    """What is raised ends up in logs and bug reports."""

    class Failing(Own):
        def generate(self, request: Request) -> Response:
            raise ValueError("wrong key sk-abcdefghijklmnopqrstuvwxyz012345")

    with pytest.raises(ModelError) as raised:
        ask(Failing())
    assert "abcdef" not in str(raised.value)
    assert "wrong key <openai-key>" in str(raised.value)


def test_a_model_that_answers_with_something_else_is_told_so() -> None:
    """A model of one's own that returns plain text gets a message instead of an AttributeError."""

    class Texting(Own):
        def generate(self, request: Request) -> Response:
            return reply(1)

    with pytest.raises(ModelError, match="has to answer with a Response, not with str"):
        ask(Texting())


def test_without_a_model_the_message_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the code, in the environment, or on pytest's command line."""
    monkeypatch.delenv("LLM_STRATEGY_MODEL", raising=False)
    program = '''
        from llm_strategy import llm_strategy, ModelError

        @llm_strategy()
        def number(text: str) -> int:
            """Say a number."""
            raise NotImplementedError

        try:
            number("a")
        except ModelError as error:
            print(error)
    '''
    printed = output(program)

    assert "no model is given for number" in printed
    assert 'llm_strategy("openai:gpt-5-mini")' in printed
    assert "LLM_STRATEGY_MODEL=openai:gpt-5-mini" in printed
    assert "--llm-model" in printed


def test_the_environment_names_the_model_of_functions_that_name_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is when the function is called."""
    monkeypatch.setenv("LLM_STRATEGY_MODEL", "openai:first")

    @llm_strategy(temperature=0)
    def number(text: str) -> int:
        """Say a number."""
        raise NotImplementedError

    first = number.request("a")
    monkeypatch.setenv("LLM_STRATEGY_MODEL", "openai:second")

    assert (first.model, number.request("a").model) == ("openai:first", "openai:second")
    assert first.settings == {"temperature": 0.0}


def test_naming_a_model_imports_no_provider() -> None:
    """A module that decorates with a string is imported without the provider's package."""
    program = '''
        import sys
        from llm_strategy import llm_strategy

        for model in ("openai:gpt-5-mini", "anthropic:claude", "stub:"):
            @llm_strategy(model)
            def number(text: str) -> int:
                """Say a number."""
                raise NotImplementedError
            number.request("a").key

        print([name for name in ("openai", "langchain", "langchain_core", "httpx", "vcr", "pytest") if name in sys.modules])
    '''

    assert output(program) == "[]"


def test_a_scripted_model_lists_what_it_was_asked() -> None:
    """In order, as the model got it."""
    model = scripted(1, 2)

    ask(model)
    ask(model)

    assert [type(request) for request in model.requests] == [Request, Request]
    assert 'text = "a"' in model.requests[0].messages[-1].content


def test_a_scripted_model_may_answer_by_a_function_or_with_responses() -> None:
    """A function of the request, or a `Response` where usage or finish reason matter."""

    def answer(request: Request) -> str:
        return reply(len(request.messages))

    assert ask(ScriptedModel(answer)) == 2
    assert ask(ScriptedModel([Response(reply(5), finish_reason="stop")])) == 5


def test_a_scripted_model_that_is_used_up_says_so() -> None:
    """With its name, how many replies it has, and what was asked."""
    model = ScriptedModel([reply(1)], name="test:short")
    ask(model)

    with pytest.raises(ModelError, match=r"'test:short' has 1 replies and is asked for number 2: 'def number"):
        ask(model)


def test_a_scripted_model_can_be_asked_by_many_threads() -> None:
    """Each reply is given once."""
    model = scripted(*range(64))
    request = Request("scripted", (Message("user", "next"),))
    given: list[str] = []
    threads = [
        threading.Thread(target=lambda: given.extend(model.generate(request).content for _ in range(8)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(given) == sorted(reply(number) for number in range(64))


@pytest.mark.parametrize(
    ("model", "recorded"),
    [(ScriptedModel([]), False), (counting(), True), (StubModel(), True), (Smallest(), True), (Own(), False)],
)
def test_a_model_says_whether_its_answers_are_recorded(model: Any, recorded: bool) -> None:
    """Providers', stubs' and users' models are; a scripted one is not unless it says so."""
    assert resolve(model).recorded is recorded


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here asks a provider."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
