"""Calls that tests make with a provider's own client, under `llm_http = true` and the marker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.llm_strategy.loopback import Loopback, Seen
from tests.pytest_llm_strategy.conftest import Project

ASK = """
import os

import httpx

URL = os.environ.get("SERVER", "http://127.0.0.1:9/v1") + "/chat/completions"

def ask(text, client=httpx, **settings):
    return answer(client.post(URL, json=asked(text, **settings)))

async def aask(text, client):
    return answer(await client.post(URL, json=asked(text)))

def asked(text, **settings):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **settings}

def answer(reply):
    return reply.json()["choices"][0]["message"]["content"]
"""
ON = "-o", "llm_http=true"


@pytest.fixture
def direct(project: Project) -> Project:
    """A project that asks by a client of its own."""
    project.write(asking=ASK)
    return project


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A provider that counts its answers; the environment of the tests names it."""
    numbers = iter(range(1, 1000))

    def answer(seen: Seen) -> str:
        return f"{seen.body['messages'][-1]['content']} {next(numbers)}"

    with Loopback(*[answer] * 999) as server:
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        yield server


def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server any more, and no key."""
    monkeypatch.delenv("SERVER")
    monkeypatch.delenv("OPENAI_API_KEY")


# Where HTTP calls are taken in


EVERYWHERE = """
import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import pytest_asyncio
from asking import aask, ask
from llm_strategy import use_cassette


@pytest.fixture(scope="session")
def client():
    with httpx.Client() as client:
        yield client


@pytest.fixture(scope="module")
def wide(client):
    yield ask("wide", client)
    assert ask("wide, at the end", client).startswith("wide, at the end")


@pytest_asyncio.fixture
async def narrow():
    async with httpx.AsyncClient() as client:
        yield await aask("narrow", client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wide_async():
    async with httpx.AsyncClient() as client:
        yield await aask("wide async", client)


def test_one(client, wide, llm_calls):
    assert wide.startswith("wide")
    assert ask("one", client).startswith("one")
    assert [call.request.messages[0].content for call in llm_calls] == ["one"]


def test_two(wide, client):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: ask(f"two {number % 3}", client), range(12)))
    assert [answer[:5] for answer in answers] == [f"two {number % 3}" for number in range(12)]
    assert len(set(answers)) == 12


@pytest.mark.asyncio
async def test_three(narrow):
    assert narrow.startswith("narrow")
    async with httpx.AsyncClient() as client:
        assert len(await asyncio.gather(*[aask(f"three {number}", client) for number in range(5)])) == 5


@pytest.mark.asyncio(loop_scope="module")
async def test_four(wide_async):
    assert wide_async.startswith("wide async")


def test_five(client):
    with use_cassette("cassettes/block.yaml"):
        assert ask("in a block", client).startswith("in a block")
"""
FILES = [
    "block.yaml",
    "test_it/fixtures/wide.yaml",
    "test_it/fixtures/wide_async.yaml",
    "test_it/test_one.yaml",
    "test_it/test_three.yaml",
    "test_it/test_two.yaml",
]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_with_the_ini_option_every_scope_takes_in_http_calls(
    direct: Project, server: Loopback, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    """Tests, threads, async and wider fixtures, blocks: each records into its own cassette, and replays without key."""
    direct.write(test_it=EVERYWHERE)
    recorded = direct.pytest("--llm-record", *ON, *workers)
    recorded.assert_outcomes(passed=5)
    assert direct.cassettes == FILES
    gone(monkeypatch)
    replayed = direct.pytest(*ON, *workers)
    replayed.assert_outcomes(passed=5)
    if not workers:
        recorded.stdout.fnmatch_lines(["model calls: asked 23, reused 0, copied 0, * input and * output tokens"])
        replayed.stdout.fnmatch_lines(["model calls: 23 replayed"])


def test_nothing_is_left_patched(direct: Project, server: Loopback) -> None:
    """Interception stays from the first HTTP scope to the end of the session; then all is as it was."""
    direct.write(
        conftest="""
import os
import httpcore

real = httpcore.ConnectionPool.handle_request

def pytest_unconfigure():
    assert httpcore.ConnectionPool.handle_request is real
    assert not os.environ.get("LLM_STRATEGY_ALLOWED_HOSTS")
    assert "startup" not in os.environ["PYTHONPATH"]
    print("all as before")

def pytest_runtest_logfinish(nodeid):
    patched = httpcore.ConnectionPool.handle_request is not real
    print(nodeid, "patched" if patched else "as it was", os.environ["LLM_STRATEGY_ALLOWED_HOSTS"])
""",
        test_it="""
import pytest

def test_before():
    pass

@pytest.mark.llm_cassette(http=True)
def test_one():
    pass

