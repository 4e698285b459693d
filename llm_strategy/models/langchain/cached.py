"""What LangChain's caches hold, as the HTTP calls that its models would have made."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from llm_strategy.values import JSON

_INSTALL = 'pip install "llm-strategy[langchain]"'
_RECORD = "; record it: pytest --llm-record"
_NO_BODY = frozenset(("extra_headers", "extra_query", "extra_body", "timeout"))
"""What is handed to the client beside the body."""


def cached_request(prompt: str, llm: str) -> tuple[str, dict[str, JSON]]:
    """Address and body of the call that a cached model would make for a cached prompt.

    Both are texts as LangChain caches them. Raises ValueError, with the reason, where the call cannot be rebuilt, and
    ImportError where langchain-openai is missing.
    """
    model, settings = _model(llm)
    try:
        messages = _load(json.loads(prompt), allowed_objects="messages")
    except Exception as error:  # noqa: BLE001  # whatever LangChain raises for what it cannot make, this call cannot be made
        raise ValueError(f"its prompt cannot be read by LangChain: {error}") from None
    try:
        payload = model._get_request_payload(messages, **settings)
        answers_items = "response_format" not in payload and model._use_responses_api(payload)
    except Exception as error:  # noqa: BLE001  # whatever LangChain raises for what it cannot make, this call cannot be made
        raise ValueError(f"ChatOpenAI cannot make this call: {error}") from None
    if answers_items:
        raise ValueError(f"it went to the Responses API, whose answer the cache does not have as it was{_RECORD}")
    if model.streaming or settings.get("stream"):
        raise ValueError(f"it was streamed, in pieces that the cache does not have{_RECORD}")
    body = {name: value for name, value in payload.items() if name not in _NO_BODY}
    address = f"{str(model.root_client.base_url).rstrip('/')}/chat/completions"
    return address, {**body, "stream": False, **(payload.get("extra_body") or {})}


def _model(llm: str) -> tuple[Any, dict[str, Any]]:
    """The model, made anew, and what was passed with the call."""
    try:
        said, end = json.JSONDecoder().raw_decode(llm)
        *_, name = said["id"]
    except (ValueError, TypeError, LookupError):
        raise ValueError("its model does not say of which class it is") from None
    if name != "ChatOpenAI":
        raise ValueError(f"it is an answer of {name}; only the calls of ChatOpenAI can be rebuilt{_RECORD}")
    try:
        settings = dict(ast.literal_eval(llm[end:].removeprefix("---")))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        what = "a class" if "<class " in llm[end:] else "something"
        raise ValueError(f"{what} was passed with the call, of which the cache has only the name{_RECORD}") from None
    try:
        from langchain_openai import ChatOpenAI
    except ImportError:
        raise ImportError(f"langchain-openai is needed to rebuild its call: {_INSTALL}") from None
    try:
        # Nothing is asked, so that any key will do; the one that was used is not in the cache.
        known = {**said, "kwargs": {**said["kwargs"], "openai_api_key": "unused"}}
        model = _load(known, allowed_objects=[ChatOpenAI])
    except Exception as error:  # noqa: BLE001  # whatever LangChain raises for what it cannot make, this call cannot be made
        raise ValueError(f"LangChain cannot make its model: {error}") from None
    return model, settings


def _load(value: JSON, **settings: Any) -> Any:
    """What LangChain's own loader makes of a value, of the allowed classes only."""
    import warnings

    from langchain_core.load import load

    with warnings.catch_warnings():
        # It calls itself a beta, as it has for years.
        warnings.simplefilter("ignore")
        return load(value, **settings)


def cached_answer(generations: Sequence[str]) -> dict[str, JSON]:
    """The body of the chat completion that cached generations came from. Raises ValueError where they are none."""
    try:
        messages = [json.loads(generation)["kwargs"]["message"]["kwargs"] for generation in generations]
        choices = [_choice(index, message) for index, message in enumerate(messages)]
        about: Mapping[str, Any] = messages[0].get("response_metadata") or {}
        return {
            "id": str(about.get("id") or "chatcmpl-cached"),
            "object": "chat.completion",
            "created": 0,
            "model": str(about.get("model_name") or about.get("model") or ""),
            "choices": choices,
            "usage": about.get("token_usage"),
            "system_fingerprint": about.get("system_fingerprint"),
        }
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise ValueError("its answer is none of a chat model") from None


def _choice(index: int, message: Mapping[str, Any]) -> dict[str, JSON]:
    about = message.get("response_metadata") or {}
    content = message["content"]
    if not isinstance(content, str):
        content = "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
    said: dict[str, JSON] = {
        "role": "assistant",
        "content": content or None,
        "refusal": message.get("additional_kwargs", {}).get("refusal"),
    }
    calls = [_tool_call(call, call["args"]) for call in message.get("tool_calls") or ()]
    calls += [_tool_call(call, call.get("args") or "") for call in message.get("invalid_tool_calls") or ()]
    if calls:
        said["tool_calls"] = calls
    return {
        "index": index,
        "message": said,
        "logprobs": about.get("logprobs"),
        "finish_reason": about.get("finish_reason") or ("tool_calls" if calls else "stop"),
    }


def _tool_call(call: Mapping[str, Any], arguments: JSON) -> dict[str, JSON]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": call.get("id"), "type": "function", "function": {"name": call["name"], "arguments": text}}
