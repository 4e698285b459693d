"""The real clients of all providers, recorded against a server on this machine and replayed without it."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import requests

from llm_strategy import Cassette, use_cassette
from llm_strategy.session import Session
from tests.llm_strategy.client_calls import ASYNC_CALLS, CALLS, no_settings, reply
from tests.llm_strategy.providers import Provider

TEXTS = ["How much is 6 * 7?", "Wie spät ist es? ☕", "go on", "go on"]


@pytest.fixture(autouse=True)
def _no_settings() -> Iterator[None]:
    with no_settings():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A cassette in a session of the test's own: what another test has recorded is not found."""
    session = Session(tmp_path)
    yield session.folder / "calls.yaml"
    session.finish()


class Nobody:
    """Takes connections and counts them, and answers none."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def count(self) -> None:
        with suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.connections += 1

    def close(self) -> None:
        # Closing alone would not wake the thread.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def nobody() -> Iterator[Nobody]:
    """An address at which nothing may be asked: leaving this fails where a connection came in."""
    listener = Nobody()
    counting = threading.Thread(target=listener.count)
    counting.start()
    try:
        yield listener
    finally:
        listener.close()
        counting.join()
    assert listener.connections == 0


def synchronous(name: str) -> Callable[[str, str], Any]:
    """A call of either table as a function that waits for it."""
    kind, _, called = name.partition(": ")
    if kind == "sync":
        return CALLS[called]
    return lambda url, text: asyncio.run(ASYNC_CALLS[called](url, text))  # type: ignore[arg-type]  # coroutines all


NAMES = [*(f"sync: {name}" for name in CALLS), *(f"async: {name}" for name in ASYNC_CALLS)]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_calls_replay_without_their_server(path: Path, name: str) -> None:
    """What a client was answered it is answered again, in another order of its texts, and no connection is opened."""
    call = synchronous(name)
    with Provider(reply) as server, use_cassette(path, "new", http=True) as recording:
        recorded = [call(server.url, text) for text in TEXTS]
    assert len(recording.calls) == len(server.requests) == len(Cassette(path))
    order = list(enumerate(TEXTS))
    random.Random(name).shuffle(order)
    with nobody() as listener, use_cassette(path, http=True) as replay:
        replayed = sorted((number, call(listener.url, text)) for number, text in order)
    assert all(call.replayed for call in replay.calls)
    assert [answer for _, answer in replayed] == recorded


def test_a_hundred_calls_at_once(path: Path) -> None:
    """Under `gather`, each of a hundred requests of all asynchronous clients gets the answer that is its own."""
    calls = list(ASYNC_CALLS.values())

    async def ask(url: str) -> list[Any]:
        return await asyncio.gather(*(calls[number % len(calls)](url, f"number {number}") for number in range(100)))

    with Provider(reply) as server, use_cassette(path, "new", http=True):
        recorded = asyncio.run(ask(server.url))
    assert len(server.requests) == 100
    with nobody() as listener, use_cassette(path, http=True):
        assert asyncio.run(ask(listener.url)) == recorded


def test_eight_threads(path: Path) -> None:
    """Threads that ask at once through all synchronous clients get their own answers, equal questions included."""

    def ask(url: str) -> list[list[Any]]:
        def work(number: int) -> list[Any]:
            calls = list(CALLS.values())
            random.Random(number).shuffle(calls)
            return sorted([repr(call(url, f"number {number // 2}")) for call in calls])

        with ThreadPoolExecutor(8) as threads:
            return [task.result() for task in [threads.submit(copy_context().run, work, number) for number in range(8)]]

    with Provider(reply) as server, use_cassette(path, "new", http=True):
        recorded = ask(server.url)
    assert len(server.requests) == len(Cassette(path))
    with nobody() as listener, use_cassette(path, http=True) as replay:
        assert ask(listener.url) == recorded
    assert all(call.replayed for call in replay.calls)


def test_the_frames_of_an_aws_stream_are_kept(path: Path) -> None:
    """Each byte of an event stream of AWS, checksums included, reaches a client that reads it undecoded."""

    def ask(url: str) -> list[bytes]:
        body = {"messages": [{"role": "user", "content": [{"text": "How much is 6 * 7?"}]}]}
        with requests.post(f"{url}/model/m/converse-stream", json=body, stream=True, timeout=60) as answer:
            return list(answer.iter_content(None))

    with Provider(reply) as server:
        direct = ask(server.url)
        with use_cassette(path, "new", http=True):
            recorded = ask(server.url)
    with nobody() as listener, use_cassette(path, http=True):
        assert ask(listener.url) == recorded
    assert b"".join(recorded) == b"".join(direct)
    assert len(recorded) > 3
