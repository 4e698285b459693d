"""The process-wide scope of a test runner, and the session that sets it.

This module imports nothing, so that a runner can set a scope for every test at no cost: what a scope
is made of is loaded when the first call asks for it.
"""

from __future__ import annotations

from typing import Any, Protocol

CHILD_VARIABLE = "LLM_STRATEGY_SCOPE"
"""The environment variable in which child processes find their parent's scope, as JSON."""
CHILD_OPENER = "opener"
"""The field of it that names, as "module:function", what opens the scope that it describes."""


class Holder(Protocol):
    """What a `context.Scope` is got from; `scope` makes it at the first call."""

    @property
    def scope(self) -> Any: ...


holders: list[Holder] = []
"""The scopes that calls belong to where no block says otherwise; the last one first."""

blocks: list[Any] = []
"""The `use_cassette` blocks that are open outside every session: threads of theirs may have no context."""

sessions: list[Any] = []
"""The sessions that are running, one inside the other."""


def push(holder: Holder) -> None:
    """Make a scope the process-wide one, until `pop`."""
    holders.append(holder)


def pop(holder: Holder) -> None:
    if holder in holders:
        holders.remove(holder)
