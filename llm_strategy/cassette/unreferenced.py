"""Files of binary content that no cassette refers to."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from llm_strategy.cassette.blob_files import FOLDER
from llm_strategy.cassette.disk import LOCK_TIMEOUT
from llm_strategy.cassette.folder import folders_below, yaml_below
from llm_strategy.cassette.replaced import is_set_aside
from llm_strategy.cassette.run import Recorded
from llm_strategy.cassette.stale import among
from llm_strategy.cassette.store import open_file

_HASH = re.compile(r"[0-9a-f]{64}")
_REFERENCE = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""Any hash is taken for a reference, wherever it stands: too many are kept sooner than too few."""
_YOUNG = 2 * LOCK_TIMEOUT
"""Seconds in which a file that nothing refers to may belong to a call that is about to be written."""


def blobs_below(folder: Path) -> Iterator[Path]:
    """All files of binary content below a folder."""
    for blobs in folders_below(folder):
        if blobs.name == FOLDER:
            found = (path for path in blobs.glob("??/*") if path.parent.name == path.name[:2])
            yield from sorted(path for path in found if _HASH.fullmatch(path.name) and path.is_file())


def unreferenced(folder: Path, gone: Mapping[Path, Collection[Recorded] | None]) -> list[Path]:
    """The files of binary content below a folder to which no cassette refers.

    Recordings that are `gone`, by their file, do not count; None stands for the whole file. Raises CassetteError or
    OSError where any cassette cannot be read: what it refers to is not known then.
    """
    candidates = list(blobs_below(folder))
    if not candidates:
        return []
    referred: set[str] = set()
    for path in yaml_below(folder):
        judged = gone.get(path, ())
        if judged is not None and ".locks" not in path.parts:
            referred |= {found.decode() for found in _REFERENCE.findall(_kept(path, judged))}
    oldest = time.time() - _YOUNG
    return [path for path in candidates if path.name not in referred and path.stat().st_mtime < oldest]


def _kept(path: Path, judged: Collection[Recorded]) -> bytes:
    """What of a cassette stays."""
    if is_set_aside(path):
        return path.read_bytes()
    entries = open_file(path).entries
    leaving = set(among(entries, judged))
    return b"".join(entry.raw for entry in entries if entry not in leaving) if leaving else path.read_bytes()
