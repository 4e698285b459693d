"""`OpenAIModel` drives the real `openai` client over real HTTP."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from openai import (
    AsyncAzureOpenAI,
    AsyncOpenAI,
    AuthenticationError,
    AzureOpenAI,
    DefaultAsyncHttpxClient,
    DefaultHttpxClient,
    InternalServerError,
    OpenAI,
)

from llm_strategy.errors import CassetteMiss, ModelError
from llm_strategy.models.openai import OpenAIModel
from llm_strategy.values import BlobPart, Message, Request, Response, Usage
from tests.llm_strategy.loopback import HANG_UP, MODEL, Loopback, Reply, completion, failure, refusal

KEY = "sk-loopback-0123456789-0123456789"
INTEGER = {"type": "object", "properties": {"return_value": {"type": "integer"}}, "required": ["return_value"]}
OPEN_MAP = {
    "type": "object",
    "properties": {"return_value": {"type": "object", "additionalProperties": {"type": "integer"}}},
    "required": ["return_value"],
}
ANSWER = '{"return_value": 1}'


def asked(model: OpenAIModel, schema: Any = INTEGER, **settings: Any) -> Request:
    messages = (Message("system", "Reply with JSON."), Message("user", "One?"))
    return Request(model.name, messages, schema, settings={**model.settings, **settings})


def ask_sync(model: OpenAIModel, request: Request) -> Response:
    return model.generate(request)


def ask_async(model: OpenAIModel, request: Request) -> Response:
    return asyncio.run(model.agenerate(request))


both_ways = pytest.mark.parametrize("ask", [ask_sync, ask_async])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of this machine reaches a test."""
    for name in os.environ:
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Loopback], None]:
    """Point the environment to a server."""

    def point(server: Loopback) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)

    return point


def client(server: Loopback, **options: Any) -> OpenAI:
    return OpenAI(base_url=server.url, api_key=KEY, **{"max_retries": 0, **options})


@both_ways
def test_answers_by_the_environment(ask: Any, use: Any) -> None:
    """A model without client reads key and address from the environment, and decodes the whole answer."""
    with Loopback(ANSWER) as server:
        use(server)
        model = OpenAIModel("gpt-5-mini")
        response = ask(model, asked(model))
    assert response == Response(ANSWER, Usage(11, 7), "stop", MODEL)
    (seen,) = server.requests
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.body == {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "Reply with JSON."}, {"role": "user", "content": "One?"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": {**INTEGER, "additionalProperties": False}},
        },
    }


@both_ways
@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_answers_by_a_client(ask: Any, kind: Any) -> None:
    """Each kind of client serves both kinds of call."""
    with Loopback(ANSWER) as server:
        model = OpenAIModel("m", client=kind(base_url=server.url, api_key=KEY, default_headers={"X-Mine": "1"}))
        assert ask(model, asked(model)).content == ANSWER
    assert server.requests[0].headers["x-mine"] == "1"


def test_an_asynchronous_client_serves_a_synchronous_call_inside_a_loop() -> None:
    """A running event loop is no obstacle to a synchronous call with an asynchronous client."""

    async def main(model: OpenAIModel) -> Response:
        return model.generate(asked(model))

    with Loopback(ANSWER) as server:
        model = OpenAIModel("m", client=AsyncOpenAI(base_url=server.url, api_key=KEY))
        assert asyncio.run(main(model)).content == ANSWER


def test_an_asynchronous_client_with_its_own_transport_says_what_it_cannot() -> None:
    """A client whose transport belongs to one event loop is refused in synchronous code, with the cure."""
    model = OpenAIModel("m", client=AsyncOpenAI(api_key=KEY, http_client=DefaultAsyncHttpxClient()))
    with pytest.raises(ModelError, match=r"give OpenAI\(\.\.\.\), or make the function async"):
        model.generate(asked(model))


@both_ways
@pytest.mark.parametrize("kind", [AzureOpenAI, AsyncAzureOpenAI])
def test_azure_clients_answer(ask: Any, kind: Any) -> None:
    """A client of Azure sends to its deployment."""
    with Loopback(ANSWER) as server:
        azure = kind(azure_endpoint=server.url.removesuffix("/v1"), api_key=KEY, api_version="2025-01-01-preview")
        model = OpenAIModel("gpt-5-mini", client=azure)
        assert ask(model, asked(model)).content == ANSWER
    assert server.requests[0].path.startswith("/openai/deployments/gpt-5-mini/chat/completions?api-version=")


