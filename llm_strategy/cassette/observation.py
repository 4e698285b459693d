"""What a scope records is looked at: values that the next run will not have are reported."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.store import open_file
from llm_strategy.errors import CassetteError
from llm_strategy.volatility.second_process import second_process
from llm_strategy.volatility.watch import Recordings, look_at, source_files

if TYPE_CHECKING:
    from llm_strategy.cassette.scope import CassetteScope
    from llm_strategy.context import Ask


class Observation:
    """A call that is about to be asked. Made where it is made, since only there its callers are known."""

    def __init__(self, scope: CassetteScope, ask: Ask) -> None:
        self._scope = scope
        self._ask = ask
        self._files = source_files(ask, scope.rules.owner)
        self._again = second_process().prepared(ask.site) if scope.renders_twice else None
        if scope.before is None:
            scope.before = _recordings(scope.path)

    def recorded(self) -> None:
        """The call has been recorded. Its answer is paid for, and reaches its caller whatever happens here."""
        with suppress(Exception):
            look_at(self._ask, self._files, self._scope.before, self._scope.changes, self._again)


def _recordings(path: Path) -> Recordings:
    documents: Sequence[Entry] = ()
    written = datetime.now(UTC)
    with suppress(OSError, CassetteError):
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        documents = open_file(path).entries
    return Recordings(documents, written.astimezone())
