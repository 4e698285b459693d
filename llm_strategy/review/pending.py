"""What a recording run has changed and nobody has accepted yet, call by call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from llm_strategy.cassette.changes import Change, change, changes
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.pairing import pairs
from llm_strategy.cassette.replaced import accepted_path, apart
from llm_strategy.cassette.rerecording import earlier_path, new_path, replaced_path
from llm_strategy.cassette.store import CassetteFile, open_file
from llm_strategy.values import JSON

Source = Literal["replaced", "left over"]

_CAUSES = {
    "answer changed": "asked again, same prompt",
    "removed": "not asked any more",
    "added": "asked for the first time",
}
"""Why a call is pending whose prompt has not changed."""


@dataclass(frozen=True)
class Pending:
    """One call to decide about.

    `source` says whether its old recording was replaced in the cassette, or its new one was left over, beside the
    cassette, by a test that failed. `causes` is never empty. `test` names the test or fixture that recorded the
    cassette, and where several share it, the cassette. `stays` says that the old recording stands in the cassette as
    well, so that no decision moves it. The same call has the same `id` in another process.
    """

    id: str
    cassette: Path = field(compare=False)
    source: Source = field(compare=False)
    change: Change = field(compare=False)
    causes: tuple[str, ...] = field(compare=False)
    test: str = field(default="", compare=False)
    stays: bool = field(default=False, compare=False)

    @property
    def entry(self) -> Entry:
        """The recording by which to name the call: the new one, if there is one."""
        entry = self.change.new or self.change.old
        assert entry is not None
        return entry

    def to_json(self) -> dict[str, JSON]:
        named = {"id": self.id, "cassette": shown(self.cassette), "test": self.test, "source": self.source}
        return {**named, "causes": list(self.causes), **self.change.to_json()}


def replaced_in(cassette: Path) -> list[Pending]:
    """How a cassette differs from its accepted state. Raises CassetteError or OSError."""
    old, new = open_file(accepted_path(cassette)), open_file(cassette)
    gone, came = apart(old.entries, new.entries)
    found, went = changes(gone, came), set(gone)
    kept = [entry for entry in old.entries if entry not in went]
    stays = _in_other_words(kept, [one.new for one in found if one.old is None and one.new is not None])
    test = _test(cassette, new if new.entries else old)
    return [_pending(cassette, "replaced", stays.get(one.new, one), test, stays=one.new in stays) for one in found]


def _in_other_words(kept: Sequence[Entry], added: Sequence[Entry]) -> dict[Entry | None, Change]:
    """Of added calls those whose prompt has changed, beside old recordings that the run has left where they are.

    It does so where a test has failed, or not all parameters of one have run. A call with another input, or with more
    messages, may as well be one that the test makes besides.
    """
    said = [
        change(pair)
        for pair in (pairs(kept, added) if added else ())
        if pair.old and pair.new and len(pair.old.request.messages) == len(pair.new.request.messages)
    ]
    return {one.new: one for one in said if one.kind == "prompt changed" and not one.has_other_input}


def left_over_in(file: Path) -> list[Pending]:
    """What a file NAME.new.yaml holds that its cassette does not. Raises CassetteError or OSError."""
    cassette = replaced_path(file)
    new = open_file(file)
    newer = newer_keys(file, cassette)
    left = [entry for entry in new.entries if entry.key not in newer]
    # What the test that failed has not asked again is not among it.
    found = (change for change in changes(*apart(open_file(cassette).entries, left)) if change.new is not None)
    return [_pending(cassette, "left over", change, _test(cassette, new)) for change in found]


def newer_keys(file: Path, cassette: Path) -> Set[str]:
    """Of a file of earlier runs the requests that the last run has asked again. Raises CassetteError or OSError."""
    if file.name != earlier_path(cassette).name:
        return frozenset()
    return frozenset(entry.key for entry in open_file(new_path(cassette, 0)).entries)


def _test(cassette: Path, file: CassetteFile) -> str:
    recorded_by = file.header.get("recorded_by")
    return recorded_by if isinstance(recorded_by, str) else shown(cassette)


def _pending(cassette: Path, source: Source, change: Change, test: str, *, stays: bool = False) -> Pending:
    causes = tuple(change.causes) or (_CAUSES.get(change.kind, change.kind),)
    said = "\n".join([os.path.realpath(cassette), source, *_said(change.old), *_said(change.new)])
    return Pending(_digits(said), cassette, source, change, causes, test, stays)


def _said(entry: Entry | None) -> Iterator[str]:
    if entry is not None:
        yield f"{entry.path.name} {entry.key} {entry.occurrence} {sha256(entry.raw).hexdigest()}"


def _digits(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def by_cause(items: Sequence[Pending]) -> dict[str, list[Pending]]:
    """The calls that each cause concerns, that of most tests first; a call may have several."""
    found: dict[str, list[Pending]] = {}
    for item in items:
        for cause in item.causes:
            found.setdefault(cause, []).append(item)
    return dict(sorted(found.items(), key=lambda of: (-len({item.test for item in of[1]}), -len(of[1]))))
