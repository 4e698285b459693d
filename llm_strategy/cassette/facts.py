"""What the scopes of one recording session tell each other, whatever process they are in."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path

from llm_strategy.cassette.journal import ledger, new_journal, tell


class Facts:
    """Facts that all scopes of a run in mode `all` know: which files they have begun, what they have asked afresh.

    The facts stand in a journal, a line each, which the processes of the run have in common; there is none as long
    as there are no facts.
    """

    def __init__(self, journal: str | os.PathLike[str] | None = None) -> None:
        self.journal = Path(journal) if journal else new_journal()
        self._began_here = journal is None
        self._facts: set[tuple[str, ...]] = set()
        self._read = 0
        self._lock = threading.Lock()

    def knows(self, *fact: str) -> bool:
        """Whether any scope of the run has noted this."""
        with self._lock:
            if fact not in self._facts:
                self._take_in()
            return fact in self._facts

    def note(self, *facts: tuple[str, ...]) -> None:
        """Tell all scopes of the run."""
        tell(self.journal, *facts)

    def _take_in(self) -> None:
        try:
            with self.journal.open("rb") as file:
                file.seek(self._read)
                lines = file.read()
        except FileNotFoundError:
            return
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        self._facts |= {tuple(json.loads(line)) for line in whole.splitlines()}

    def end(self) -> None:
        """Remove the journal and the ledger of a budget, in the process in which the run began."""
        if self._began_here:
            for path in (self.journal, *ledger(self.journal)):
                with suppress(OSError):
                    path.unlink()
