"""What a LangChain object is called and how it is set, read without asking any server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llm_strategy.canonical import FrozenJSON
from llm_strategy.models.settings import normalized

# Where LangChain's traces name a provider otherwise than `init_chat_model` does.
_PROVIDERS = {"azure": "azure_openai", "mistral": "mistralai", "amazon_bedrock": "bedrock"}
_FAKE = re.compile(r"langchain(_core|_community|_tests)?\..*\bfake")

# Our name of a setting, and the fields in which integrations keep it.
FIELDS: dict[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict"),
    "stop": ("stop", "stop_sequences"),
    "seed": ("seed", "random_seed"),
} | {
    name: (name,)
    for name in (
        "extra_body frequency_penalty logit_bias n presence_penalty reasoning reasoning_effort service_tier "
        "thinking top_k top_p verbosity"
    ).split()
}


def inner(obj: Any) -> Any:
    """The model inside of `bind`, `with_config` and `with_retry`."""
    while any(base.__name__ == "RunnableBindingBase" for base in type(obj).__mro__):
        obj = obj.bound
    return obj


def _bound(obj: Any) -> Iterator[Mapping[str, Any]]:
    while hasattr(obj, "bound") and hasattr(obj, "kwargs"):
        yield obj.kwargs
        obj = obj.bound


def name_of(obj: Any) -> str:
    """What LangChain's own traces call it, as "provider:name"; where they don't, "langchain:" and its class."""
    model = inner(obj)
    try:
        traced = model._get_ls_params()
    except Exception:  # noqa: BLE001  # an integration's own code may raise anything, and only the name is wanted
        traced = {}
    name, provider = traced.get("ls_model_name"), traced.get("ls_provider")
    for kwargs in _bound(obj):
        name = kwargs.get("model", name)
    if not (isinstance(name, str) and name and isinstance(provider, str) and provider):
        return f"langchain:{type(model).__name__}"
    return f"{_PROVIDERS.get(provider, provider)}:{name}"


def settings_of(obj: Any) -> FrozenJSON:
    """The settings that were given to the object; what it does by default is left to it."""
    model = inner(obj)
    given: set[str] = getattr(model, "model_fields_set", set())
    pairs = ((name, field) for name, fields in FIELDS.items() for field in fields if field in given)
    found: dict[str, Any] = {name: getattr(model, field) for name, field in pairs}
    if isinstance(extra := getattr(model, "model_kwargs", None), Mapping):
        found |= extra
    for kwargs in reversed(list(_bound(obj))):
        found |= {name: value for name, value in kwargs.items() if name in FIELDS}
    return _readable(found)


def _readable(found: Mapping[str, Any]) -> FrozenJSON:
    """What of it is a setting: integrations keep clients and functions in such fields too."""
    settings: dict[str, Any] = {}
    for name, value in found.items():
        try:
            settings |= normalized({name: value})
        except TypeError:
            continue
    return FrozenJSON(settings)


def is_recorded(obj: Any) -> bool:
    """False for LangChain's fake models, which answer for free and need no recording."""
    return not any(_FAKE.match(f"{base.__module__}.") for base in type(inner(obj)).__mro__)


def speaks_openai(obj: Any) -> bool:
    """Whether the object takes OpenAI's `response_format`."""
    return any(base.__name__ == "BaseChatOpenAI" for base in type(inner(obj)).__mro__)


def completes_text(obj: Any) -> bool:
    """Whether the object takes and gives text, not messages."""
    return any(base.__name__ == "BaseLLM" for base in type(inner(obj)).__mro__)
