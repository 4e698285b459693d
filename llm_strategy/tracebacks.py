"""Tracebacks that end at the line of the caller."""

from __future__ import annotations

from llm_strategy.errors import CassetteMiss, LLMStrategyError

_TOLD = (LLMStrategyError, CassetteMiss, TypeError)
"""The errors that say all there is to know about a call."""


class _ShortTraceback:
    """A block: of an error that this library raises in it, no frames below are shown, which concern nobody else."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, _TOLD):
            _shorten(error)


short_traceback = _ShortTraceback()


def _shorten(error: BaseException) -> None:
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None or not innermost.tb_frame.f_globals.get("__name__", "").startswith("llm_strategy."):
        return
    # A TypeError that was not meant for the reader is a fault of ours, which has to be found.
    if not isinstance(error, TypeError) or "__tracebackhide__" in innermost.tb_frame.f_locals:
        error.__traceback__ = None
