"""Real recordings of OpenAI's and Anthropic's traffic, imported, replay whatever the order of calls and of keys.

They lie beside the checkout, in `../shared/recordings`, and are no part of this project.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import requests
import yaml

from llm_strategy import CassetteMiss, use_cassette
from llm_strategy.importer.run import Import

FOLDER = Path(__file__).parents[3] / "shared/recordings"
FILES = sorted(FOLDER.rglob("*.yaml"))
PROMPTS = ("messages", "input", "contents", "instructions", "system")
"""Where prompts stand in a body."""

Client = Callable[["Recorded", Any], bytes]


class Recorded(NamedTuple):
    """A request of a foreign file, and the answer that its client read.

    It is sent to the host that it was sent to: what is no call to a model by its path is one by its host.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    answer: bytes


def recorded(interaction: Mapping[str, Any]) -> Recorded:
    """An interaction, read without the importer."""
    request, response = interaction["request"], interaction["response"]
    kept = [name for name in request["headers"] if name.lower() in ("content-type", "x-stainless-retry-count")]
    answer = response.get("body", {}).get("string") or ""
    return Recorded(
        request["method"],
        request["uri"],
        {name: request["headers"][name][0] for name in kept},
        request.get("parsed_body", request.get("body") or None),
        json.dumps(response["parsed_body"]).encode() if "parsed_body" in response else answer.encode(),
    )


def with_httpx(call: Recorded, body: Any) -> bytes:
    return httpx.request(call.method, call.url, headers=dict(call.headers), content=body).content


def with_requests(call: Recorded, body: Any) -> bytes:
    return requests.request(call.method, call.url, headers=dict(call.headers), data=body, timeout=10).content


def sent(body: Any) -> Any:
    """A body as a client sends it."""
    return json.dumps(body).encode() if isinstance(body, dict | list) else body


def permuted(value: Any) -> Any:
    """A JSON value with the keys of its objects in another order."""
    if isinstance(value, dict):
        return {key: permuted(value[key]) for key in reversed(value)}
    return [permuted(item) for item in value] if isinstance(value, list) else value


def changed(value: Any) -> Iterator[Any]:
    """A value again and again, each time with another character of one of its texts changed."""
    if isinstance(value, str) and value:
        at = len(value) // 2
        yield value[:at] + ("x" if value[at] != "x" else "y") + value[at + 1 :]
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in changed(item))
    elif isinstance(value, dict):
        for name, item in value.items():
            # What says what a thing is, is no prompt; ids are renamed before they are compared.
            if name in ("content", "text", "parts", *PROMPTS):
                yield from ({**value, name: other} for other in changed(item))


def replay(calls: Iterable[Recorded], client: Client, change: Callable[[Any], Any] = lambda body: body) -> None:
    """Make the calls; equal ones get the recorded answers between them."""
    wanted, got = defaultdict(list), defaultdict(list)
    for call in calls:
        what = json.dumps([call.method, call.url, call.body], sort_keys=True)
        wanted[what].append(call.answer)
        got[what].append(client(call, sent(change(call.body))))
    assert {what: sorted(answers) for what, answers in got.items()} == {
        what: sorted(answers) for what, answers in wanted.items()
    }


@pytest.fixture(autouse=True)
def _no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_STRATEGY_RECORD", raising=False)


@pytest.fixture
def imported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Recorded]]:
    """The cassette of a recording, and the calls to models that it holds."""
    file: Path = request.param
    importing = Import(tmp_path / "cassettes")
    importing.take(file)
    interactions = yaml.load(file.read_bytes(), yaml.CSafeLoader)["interactions"]
    assert importing.report.outcomes["malformed"] == importing.report.outcomes["unsupported"] == 0
    assert sum(importing.report.outcomes.values()) == len(interactions)
    left_out = {problem.index for problem in importing.report.problems}
    calls = [recorded(each) for index, each in enumerate(interactions) if index not in left_out]
    assert calls
    (path,) = importing.report.written
    return path, calls


if not FILES:
    pytest.skip(f"there are no recordings in {FOLDER}: 38 real ones are not replayed", allow_module_level=True)

each_recording = pytest.mark.parametrize(
    "imported", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}", indirect=True
)
each_client = pytest.mark.parametrize("client", [with_httpx, with_requests])


@each_client
@each_recording
def test_no_call_is_missed(imported: tuple[Path, list[Recorded]], client: Client) -> None:
    """Every recorded request gets its very bytes: in recorded order, shuffled, and with its JSON keys permuted."""
    path, calls = imported
    shuffled = random.Random(7).sample(calls, len(calls))
    for order, change in ((calls, lambda body: body), (shuffled, lambda body: body), (shuffled, permuted)):
        with use_cassette(path, http=True):
            replay(order, client, change)
            with pytest.raises(CassetteMiss):
                client(order[0], sent(order[0].body))


@each_recording
def test_no_other_prompt_is_answered(imported: tuple[Path, list[Recorded]]) -> None:
    """A prompt that differs in one character, wherever it stands, is answered by no recording."""
    path, calls = imported
    for call in calls:
        if isinstance(call.body, dict):
            for body in changed({name: value for name, value in call.body.items() if name in PROMPTS}):
                with use_cassette(path, http=True), pytest.raises(CassetteMiss):
                    with_httpx(call, sent({**call.body, **body}))
