"""What HTTP calls are sent with is found wherever it appears, then and later, and is part of no key."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llm_strategy import Cassette, CassetteMiss, SecretFound, known_secrets, use_cassette
from llm_strategy.cli import main
from llm_strategy.http.credentials import remember
from llm_strategy.known_secrets import _MOST_SENT, SENT, known
from llm_strategy.secret_rules import mixed
from llm_strategy.session import Session
from tests.llm_strategy.loopback import Loopback, Reply

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent here is to be forgotten behind each test, as a process forgets it at its end."""
    monkeypatch.setattr(known_secrets, "_sent", {})


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)
    session = Session(tmp_path)
    yield tmp_path / "calls.yaml"
    session.finish()


def ask(url: str, text: str = "hi", query: str = "", **headers: str) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    answer = httpx2.post(f"{url}/chat/completions{query}", json=body, headers=headers)
    return answer.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("headers", "query", "credential"),
    [
        ({"Authorization": "Bearer pear-tree-01-of-no-shape"}, "", "pear-tree-01-of-no-shape"),
        ({"Authorization": "pear-tree-02-of-no-shape"}, "", "pear-tree-02-of-no-shape"),
        ({"X-API-Key": "pear-tree-03-of-no-shape"}, "", "pear-tree-03-of-no-shape"),
        ({"api-key": "pear-tree-04-of-no-shape"}, "", "pear-tree-04-of-no-shape"),
        ({"x-goog-api-key": "pear-tree-05-of-no-shape"}, "", "pear-tree-05-of-no-shape"),
        ({"X-Amz-Security-Token": "pear-tree-06-of-no-shape"}, "", "pear-tree-06-of-no-shape"),
        ({}, "?key=pear-tree-07-of-no-shape", "pear-tree-07-of-no-shape"),
        ({}, "?alt=sse&X-Amz-Signature=pear%2Ftree-08-of-no-shape", "pear/tree-08-of-no-shape"),
    ],
)
def test_an_answer_holds_no_credential(path: Path, headers: dict[str, str], query: str, credential: str) -> None:
    """Neither that of its own call, in whatever form, nor that of an earlier one; the caller gets the answer as it is."""
    encoded = base64.b64encode(f"user:{credential}".encode()).decode()
    texts = [f"you sent {credential}", f"before it was {credential} or {encoded}"]
    with Loopback(*texts) as server, use_cassette(path, "new", http=True):
        assert ask(server.url, "one", query, **headers) == texts[0]
        assert ask(server.url, "two") == texts[1]
    written = path.read_text()
    assert "you sent <credential>" in written
    assert "before it was <credential> or" in written
    assert not any(text in written for text in (credential, encoded, credential.replace("/", "%2F")))
    with use_cassette(path, "replay", http=True):
        assert ask(NOWHERE, "one", query, **headers) == "you sent <credential>"


def test_a_prompt_with_an_earlier_credential_is_not_sent(path: Path) -> None:
    """Recording is refused, wherever in the body it stands, for later calls too."""
    with Loopback("fine", "no") as server, use_cassette(path, "new", http=True):
        ask(server.url, Authorization="Bearer plum-tree-01-of-no-shape")
        with pytest.raises(SecretFound, match=r"role user.* a credential that an HTTP call was sent with"):
            ask(server.url, "my key is plum-tree-01-of-no-shape")
    assert len(server.requests) == 1


def test_no_key_depends_on_a_credential(path: Path) -> None:
    """A text that was recorded is found again by a program that happens to be sent with it, and in no other."""
    text = "the quince-tree-of-no-shape is a tree"
    with Loopback("yes") as server, use_cassette(path, "new", http=True):
        ask(server.url, text)
    with use_cassette(path, "replay", http=True):
        assert ask(NOWHERE, text, Authorization="Bearer quince-tree-of-no-shape") == "yes"
    with use_cassette(path, "replay", http=True), pytest.raises(CassetteMiss) as caught:
        ask(NOWHERE, f"{text}!", Authorization="Bearer quince-tree-of-no-shape")
    assert "quince-tree-of-no-shape" not in str(caught.value).replace(text, "")
    assert "the <credential> is a tree!" in str(caught.value)


def test_a_credential_is_told_by_the_name_of_its_field(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a request and in its answer, as in a text: another's key replays the recording, and a scan finds nothing.

    What was recorded as it is, `llm-strategy scan --fix` takes out, and it replays as well.
    """

    def send(url: str, key: str) -> Any:
        tool = {"type": "mcp", "authorization": key, "headers": {"X-Api-Key": [key], "note": "api_key: none"}}
        body = {"model": "m", "messages": [], "api_key": key, "api_keys": 2, "tools": [tool]}
        return httpx2.post(f"{url}/chat/completions", json=body).json()

    answer = {"choices": [], "aws_secret_access_key": mixed(40), "n": [{"apiKey": mixed(32)}]}
    clean = {"choices": [], "aws_secret_access_key": "<aws-secret>", "n": [{"apiKey": "<api-key>"}]}
    for recorded_as_it_is in (False, True):
        with monkeypatch.context() as only, Loopback(Reply(answer)) as server, use_cassette(path, "all", http=True):
            if recorded_as_it_is:
                only.setenv("LLM_STRATEGY_REDACT", f"!{mixed(32)}\\w*")
            assert send(server.url, mixed(40)) == answer
        assert (mixed(32) in path.read_text()) is recorded_as_it_is
        assert main(["scan", "--fix", str(path)]) == int(recorded_as_it_is)
        assert main(["scan", str(path)]) == 0
        assert main(["verify", str(path)]) == 0
        with use_cassette(path, "replay", http=True):
            assert send(NOWHERE, "a" + mixed(41)) == clean


def test_no_address_holds_a_credential(path: Path) -> None:
    """Signatures, keys and passwords in an address are not stored."""
    with Loopback("yes") as server, use_cassette(path, "new", http=True):
        address = server.url.replace("//", "//ann:cherry-tree-of-no-shape@")
        ask(address, query="?key=medlar-tree-of-no-shape&alt=json&sig=medlar")
    (call,) = Cassette(path)
    assert call.request.http["url"].endswith("/v1/chat/completions?alt=json")
    assert not any(word in path.read_text() for word in ("cherry", "medlar", "ann"))


def test_a_basic_password_is_known_alone(path: Path) -> None:
    """What stands in base64 in a header is known as it is spoken, too."""
    with Loopback(Reply({"said": "the password sorb-tree-of-no-shape"})) as server:
        address = server.url.replace("//", "//ann:sorb-tree-of-no-shape@")
        with use_cassette(path, "new", http=True):
            httpx2.post(f"{address}/chat/completions", json={})
    assert "sorb-tree" not in path.read_text()


def test_only_the_last_ones_are_kept() -> None:
    """A service that is sent a new token with each call does not make the rest slower and slower."""
    for number in range(200):
        remember({"authorization": f"Bearer token-{number}-of-no-shape"}, "")
    assert known().find("token-199-of-no-shape") == SENT
    assert known().find("token-0-of-no-shape") is None
    assert len({form for form, name in known().forms if form.startswith("token-")}) <= _MOST_SENT


def test_a_signature_is_no_credential() -> None:
    """It signs one request, and would push out those that are sent again."""
    signed = "AWS4-HMAC-SHA256 Credential=AKIA/20261122/aws4_request, SignedHeaders=host, Signature=0123456789abcdef01"
    remember({"authorization": signed}, "")
    assert known().find("Signature=0123456789abcdef01") is None
