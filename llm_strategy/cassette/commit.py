"""The end of a scope: what it recorded is put in order, and takes the place of what it replaces."""

from __future__ import annotations

import os

from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.scope import CassetteScope
from llm_strategy.cassette.store import open_file


def commit(scope: CassetteScope, *, passed: bool) -> None:
    """Put what a scope recorded in order.

    In mode `all` the new recording takes the place of the old one only when all has passed; else it
    stays beside it.
    """
    if not scope.touched:
        return
    if scope.usage.written:
        scope.file.arrange(scope.usage.ordered())
        scope.usage.renumber()
    if scope.file.torn:
        scope.account.notes.append(f"{shown(scope.file.path)}: the last document is torn and was passed over")
    new = scope.recording_path
    if scope.rules.mode != "all" or not new.exists():
        return
    if not passed:
        scope.account.notes.append(
            f"{shown(new)}: kept beside the old recording, because the test did not pass; "
            f"to use it all the same, move it to {scope.path.name}"
        )
    elif scope.rules.shared:
        open_file(scope.path).adopt(scope.file, None)
        scope.account.refresh(scope.path, {key for key, _ in scope.usage.ordered()})
        new.unlink()
    else:
        os.replace(new, scope.path)
