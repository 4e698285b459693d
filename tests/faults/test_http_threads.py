"""HTTP clients in many threads at once: none of their calls gets past the recording."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
import requests

from llm_strategy import use_cassette
from tests.faults.conftest import Faults
from tests.llm_strategy.client_calls import bedrock, no_settings, reply
from tests.llm_strategy.providers import Provider

THREADS = 8
Client = Callable[[str], Any]


def requests_client(url: str) -> Client:
    """A session of `requests`, as a function of what is asked."""
    session = requests.Session()

    def ask(text: str) -> Any:
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        return session.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()

    return ask


def botocore_client(url: str) -> Client:
    """A client of boto3, likewise."""
    client = bedrock(url)

    def ask(text: str) -> Any:
        answer = client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": text}]}])
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    return ask


def at_once(trial: int, *clients: Client) -> dict[str, Any]:
    """What eight threads are answered that start together and share these clients."""
    together = threading.Barrier(THREADS)
    answers: dict[str, Any] = {}

    def work(number: int) -> None:
        together.wait()
        client = clients[number % len(clients)]
        for text in (f"trial {trial}, number {number}", f"trial {trial}"):
            answers[f"{number}: {text}"] = client(text)

    threads = [threading.Thread(target=copy_context().run, args=(work, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("make", [requests_client, botocore_client], ids=["requests", "botocore"])
def test_no_call_of_a_thread_escapes(tmp_path: Path, faults: Faults, make: Callable[[str], Client]) -> None:
    """What eight threads ask is recorded, and replayed without one request, of clients made before the block and in it."""
    trials = faults.trials(50, 500)
    asked = THREADS * 2
    unrecorded = escaped = different = 0
    with no_settings(), Provider(reply) as server:
        before = make(server.url)
        for trial in range(trials):
            path = tmp_path / f"{trial}.yaml"
            with use_cassette(path, "new", http=True) as recording:
                recorded = at_once(trial, before, make(server.url))
            unrecorded += abs(len(server.requests) - asked) + abs(len(recording.calls) - asked)
            server.requests.clear()
            with use_cassette(path, http=True):
                different += at_once(trial, before, make(server.url)) != recorded
            escaped += len(server.requests)
            server.requests.clear()
    client = make.__name__.removesuffix("_client")
    faults.figures(
        f"HTTP clients in threads, {client}",
        trials=trials,
        threads=THREADS,
        unrecorded=unrecorded,
        escaped=escaped,
        different=different,
    )
    assert (unrecorded, escaped, different) == (0, 0, 0)
