"""What a project says about its HTTP calls: environment variables, which child processes inherit.

A test runner sets them from its configuration for as long as it runs.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from functools import lru_cache

from llm_strategy.wire.ignoring import parse_path

HOSTS = "LLM_STRATEGY_HTTP_HOSTS"
"""Hosts whose traffic is recorded although they are no known provider's."""
ALLOWED_HOSTS = "LLM_STRATEGY_ALLOWED_HOSTS"
"""Hosts that may be reached in replay."""
IGNORE = "LLM_STRATEGY_HTTP_IGNORE"
"""JSON paths of what a request's body may have different from run to run."""
RECORD_ERRORS = "LLM_STRATEGY_RECORD_ERRORS"
"""1 records also those errors that a client got over by asking again."""
REPLAY_DELAY = "LLM_STRATEGY_REPLAY_DELAY"
"""Seconds between two pieces of a replayed stream; no time is kept in a cassette."""

_NO = frozenset(("", "0", "false", "no", "off"))


def hosts() -> frozenset[str]:
    return _hosts(os.environ.get(HOSTS, ""))


def allowed_hosts() -> frozenset[str]:
    return _hosts(os.environ.get(ALLOWED_HOSTS, ""))


def ignored() -> tuple[str, ...]:
    """JSON paths. Raises ValueError, which names the variable, for what is none."""
    return _paths(os.environ.get(IGNORE, ""))


def record_errors() -> bool:
    return os.environ.get(RECORD_ERRORS, "").strip().lower() not in _NO


def replay_delay() -> float:
    """Seconds. Raises ValueError, which names the variable, for what is no number of them."""
    return _seconds(os.environ.get(REPLAY_DELAY, ""))


@lru_cache(maxsize=32)
def _several(text: str) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[,\s]+", text)))


@lru_cache(maxsize=8)
def _paths(text: str) -> tuple[str, ...]:
    paths = _several(text)
    for path in paths:
        try:
            parse_path(path)
        except ValueError as error:
            raise ValueError(f"{IGNORE}, or the ini option llm_http_ignore: {error}") from None
    return paths


@lru_cache(maxsize=8)
def _seconds(text: str) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{REPLAY_DELAY} is {text!r}: seconds between the pieces of a replayed stream, such as 0.02")
    return seconds


@lru_cache(maxsize=32)
def _hosts(text: str) -> frozenset[str]:
    """As they stand in addresses: an address of IPv6 without its brackets, a name without the dot at its end."""
    return frozenset(host.lower().strip("[]").rstrip(".") for host in _several(text))


# What a session says


def variables(
    *,
    http_hosts: Sequence[str] | None = None,
    allowed_hosts: Sequence[str] | None = None,
    http_ignore: Sequence[str] | None = None,
    record_errors: bool | None = None,
) -> dict[str, str | None]:
    """The environment variables for these; none for what is None, where the environment has its say.

    Raises ValueError, which names the setting or variable, for what can be no host, and no path into a body.
    """
    said: dict[str, str | None] = {}
    for name, variable, given in (("http_hosts", HOSTS, http_hosts), ("allowed_hosts", ALLOWED_HOSTS, allowed_hosts)):
        _check_hosts(variable if given is None else name, _spoken(variable) if given is None else given, variable)
        if given is not None:
            said[variable] = " ".join(given)
    if http_ignore is not None:
        said[IGNORE] = joined_paths(http_ignore)
    if record_errors is not None:
        said[RECORD_ERRORS] = str(int(record_errors))
    return said


def _spoken(variable: str) -> Sequence[str]:
    return _several(os.environ.get(variable, ""))


def _check_hosts(name: str, hosts: Sequence[str], variable: str) -> None:
    """What can be no host would match none, and nobody would notice."""
    allows = variable == ALLOWED_HOSTS
    wrong = next((host for host in hosts if not _is_host(host, networks=allows)), None)
    if wrong is not None:
        like = "example.com or 192.0.2.0/24" if allows else "example.com or 192.0.2.7"
        raise ValueError(f"{name}: {wrong!r} is no host such as {like}, without scheme, port and path")


def _is_host(text: str, *, networks: bool) -> bool:
    if _NAME.fullmatch(text):
        return True
    try:
        ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return False
    return networks or "/" not in text


def joined_paths(paths: Sequence[str]) -> str:
    """JSON paths for the environment."""
    for path in paths:
        try:
            parse_path(path)
        except ValueError as error:
            raise ValueError(f"http_ignore: {error}") from None
    return "\n".join(paths)


_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")
