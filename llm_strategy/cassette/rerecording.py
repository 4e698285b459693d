"""Mode `all`: what is asked afresh stands beside the cassette until the test that asked has passed.

All scopes of a run that use a cassette write into one such file, so that none asks what another has asked. What an
earlier run has left there is set aside when this one records its first call, and goes with what replaces it.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Set
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from llm_strategy.cassette.disk import naming, put
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.naming import NEW_SUFFIX
from llm_strategy.cassette.replaced import keep, release
from llm_strategy.cassette.store import CassetteFile, open_file

if TYPE_CHECKING:
    from llm_strategy.cassette.scope import CassetteScope

_EARLIER_SUFFIX = f".earlier{NEW_SUFFIX}"


def new_path(path: Path, number: int) -> Path:
    """Where a run writes what it asks afresh; `number` tells apart runs at the same time."""
    return path.with_name(f"{path.stem}{f'.{number}' * (number > 0)}{NEW_SUFFIX}")


def earlier_path(path: Path) -> Path:
    """Where that is set aside which runs before the last one have asked afresh in vain."""
    return path.with_name(path.stem + _EARLIER_SUFFIX)


def replaced_path(new: Path) -> Path:
    """The cassette that a file of new recordings is to replace, or the calls of which it is to replace."""
    stem = new.name.removesuffix(NEW_SUFFIX)
    own = new.with_name(f"{stem}.yaml")
    return own if own.exists() else new.with_name(re.sub(r"\.(?:earlier|\d+)$", "", stem) + ".yaml")


def find_fresh(scope: CassetteScope, key: str, occurrence: int) -> Entry | None:
    """The n-th answer that this run has got to a request."""
    new = scope.file
    if scope.facts.knows("begun", str(new.path)):
        new.refresh()
        if new.find(key, 1) is not None:
            return new.find(key, occurrence)
    if scope.facts.knows("refreshed", str(scope.path), key):
        return open_file(scope.path).find(key, occurrence)
    return None


def begin(scope: CassetteScope) -> None:
    """Make room for what this run has asked, while the file is locked: what an earlier one has left is set aside."""
    new = scope.file
    fact = ("begun", str(new.path))
    if scope.facts.knows(*fact):
        return
    if new.path.exists():
        _set_aside(new, _earlier(scope))
    scope.facts.note(fact)
    folder = scope.project.folder.resolve() if scope.project else new.path.parent
    _let_git_ignore(folder if new.path.is_relative_to(folder) else new.path.parent)


def _earlier(scope: CassetteScope) -> Path:
    return earlier_path(scope.path)


def _set_aside(left: CassetteFile, earlier: Path) -> None:
    left.refresh()
    if earlier.exists():
        kept = open_file(earlier)
        newer = Counter(entry.key for entry in left.entries)
        kept.adopt(left.entries, None, beyond=newer)
        with naming(left.path):
            left.path.unlink()
    else:
        with naming(left.path):
            put(left.path, earlier)
    left.refresh()


def complete(scope: CassetteScope, key: str) -> None:
    """Before a request is recorded: the answers to it that have taken their place already come first."""
    new = scope.file
    new.refresh()
    if new.find(key, 1) is None and scope.facts.knows("refreshed", str(scope.path), key):
        for entry in open_file(scope.path).entries:
            if entry.key == key:
                new.append_copy(entry, scope.recorded_by)


def settle(scope: CassetteScope) -> None:
    """All has passed: what was asked afresh takes the place of what it replaces."""
    new, path, facts = scope.file, scope.path, scope.facts
    if not facts.knows("begun", str(new.path)):
        # All was asked by others of this run; what lies there is older.
        return
    asked = scope.usage.ordered()
    with new.locked(), open_file(path).locked():
        new.refresh()
        held = _held(scope)
        if not _kept(scope):
            return
        whole = not scope.rules.shared and not facts.knows("adopted", str(path)) and not held
        if whole and all(new.find(*call) for call in asked):
            keys = {entry.key for entry in new.entries}
            with naming(path):
                put(new.path, path)
            _drop(_earlier(scope), None)
        else:
            keys = {key for key, _ in asked if new.find(key, 1)} - held
            open_file(path).adopt([entry for entry in new.entries if entry.key in keys], scope.recorded_by)
            _drop(new.path, keys)
            _drop(_earlier(scope), keys)
        # Only now: who reads this looks into the cassette.
        facts.note(("adopted", str(path)), *(("refreshed", str(path), key) for key in keys))
        release(path)


def _kept(scope: CassetteScope) -> bool:
    """Whether what is about to be replaced is kept for a review; where it cannot be, nothing is replaced."""
    try:
        keep(scope.path)
    except OSError as error:
        scope.account.notes.append(
            f"{shown(scope.path)}: stays as it is, because it cannot be kept for a review ({error}); what was recorded "
            f"now is {shown(scope.file.path)}"
        )
        return False
    return True


def _held(scope: CassetteScope) -> Set[str]:
    """The requests whose old recordings stay: the model has failed to answer them afresh, and the test got over it."""
    old = open_file(scope.path)
    held = {call[0] for call in scope.usage.unanswered if scope.file.find(*call) is None and old.find(*call)}
    if held:
        kept = "1 old recording is" if len(held) == 1 else f"{len(held)} old recordings are"
        scope.account.notes.append(f"{shown(scope.path)}: {kept} kept, because the model failed when asked again")
    return held


def _drop(path: Path, keys: Set[str] | None) -> None:
    """Remove the recordings of requests, None for all, and a file in which none is left."""
    if not path.exists():
        return
    open_file(path).remove(lambda entries: [entry for entry in entries if keys is None or entry.key in keys])


_IGNORED = f"# what was asked by `pytest --llm-record=all` for tests that then failed\n*{NEW_SUFFIX}\n"


@cache
def _let_git_ignore(folder: Path) -> None:
    """See to it that no new recording is committed by accident; a `.gitignore` that is there stays as it is."""
    ignoring = folder / ".gitignore"
    with suppress(OSError, subprocess.SubprocessError):
        if ignoring.exists():
            return
        command = ["git", "check-ignore", "--quiet", "--no-index", f"x{NEW_SUFFIX}"]
        # 0 is ignored, 1 is not, anything else is no repository.
        if subprocess.run(command, cwd=folder, capture_output=True, timeout=10, check=False).returncode == 1:
            ignoring.write_text(_IGNORED, "utf-8")
