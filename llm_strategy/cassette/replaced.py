"""What runs have replaced in a cassette, or removed from it, until somebody has accepted that.

Beside the cassette, in `.replaced`, lies a copy of it as it was when it was last accepted. It is made before a run
changes the first of its recordings, and stays as it is while further runs change them: what they replace was never
accepted. So what there is to review is how the cassette differs from that copy.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from llm_strategy.cassette.committed import committed
from llm_strategy.cassette.disk import naming, replace_file
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.naming import REPLACED
from llm_strategy.cassette.store import open_file
from llm_strategy.errors import CassetteError
from llm_strategy.values import JSON


def accepted_path(cassette: Path) -> Path:
    """Where the accepted state of a cassette lies while that differs."""
    return cassette.parent / REPLACED / cassette.name


def reviewed_cassette(accepted: Path) -> Path:
    """The cassette of which this is the accepted state."""
    return accepted.parent.parent / accepted.name


def is_set_aside(path: Path) -> bool:
    """Whether a file is what a run has replaced, or what a decision about it needs, and no cassette to replay."""
    return REPLACED in path.parts


def keep(cassette: Path) -> None:
    """Set a cassette aside as it is, while it is locked and before a run changes a recording. Raises OSError.

    An accepted state that is there stays, unless git has committed what came after it: that is the newer one.
    """
    accepted = accepted_path(cassette)
    if not cassette.exists() or (accepted.exists() and not is_committed(cassette)):
        return
    make_folder(accepted.parent)
    replace_file(accepted, [cassette.read_bytes()])


def is_committed(cassette: Path) -> bool:
    """Whether git has a cassette in its last commit as it stands."""
    return os.path.realpath(cassette) in committed(cassette.parent, cassette.name)


def make_folder(folder: Path) -> None:
    """A folder that git passes over. Raises OSError."""
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        ignoring = folder / ".gitignore"
        if not ignoring.exists():
            ignoring.write_text("*\n", "utf-8")


def release(cassette: Path) -> None:
    """Remove the accepted state of a cassette that differs from it in nothing but further calls."""
    accepted = accepted_path(cassette)
    with suppress(CassetteError, OSError):
        if accepted.exists() and not apart(open_file(accepted).entries, open_file(cassette).entries)[0]:
            discard(accepted)


def forget(cassette: Path, fingerprints: Collection[str]) -> None:
    """Let go of recordings that somebody has removed on purpose, by their SHA-256. Raises CassetteError or OSError."""
    accepted = accepted_path(cassette)
    if accepted.exists():
        open_file(accepted).remove(
            lambda entries: [entry for entry in entries if sha256(entry.raw).hexdigest() in fingerprints]
        )
        release(cassette)


def discard(accepted: Path) -> None:
    """Remove an accepted state, and the folder in which none is left."""
    accepted.unlink(missing_ok=True)
    with suppress(OSError):
        if [path.name for path in accepted.parent.iterdir()] == [".gitignore"]:
            (accepted.parent / ".gitignore").unlink()
            accepted.parent.rmdir()


def apart(old: Sequence[Entry], new: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The recordings of each side that the other side lacks."""
    return _lacking(old, new), _lacking(new, old)


def _lacking(entries: Sequence[Entry], others: Sequence[Entry]) -> list[Entry]:
    left = Counter(map(identity, others))
    found = []
    for entry in entries:
        mark = identity(entry)
        if left[mark]:
            left[mark] -= 1
        else:
            found.append(entry)
    return found


def identity(entry: Entry) -> tuple[str, JSON]:
    """Equal for recordings that say the same."""
    return entry.key, entry.sealed
