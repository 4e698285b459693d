"""Recordings that nobody asks for any more: found, and removed while they stand as they were judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.run import Recorded
from llm_strategy.cassette.store import CassetteFile, open_file


def stale_in(file: CassetteFile, asked: Mapping[str, int]) -> list[Recorded]:
    """The recordings that are more than was asked: `asked` says how often, by key."""
    return [recorded(entry) for entry in file.entries if entry.occurrence > asked.get(entry.key, 0)]


def recorded(entry: Entry) -> Recorded:
    return Recorded(entry.key, entry.occurrence, sha256(entry.raw).hexdigest())


def standing(path: Path, judged: Collection[Recorded]) -> Sequence[Entry]:
    """Those of the recordings that are still there, unchanged. Raises CassetteError for a damaged cassette."""
    return among(open_file(path).entries, judged) if path.exists() else ()


def among(entries: Iterable[Entry], judged: Collection[Recorded]) -> list[Entry]:
    """Those of the entries that were judged, and stand as they did then."""
    # Few are judged: of the others not even the hash is computed.
    calls = {(key, occurrence) for key, occurrence, _ in judged}
    return [entry for entry in entries if (entry.key, entry.occurrence) in calls and recorded(entry) in judged]


def remove(path: Path, judged: Iterable[Recorded]) -> Sequence[Entry]:
    """Remove recordings, and a file in which nothing is left; what was recorded or changed since stays.

    The file is replaced by a finished new one. Raises CassetteError or OSError; the file is then as it was.
    """
    if not path.exists():
        return ()
    chosen = frozenset(judged)
    return open_file(path).remove(lambda entries: among(entries, chosen))
