"""`use_cassette` and `call_log`: scopes around a stretch of code."""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import Token
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar

from llm_strategy import slot
from llm_strategy.cassette.commit import commit
from llm_strategy.cassette.facts import Facts
from llm_strategy.cassette.modes import Mode, check_mode, mode_of_environment
from llm_strategy.cassette.open_blocks import close_to_children, open_to_children, take_number
from llm_strategy.cassette.scope import CassetteScope, Rules
from llm_strategy.context import Ask, Scope, Turn, current, enter_block, leave_block
from llm_strategy.errors import ChangingPromptWarning
from llm_strategy.http import begin_scope, check_settings, end_scope
from llm_strategy.log import CallLog
from llm_strategy.session import Session, running

P = ParamSpec("P")
R = TypeVar("R")


class use_cassette:  # noqa: N801  # a context manager and decorator that reads as a verb
    """Replay the calls of a block from a cassette, or record them into it.

    `with use_cassette("cassettes/x.yaml") as cassette:`, around synchronous and asynchronous code
    alike, or as a decorator of a `def` or `async def`. `mode` is "replay", "new", "all", "live" or
    "dry"; None is the session's under pytest, else that of LLM_STRATEGY_RECORD, else "replay". With
    `http=True` it also records and replays what any HTTP client sends to a provider; None does so where what
    is around it does, such as a test. `cassette` has `calls` and `path`.

    In the block CassetteMiss is raised for a call that may not be asked, CassetteError for a file
    that cannot be trusted. A block that recorded a prompt with a value that differs from run to run, such as
    a random id, warns with ChangingPromptWarning when it ends outside pytest. Raises ValueError for an
    unknown mode, TypeError for a generator to decorate.
    """

    def __init__(self, path: str | os.PathLike[str], mode: str | None = None, http: bool | None = None) -> None:
        self._path = Path(path)
        self._mode = None if mode is None else check_mode(mode)
        self._http = http
        self._open: list[_Opened] = []

    def __enter__(self) -> CassetteScope:
        session = running()
        mode = self._mode_in(session)
        # What a session records afresh is asked once in all of it; a block that does so of itself asks.
        together = session is not None and session.mode == mode
        with ExitStack() as end:
            facts = session.facts if session is not None and together else Facts()
            if not together:
                end.callback(facts.end)
            number = 0
            if mode == "all" and not together:
                number, give_back = take_number(self._path.absolute())
                end.callback(give_back)
            scope = self._scope(session, mode, facts, number)
            if scope.http:
                check_settings()
                begin_scope()
                end.callback(end_scope)
            if session is None:
                slot.blocks.append(scope)
            self._open.append(_Opened(scope, enter_block(scope), end.pop_all(), open_to_children(scope)))
        return scope

    def _mode_in(self, session: Session | None) -> Mode:
        if session is None:
            return self._mode or mode_of_environment()
        return "replay" if session.only_replay else self._mode or session.mode

    def _scope(self, session: Session | None, mode: Mode, facts: Facts, number: int) -> CassetteScope:
        around = current()
        test = around.rules if isinstance(around, CassetteScope) else Rules()
        rules = Rules(
            mode,
            owner=test.owner,
            shared=True,
            command=test.command or ("pytest --llm-record" if session else None),
            alongside=number,
            http=around is not None and around.http if self._http is None else self._http,
            expect_miss=test.expect_miss,
        )
        account, project = (session.account, session.project) if session else (None, None)
        scope = _Block(self._path.absolute(), rules, account=account, project=project, parent=around, facts=facts)
        while around is not None and not isinstance(around, CassetteScope):
            around = around.parent
        if around is not None and session is not None and session.reported:
            around.blocks.append(scope)
        return scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Several tasks or threads may be inside one object: each leaves the block that it entered.
        here = current()
        mine = [at for at, opened in enumerate(self._open) if opened.scope is here]
        scope, token, end, journal = self._open.pop(mine[-1] if mine else -1)
        leave_block(token)
        if scope in slot.blocks:
            slot.blocks.remove(scope)
        with end:
            scope.end(passed=error is None)
            session = running()
            close_to_children(scope, journal, session.run if session else None)
            commit(scope, passed=error is None)
            (session or scope).left(scope)
        if session is None and error is None:
            _warn(scope)

    async def __aenter__(self) -> CassetteScope:
        return self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        def again() -> use_cassette:
            return use_cassette(self._path, self._mode, self._http)

        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            # Its body runs when it is read, after the block: models would be asked, and nothing recorded.
            raise TypeError(
                f"use_cassette cannot decorate {getattr(function, '__qualname__', function)}, a generator, whose body "
                "runs after the call: decorate what reads it, or write `with use_cassette(...)` there"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                with again():
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]  # a coroutine function, as R says

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with again():
                return function(*args, **kwargs)

        return called


class _Opened(NamedTuple):
    """A block that is open. `end` gives back what it holds; in `journal` child processes tell what they do."""

    scope: CassetteScope
    token: Token[Scope | None]
    end: ExitStack
    journal: Path


def _warn(scope: CassetteScope) -> None:
    """Outside of a session nobody else says what the account says."""
    if scope.captured_nothing is not None:
        warnings.warn(scope.captured_nothing, UserWarning, stacklevel=3)
    if scope.before is not None:
        from llm_strategy.volatility.second_process import collect

        collect()
        for text in scope.account.changing_values:
            told = f"a recorded prompt holds what differs from run to run, so that no recording will answer it: {text}"
            warnings.warn(f"{told}. {scope.account.cure}", ChangingPromptWarning, stacklevel=3)


class _Block(CassetteScope):
    """A cassette of its own: what inner blocks ask is not in its log."""

    hears_inner = False


class call_log:  # noqa: N801  # a context manager that reads as a noun phrase in `with call_log() as calls:`
    """The calls of a block: `with call_log() as calls:`. Changes nothing about how they are answered."""

    def __enter__(self) -> CallLog:
        self._scope = _Listening(current())
        self._token = enter_block(self._scope)
        return self._scope.calls

    def __exit__(self, *error: object) -> None:
        leave_block(self._token)
        self._scope.close()


class _Listening(Scope):
    """Hands every call to the scope around it, and keeps it in a log of its own."""

    def __init__(self, around: Scope | None) -> None:
        super().__init__(around)
        self._around = around or Scope()

    def enter(self, ask: Ask) -> Turn:
        turn = self._around.enter(ask)
        turn.log_to(self.calls)
        return turn
