"""Traffic of every format that is known, generated, recorded from a server on this machine, and replayed without it."""

from __future__ import annotations

import itertools
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_strategy import CassetteMiss, Message, Request, use_cassette
from llm_strategy.values import ReasoningPart, TextPart, ToolCallPart
from llm_strategy.wire.format import Answer
from llm_strategy.wire.registry import FORMATS
from tests.llm_strategy.providers import MODEL, USAGE, Provider
from tests.llm_strategy.test_formats import chat_requests, text_requests
from tests.llm_strategy.test_provider_formats import PLACES, fitting

BY_NAME = {format.name: format for format in FORMATS}


class Place(NamedTuple):
    """Where requests of a format go, and what makes their answers streams: another path, or a field."""

    path: str
    streamed: str | dict[str, bool] | None = None


STREAM = {"stream": True}
PLACES_OF_FORMATS = {
    "chat_completions": Place("/v1/chat/completions", STREAM),
    "responses": Place("/v1/responses", STREAM),
    "completions": Place("/v1/completions", STREAM),
    "embeddings": Place("/v1/embeddings"),
    "anthropic_messages": Place("/v1/messages", STREAM),
    "gemini": Place("/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?alt=sse"),
    "gemini_embeddings": Place("/v1beta/models/m:batchEmbedContents"),
    "bedrock_converse": Place("/model/m/converse", "/model/m/converse-stream"),
    "ollama": Place("/api/chat", STREAM),
    "ollama_completions": Place("/api/generate", STREAM),
    "ollama_embeddings": Place("/api/embed"),
    "cohere_chat": Place("/v2/chat", STREAM),
    "cohere_chat_v1": Place("/v1/chat", STREAM),
    "cohere_embeddings": Place("/v2/embed"),
}
CASES = [(name, False) for name in PLACES_OF_FORMATS] + [
    (name, True) for name, place in PLACES_OF_FORMATS.items() if place.streamed
]


class Sent(NamedTuple):
    """A request as it goes over the network."""

    path: str
    body: Any

    @property
    def identity(self) -> str:
        return json.dumps(self, sort_keys=True)

    def permuted(self) -> Sent:
        return self._replace(body=permuted(self.body))


def permuted(value: Any) -> Any:
    """A JSON value with the keys of its objects in another order."""
    if isinstance(value, dict):
        return {key: permuted(value[key]) for key in reversed(value)}
    return [permuted(item) for item in value] if isinstance(value, list) else value


def sent(name: str, request: Request, *, streamed: bool) -> Sent:
    """A request as a client of this format sends it."""
    place = PLACES_OF_FORMATS[name]
    body = {**BY_NAME[name].encode_request(request)}
    if isinstance(place.streamed, dict):
        # Ollama streams unless it is told not to.
        body |= place.streamed if streamed else {"stream": False}
    return Sent(place.streamed if streamed and isinstance(place.streamed, str) else place.path, body)


def requests_of(name: str) -> st.SearchStrategy[Request]:
    """Requests that a format has words for."""
    if name in PLACES:
        return chat_requests.map(lambda request: fitting(name, request)).filter(lambda request: bool(request.messages))
    return chat_requests if name in ("chat_completions", "responses") else text_requests


def answers() -> Callable[[Request], Answer]:
    """What the server says: no two answers are equal, and every other one calls a tool."""
    numbers = itertools.count()

    def answer(_request: Request) -> Answer:
        number = next(numbers)
        text = f"Answer {number} ✉\n\n  at length "
        if number % 2:
            return Answer(text, USAGE, "stop", MODEL, parts=(TextPart(text),))
        called = ToolCallPart(f"call_{number}", "look", {"at": f"ü{number}"})
        return Answer(text, USAGE, "tool_call", MODEL, parts=(TextPart(text), called))

    return answer


CLIENT = httpx.Client(verify=False, timeout=10)  # loading certificates takes longer than a test


def ask(url: str, call: Sent) -> list[bytes]:
    """The answer's body, in the pieces in which its reader gets it."""
    with CLIENT.stream("POST", url + call.path, json=call.body) as response:
        assert response.status_code == 200
        return list(response.iter_raw())


def record(path: Path, calls: list[Sent]) -> tuple[str, list[list[bytes]]]:
    """The address of a server that is gone, and what it answered."""
    with Provider(answers()) as server, use_cassette(path, "new", http=True):
        return server.url, [ask(server.url, call) for call in calls]


def other_characters(request: Request) -> Iterator[Request]:
    """A request again and again, each time with another character of one of its texts changed."""
    for at, message in enumerate(request.messages):
        for number, part in enumerate(message.parts):
            if isinstance(part, TextPart | ReasoningPart) and part.content:
                text, place = part.content, random.Random(part.content).randrange(len(part.content))
                other = replace(part, content=text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :])
                parts = [*message.parts[:number], other, *message.parts[number + 1 :]]
                changed = [*request.messages[:at], Message(message.role, parts), *request.messages[at + 1 :]]
                yield replace(request, messages=tuple(changed))


def test_every_format_is_tried() -> None:
    """A format that is new wants its place here."""
    assert PLACES_OF_FORMATS.keys() == BY_NAME.keys()


# No database: what is generated is the same in every run, as what is recorded has to be.
few = settings(max_examples=3, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
each_case = pytest.mark.parametrize(("name", "streamed"), CASES, ids=[f"{name}{'-stream' * s}" for name, s in CASES])


@each_case
@few
@given(data=st.data())
def test_what_was_recorded_is_replayed(name: str, streamed: bool, data: st.DataObject) -> None:
    """No call misses in recorded order, shuffled, or with permuted keys; pieces are the same; one call more misses."""
    requests = data.draw(st.lists(requests_of(name), min_size=4, max_size=6))
    calls = [sent(name, request, streamed=streamed) for request in [*requests, requests[1], requests[0]]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "calls.yaml")
        url, answered = record(path, calls)
        assert all(len(pieces) > 1 for pieces in answered) or not streamed
        shuffled = random.Random(7).sample(calls, len(calls))
        for order in (calls, shuffled, [call.permuted() for call in shuffled]):
            with use_cassette(path, http=True):
                found = [ask(url, call) for call in order]
                with pytest.raises(CassetteMiss):
                    ask(url, order[0])
            assert by_request(order, found) == by_request(calls, answered)


def by_request(calls: list[Sent], found: list[list[bytes]]) -> dict[str, list[list[bytes]]]:
    """Equal requests get the recorded answers between them, in the order in which these were given."""
    answers: dict[str, list[list[bytes]]] = {}
    for call, pieces in zip(calls, found, strict=True):
        answers.setdefault(call.identity, []).append(pieces)
    return answers


@each_case
@few
@given(data=st.data())
def test_no_other_prompt_is_answered(name: str, streamed: bool, data: st.DataObject) -> None:
    """With one character changed, in any message or thought, no recording answers."""
    requests = data.draw(st.lists(requests_of(name), min_size=2, max_size=3))
    calls = [sent(name, request, streamed=streamed) for request in requests]
    recorded = {call.identity for call in calls}
    changed = [sent(name, other, streamed=streamed) for request in requests for other in other_characters(request)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "calls.yaml")
        url, _ = record(path, calls)
        with use_cassette(path, http=True):
            for call in changed:
                if call.identity not in recorded:
                    with pytest.raises(CassetteMiss):
                        ask(url, call)
    assert changed
