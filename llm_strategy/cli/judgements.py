"""The judgement of the last complete run, for the commands that use it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_strategy.cassette.judgement import Judgement, Ownerless, find_judgement, fingerprint
from llm_strategy.cassette.stale import standing

if TYPE_CHECKING:
    from llm_strategy.cassette.entry import Entry


class Findings:
    """What a judgement says of files as they stand now; nothing of those that were changed since."""

    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement
        self._stale = {os.path.realpath(path): found for path, found in judgement.stale.items()}
        self._ownerless = {os.path.realpath(path): found for path, found in judgement.ownerless.items()}

    def stale(self, path: Path) -> tuple[Sequence[Entry], Sequence[str]]:
        """The stale recordings of a cassette, and who holds them back. Raises CassetteError for a damaged one."""
        found = self._stale.get(os.path.realpath(path))
        return (standing(path, found.entries), found.held) if found else ((), ())

    def ownerless(self, path: Path) -> Ownerless | None:
        """Whether no test owns a file, or uses it."""
        found = self._ownerless.get(os.path.realpath(path))
        return found if found and path.is_file() and fingerprint(path) == found.fingerprint else None


def last_findings() -> Findings | None:
    """Those of the project around the current folder; None without a complete run, or one that cannot be read."""
    try:
        judgement = find_judgement(Path.cwd())
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return None
    return Findings(judgement) if judgement else None
