"""How HTTP calls are taken in: which clients, beside which mocks, and what is left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import pytest_httpx
import respx
from openai import OpenAI

from llm_strategy import Cassette, use_cassette
from llm_strategy.http import install, uninstall
from llm_strategy.session import Session
from tests.llm_strategy.loopback import Loopback

NOWHERE = "http://127.0.0.1:9/v1"
POOLS = [
    (package, owner, name)
    for package in (httpcore, httpcore2)
    for owner, name in (
        (package.ConnectionPool, "handle_request"),
        (package.AsyncConnectionPool, "handle_async_request"),
    )
]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)
    session = Session(tmp_path)
    yield tmp_path / "calls.yaml"
    session.finish()


def methods() -> list[Any]:
    return [vars(owner)[name] for _, owner, name in POOLS]


def said(answer: Any) -> Any:
    return answer.json()["choices"][0]["message"]["content"]


def ask(url: str, client: Any = httpx2) -> Any:
    return said(client.post(f"{url}/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]}))


def mocked(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


# Clients


def test_no_client_is_imported(path: Path) -> None:
    """A block imports no client library; one that the program imports inside it is recorded all the same."""
    program = f"""
import sys
from llm_strategy import Cassette, use_cassette
before = list(sys.meta_path)
with use_cassette({str(path)!r}, "new", http=True):
    assert not {{"httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "aiohttp", "requests"}} & sys.modules.keys()
    import httpx2
    import httpcore2
    assert httpcore2.__spec__.loader is httpcore2.__loader__
    assert type(httpcore2.__loader__).__module__ == "_frozen_importlib_external"
    from tests.llm_strategy.loopback import Loopback
    with Loopback("late") as server:
        httpx2.post(server.url + "/chat/completions", json={{}})
assert sys.meta_path == before
assert httpcore2.ConnectionPool.handle_request.__code__.co_filename == sys.modules["httpcore2._sync.connection_pool"].__file__
assert [call.response.content for call in Cassette({str(path)!r})] == ["late"]
"""
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)


def test_clients_made_before_count(path: Path) -> None:
    """A client that was made, and used, before the block is recorded and replayed in it, and works after it."""
    with Loopback("before", "in it", "after") as server, httpx2.Client() as client:
        assert ask(server.url, client) == "before"
        with use_cassette(path, "new", http=True):
            assert ask(server.url, client) == "in it"
        with use_cassette(path, "replay", http=True):
            assert ask(server.url, client) == "in it"
        assert ask(server.url, client) == "after"
    assert len(Cassette(path)) == 1


def test_many_users(path: Path) -> None:
    """However often it is installed, from however many threads, the last who leaves puts back what was there."""
    before, finders = methods(), list(sys.meta_path)

    def come_and_go() -> None:
        for _ in range(100):
            install()
            uninstall()

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    install()
    inside = methods()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert methods() == inside
    assert not set(inside) & set(before)
    uninstall()
    assert (methods(), sys.meta_path) == (before, finders)


# Mocks


@contextmanager
def by_respx(text: str) -> Iterator[None]:
    with respx.mock(using="httpcore") as router:
        router.post(f"{NOWHERE}/chat/completions").respond(json=mocked(text))
        yield


@contextmanager
def by_a_patch(text: str) -> Iterator[None]:
    def handle_request(pool: Any, request: Any) -> Any:
        return httpcore.Response(200, content=httpx.Response(200, json=mocked(text)).content)

    with mock.patch.object(httpcore.ConnectionPool, "handle_request", handle_request):
        yield


@pytest.mark.parametrize("mocking", [by_respx, by_a_patch])
def test_mocks_inside_a_block(path: Path, mocking: Any) -> None:
    """What a mock answers is not recorded, and behind it calls are recorded again."""
    before = methods()
    with Loopback("real", "real again") as server, use_cassette(path, "new", http=True) as cassette:
        assert ask(server.url, httpx) == "real"
        with mocking("mocked"):
            assert ask(NOWHERE, httpx) == "mocked"
        assert ask(server.url, httpx) == "real again"
    assert [call.response.content for call in cassette.calls] == ["real", "real again"]
    assert methods() == before


@pytest.mark.parametrize("mocking", [by_respx, by_a_patch])
def test_mocks_around_a_block(path: Path, mocking: Any) -> None:
    """A mock that was there first answers as without a block, and is there after it; the next block records again."""
    before = methods()
    with Loopback("real") as server:
        with mocking("mocked"):
            mocks = methods()
            with use_cassette(path, "replay", http=True) as cassette:
                assert ask(NOWHERE, httpx) == "mocked"
                assert len(cassette.calls) == 0
            assert methods() == mocks
        assert methods() == before
        with use_cassette(path, "new", http=True):
            assert ask(server.url, httpx) == "real"
    assert methods() == before
    assert len(Cassette(path)) == 1


@pytest.mark.parametrize("mocking", [by_respx, by_a_patch])
def test_a_mock_that_outlives_its_block(path: Path, mocking: Any) -> None:
    """Begun in a block and ended after it, a mock puts back what it had found: that passes calls on, and goes then."""
    before = methods()
    mocks = mocking("mocked")
    with use_cassette(path, "replay", http=True):
        mocks.__enter__()
    assert ask(NOWHERE, httpx) == "mocked"
    mocks.__exit__(None, None, None)
    with Loopback("passed", "real") as server:
        assert ask(server.url, httpx) == "passed"
        with use_cassette(path, "new", http=True):
            assert ask(server.url, httpx) == "real"
    assert methods() == before
    assert len(Cassette(path)) == 1


def test_a_mock_that_ends_while_it_is_installed(path: Path) -> None:
    """A mock from before that ends inside does not take away what the next block needs."""
    mocks = by_a_patch("mocked")
    mocks.__enter__()
    with use_cassette(path, "replay", http=True):
        mocks.__exit__(None, None, None)
        with Loopback("real") as server, use_cassette(path, "new", http=True):
            assert ask(server.url, httpx) == "real"
    assert len(Cassette(path)) == 1


def test_pytest_httpx_answers(path: Path, httpx_mock: pytest_httpx.HTTPXMock) -> None:
    """What the fixture of pytest-httpx answers is neither asked nor recorded."""
    httpx_mock.add_response(json=mocked("mocked"))
    with use_cassette(path, "replay", http=True) as cassette:
        assert ask("https://api.openai.com/v1", httpx) == "mocked"
    assert len(cassette.calls) == 0


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [httpx.Response(200, json=mocked("by the app")).content]


async def aapp(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": httpx.Response(200, json=mocked("by the app")).content})


@pytest.mark.parametrize("package", [httpx, httpx2])
def test_what_answers_in_this_process(path: Path, package: Any) -> None:
    """Transports that reach no network pass untouched, whatever host they are asked for."""

    async def asynchronously(transport: Any) -> Any:
        async with package.AsyncClient(transport=transport) as client:
            return said(await client.post("https://api.openai.com/v1/chat/completions", json={}))

    answer = package.Response(200, json=mocked("by the app"))
    with use_cassette(path, "replay", http=True) as cassette:
        for transport in (package.MockTransport(lambda request: answer), package.WSGITransport(app=app)):
            with package.Client(transport=transport) as client:
                assert ask("https://api.openai.com/v1", client) == "by the app"
        assert asyncio.run(asynchronously(package.ASGITransport(app=aapp))) == "by the app"
    assert len(cassette.calls) == 0


# Who asks


def test_a_thread_that_may_belong_to_several_blocks(path: Path, tmp_path: Path) -> None:
    """Outside a session a thread without a context, beside two open blocks, is refused: it could be either's."""
    Session(tmp_path).finish()
    program = f"""
import contextvars, threading
import httpx2
from llm_strategy import CassetteMiss, use_cassette

caught = []

def ask():
    try:
        httpx2.post("{NOWHERE}/chat/completions", json={{}})
    except CassetteMiss as miss:
        caught.append(str(miss))

with use_cassette({str(path)!r}, "new"), use_cassette({str(path)!r} + ".yaml", "new", http=True):
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
assert "which of the open use_cassette blocks" in caught[0], caught
"""
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)


def test_hosts_of_a_project(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes to a host that the project names is recorded as it is, whatever its path; nothing else there is."""
    with Loopback("named", "not named") as server:
        for hosts, count in (("inference.example, 127.0.0.1", 1), ("inference.example", 1)):
            monkeypatch.setenv("LLM_STRATEGY_HTTP_HOSTS", hosts)
            with use_cassette(path, "new", http=True) as cassette:
                httpx2.post(f"{server.url}/own", json={"inputs": hosts})
            assert len(cassette.calls) == (hosts.endswith("1"))
            assert len(Cassette(path)) == count


def test_openai_records_below_its_own_client(path: Path) -> None:
    """A client of the program's own, with a transport of its own, is recorded too, since it sends through a pool."""
    transport = httpx2.HTTPTransport(retries=1)
    with Loopback("yes") as server, use_cassette(path, "new", http=True):
        client = OpenAI(base_url=server.url, api_key="dummy", http_client=httpx2.Client(transport=transport))
        client.chat.completions.create(model="m", messages=[])
    assert len(Cassette(path)) == 1
