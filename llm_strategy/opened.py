"""A scope that a session has opened: its rules, and the scope itself once a call needs it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from llm_strategy import slot
from llm_strategy.cassette.journal import described, new_journal

if TYPE_CHECKING:
    from llm_strategy.cassette.account import Account
    from llm_strategy.cassette.facts import Facts
    from llm_strategy.cassette.faults import Fault
    from llm_strategy.cassette.project import Project
    from llm_strategy.cassette.scope import CassetteScope


class Opener(Protocol):
    """What a scope needs of the session that opens it; `account` and `project` are only made when a call is."""

    folder: Path
    model: str | None
    facts: Facts

    @property
    def account(self) -> Account: ...
    @property
    def project(self) -> Project: ...


class OpenScope:
    """A scope that a session has opened. It comes into being with the first call, or when it is asked for.

    `path` is its cassette; `made` says whether there was any reason to make it yet.
    """

    def __init__(
        self,
        session: Opener,
        path: Path,
        rules: dict[str, Any],
        fault: Fault | None = None,
        ignore: Sequence[str] = (),
    ) -> None:
        self.session = session
        self.path = path
        self.rules = rules
        self.fault = fault
        self._ignore = ignore
        self.journal = new_journal()
        self._scope: CassetteScope | None = None
        self._lock = threading.Lock()

    @property
    def made(self) -> bool:
        return self._scope is not None or self.journal.exists()

    @property
    def scope(self) -> CassetteScope:
        with self._lock:
            if self._scope is None:
                self._scope = self._make()
            return self._scope

    def _make(self) -> CassetteScope:
        from llm_strategy.cassette.scope import CassetteScope, Rules

        session = self.session
        known: dict[str, Any] = {"account": session.account, "project": session.project}
        known |= {"default_model": session.model, "facts": session.facts}
        if self.fault is None:
            return CassetteScope(self.path, Rules(**self.rules), **known)
        from llm_strategy.cassette.faults import FaultScope

        return FaultScope(self.path, Rules(**self.rules), fault=self.fault, **known)

    def figures(self) -> dict[str, object]:
        """What became of its calls, their tokens, causes and cassette, by names; nothing without calls."""
        if not self.made:
            return {}
        from llm_strategy.cassette.figures import figures

        return figures(self.scope)

    def variables(self) -> dict[str, str | None]:
        """What child processes need to take part, and what holds in this one as well."""
        session = self.session
        known: dict[str, Any] = {"folder": session.folder, "model": session.model, "facts": session.facts.journal}
        told: dict[str, str | None] = {slot.CHILD_VARIABLE: described(self.path, self.rules, self.journal, **known)}
        if self._ignore:
            from llm_strategy.http import settings

            told[settings.IGNORE] = settings.joined_paths([*settings.ignored(), *self._ignore])
        return told
