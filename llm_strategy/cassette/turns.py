"""What becomes of one call in a scope with a cassette: asked and not recorded, or replayed, copied, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from llm_strategy.cassette.account import Account
from llm_strategy.cassette.disk import acquire, release
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import explain_divergence, explain_end
from llm_strategy.context import Ask, Place, Stream, Turn
from llm_strategy.errors import CassetteMiss
from llm_strategy.log import Call
from llm_strategy.values import Response

if TYPE_CHECKING:
    from llm_strategy.cassette.budget import Reservation
    from llm_strategy.cassette.modes import Mode
    from llm_strategy.cassette.observation import Observation
    from llm_strategy.cassette.scope import CassetteScope


class Teller(Protocol):
    """A scope that keeps account of what is asked in it."""

    account: Account

    def keep(self, error: CassetteMiss, ask: Ask | None = None) -> CassetteMiss:
        """Take in a miss."""


class _PaidTurn(Turn):
    """A call that may cost something, which a budget may not allow."""

    # Of the class, since a replayed call sets neither.
    _reservation: Reservation | None = None
    _waits_until: float | None = None
    _mode: Mode = "live"

    def __init__(self, scope: Teller, places: Sequence[Place], ask: Ask, occurrence: int) -> None:
        super().__init__(places, ask, occurrence)
        self._teller = scope

    def reserve(self, blocking: bool = True) -> bool:
        # Loaded here because replaying, which most runs only do, spends nothing.
        from llm_strategy.cassette import budget

        limit = budget.current()
        if limit is None or self._reservation is not None:
            return True
        self._waits_until = self._waits_until or budget.patience()
        try:
            self._reservation = limit.reserve(self.ask, self._mode, blocking=blocking, deadline=self._waits_until)
        except CassetteMiss as refused:
            self._teller.account.refused()
            raise self._teller.keep(refused, self.ask) from None
        return self._reservation is not None

    def paid(self, response: Response) -> None:
        """The answer is there, whatever becomes of it."""
        self._teller.account.asked_for(self.ask.request, response)
        if self._reservation is not None:
            self._reservation.settle(self.ask, response)
            self._reservation = None

    def release(self) -> None:
        if self._reservation is not None:
            self._reservation.give_back()
            self._reservation = None


class LiveTurn(_PaidTurn):
    """A call that is asked and not recorded, but counted."""

    def record(self, response: Response) -> Call:
        self.paid(response)
        return super().record(response)

    def repaired(self, repairs: tuple[str, ...]) -> None:
        self._teller.account.mended(repairs)
        super().repaired(repairs)


class CassetteTurn(_PaidTurn):
    """A call that is replayed, copied, or asked and recorded."""

    def __init__(
        self, scope: CassetteScope, places: Sequence[Place], ask: Ask, occurrence: int, entry: Entry | None
    ) -> None:
        super().__init__(scope, places, ask, occurrence)
        self._scope = scope
        self._mode = scope.rules.mode
        self._held: object = None
        self._entry: Entry | None = None
        self._outgrown: Entry | None = None
        self._observation: Observation | None = None
        if entry is not None:
            self._replay(entry)
        else:
            self._observe()

    @property
    def cassette(self) -> str | None:  # type: ignore[override]  # known here without being set for each call
        return str(self._scope.path)

    @property
    def place(self) -> int:
        """Where the call stands in the log of its scope."""
        return self._logs[0][1]

    def _observe(self) -> None:
        # Loaded here because replaying, which most runs only do, needs none of it.
        from llm_strategy.cassette.observation import Observation

        self._observation = Observation(self._scope, self.ask)

    def _replay(self, entry: Entry) -> None:
        self._entry = entry
        self.finish(self._made(entry.response, replayed=True))
        self._scope.account.count(replayed=1)

    def watch(self, stream: Stream) -> None:
        self._scope.watch(stream)

    def read_on(self) -> CassetteMiss:
        return self._scope.keep(explain_end(self._scope, self.ask, self._entry), self.ask)

    def ask_again(self) -> bool:
        if self._entry is None or self._outgrown is not None or not self._scope.may_ask or self.ask.source is None:
            return False
        self._scope.check_secrets(self.ask)
        self._outgrown, self.call = self._entry, None
        self._observe()
        return True

    def give_up(self) -> None:
        if self._outgrown is not None:
            self.call = self._made(self._outgrown.response, replayed=True)

    def diverged(self) -> CassetteMiss:
        return self._scope.keep(explain_divergence(self._scope, self.ask), self.ask)

    def _is_news(self, entry: Entry) -> bool:
        """Whether a recording is an answer to this call, and not one that has proved too short or is another call's."""
        if self._outgrown is not None and entry.raw == self._outgrown.raw:
            return False
        return (entry.key, entry.occurrence) not in self._scope.usage.recorded

    def acquire(self, blocking: bool = True) -> bool:
        """Take the right to ask for this occurrence, then look whether another process has asked meanwhile."""
        key = self.ask.request.key
        scope = self._scope
        lock = scope.file.lock(f"{key[:16]}.{self.occurrence}")
        if not acquire(lock, scope.file.path, blocking=blocking):
            return False
        self._held = lock
        entry = scope.find_newest(key, self.occurrence)
        if entry is not None and self._is_news(entry):
            self._replay(entry)
            return True
        copied = scope.elsewhere(key, self.occurrence) if scope.copies() else None
        if copied is not None:
            entry = scope.copy(copied)
            self.finish(self._made(entry.response, replayed=True))
            scope.account.count(copied=1)
            scope.recorded_as(self.place, entry)
        if self.call is None:
            scope.file.check_writable()
        return True

    def record(self, response: Response) -> Call:
        scope = self._scope
        self.paid(response)
        call = self._made(response)
        entry = scope.write(call)
        scope.usage.fresh[self.place] = self.ask.site.given[0] if self.ask.site.given else None
        scope.recorded_as(self.place, entry)
        if scope.project is not None:
            scope.project.add(call.key, scope.file.path)
        if self._observation is not None:
            self._observation.recorded()
        return self.finish(call)

    def repaired(self, repairs: tuple[str, ...]) -> None:
        self._scope.mended(repairs)
        super().repaired(repairs)

    def release(self) -> None:
        super().release()
        if self.call is None:
            # The model failed: the next equal request is this occurrence, asked again.
            self._scope.calls.give_back(self.ask.request.key)
            self._scope.usage.calls.pop(self.place, None)
            self._scope.usage.unanswered.add((self.ask.request.key, self.occurrence))
        if self._held is not None:
            release(self._held, self._scope.file.path, remove=True)
            self._held = None
