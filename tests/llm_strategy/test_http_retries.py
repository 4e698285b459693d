"""Errors over HTTP: which of them a client got over by asking again, and which stayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import httpx2
import pytest
from anthropic import Anthropic
from botocore.config import Config
from openai import OpenAI, RateLimitError

from llm_strategy import Cassette, use_cassette
from llm_strategy.session import Session
from tests.llm_strategy.loopback import HANG_UP, Loopback, Reply, Script, failure

NOWHERE = "http://127.0.0.1:9/v1"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SLOW_DOWN = failure(429, "Slow down", retry_after_ms="1")
BROKEN = failure(500, "Broken", retry_after_ms="1")
REFUSED = failure(400, "No such model")
SAID = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "fine"}], "model": "m", "id": "1"}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("LLM_STRATEGY_RECORD", "LLM_STRATEGY_RECORD_ERRORS", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    session = Session(tmp_path)
    yield tmp_path / "calls.yaml"
    session.finish()


def statuses(path: Path) -> list[int]:
    return [call.response.http["status"] for call in Cassette(path)]  # type: ignore[attr-defined]  # HTTP calls have it


def post(url: str, text: str = "hi", package: Any = httpx2, **headers: str) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    status: int = package.post(f"{url}/chat/completions", json=body, headers=headers).status_code
    return status


def with_openai(url: str) -> str | None:
    client = OpenAI(base_url=url, api_key="dummy", max_retries=3)
    return client.chat.completions.create(**BODY).choices[0].message.content


def with_anthropic(url: str) -> str | None:
    client = Anthropic(base_url=url.removesuffix("/v1"), api_key="dummy", max_retries=3)
    return client.messages.create(max_tokens=9, **BODY).content[0].text  # type: ignore[union-attr]  # it is a text


def with_botocores_header(url: str) -> str | None:
    said = [post(url, **{"amz-sdk-request": f"attempt={number}; max=4"}) for number in range(1, 4)]
    return str(said)


def without_any_header(url: str) -> str | None:
    return str([post(url) for _ in range(3)])


_Ask = Callable[[str], str | None]
RETRYING: list[tuple[_Ask, Script, str]] = [
    (with_openai, "fine", "fine"),
    (with_anthropic, Reply(SAID), "fine"),
    (with_botocores_header, "fine", "[429, 500, 200]"),
    (without_any_header, "fine", "[429, 500, 200]"),
]


@pytest.mark.parametrize(("ask", "last", "recorded"), RETRYING)
def test_what_a_retry_mended_is_left_out(path: Path, ask: _Ask, last: Script, recorded: str) -> None:
    """Each client's own way to ask again is known: two errors and an answer are one call."""
    with Loopback(SLOW_DOWN, BROKEN, last) as server, use_cassette(path, "new", http=True) as cassette:
        assert ask(server.url) == recorded
    assert len(cassette.calls) == 1
    assert statuses(path) == [200]
    if recorded == "fine":
        # The others are no clients, and would not stop where they are answered.
        with use_cassette(path, "replay", http=True):
            assert ask(NOWHERE) == "fine"


@pytest.mark.parametrize(("ask", "last", "recorded"), RETRYING)
def test_errors_are_recorded_where_that_is_wanted(
    path: Path, ask: _Ask, last: Script, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With LLM_STRATEGY_RECORD_ERRORS the client asks again in replay, too, and is told not to wait."""
    monkeypatch.setenv("LLM_STRATEGY_RECORD_ERRORS", "1")
    with Loopback(SLOW_DOWN, BROKEN, last) as server, use_cassette(path, "new", http=True) as cassette:
        assert ask(server.url) == recorded
    assert statuses(path) == [429, 500, 200]
    assert cassette.account.notes == []
    with use_cassette(path, "replay", http=True) as cassette:
        assert ask(NOWHERE) == recorded
        assert len(cassette.calls) == 3
        assert len(cassette.misses) == 0


def test_a_recorded_error_tells_its_client_not_to_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that the server had asked for is not slept through again."""
    monkeypatch.setenv("LLM_STRATEGY_RECORD_ERRORS", "1")
    late = failure(429, "Slow down", retry_after="3600")
    with Loopback(late, "fine") as server, use_cassette(path, "new", http=True):
        assert [post(server.url), post(server.url)] == [429, 200]
    assert 'retry-after: "3600"' in path.read_text()
    with use_cassette(path, "replay", http=True):
        answer = httpx2.post(f"{NOWHERE}/chat/completions", json=BODY)
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["retry-after-ms"]) == (429, "0", "1")
        assert "x-should-retry" not in answer.headers


def test_an_error_that_stayed_answers_each_retry(path: Path) -> None:
    """Three errors are one call; in replay each time that the client asks again it gets that error, however patient."""
    with Loopback(*[SLOW_DOWN] * 3) as server, use_cassette(path, "new", http=True) as cassette:
        assert with_botocores_header(server.url) == "[429, 429, 429]"
    assert statuses(path) == [429]
    assert ["was answered 429" in note for note in cassette.account.notes] == [True]
    for ask in (with_botocores_header, without_any_header):
        with use_cassette(path, "replay", http=True):
            assert ask(NOWHERE) == "[429, 429, 429]"
    with use_cassette(path, "replay", http=True), pytest.raises(RateLimitError):
        with_openai(NOWHERE)


@pytest.mark.parametrize(
    ("replies", "texts", "expected"),
    [
        ((SLOW_DOWN, "b", "fine"), "aba", [429, 200, 200]),
        ((REFUSED, "fine"), "aa", [400, 200]),
        (("fine", SLOW_DOWN), "ab", [200, 429]),
    ],
)
def test_what_is_no_retry(path: Path, replies: tuple[Script, ...], texts: str, expected: list[int]) -> None:
    """Without a header to tell: something else in between, or an error that no client asks again after, is a call."""
    with Loopback(*replies) as server, use_cassette(path, "new", http=True):
        assert [post(server.url, text) for text in texts] == expected
    assert sorted(statuses(path)) == sorted(expected)
    with use_cassette(path, "replay", http=True):
        assert [post(NOWHERE, text) for text in texts] == expected


def test_the_name_of_an_error_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore takes it from a header: a program that catches this error does so in replay, too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    too_many = Reply({"message": "Too many"}, 429, {"X-Amzn-ErrorType": "ThrottlingException"})
    once = Config(retries={"total_max_attempts": 1})

    def converse(url: str) -> None:
        address = url.removesuffix("/v1")
        client = boto3.client("bedrock-runtime", "us-east-1", endpoint_url=address, config=once)
        with pytest.raises(client.exceptions.ThrottlingException):
            client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}])

    with Loopback(too_many) as server, use_cassette(path, "new", http=True):
        converse(server.url)
    with use_cassette(path, "replay", http=True):
        converse(NOWHERE)


def test_a_connection_that_fails_leaves_nothing(path: Path) -> None:
    """A connection that breaks before any answer is no call, with whichever client."""
    for package in (httpx, httpx2):
        with Loopback(HANG_UP, "fine") as server, use_cassette(path, "all", http=True):
            with pytest.raises(package.RemoteProtocolError):
                post(server.url, package=package)
            assert post(server.url, package=package) == 200
        assert statuses(path) == [200]
