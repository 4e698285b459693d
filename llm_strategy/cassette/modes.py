"""Record modes: what a call may do when its cassette has or lacks it."""

from __future__ import annotations

import os
from typing import Literal, get_args

Mode = Literal["replay", "new", "all", "live", "dry"]
MODES: tuple[str, ...] = get_args(Mode)
ENVIRONMENT = "LLM_STRATEGY_RECORD"


def check_mode(mode: str) -> Mode:
    """The mode of that name; raises ValueError, which lists the valid ones."""
    if mode not in MODES:
        raise ValueError(f"unknown record mode {mode!r}; the modes are {', '.join(MODES)}")
    return mode  # type: ignore[return-value]  # just checked


def mode_of_environment() -> Mode:
    """The mode where neither a test session nor the caller says one; of a bad one the ValueError names the variable."""
    try:
        return check_mode(os.environ.get(ENVIRONMENT) or "replay")
    except ValueError as error:
        raise ValueError(f"the environment variable {ENVIRONMENT}: {error}") from None