def test_after():
    pass
""",
    )
    result = direct.pytest("-s", "-p", "no:xdist", "-o", "llm_allowed_hosts=db.example.com example.org")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "*test_before as it was db.example.com example.org",
            "*test_one patched db*",
            "*test_after patched db*",
            "all as before",
        ]
    )


def test_the_marker_may_leave_http_calls_alone(direct: Project, server: Loopback) -> None:
    """`http=False` at a test means that its calls pass under `llm_http`."""
    direct.write(
        test_it="""
import pytest
from asking import ask

@pytest.mark.llm_cassette(http=False)
def test_it():
    assert ask("anything").startswith("anything")
"""
    )
    direct.pytest(*ON).assert_outcomes(passed=1)
    assert len(server.requests) == 1
    assert direct.cassettes == []


def test_what_a_module_says_of_http_calls_holds_beside_a_tests_own_marker(direct: Project, server: Loopback) -> None:
    """A marker that is about something else does not turn it off; one that says otherwise does."""
    direct.write(
        test_it="""
import pytest
from asking import ask

pytestmark = pytest.mark.llm_cassette(http=True)


@pytest.mark.llm_cassette(ignore=["$.user"])
def test_on():
    ask("hi")


@pytest.mark.llm_cassette(http=False)
def test_off():
    ask("hi")
