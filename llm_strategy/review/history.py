"""The decisions that were made, each with the bytes of the files that it changed, so that it can be undone."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from llm_strategy.cassette.disk import acquire, naming, release, replace_file
from llm_strategy.cassette.folder import folders_below
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.naming import NEW_SUFFIX, REPLACED
from llm_strategy.cassette.replaced import discard, make_folder
from llm_strategy.cassette.rerecording import earlier_path, replaced_path
from llm_strategy.cassette.store import CassetteFile, open_file
from llm_strategy.errors import CassetteError

_FOLDER = "decisions"
_KEPT = 50
"""Decisions that can be undone."""


class Rewriting(NamedTuple):
    """What a file holds before a decision and after it; None where there is no file."""

    path: Path
    before: bytes | None
    after: bytes | None


@contextmanager
def deciding(folder: Path) -> Iterator[None]:
    """Hold the lock of all decisions about the cassettes of a folder."""
    path = folder / REPLACED / _FOLDER
    make_folder(path.parent)
    lock = CassetteFile(path).lock("review")
    acquire(lock, path)
    try:
        yield
    finally:
        release(lock, path)


class History:
    """The decisions about the cassettes of one folder: a folder each, named by the time."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / REPLACED / _FOLDER

    def apply(self, what: str, rewritings: Sequence[Rewriting]) -> None:
        """Keep what the files hold, then change them. Raises OSError; what was changed until then can be undone."""
        self._keep(what, rewritings)
        for path, _, after in rewritings:
            _write(path, after)
        # Those that have a point before their name were never carried out: their process was killed before.
        for old in (*self.decisions()[:-_KEPT], *self._place.glob(".[0-9]*")):
            shutil.rmtree(old, ignore_errors=True)

    def _keep(self, what: str, rewritings: Sequence[Rewriting]) -> None:
        name = f"{time.time_ns():020}"
        unfinished = self._place / f".{name}"
        with naming(unfinished):
            unfinished.mkdir(parents=True)
        files = []
        for number, (path, before, after) in enumerate(rewritings):
            kept = None if before is None else f"{number}.yaml"
            if before is not None and kept is not None:
                replace_file(unfinished / kept, [before])
            # Folders may be moved together with what was decided about them.
            files.append({"path": os.path.relpath(path, self._place), "before": kept, "after": _mark(after)})
        replace_file(unfinished / "decision.json", [json.dumps({"what": what, "files": files}).encode()])
        os.rename(unfinished, self._place / name)

    def decisions(self) -> list[Path]:
        """Those that can be undone, the last one last."""
        return sorted(path for path in self._place.glob("[0-9]*") if (path / "decision.json").is_file())


def undo_last(folders: Sequence[Path], alone: Sequence[Path]) -> str | None:
    """Undo the last decision about cassettes in or below `folders`, or in those that are `alone`; None without any."""
    below = (place for folder in folders for place in folders_below(folder))
    places = [place.parent.parent for place in below if place.name == _FOLDER and place.parent.name == REPLACED]
    places += alone
    last = max(
        (path for place in places for path in History(place).decisions()), key=lambda path: path.name, default=None
    )
    if last is None:
        return None
    with deciding(last.parent.parent.parent):
        return _undo(last)


def _undo(decision: Path) -> str | None:
    try:
        said = json.loads((decision / "decision.json").read_bytes())
    except FileNotFoundError:
        # Somebody else has undone it meanwhile.
        return None
    paths = [Path(os.path.normpath(decision.parent / file["path"])) for file in said["files"]]
    with ExitStack() as locks:
        for path in in_order_of_locks([path for path in paths if path.parent.name != REPLACED]):
            locks.enter_context(open_file(path).locked())
        changed = list(_to_restore(decision, zip(paths, said["files"], strict=True)))
        # The other way round: what was accepted is back before anything else goes.
        for path, before in reversed(changed):
            _write(path, before)
        shutil.rmtree(decision)
    return str(said["what"])


def in_order_of_locks(paths: Sequence[Path]) -> list[Path]:
    """Cassettes and files of new recordings as a run that settles locks them: else each would wait for the other."""

    def place(path: Path) -> tuple[int, Path]:
        if not path.name.endswith(NEW_SUFFIX):
            return 1, path
        return 2 * (path.name == earlier_path(replaced_path(path)).name), path

    return sorted(paths, key=place)


def _to_restore(decision: Path, files: Iterable[tuple[Path, dict[str, Any]]]) -> Iterator[tuple[Path, bytes | None]]:
    """The files that the decision has changed, and what they held. Raises CassetteError where one is another now."""
    for path, file in files:
        before = None if file["before"] is None else (decision / file["before"]).read_bytes()
        now = path.read_bytes() if path.exists() else None
        if _mark(now) == file["after"]:
            yield path, before
        elif now != before:
            kept = (
                "was not there before" if before is None else f"held before lies in {shown(decision / file['before'])}"
            )
            raise CassetteError(
                f"{shown(path)} has changed since the last decision, so that this cannot be undone: what it {kept}"
            )


def _mark(data: bytes | None) -> str | None:
    return None if data is None else sha256(data).hexdigest()


def _write(path: Path, data: bytes | None) -> None:
    if data is not None:
        if path.parent.name == REPLACED:
            make_folder(path.parent)
        replace_file(path, [data])
    elif path.parent.name == REPLACED:
        discard(path)
    else:
        with naming(path):
            path.unlink(missing_ok=True)
