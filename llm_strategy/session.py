"""A session of a test runner: it opens scopes, commits what they recorded, and keeps the account."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from llm_strategy.cassette import naming
from llm_strategy.cassette.account import Account
from llm_strategy.cassette.child import describe, read_journal
from llm_strategy.cassette.commit import commit
from llm_strategy.cassette.modes import Mode, check_mode
from llm_strategy.cassette.project import Project
from llm_strategy.cassette.scope import CassetteScope, Rules
from llm_strategy.cassette.store import open_file
from llm_strategy.context import CHILD_VARIABLE, Ask, Scope, Turn, pop, push
from llm_strategy.errors import CassetteMiss


class Session:
    """What a test runner needs of the call log.

    `folder` holds the cassettes. `mode` is the record mode, `model` names the model of functions that
    name none. `account` counts what was done, `misses` lists every request that had no recording.
    """

    def __init__(self, folder: str | os.PathLike[str], *, mode: str = "replay", model: str | None = None) -> None:
        self.folder = Path(folder)
        self.mode: Mode = check_mode(mode)
        self.model = model
        self.account = Account()
        self.project = Project(self.folder)
        self.misses: list[tuple[str, CassetteMiss]] = []
        self._stale: list[tuple[CassetteScope, int]] = []
        self._outside = _Outside(self)
        self._described: dict[Scope, str | None] = {}
        self._session_before = _Sessions.current
        _Sessions.current = self
        push(self._outside)

    # Scopes

    def test_path(self, nodeid: str) -> Path:
        """The cassette that belongs to a test."""
        return self.folder / naming.test_cassette(nodeid)

    def fixture_path(self, module: str, fixture: str, parameter: str | None) -> Path:
        """The cassette that belongs to a fixture wider than a test."""
        return self.folder / naming.fixture_cassette(module, fixture, parameter)

    def named_path(self, name: str) -> Path:
        """The cassette of that name, which many may share. Raises ValueError for a name that leaves the folder."""
        return self.folder / naming.named_cassette(name)

    def open(
        self,
        path: Path,
        *,
        owner: str | None = None,
        shared: bool = False,
        mode: str | None = None,
        repeat: Literal["last"] | None = None,
        refusal: str | None = None,
        command: str | None = None,
    ) -> CassetteScope:
        """A scope whose calls are replayed from, or recorded into, the cassette at `path`.

        A `mode` other than the session's acts only while the session records. `refusal` forbids
        recording and says why. Nothing is read or written before the first call.
        """
        chosen = self.mode if mode is None or self.mode == "replay" else check_mode(mode)
        rules = Rules(chosen, owner, shared, command, repeat, refusal if chosen in ("new", "all") else None)
        return CassetteScope(path, rules, account=self.account, project=self.project, default_model=self.model)

    def enter(self, scope: Scope) -> None:
        """Make a scope the one that calls of this process, its threads and its children belong to."""
        push(scope)
        self._described[scope] = os.environ.get(CHILD_VARIABLE)
        if isinstance(scope, CassetteScope):
            os.environ[CHILD_VARIABLE] = describe(scope, self.folder)

    def leave(self, scope: Scope) -> None:
        """Undo `enter`; the scope stays open."""
        pop(scope)
        described = self._described.pop(scope, None)
        if described is None:
            os.environ.pop(CHILD_VARIABLE, None)
        else:
            os.environ[CHILD_VARIABLE] = described

    def intercept(self, scope: CassetteScope) -> AbstractContextManager[Any]:
        """Record and replay what HTTP clients send to providers too, while the result is entered."""
        from llm_strategy.http import intercept

        interception: AbstractContextManager[Any] = intercept(scope)
        return interception

    def take_in(self, scope: CassetteScope) -> None:
        """Add to a scope what child processes did in it so far."""
        read_journal(scope)

    def close(self, scope: CassetteScope, *, passed: bool, complete: bool = True) -> None:
        """End a scope. What it recorded is put in order; with `passed`, it replaces what it replaces.

        Stale recordings are counted for passed scopes that are `complete` (every call that belongs to
        them was made), and removed at `finish`.
        """
        scope.close()
        read_journal(scope)
        self.misses += [(scope.rules.owner or str(scope.path), miss) for miss in scope.misses]
        if not scope.touched or scope.rules.mode == "live":
            return
        commit(scope, passed=passed)
        if passed and complete and not scope.rules.shared and not scope.misses:
            self._note_stale(scope)

    def _note_stale(self, scope: CassetteScope) -> None:
        file = open_file(scope.path)
        used = {file.find(*call, repeat_last=scope.rules.repeat == "last") for call in scope.usage.ordered()}
        stale = sum(entry not in used for entry in file.entries)
        if stale:
            self.account.count(stale=stale)
            self._stale.append((scope, stale))

    # The end

    def finish(self) -> Account:
        """Remove the stale recordings of tests that passed, where this session records; end the session."""
        if self.mode == "new":
            for scope, _ in self._stale:
                if scope.rules.mode == "new":
                    dropped = open_file(scope.path).arrange(scope.usage.ordered(), drop=lambda entry: True)
                    self.account.count(pruned=dropped, stale=-dropped)
        self._stale.clear()
        pop(self._outside)
        self._outside.close()
        _Sessions.current = self._session_before
        return self.account


class _Sessions:
    """The session that is running in this process; `use_cassette` takes its mode."""

    current: Session | None = None


def running() -> Session | None:
    return _Sessions.current


class _Outside(Scope):
    """No test and no fixture: a call made while modules are imported or tests are collected."""

    def __init__(self, session: Session) -> None:
        super().__init__(default_model=session.model)
        self._session = session

    def enter(self, ask: Ask) -> Turn:
        if self._session.mode == "live" or (ask.source is not None and not ask.source.recorded):
            return super().enter(ask)
        cause = "a call outside every test"
        miss = CassetteMiss(
            f"{ask.site.function or 'a model'} is called outside every test and fixture, at import or collection: such "
            "a call has no cassette. Call it in a test or a fixture, or inside `with use_cassette(...)`.",
            request=ask.request,
            function=ask.site.function,
            causes=(cause,),
        )
        self._session.misses.append((cause, miss))
        self._session.account.count(missed=1)
        raise miss
