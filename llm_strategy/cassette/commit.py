"""The end of a scope: what it recorded is put in order, and takes the place of what it replaces."""

from __future__ import annotations

import shlex
from pathlib import Path

from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.rerecording import settle
from llm_strategy.cassette.scope import CassetteScope


def commit(scope: CassetteScope, *, passed: bool) -> None:
    """Put what a scope recorded in order.

    In mode `all` the new recording takes the place of the old one only when all has passed; else it
    stays beside it.
    """
    if scope.captured_nothing is not None:
        scope.account.note(scope.captured_nothing)
    if not scope.touched:
        return
    if scope.usage.written:
        scope.file.arrange(scope.usage.ordered())
        scope.usage.renumber()
    if scope.file.overwritten:
        scope.file.overwritten = False
        scope.account.notes.append(f"{shown(scope.file.path)}: the last document was torn, and is dropped")
    elif scope.file.torn:
        scope.account.notes.append(f"{shown(scope.file.path)}: the last document is torn and was passed over")
    if scope.usage.fresh and scope.project is not None:
        from llm_strategy.cassette.changed import changed_by

        scope.account.changed.extend(changed_by(scope))
    new = scope.recording_path
    if scope.rules.mode != "all" or not new.exists():
        return
    if passed:
        settle(scope)
    elif scope.usage.calls:
        scope.account.notes.append(f"{shown(new)}: kept beside the old recording, {_next_command(scope, new)}")


def _next_command(scope: CassetteScope, new: Path) -> str:
    """Why a new recording was not taken over, and what to do."""
    why = "because the test did not pass"
    if scope.rules.shared:
        again = "pytest --llm-record=all" if scope.rules.command else "run it again with mode='all'"
        return f"{why}; to ask again: {again}"
    return f"{why}; to use it all the same: llm-strategy review {shlex.quote(shown(new))}"
