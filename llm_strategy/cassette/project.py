"""All cassettes of a project: where else a call is recorded, so that moving a test costs nothing."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.folder import yaml_below
from llm_strategy.cassette.naming import NEW_SUFFIX
from llm_strategy.cassette.replaced import is_set_aside
from llm_strategy.cassette.store import open_file
from llm_strategy.cassette.survey import keys_in
from llm_strategy.errors import CassetteError


class Project:
    """The folder of the cassettes, read once, when a call is missing where it should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    @cached_property
    def _paths(self) -> dict[str, list[Path]]:
        paths: dict[str, list[Path]] = {}
        for path in yaml_below(self.folder):
            if not path.name.endswith(NEW_SUFFIX) and not is_set_aside(path.relative_to(self.folder)):
                for key in keys_in(path):
                    paths.setdefault(key, []).append(path)
        return paths

    def add(self, key: str, path: Path) -> None:
        """Note a call that was recorded just now, if in a cassette of the project."""
        with self._lock:
            if not path.name.endswith(NEW_SUFFIX) and path.resolve().is_relative_to(self.folder.resolve()):
                self._paths.setdefault(key, []).append(path)

    def find(self, key: str, occurrence: int, *, apart_from: Path) -> Entry | None:
        """The n-th recording of a call in the first other cassette that has it; damaged ones are passed over.

        So are those that their reader closed early: it may have wanted less than who asks now.
        """
        with self._lock:
            paths = list(dict.fromkeys(self._paths.get(key, ())))
        for path in paths:
            if path.resolve() == apart_from.resolve():
                continue
            try:
                entry = open_file(path).find(key, occurrence)
                if entry is not None and not entry.response.closed_early and entry.request is not None:
                    return entry
            except (CassetteError, OSError):
                continue
        return None