"""
    )
    direct.pytest("--llm-record").assert_outcomes(passed=2)
    assert direct.cassettes == ["test_it/test_on.yaml"]


def test_what_differs_from_run_to_run_is_ignored(
    direct: Project, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON paths of the ini option and of the marker leave values out of the key."""
    direct.write(
        test_it="""
import uuid
import pytest
from asking import ask

@pytest.mark.llm_cassette(http=True, ignore=["$.user"])
def test_it():
    assert ask("x", user=str(uuid.uuid4()), metadata={"id": str(uuid.uuid4())})
"""
    )
    ini = "-o", "llm_http_ignore=$.metadata.id"
    direct.pytest("--llm-record", *ini).assert_outcomes(passed=1)
    gone(monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    direct.pytest(*ini).assert_outcomes(passed=1)
    direct.pytest().assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("llm_http_hosts=https://x.example.com/v1", "llm_http_hosts: 'https://x.example.com/v1' is no host*"),
        (
            "llm_http_hosts=127.0.0.1:8765",
            "llm_http_hosts: '127.0.0.1:8765' is no host*, without scheme, port and path",
        ),
        ("llm_http_hosts=192.0.2.0/24", "llm_http_hosts: '192.0.2.0/24' is no host*"),
        ("llm_allowed_hosts=a/b", "llm_allowed_hosts: 'a/b' is no host*"),
        ("llm_http_ignore=user", "llm_http_ignore: 'user' is no path*"),
    ],
)
def test_bad_settings_are_named(direct: Project, option: str, message: str) -> None:
    """What cannot be is refused at the start."""
    result = direct.pytest("-o", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


@pytest.mark.parametrize("ignore", ["'$.user'", "['user']"])
def test_bad_paths_at_the_marker_are_named(direct: Project, ignore: str) -> None:
    """The test that has them fails."""
    direct.write(
        test_it=f"import pytest\n@pytest.mark.llm_cassette(http=True, ignore={ignore})\ndef test_it():\n    pass\n"
    )
    result = direct.pytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it.py::test_it: the marker llm_cassette cannot be used: *path*"])


# As at the decorator


def test_a_changed_prompt_is_a_miss(direct: Project, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A swallowed miss fails the test, is counted in the summary, and says where the call was made and what changed."""
    direct.write(
        test_it="""
from asking import ask

def test_it():
    try:
        ask("What is 2+3?")
    except BaseException:
        pass
"""
    )
    direct.pytest("--llm-record", *ON).assert_outcomes(passed=1)
    gone(monkeypatch)
    direct.edit("test_it.py", "2+3", "2+4")
    result = direct.pytest(*ON)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["no recording answers this call of *", "*-What is 2+3[?]*", "*+What is 2+4[?]*", "model calls: 1 missed*"]
    )


def test_asking_afresh(direct: Project, server: Loopback) -> None:
    """`--llm-record=all` replaces a recording when its test has passed, and only then."""
    direct.write(
        test_it="""
import os
from asking import ask

def test_it():
    ask("x")
    assert "FAIL" not in os.environ
"""
    )
    direct.pytest("--llm-record", *ON).assert_outcomes(passed=1)
    before = direct.cassette("test_it/test_it.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIL", "1")
        direct.pytest("--llm-record=all", *ON).assert_outcomes(failed=1)
    assert direct.cassette("test_it/test_it.yaml") == before
    assert direct.cassettes == ["test_it/test_it.new.yaml", "test_it/test_it.yaml"]
    direct.pytest("--llm-record=all", *ON).assert_outcomes(passed=1)
    assert direct.cassettes == ["test_it/test_it.yaml"]
    assert "x 3" in direct.cassette("test_it/test_it.yaml")


def test_prompts_as_a_snapshot(direct: Project, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """`prompt_snapshot` has the prompts of HTTP calls."""
    direct.write(
        test_it="""
from asking import ask

def test_it(llm_calls, prompt_snapshot):
    ask("What is 2+3?")
    assert llm_calls == prompt_snapshot
"""
    )
    direct.pytest("--llm-record", "--snapshot-update", *ON).assert_outcomes(passed=1)
    [snapshot] = (direct.path / "__snapshots__").rglob("*.md")
    assert "What is 2+3?" in snapshot.read_text()
    gone(monkeypatch)
    direct.pytest(*ON).assert_outcomes(passed=1)


def test_nothing_is_spent_in_a_dry_run(direct: Project, server: Loopback) -> None:
    """What would be asked is listed."""
    direct.write(test_it="from asking import ask\ndef test_it():\n    ask('x')\n")
    result = direct.pytest("--llm-record=dry", *ON)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["model calls: 1 would be asked"])
    assert server.requests == []


def test_faults_are_put_into_decorated_calls_only(direct: Project, server: Loopback) -> None:
    """Under `llm_http`, the variants of a test replay its HTTP calls as they are."""
    direct.write(
        test_it="""
import pytest
from asking import ask
from llm_strategy import LLMStrategyError
from shop import shop

@pytest.mark.llm_faults("malformed", "timeout")
def test_it(llm_fault):
    assert ask("before") == "before 1"
    if llm_fault:
        with pytest.raises(llm_fault.error):
            shop.find("light")
    else:
        shop.find("light")
    assert ask("after") == "after 2"
"""
    )
    direct.pytest("--llm-record", *ON, "-k", "not call").assert_outcomes(passed=1)
    result = direct.pytest("-v", *ON)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*::test_it[[]malformed-call2] PASSED*", "*::test_it[[]timeout-call2] PASSED*"])


# What is made at import


def test_clients_made_at_import_need_no_key(direct: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """In replay the SDKs that insist on a key find a placeholder, before conftest.py is imported."""
    for name in ("ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    direct.write(
        conftest="""
import anthropic
import openai
from google import genai

clients = openai.OpenAI(), anthropic.Anthropic(), genai.Client()
""",
        test_it="import conftest\n\ndef test_it():\n    assert conftest.clients\n",
    )
    direct.pytest(*ON).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (ON, "placeholder"),
        ((*ON, "-n", "2"), "placeholder"),
        ((*ON, "--llm-record=replay"), "placeholder"),
        ((*ON, "--llm-record=dry"), "placeholder"),
        ((*ON, "--llm-record"), None),
        ((*ON, "--llm-record=all"), None),
        ((*ON, "--llm-record=live"), None),
        ((*ON, "-o", "llm_placeholder_keys=false"), None),
        ((), None),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else str(given),
)
def test_when_placeholders_are_set(direct: Project, options: tuple[str, ...], key: str | None) -> None:
    """With `llm_http`, where nobody is asked, from the beginning to the end of pytest; they are no secrets."""
    direct.write(
        conftest="""
import atexit
import os

at_import = os.environ.get("OPENAI_API_KEY")
atexit.register(lambda: print("left:", os.environ.get("OPENAI_API_KEY")))
""",
        test_it=f"""
import conftest
from llm_strategy.known_secrets import known

def test_it():
    assert conftest.at_import == {key!r}
    assert known().find("placeholder") is None
""",
    )
    result = direct.pytest(*options, "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["left: None"])


def test_keys_that_are_there_stay(direct: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A placeholder takes no key's place, and of two names for one key only one is set."""
    direct.write(
        test_it="""
import os

def test_it():
    names = "OPENAI_API_KEY GOOGLE_API_KEY GEMINI_API_KEY AWS_ACCESS_KEY_ID AWS_PROFILE MISTRAL_API_KEY".split()
    assert [os.environ.get(name) for name in names] == ["mine", None, "mine", None, "mine", "placeholder"]
"""
    )
    for name in ("GOOGLE_API_KEY", "MISTRAL_API_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "AWS_PROFILE"):
        monkeypatch.setenv(name, "mine")
    direct.pytest(*ON).assert_outcomes(passed=1)


def test_a_call_at_import_is_a_miss(direct: Project, server: Loopback) -> None:
    """What is asked while tests are collected has no cassette: it is never live."""
    direct.write(test_it="from asking import ask\nask('x')\ndef test_it():\n    pass\n")
    result = direct.pytest(*ON)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*called outside every test and fixture*"])
    assert server.requests == []


# The guard


def test_a_provider_cannot_be_reached(direct: Project) -> None:
    """A client that is not recorded fails the test in replay, though it swallows everything; the database is reached."""
    direct.write(
        test_it="""
import socket
import urllib.request

import pytest

def test_swallowed():
    try:
        urllib.request.urlopen("https://api.openai.com/v1/models")
    except BaseException:
        pass

@pytest.mark.parametrize("n", range(3))
def test_telemetry(n):
    try:
        urllib.request.urlopen("https://1.1.1.1/")
    except OSError:
        pass

def test_database():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
"""
    )
    result = direct.pytest(*ON)
    result.assert_outcomes(passed=4, failed=1)
    assert result.stdout.str().count("a connection to 1.1.1.1 was refused") == 1
    result.stdout.fnmatch_lines(
        [
            "*_ test_swallowed _*",
            "a connection to api.openai.com is refused*",
            "made at test_it.py:9, in test_it.py::test_swallowed",
            "model calls: 1 missed",
            "  a connection to 1.1.1.1 was refused (made at test_it.py:16, in test_it.py::test_telemetry[[]0[]]): *",
        ]
    )
    direct.pytest().stdout.no_fnmatch_line("*is refused*")


def test_a_recording_that_captured_nothing(direct: Project) -> None:
    """The summary names what was connected to by a client that is not recorded."""
    direct.write(
        test_it="""
import socket

def test_it():
    with socket.socket(type=socket.SOCK_DGRAM) as opened:
        opened.connect(("1.1.1.1", 443))
"""
    )
    result = direct.pytest("--llm-record", *ON)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["  no HTTP call was recorded while 1.1.1.1 was connected to (by test_it.py::test_it): *"]
    )
    assert direct.cassettes == []


# A suite that calls no provider


MOCKED = """
import asyncio
import json
import socket
import threading

import httpx
import pytest
import requests
import responses
import respx

REPLY = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "mocked"}}]}
URL = "https://api.openai.com/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def test_respx(respx_mock):
    respx_mock.post(URL).mock(return_value=httpx.Response(200, json=REPLY))
    assert httpx.post(URL, json=BODY).json() == REPLY


@respx.mock
def test_respx_as_a_decorator():
    respx.post(URL).respond(json=REPLY)
    assert httpx.Client().post(URL, json=BODY).json() == REPLY


def test_pytest_httpx(httpx_mock):
    httpx_mock.add_response(url=URL, json=REPLY)
    assert httpx.post(URL, json=BODY).json() == REPLY


@responses.activate
def test_responses():
    responses.post(URL, json=REPLY)
    assert requests.post(URL, json=BODY).json() == REPLY


def test_mock_transport():
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=REPLY))
    with httpx.Client(transport=transport) as client:
        assert client.post(URL, json=BODY).json() == REPLY


def test_client_of_an_application():
    def application(environment, start):
        start("200 OK", [("content-type", "application/json")])
        return [json.dumps(REPLY).encode()]

    with httpx.Client(transport=httpx.WSGITransport(application), base_url="http://testserver") as client:
        assert client.post("/v1/chat/completions", json=BODY).json() == REPLY


def test_client_of_an_asynchronous_application():
    async def application(scope, receive, send):
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(REPLY).encode()})

    async def ask():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            assert (await client.post("/v1/chat/completions", json=BODY)).json() == REPLY

    asyncio.run(ask())


@pytest.fixture(scope="module")
def database():
    def serve():
        connection, _ = server.accept()
        with connection:
            connection.sendall(connection.recv(100).upper())

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()
        thread.join()


def test_database(database):
    with socket.create_connection(database) as connection:
        connection.sendall(b"select 1")
        assert connection.recv(100) == b"SELECT 1"


def test_that_fails():
    assert requests.codes.ok == 201
"""


@pytest.mark.parametrize("mode", [(), ("--llm-record",), ("--llm-record=all",)], ids=["replay", "new", "all"])
def test_a_suite_with_mocks_and_a_database_is_unchanged(
    direct: Project, monkeypatch: pytest.MonkeyPatch, mode: tuple[str, ...]
) -> None:
    """respx, responses, pytest-httpx, MockTransport, clients of applications, a database: the same with `llm_http`."""
    direct.write(test_it=MOCKED)
    for options in ((), ON):
        result = direct.pytest(*mode, *options, mocks=True)
        result.assert_outcomes(passed=8, failed=1)
        result.stdout.no_fnmatch_line("*model calls*")
        result.stdout.no_fnmatch_line("*connect*refused*")
    assert not (direct.path / "cassettes").exists()
