"""Calls that a program makes to a provider itself, recorded and replayed where they leave it over HTTP."""

from __future__ import annotations

from llm_strategy.http.installation import install, uninstall

__all__ = ["install", "uninstall"]
