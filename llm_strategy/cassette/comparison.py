"""What makes a request another one than it was when a test was last looked at, whether a cassette holds that or not."""

from __future__ import annotations

from pathlib import Path

from llm_strategy.cassette.store import open_file
from llm_strategy.cassette.versions import suspected
from llm_strategy.difference import compare
from llm_strategy.errors import CassetteError
from llm_strategy.values import Request


def causes(recorded: Request, now: Request, cassette: Path | None) -> tuple[str, ...]:
    """Short phrases; a library whose other version may be the reason is known from the cassette's header."""
    found = compare(recorded, now).causes
    try:
        others = suspected(open_file(cassette).header, found) if cassette and cassette.exists() else []
    except (CassetteError, OSError):
        # Who replays it is told.
        others = []
    return (*found, *map(str, others))
