"""A program that makes each kind of call once, and the cassette of it, for tests that damage a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import httpx

from llm_strategy import Media, Request, ScriptedModel, llm_strategy, use_cassette
from tests.llm_strategy.answers import reply
from tests.llm_strategy.loopback import Loopback, streaming

PHOTO = bytes(range(256)) * 5
STORY = ["Once ", "upon", " a time\n", "\n", "there 😀 was\u2028"]
_DRAWS = iter(range(10, 100))


def _answer(request: Request) -> Any:
    prompt = request.messages[-1].content
    if "def draw" in prompt:
        return reply(next(_DRAWS))
    if "def story" in prompt:
        return STORY
    if "def sizes" in prompt:
        return 'Here you are:\n```json\n{"return_value": [1, 2, 3,]}\n```'
    return reply("an emoji 😀,\r\na blank line\n\n and the end ")


_MODEL = ScriptedModel(_answer, name="test:sample", recorded=True)


@llm_strategy(_MODEL)
def draw(pack: str) -> int:
    """Draw a card."""
    raise NotImplementedError


@llm_strategy(_MODEL)
def echo(text: str) -> str:
    """Say it again."""
    raise NotImplementedError


@llm_strategy(_MODEL)
def sizes() -> list[int]:
    """Three sizes."""
    raise NotImplementedError


@llm_strategy(_MODEL)
def story() -> Iterator[str]:
    """Tell a story."""
    raise NotImplementedError


@llm_strategy(_MODEL)
def describe(photo: Annotated[bytes, Media("image/png")]) -> str:
    """What the photo shows."""
    raise NotImplementedError


def over_http(url: str = "http://127.0.0.1:9/v1") -> Any:
    """A call that no function of ours makes."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello ✉"}]}
    return httpx.post(f"{url}/chat/completions", json=body).json()["choices"]


def streamed_over_http(url: str = "http://127.0.0.1:9/v1") -> Any:
    """Another, answered in pieces."""
    body = {"model": "gpt-5-mini", "stream": True, "messages": [{"role": "user", "content": "Bye ✉"}]}
    with httpx.stream("POST", f"{url}/chat/completions", json=body) as response:
        return list(response.iter_bytes())


STEPS: tuple[Callable[..., Any], ...] = (
    lambda: draw("first"),
    lambda: list(story()),
    lambda: draw("first"),
    lambda: echo("😀 said:\r\n\n---\n  - a line\n"),
    sizes,
    over_http,
    lambda: describe(PHOTO),
    lambda: draw("first"),
    lambda: draw("second"),
    streamed_over_http,
)
"""Their order is that of the file: equal requests stand beside each other and apart."""


def record(path: Path) -> list[Any]:
    """Record the sample; returns what each step gives."""
    replies = "Hello back 😀", streaming("Bye ", "bye", " 😀\n")
    with Loopback(*replies) as server, use_cassette(path, "new", http=True):
        return [step(server.url) if step in (over_http, streamed_over_http) else step() for step in STEPS]


def replaying(path: Path) -> AbstractContextManager[Any]:
    return use_cassette(path, "replay", http=True)