def test_open_maps_are_asked_for_as_json_object() -> None:
    """Where strict mode has no words for the schema, the reply is asked for as a JSON object."""
    with Loopback(ANSWER) as server:
        model = OpenAIModel("m", client=client(server))
        model.generate(asked(model, OPEN_MAP))
    assert server.bodies[0]["response_format"] == {"type": "json_object"}


def test_free_text_is_asked_for_without_format() -> None:
    """A request without schema says nothing about the form of its reply."""
    with Loopback("Hello") as server:
        model = OpenAIModel("m", client=client(server))
        assert model.generate(asked(model, None)).content == "Hello"
    assert "response_format" not in server.bodies[0]


def test_settings_reach_the_server() -> None:
    """Settings are sent by the server's names, those of the request win, unknown ones go along."""
    with Loopback(ANSWER) as server:
        model = OpenAIModel("m", client=client(server), temperature=0, max_tokens=64, seed=7)
        model.generate(asked(model, None, temperature=0.5, top_k=3))
    body = server.bodies[0]
    del body["messages"]
    assert body == {"model": "m", "temperature": 0.5, "max_tokens": 64, "seed": 7, "top_k": 3}


def test_settings_have_one_form() -> None:
    """The same setting is the same JSON however it was written, and None is no setting."""
    settings = OpenAIModel("m", temperature=0, max_completion_tokens=5, stop="x", seed=None).settings
    assert settings.canonical == '{"max_tokens":5,"stop":["x"],"temperature":0.0}'


@pytest.mark.parametrize("name", ["api_key", "base_url", "timeout", "model", "stream"])
def test_what_is_no_setting_is_refused(name: str) -> None:
    """A key or an address given as a setting would end up in a cassette, and is refused."""
    with pytest.raises(TypeError, match=name):
        OpenAIModel("m", **{name: "x"})


def test_the_name_takes_a_prefix_once() -> None:
    """A name is the same with and without its provider, colons of its own included."""
    assert OpenAIModel("openai:gpt-5-mini").name == OpenAIModel("gpt-5-mini").name == "openai:gpt-5-mini"
    assert OpenAIModel("ft:gpt-5-mini:org::id").name == "openai:ft:gpt-5-mini:org::id"


@both_ways
def test_a_429_is_tried_again(ask: Any, use: Any) -> None:
    """The client's own retries serve, and the answer is that of the second attempt."""
    with Loopback(failure(429, "Slow down", retry_after="0"), ANSWER) as server:
        use(server)
        model = OpenAIModel("m")
        assert ask(model, asked(model)).content == ANSWER
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (failure(401, f"Incorrect API key provided: {KEY}"), "openai:m answered 401. .* check the client's key"),
        (failure(403, "Not in your country"), "answered 403: Not in your country. Check what"),
        (failure(404, "No such model"), "answered 404: No such model. Check the model's name"),
        (failure(429, "Slow down"), "answered 429: Slow down. Wait"),
        (failure(429, "Quota", code="insufficient_quota"), "answered 429: Quota. .* billing"),
        (failure(400, "Unsupported value: 'temperature'"), "answered 400: Unsupported value: 'temperature'. Check"),
        (failure(500, "Oops"), "answered 500: Oops. The fault is the server's"),
        (Reply("<html>Bad gateway</html>", 502), "answered 502: .*Bad gateway"),
        (HANG_UP, r"cannot be reached at http://127.0.0.1:\d+/v1: .*disconnected"),
        (Reply({"choices": []}), "sent no chat completion: the body has no choices, only choices. .*/v1"),
        (Reply({"ok": True}), "the body has no choices, only ok"),
        (Reply(["no"]), "the body is a list, not an object"),
        (Reply({"error": {"message": "Overloaded", "code": 529}}), "the server reports an error: Overloaded"),
        (Reply("<html>Hello</html>"), "the body is a str, not an object"),
        (Reply({"choices": [{"finish_reason": "stop"}]}), "the first choice has no message"),
    ],
)
@both_ways
def test_failures_say_what_to_do(ask: Any, reply: Reply, message: str) -> None:
    """Whatever goes wrong arrives as ModelError with a way on, and never with the key."""
    with Loopback(reply) as server:
        model = OpenAIModel("m", client=client(server))
        with pytest.raises(ModelError, match=message) as caught:
            ask(model, asked(model, None))
    assert caught.value.__cause__ is not None
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "cause"),
    [(failure(401, "No"), AuthenticationError), (failure(500, "Oops"), InternalServerError)],
)
def test_the_cause_is_the_clients_own_error(reply: Reply, cause: type) -> None:
    """Who wants more than the message finds the client's error, with its response, as the cause."""
    with Loopback(reply) as server:
        model = OpenAIModel("m", client=client(server))
        with pytest.raises(ModelError) as caught:
            model.generate(asked(model))
    assert isinstance(caught.value.__cause__, cause)


