"""What an HTTP call says is decoded when it is looked at; a replay looks for the body as it was sent first."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from llm_strategy.http.traffic import http_request
from llm_strategy.wire.envelope import HTTPRequest, HTTPResponse

URL = "https://api.openai.com/v1/chat/completions"
ANSWER = {
    "status": 200,
    "body": {"model": "m", "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]},
}


def request(text: str, recorded: set[str] | None = None) -> HTTPRequest:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    return http_request("POST", URL, "", {}, body, is_recorded=(recorded or set()).__contains__)


@pytest.mark.parametrize("value", [request("Hello"), HTTPResponse.of(ANSWER), HTTPResponse.of(ANSWER, ["a file"])])
def test_values_are_equal_by_their_envelopes(value: Any) -> None:
    """Before and after they were decoded, copied or pickled."""
    fresh = copy.copy(value)
    shown = repr(value)
    for other in (fresh, copy.deepcopy(value), pickle.loads(pickle.dumps(value)), pickle.loads(pickle.dumps(fresh))):  # noqa: S301  # our own
        assert (other, hash(other), repr(other)) == (value, hash(value), shown)
    assert value not in (request("Hallo"), HTTPResponse.of({**ANSWER, "status": 201}))


def test_what_is_said_is_there_when_it_is_looked_at() -> None:
    """Every field of a request and a response, and none of them can be set."""
    asked, answered = request("Hello"), HTTPResponse.of(ANSWER)
    assert (asked.model, asked.messages[0].content, asked.settings) == ("openai:m", "Hello", {})
    assert (answered.content, answered.model, answered.usage, answered.pieces) == ("Hi", "m", None, ())
    for value, name in ((asked, "model"), (answered, "content")):
        with pytest.raises(AttributeError):
            setattr(value, name, "x")


def test_an_answer_that_no_format_reads_is_kept_all_the_same() -> None:
    """What is odd in a body is nobody's business until somebody looks at what it says."""
    for body in ({"choices": [{"message": {"content": 5}}]}, {"usage": "much"}, [1], "text", None):
        assert HTTPResponse.of({"status": 200, "body": body}).status == 200
    with pytest.raises(TypeError, match="status"):
        HTTPResponse.of({"status": "200"})


@pytest.mark.parametrize("text", ["Hello", "In /home/ada/shop", "Bearer 4f9d2c7b1e8a4f9d2c7b1e8a", "In <home>/shop"])
def test_a_recorded_body_has_its_key_whether_it_is_known_or_not(text: str) -> None:
    """What differs between machines is replaced before the key is made, or has been in what was recorded."""
    first = request(text)
    again = request(text, {first.key})
    assert (again.key, again.http) == (first.key, first.http)


def test_a_body_is_not_taken_as_it_is_under_rules_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded before there was a rule no longer answers: it holds what the rule is for."""
    first = request("Hello, Bluebird")
    monkeypatch.setenv("LLM_STRATEGY_REDACT", "Bluebird")
    again = request("Hello, Bluebird", {first.key})
    assert again.key != first.key
    assert again.messages[0].content == "Hello, <redacted>"
