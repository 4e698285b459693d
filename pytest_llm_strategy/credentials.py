"""The cure for a client that is built at import, and wants a key even where everything is replayed."""

from __future__ import annotations

import re

import pytest

from llm_strategy import Session

_MISSING = (
    r"Missing credentials|api_key client option must be set"
    r"|[A-Z]+_API_KEY[^\n]*(?:not set|environment variable|missing)"
    r"|Did not find \w+_api_key|No API key|Could not resolve authentication"
)
_CURE = """
llm-strategy: a provider's client is built while the module is imported, and its SDK wants a key for that even
where every call is replayed. Name the model instead: @llm_strategy("openai:NAME"), or give a function that
makes the client when it is needed: llm_strategy(lambda: ChatOpenAI(model="NAME"), name="openai:NAME"). For clients
that the program asks itself, `llm_http = true` records their calls and, in replay, sets a placeholder for the key."""

_CURE_WHERE_ASKED = """
llm-strategy: a provider's client is built while the module is imported, and its SDK wants a key. This run may ask the
provider: set the key in the environment. Where nothing new is to be recorded, plain `pytest` sets a placeholder."""


def explain(report: pytest.CollectReport, session: Session) -> None:
    """Add the cure to the error of a module that could not be collected for want of a key."""
    cure = _CURE_WHERE_ASKED if session.http and session.mode not in ("replay", "dry") else _CURE
    if report.failed and re.search(_MISSING, str(report.longrepr), re.IGNORECASE):
        report.sections.append(("llm-strategy", cure.strip()))
        report.longrepr = f"{report.longrepr}\n{cure}"