@both_ways
def test_a_server_that_is_not_there(ask: Any) -> None:
    """A refused connection names the address, without the password in it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nobody = OpenAI(base_url=f"http://me:secret@127.0.0.1:{port}/v1", api_key=KEY, max_retries=0)
    model = OpenAIModel("m", client=nobody)
    with pytest.raises(ModelError, match=f"openai:m cannot be reached at http://127.0.0.1:{port}/v1: .*refused"):
        ask(model, asked(model))


def test_a_slow_server_is_told_from_an_absent_one() -> None:
    """A timeout says that the server did not answer in time."""
    release = threading.Event()

    def wait(seen: object) -> str:
        release.wait(10)
        return ANSWER

    with Loopback(wait) as server:
        model = OpenAIModel("m", client=client(server, timeout=0.2))
        with pytest.raises(ModelError, match="did not answer in time"):
            model.generate(asked(model))
        release.set()


def test_a_cut_off_reply_is_a_response() -> None:
    """A reply that ran into its limit comes back as it is, with the reason."""
    with Loopback(completion('{"return_', finish_reason="length")) as server:
        model = OpenAIModel("m", client=client(server))
        assert model.generate(asked(model)) == Response('{"return_', Usage(11, 7), "length", MODEL)


def test_a_refusal_is_a_response() -> None:
    """A refusal comes back in the model's own words."""
    with Loopback(refusal("I can't help with that.")) as server:
        model = OpenAIModel("m", client=client(server))
        assert model.generate(asked(model)) == Response("I can't help with that.", Usage(11, 7), "refusal", MODEL)


def test_a_reply_that_does_not_fit_is_a_response() -> None:
    """What a reply is worth is for others to say: the model hands it on unread."""
    with Loopback("Sorry, no JSON \N{PILE OF POO} today") as server:
        model = OpenAIModel("m", client=client(server))
        assert model.generate(asked(model)).content == "Sorry, no JSON \N{PILE OF POO} today"


def test_a_lone_surrogate_survives() -> None:
    """A half of a surrogate pair, which JSON can carry, arrives as it was sent."""
    with Loopback("half: \ud83d") as server:
        model = OpenAIModel("m", client=client(server))
        assert model.generate(asked(model)).content == "half: \ud83d"


UNAVAILABLE = failure(400, "This response_format type is unavailable now")


@both_ways
def test_a_refused_form_is_followed_by_the_weaker_one(ask: Any) -> None:
    """A server that knows only JSON mode is asked in JSON mode, and for this schema from then on."""
    with Loopback(UNAVAILABLE, ANSWER, ANSWER) as server:
        model = OpenAIModel("m", client=client(server))
        assert [ask(model, asked(model)).content for _ in range(2)] == [ANSWER, ANSWER]
    assert [body["response_format"]["type"] for body in server.bodies] == ["json_schema", "json_object", "json_object"]


@pytest.mark.parametrize(
    "words",
    [
        "Invalid schema for response_format 'reply': In context=(), 'x' is not permitted.",
        "The provided JSON schema contains features not supported by xgrammar.",
        "invalid JSON schema in format",
        "failed to parse grammar",
    ],
)
def test_refusals_are_known_by_their_words(words: str) -> None:
    """The servers in use say in different words that they cannot follow a schema."""
    with Loopback(failure(400, words), ANSWER) as server:
        model = OpenAIModel("m", client=client(server))
        assert model.generate(asked(model)).content == ANSWER


def test_a_server_that_knows_no_form_is_asked_without() -> None:
    """A server that refuses every form answers the prompt, which states the schema."""
    lm_studio = Reply({"error": "'response_format.type' must be 'text'"}, 400)
    with Loopback(lm_studio, failure(422, "response_format: extra field"), ANSWER) as server:
        model = OpenAIModel("m", client=client(server))
        assert model.generate(asked(model)).content == ANSWER
    assert [body.get("response_format", {}).get("type") for body in server.bodies] == [
        "json_schema",
        "json_object",
        None,
    ]


