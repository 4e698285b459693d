"""Calls that belong to no test and no fixture."""

from __future__ import annotations

from llm_strategy.cassette.account import Account
from llm_strategy.cassette.miss import place
from llm_strategy.cassette.missed import Missed
from llm_strategy.cassette.modes import Mode
from llm_strategy.cassette.turns import LiveTurn
from llm_strategy.context import Ask, Scope, Turn
from llm_strategy.errors import CassetteMiss

_CAUSE = "a call outside every test"


class OutsideScope(Scope):
    """Refuses to ask: a call made while modules are imported or tests are collected has no cassette."""

    def __init__(
        self,
        mode: Mode,
        account: Account,
        misses: list[tuple[str, CassetteMiss]],
        default_model: str | None,
        *,
        http: bool = False,
    ) -> None:
        super().__init__(default_model=default_model)
        self._http = http
        self._mode = mode
        self.account = account
        self._misses = misses

    @property
    def http(self) -> bool:
        return self._http

    @property
    def may_ask(self) -> bool:
        return self._mode == "live"

    def enter(self, ask: Ask) -> Turn:
        __tracebackhide__ = True
        if ask.source is not None and not ask.source.recorded:
            return super().enter(ask)
        if self._mode == "live":
            return LiveTurn(self, self._places(), ask, self.calls.next_occurrence(ask.request.key))
        miss = CassetteMiss(
            f"{ask.site.function or 'a model'} is called outside every test and fixture, at import or collection: such "
            "a call has no cassette. Call it in a test or a fixture, or inside `with use_cassette(...)`.",
            request=ask.request,
            function=ask.site.function,
            causes=(_CAUSE,),
            **place(ask.site),
        )
        raise self.keep(miss)

    def keep(self, error: CassetteMiss, ask: Ask | None = None) -> CassetteMiss:  # noqa: ARG002  # as a test's scope
        self._misses.append((_CAUSE, error))
        self.account.count(missed=1)
        self.account.miss(Missed.of(error, _CAUSE, error.request.key if error.request else ""))
        return error
