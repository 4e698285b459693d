"""Settings in one form, so that the same setting gives the same key however it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON, canonical
from llm_strategy.values import JSON

_FLOATS = frozenset("temperature top_p min_p frequency_penalty presence_penalty repetition_penalty".split())
_SYNONYMS = {"max_completion_tokens": "max_tokens", "stop_sequences": "stop"}
# How a server is reached is no part of what it is asked, and a key must never come near a cassette.
_OF_CLIENTS = frozenset(
    "api_key base_url organization project timeout max_retries http_client default_headers default_query "
    "extra_headers extra_query azure_endpoint azure_deployment azure_ad_token api_version".split()
)
_OF_REQUESTS = frozenset("model messages tools stream stream_options".split())


def normalized(settings: Mapping[str, Any]) -> FrozenJSON:
    """The settings without those that are None, numbers and names in their one form.

    Raises TypeError for what is no setting of a request or no JSON value.
    """
    form: dict[str, JSON] = {}
    for name, value in settings.items():
        _check(name, value)
        if value is not None:
            form[_SYNONYMS.get(name, name)] = _value(name, value)
    return FrozenJSON(form)


def without_value(settings: Mapping[str, Any]) -> frozenset[str]:
    """The names of the settings that are None."""
    return frozenset(_SYNONYMS.get(name, name) for name, value in settings.items() if value is None)


def _value(name: str, value: Any) -> JSON:
    if name in _FLOATS and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if _SYNONYMS.get(name, name) == "stop":
        return [value] if isinstance(value, str) else list(value)
    return value


def _check(name: str, value: Any) -> None:
    if name in _OF_CLIENTS:
        raise TypeError(
            f"{name!r} belongs to the connection, not to the request: give a client or LangChain model made with it, "
            "or a function that makes one"
        )
    if name in _OF_REQUESTS:
        raise TypeError(f"{name!r} is set by the library, it cannot be a setting")
    try:
        canonical(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the setting {name!r} has to be a JSON value: {error}") from None