def test_a_400_about_something_else_is_not_tried_again() -> None:
    """Only a refusal of the form itself is followed by another form."""
    with Loopback(failure(400, "Unknown parameter: 'seed'")) as server:
        model = OpenAIModel("m", client=client(server))
        with pytest.raises(ModelError, match="Unknown parameter"):
            model.generate(asked(model))
    assert len(server.requests) == 1


def test_a_form_of_the_users_own_wins() -> None:
    """A `response_format` among the settings is sent as it is."""
    with Loopback(ANSWER) as server:
        model = OpenAIModel("m", client=client(server), response_format={"type": "json_object"})
        model.generate(asked(model))
    assert server.bodies[0]["response_format"] == {"type": "json_object"}


@both_ways
def test_a_missing_key_names_the_variables(ask: Any) -> None:
    """Without credentials the error names what to set."""
    model = OpenAIModel("gpt-5-mini")
    with pytest.raises(ModelError, match=r"openai:gpt-5-mini .*set OPENAI_API_KEY .*OPENAI_BASE_URL"):
        ask(model, asked(model))


@both_ways
def test_a_changed_environment_counts(ask: Any, use: Any) -> None:
    """A model lives as long as its module; an address set later is used all the same."""
    model = OpenAIModel("m")
    for content in ("first", "second"):
        with Loopback(content) as server:
            use(server)
            assert ask(model, asked(model, None)).content == content


def test_event_loops_do_not_share_clients(use: Any) -> None:
    """One model serves one event loop after the other, and leaves no open connection behind."""
    with Loopback(*[ANSWER] * 6) as server:
        use(server)
        model = OpenAIModel("m")

        async def twice() -> list[Response]:
            return await asyncio.gather(*(model.agenerate(asked(model)) for _ in range(2)))

        for _ in range(3):
            assert [response.content for response in asyncio.run(twice())] == [ANSWER, ANSWER]
            gc.collect()
    assert {seen.headers["connection"] for seen in server.requests} == {"close"}


def test_a_model_travels_to_other_processes() -> None:
    """A model without client can be pickled and copied."""
    model = OpenAIModel("m", temperature=0)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):  # noqa: S301  # made right here
        assert (again.name, again.settings) == (model.name, model.settings)


def test_threads_share_one_client(use: Any) -> None:
    """Calls from many threads at once all get their answers."""
    with Loopback(*[ANSWER] * 8) as server:
        use(server)
        model = OpenAIModel("m")
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda: answers.append(model.generate(asked(model)).content)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [ANSWER] * 8


@both_ways
def test_what_is_no_exception_passes(ask: Any) -> None:
    """A miss raised below the client is not taken for an error of the provider."""

    def refuse(request: object) -> None:
        raise CassetteMiss("not recorded")

    hooks = {"request": [refuse]}
    with Loopback(ANSWER) as server:
        model = OpenAIModel("m", client=client(server, http_client=DefaultHttpxClient(event_hooks=hooks)))
        with pytest.raises(CassetteMiss):
            ask(model, asked(model))
    assert server.requests == []


def test_content_without_place_is_refused() -> None:
    """What Chat Completions cannot carry is refused before anything is sent."""
    model = OpenAIModel("m", client=OpenAI(api_key=KEY))
    request = Request(model.name, (Message("user", [BlobPart("video", "video/mp4", "AAAA")]),))
    with pytest.raises(ModelError, match="no place for video \\(video/mp4\\) given as content"):
        model.generate(request)


def test_the_package_is_imported_on_the_first_call() -> None:
    """Making a model imports no SDK; a call without the package says how to install it."""
    code = (
        "import sys\n"
        "from llm_strategy.models.openai import OpenAIModel\n"
        "from llm_strategy.values import Message, Request\n"
        "model = OpenAIModel('m', temperature=0)\n"
        "assert 'openai' not in sys.modules\n"
        "sys.modules['openai'] = None\n"
        "try:\n"
        "    model.generate(Request(model.name, (Message('user', 'x'),)))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == 'ModelError openai:m needs the package openai: pip install "llm-strategy[openai]"\n'
