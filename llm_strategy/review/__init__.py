"""Reviewing what recording runs have changed: nothing that was accepted is lost before somebody has decided."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from llm_strategy.cassette.committed import committed
from llm_strategy.cassette.contents import file_version
from llm_strategy.cassette.folder import yaml_below
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.naming import NEW_SUFFIX, REPLACED
from llm_strategy.cassette.replaced import accepted_path, apart, is_set_aside, reviewed_cassette
from llm_strategy.cassette.rerecording import new_path, replaced_path
from llm_strategy.cassette.store import open_file
from llm_strategy.errors import CassetteError
from llm_strategy.review.decisions import Decided, decide
from llm_strategy.review.history import undo_last
from llm_strategy.review.pending import Pending, by_cause, left_over_in, replaced_in

__all__ = ["Decided", "Pending", "Review"]


class Review:
    """What is pending in cassettes, and the decisions about it: on disk when they return, to be undone later too.

    `places` are folders of cassettes, and cassettes. `hidden` counts, since the last look, the changed calls of
    cassettes that git has committed as they stand, and `problems` are the files that could not be read, a line each.
    """

    def __init__(self, *places: str | os.PathLike[str]) -> None:
        self.places = [Path(place) for place in places or ["cassettes"]]
        self.hidden = 0
        self.problems: list[str] = []
        self._seen: dict[Path, tuple[object, list[Pending]]] = {}

    def pending(self) -> list[Pending]:
        """What there is to decide, as the files stand now."""
        self.hidden, self.problems = 0, []
        found: list[Pending] = []
        replaced, left = self._files()
        known = self._committed(replaced)
        for path in [*replaced, *left]:
            try:
                if os.path.realpath(path) in known:
                    self.hidden += _differing(path)
                else:
                    found += self._in(path)
            except FileNotFoundError:
                continue  # A run, or another decision, has just removed it.
            except (CassetteError, OSError) as error:
                self.problems.append(f"{error}{_cure(path, error)}")
        return found

    def waiting(self) -> dict[str, int]:
        """How many calls of a cassette, by its real path, were replaced or removed and not accepted since."""
        replaced, _ = self._files()
        known = self._committed(replaced)
        found: dict[str, int] = {}
        for path in replaced:
            if os.path.realpath(path) not in known:
                with suppress(CassetteError, OSError):
                    found[os.path.realpath(path)] = _differing(path)
        return found

    def obsolete(self) -> dict[Path, str]:
        """The accepted states that nobody has to decide about any more, and why."""
        replaced, _ = self._files()
        known = self._committed(replaced)
        found: dict[Path, str] = {}
        for path in replaced:
            if os.path.realpath(path) in known:
                found[accepted_path(path)] = "what has replaced it is committed"
            elif not path.exists():
                found[accepted_path(path)] = "its cassette is gone"
            else:
                with suppress(CassetteError, OSError):
                    if not _differing(path):
                        found[accepted_path(path)] = "its cassette is equal to it"
        return found

    def by_cause(self) -> dict[str, list[Pending]]:
        """The same by its causes, that of most tests first; a call with several stands at each."""
        return by_cause(self.pending())

    def accept(self, items: Iterable[Pending]) -> Decided:
        """Let go of the old recordings; take over those that were left over."""
        return self._decide(items, accept=True)

    def reject(self, items: Iterable[Pending]) -> Decided:
        """Put the old recordings back in their places; remove those that were left over."""
        return self._decide(items, accept=False)

    def undo(self) -> str | None:
        """Undo the last decision that is not undone yet, and say which it was; None where there is none.

        Raises CassetteError where what it changed has changed again; then nothing is undone.
        """
        here = [place for place in self.places if os.path.isdir(place)]
        beside = [place.parent for place in self.places if place not in here]
        return undo_last(here, beside)

    def _decide(self, items: Iterable[Pending], *, accept: bool) -> Decided:
        chosen = list({item.id: item for item in items}.values())
        return decide(chosen, accept=accept, folder=self._folders()[0])

    def _folders(self) -> list[Path]:
        return [place if os.path.isdir(place) else place.parent for place in self.places]

    def _files(self) -> tuple[list[Path], list[Path]]:
        """The cassettes of which something was replaced, and the files of new recordings."""
        replaced: dict[Path, None] = {}
        left: dict[Path, None] = {}
        for place in self.places:
            for path in yaml_below(place) if os.path.isdir(place) else _around(place):
                if path.parent.name == REPLACED:
                    replaced[reviewed_cassette(path)] = None
                elif path.name.endswith(NEW_SUFFIX) and not is_set_aside(path):
                    left[path] = None
        return list(replaced), list(left)

    def _committed(self, cassettes: Sequence[Path]) -> frozenset[str]:
        folders = self._folders() if cassettes else []
        return frozenset(path for folder in folders for path in committed(folder))

    def _in(self, path: Path) -> list[Pending]:
        """What is pending in a cassette, or in a file beside it; the files are read where they have changed."""
        is_left = path.name.endswith(NEW_SUFFIX)
        cassette = replaced_path(path) if is_left else path
        files = (path, cassette, new_path(cassette, 0) if is_left else accepted_path(path))
        versions = [file_version(file.stat()) if file.exists() else None for file in files]
        seen, found = self._seen.get(path, (None, []))
        if seen != versions:
            found = left_over_in(path) if is_left else replaced_in(path)
            self._seen[path] = (versions, found)
        return found


def _around(file: Path) -> list[Path]:
    """What belongs to a cassette, or the file itself where that holds new recordings."""
    if not os.path.isdir(file.parent) or file.name.endswith(NEW_SUFFIX):
        return [file] if os.path.isfile(file) else []
    beside = sorted(file.parent.glob(f"*{NEW_SUFFIX}"))
    accepted = accepted_path(file)
    return [
        *([accepted] if os.path.exists(accepted) else []),
        *(path for path in beside if replaced_path(path) == file),
    ]


def _cure(cassette: Path, error: Exception) -> str:
    """What to do where not the cassette is damaged, but what is kept of it."""
    accepted = accepted_path(cassette)
    if accepted.name != cassette.name or f"{REPLACED}{os.sep}" not in str(error):
        return ""
    return f". This is what was accepted last; to go on without it: rm {shlex.quote(shown(accepted))}"


def _differing(cassette: Path) -> int:
    """How many calls of a cassette are not as they were accepted."""
    return max(map(len, apart(open_file(accepted_path(cassette)).entries, open_file(cassette).entries)))
