"""Which HTTP traffic is calls to a model, by where it goes."""

from __future__ import annotations

import re
from functools import lru_cache

from llm_strategy.http import settings
from llm_strategy.wire.registry import find

_PROVIDERS = frozenset(
    "api.openai.com openai.azure.com services.ai.azure.com models.inference.ai.azure.com models.github.ai "
    "api.anthropic.com generativelanguage.googleapis.com aiplatform.googleapis.com api.mistral.ai codestral.mistral.ai "
    "api.groq.com api.cohere.com api.cohere.ai openrouter.ai api.together.xyz api.together.ai api.fireworks.ai "
    "api.deepseek.com api.x.ai api.perplexity.ai api-inference.huggingface.co router.huggingface.co "
    "endpoints.huggingface.cloud api.replicate.com api.cerebras.ai api.voyageai.com api.ai21.com api.moonshot.ai "
    "integrate.api.nvidia.com api.sambanova.ai ollama.com".split()
)
"""Hosts at which nothing but models is served, and below them."""
_REGIONAL = re.compile(
    r"[a-z0-9-]+-aiplatform\.googleapis\.com"
    r"|(?:vpce-[a-z0-9-]+\.)?bedrock(?:-agent)?-runtime(?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws|vpce\.amazonaws\.com)"
)


def is_model_call(method: str, host: str, path: str) -> bool:
    """Whether a request is taken in: it goes to a provider, to a host of the project's, or to a known path."""
    return is_named(host) or (method.upper() == "POST" and find(path) is not None)


def is_common(host: str, path: str) -> bool:
    """Whether a path may be any web application's, at a host that nobody has named: there the body has to tell."""
    format = find(path)
    return format is not None and format.is_common and not is_named(host)


def is_named(host: str) -> bool:
    """Whether a host is a provider's or one of the project's, where whatever is sent is taken in."""
    return is_provider(host) or is_below(host.lower(), settings.hosts())


@lru_cache(maxsize=1024)
def is_provider(host: str) -> bool:
    """Whether nothing but models, and what belongs to them, is served at a host."""
    host = host.lower().rstrip(".")
    return is_below(host, _PROVIDERS) or _REGIONAL.fullmatch(host) is not None


def is_below(host: str, hosts: frozenset[str]) -> bool:
    """Whether a host is one of these or belongs to one."""
    while host not in hosts:
        _, dot, host = host.partition(".")
        if not dot:
            return False
    return True
