"""What a LangChain object is called and how it is set, read without asking any server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
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
    """The model inside of `bind`, `with_config` and `with_retry`, and the first of `with_fallbacks`."""
    while (within := _within(obj)) is not None:
        obj = within
    return obj


def asked(obj: Any) -> Any:
    """The model that is asked in the end, inside of our adapters too."""
    model = inner(obj)
    while (adapted := getattr(model, "adapted", None)) is not None:
        model = inner(adapted)
    return model


def _within(obj: Any) -> Any:
    if _is_a(obj, "RunnableBindingBase"):
        return obj.bound
    return obj.runnable if _is_a(obj, "RunnableWithFallbacks") else None


def _is_a(obj: Any, name: str) -> bool:
    return any(base.__name__ == name for base in type(obj).__mro__)


def settled(obj: Any, config: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The object with what is configurable in it configured, as `with_config` around it says."""
    if _is_a(obj, "DynamicRunnable"):
        return settled(obj.prepare(dict(config))[0], config)
    if _is_a(obj, "RunnableBindingBase"):
        chosen = {**obj.config.get("configurable", {}), **config.get("configurable", {})}
        config = {"configurable": chosen} if chosen else {}
    return _rebuilt(obj, lambda part: settled(part, config))


def changed(obj: Any, change: Callable[[Any], Any]) -> Any:
    """The object with `change` made to the models inside, those of fallbacks too."""
    return change(obj) if _within(obj) is None else _rebuilt(obj, lambda part: changed(part, change))


def _rebuilt(obj: Any, change: Callable[[Any], Any]) -> Any:
    """The object with other parts; itself where they are its own, or where it has none."""
    if _is_a(obj, "RunnableBindingBase"):
        parts: dict[str, Any] = {"bound": change(obj.bound)}
    elif _is_a(obj, "RunnableWithFallbacks"):
        parts = {"runnable": change(obj.runnable), "fallbacks": list(map(change, obj.fallbacks))}
    else:
        return obj
    same = all(part == getattr(obj, name) for name, part in parts.items())
    return obj if same else obj.model_copy(update=parts)


def _layers(obj: Any) -> Iterator[Any]:
    """Adapters and bindings from the outside in, and the model inside of them."""
    while obj is not None:
        yield obj
        within = _within(obj)
        obj = within if within is not None else getattr(obj, "adapted", None)


def _bound(obj: Any) -> list[Mapping[str, Any]]:
    """What is passed with every call, the outermost first."""
    return [layer.kwargs for layer in _layers(obj) if _is_a(layer, "RunnableBindingBase")]


def name_of(obj: Any) -> str:
    """What LangChain's own traces call it, as "provider:name"; where they don't, "langchain:" and its class."""
    model = asked(obj)
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
    model = asked(obj)
    given: set[str] = getattr(model, "model_fields_set", set())
    pairs = ((name, field) for name, fields in FIELDS.items() for field in fields if field in given)
    found: dict[str, Any] = {name: getattr(model, field) for name, field in pairs}
    if isinstance(extra := getattr(model, "model_kwargs", None), Mapping):
        found |= extra
    for kwargs in reversed(_bound(obj)):
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
    return any(not _is_fake(asked(each)) for each in _alternatives(obj))


def _alternatives(obj: Any) -> Iterator[Any]:
    """The object, and what `with_fallbacks` asks in its place."""
    yield obj
    for layer in _layers(obj):
        if _is_a(layer, "RunnableWithFallbacks"):
            for fallback in layer.fallbacks:
                yield from _alternatives(fallback)


def _is_fake(model: Any) -> bool:
    return any(_FAKE.match(f"{base.__module__}.") for base in type(model).__mro__)


def speaks_openai(obj: Any) -> bool:
    """Whether the object takes OpenAI's `response_format`."""
    return all(_is_a(inner(each), "BaseChatOpenAI") for each in _alternatives(obj))


def completes_text(obj: Any) -> bool:
    """Whether the object takes and gives text, not messages."""
    return _is_a(inner(obj), "BaseLLM")
