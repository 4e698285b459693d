"""Keys where there are none: SDKs insist on one as soon as a client is made, although in replay nobody reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

PLACEHOLDER = "placeholder"
"""Shorter than anything that is taken for a credential where texts are scrubbed."""
_KEYS = (
    ("ANTHROPIC_API_KEY",),
    ("AZURE_OPENAI_API_KEY",),
    ("CEREBRAS_API_KEY",),
    ("CO_API_KEY", "COHERE_API_KEY"),
    ("DEEPSEEK_API_KEY",),
    ("FIREWORKS_API_KEY",),
    ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    ("GROQ_API_KEY",),
    ("MISTRAL_API_KEY",),
    ("NVIDIA_API_KEY",),
    ("OPENAI_API_KEY",),
    ("OPENROUTER_API_KEY",),
    ("PPLX_API_KEY", "PERPLEXITY_API_KEY"),
    ("TOGETHER_API_KEY",),
    ("VOYAGE_API_KEY",),
    ("XAI_API_KEY",),
)
"""The variables of each provider, of which one is enough; the first gets the placeholder."""
_AWS = {
    "AWS_ACCESS_KEY_ID": PLACEHOLDER,
    "AWS_SECRET_ACCESS_KEY": PLACEHOLDER,
    "AWS_DEFAULT_REGION": "us-east-1",
}
_AWS_ELSEWHERE = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_BEARER_TOKEN_BEDROCK",
)
"""Other ways to tell AWS who asks: where one of them is used, none of the three is touched."""


def lend(config: pytest.Config, mode: str | None) -> None:
    """Set what is missing until pytest ends, where the project's HTTP calls are replayed and it does not refuse."""
    wanted = config.getini("llm_http") and config.getini("llm_placeholder_keys")
    if wanted and mode in (None, "replay", "dry"):
        missing = _missing(os.environ)
        os.environ.update(missing)
        config.add_cleanup(lambda: _take_back(missing))


def _missing(environment: Mapping[str, str]) -> dict[str, str]:
    keys = {names[0]: PLACEHOLDER for names in _KEYS if not any(map(environment.get, names))}
    return keys if _knows_aws(environment) else keys | _AWS


def _knows_aws(environment: Mapping[str, str]) -> bool:
    files = (Path("~/.aws", name).expanduser() for name in ("credentials", "config"))
    return any(map(environment.get, (*_AWS, *_AWS_ELSEWHERE))) or any(file.exists() for file in files)


def _take_back(lent: Mapping[str, str]) -> None:
    for name, value in lent.items():
        if os.environ.get(name) == value:
            del os.environ[name]
