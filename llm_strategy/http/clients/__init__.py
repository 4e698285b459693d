"""The HTTP clients that are known, each translated in a module of its own, which imports none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

TRANSLATORS = {"aiohttp": "aiohttp", "httpcore": "httpcore", "httpcore2": "httpcore", "urllib3": "urllib3"}
"""The module here that translates for a client library. httpx and httpx2, and so `openai`, send through httpcore."""


class Patch(NamedTuple):
    """A method of a client to be replaced: `make` takes the real one and gives what stands in its place."""

    owner: Any
    attribute: str
    make: Callable[[Callable[..., Any]], Callable[..., Any]]
