"""What observers are told of a stream: a function that lasts until its reader is done, and the calls in it."""

from __future__ import annotations

from llm_strategy import observers
from llm_strategy.context import Ask, CallSite, Scope, Turn
from llm_strategy.stream.effects import Steps


class Telling:
    """One stream, whose steps are not those of who reads it: between two items others go on."""

    def __init__(self, name: str, site: CallSite) -> None:
        self._function = observers.function(name, site)
        self._calls: list[observers.Step] = []

    def enter(self, scope: Scope, ask: Ask) -> Turn:
        __tracebackhide__ = True
        call = observers.call(ask.request, self._function)
        self._calls.append(call)
        turn = scope.enter(ask)
        turn.told = call
        return turn

    def steps(self, steps: Steps) -> Steps:
        """The steps, and the end of what is told of them."""
        __tracebackhide__ = True
        try:
            yield from steps
        except GeneratorExit:
            # Dropped while a recording was read.
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        for call in self._calls:
            call.end(error)
        self._function.end(error)
