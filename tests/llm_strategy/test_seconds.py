"""How long a model took is told of each call that was asked, and of none that was replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from llm_strategy import Call, ScriptedModel, llm_strategy, use_cassette
from tests.llm_strategy.loopback import Loopback, streaming

MODEL = ScriptedModel(['{"return_value": "a"}'] * 9, recorded=True)


@llm_strategy(MODEL)
def say(topic: str) -> str:
    """Say something."""
    raise NotImplementedError


@llm_strategy(MODEL)
async def asay(topic: str) -> str:
    """Say something."""
    raise NotImplementedError


@llm_strategy(ScriptedModel(["a tale"] * 9, recorded=True))
def tell(topic: str) -> Iterator[str]:
    """Tell something."""
    raise NotImplementedError


def post(url: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with httpx2.stream("POST", f"{url}/chat/completions", json=body) as response:
        response.read()


def seconds(path: Path, mode: str, ask: Callable[[], Any]) -> list[float | None]:
    with use_cassette(path, mode, http=True) as cassette:
        ask()
    return [call.seconds for call in cassette.calls]


@pytest.mark.parametrize("mode", ["new", "live"])
@pytest.mark.parametrize("kind", ["function", "async function", "stream", "HTTP"])
def test_asked_calls_say_how_long_they_took(tmp_path: Path, kind: str, mode: str) -> None:
    """Whatever asks: recorded or not, the call has its seconds; replayed, it has none."""
    with Loopback(streaming("a", "b")) as server:
        ways: dict[str, Callable[[], Any]] = {
            "function": lambda: say("x"),
            "async function": lambda: asyncio.run(asay("x")),
            "stream": lambda: list(tell("x")),
            "HTTP": lambda: post(server.url),
        }
        (taken,) = seconds(tmp_path / "x.yaml", mode, ways[kind])
    assert taken is not None
    assert taken > 0
    if mode == "new":
        assert seconds(tmp_path / "x.yaml", "replay", ways[kind]) == [None]


def test_calls_that_differ_in_time_only_are_equal(tmp_path: Path) -> None:
    """How long it took is no part of a call."""
    with use_cassette(tmp_path / "x.yaml", "new") as cassette:
        say("x")
    (call,) = cassette.calls
    values = (call.key, call.occurrence, call.function, call.request, call.response, call.replayed, call.repairs)
    assert call == Call(*values)
    assert "seconds" not in (tmp_path / "x.yaml").read_text()
