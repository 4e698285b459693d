"""A decision about pending calls: what becomes of the files, worked out under their locks and then written at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from llm_strategy.cassette.miss import shown_place
from llm_strategy.cassette.replaced import accepted_path
from llm_strategy.cassette.rerecording import earlier_path
from llm_strategy.cassette.store import open_file
from llm_strategy.errors import CassetteError
from llm_strategy.review.history import History, Rewriting, deciding, in_order_of_locks
from llm_strategy.review.pending import Pending
from llm_strategy.review.sides import Side


@dataclass
class Decided:
    """What came of a decision: the calls that it concerned, and why others were left as they are, a line each."""

    done: list[Pending] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def decide(items: Sequence[Pending], *, accept: bool, folder: Path) -> Decided:
    """Accept or reject calls; the bytes of what that changes are kept below `folder`. Raises OSError.

    What no longer stands as it was listed is left as it is, and all else is decided.
    """
    decided = Decided()
    if not items:
        return decided
    by_cassette: dict[Path, list[Pending]] = {}
    for item in items:
        by_cassette.setdefault(item.cassette, []).append(item)
    with deciding(folder), ExitStack() as locks:
        rewritings: list[Rewriting] = []
        for cassette in sorted(by_cassette):
            try:
                rewritings += _decide_in(cassette, by_cassette[cassette], accept, decided, locks)
            except CassetteError as error:
                decided.refused.append(str(error))
        if rewritings:
            History(folder).apply(_told(decided.done, accept), rewritings)
    return decided


def _told(items: Sequence[Pending], accept: bool) -> str:
    calls, tests = len(items), len({item.test for item in items})
    causes = list(dict.fromkeys(cause for item in items for cause in item.causes))
    more = f" and {len(causes) - 1} more" if len(causes) > 1 else ""
    said = f"{calls:,} call{'s' * (calls != 1)} in {tests:,} test{'s' * (tests != 1)}"
    return f"{'accepted' if accept else 'rejected'} {said}: {causes[0]}{more}"


def _decide_in(
    cassette: Path, items: Sequence[Pending], accept: bool, decided: Decided, locks: ExitStack
) -> list[Rewriting]:
    """What becomes of one cassette and of what lies beside it. Raises CassetteError; then nothing of it is decided."""
    left = sorted({item.entry.path for item in items if item.source == "left over"})
    earlier = Path(os.path.realpath(earlier_path(cassette)))
    if left and earlier.exists() and earlier not in left:
        left.append(earlier)
    for path in in_order_of_locks([*left, cassette]):
        locks.enter_context(open_file(path).locked())
    case = _Case(cassette, left)
    done = []
    for item in items:
        if case.stands(item):
            case.decide(item, accept)
            done.append(item)
        else:
            decided.refused.append(
                f"{shown_place(item.entry)}: this call has changed since it was listed, and is left as it is; look "
                "again: llm-strategy review"
            )
    rewritings = [writing for writing in case.rewritings() if writing.before != writing.after]
    decided.done += done
    return rewritings


class _Case:
    """A cassette, its accepted state, and the files of new recordings beside it."""

    def __init__(self, cassette: Path, left: Sequence[Path]) -> None:
        self._cassette = Side(cassette)
        self._accepted = Side(accepted_path(cassette))
        self._left = {path: Side(path) for path in left}
        self._had_accepted = self._accepted.exists

    def stands(self, item: Pending) -> bool:
        """Whether all is as it was when the call was listed."""
        old, new = item.change.old, item.change.new
        if item.source == "left over":
            return self._left[item.entry.path].holds(new) and self._cassette.holds(old)
        if item.stays and not self._cassette.holds(old):
            return False
        return self._had_accepted and self._accepted.holds(old) and self._cassette.holds(new)

    def decide(self, item: Pending, accept: bool) -> None:
        old, new = None if item.stays else item.change.old, item.change.new
        if item.source == "left over":
            self._decide_left(item, accept)
        elif accept:
            self._accepted.swap(old, new, self._cassette.entries)
        else:
            self._cassette.swap(new, old, self._accepted.entries)

    def _decide_left(self, item: Pending, accept: bool) -> None:
        old, new = item.change.old, item.change.new
        left = self._left[item.entry.path]
        if accept:
            # Another test may ask for what this one has asked otherwise.
            stays = old is not None and new is not None and old.key != new.key and self._cassette.is_shared
            replaced = None if stays else old
            self._cassette.swap(replaced, new, left.entries)
            if self._had_accepted and self._accepted.holds(replaced):
                self._accepted.swap(replaced, new, self._cassette.entries)
        left.swap(new, None)
        if accept and new is not None:
            self._forget_earlier(new.key, left)

    def _forget_earlier(self, key: str, left: Side) -> None:
        """As when a run passes: older answers to a request go with the one that was taken over."""
        for side in self._left.values():
            if side is not left and side.path.name == earlier_path(self._cassette.path).name:
                for entry in [entry for entry in side.entries if entry.key == key]:
                    side.swap(entry, None)

    def rewritings(self) -> Iterator[Rewriting]:
        """In an order in which a crash between two of them loses nothing."""
        if self._cassette.has_changed and self._had_accepted:
            self._cassette.order_equals(self._accepted.entries)
        left = [side.file for side in self._left.values()]
        same = self._had_accepted and self._cassette.says_the_same(self._accepted)
        if same and self._cassette.has_changed and not self._accepted.has_changed:
            # Everything is as it was, to the byte.
            yield Rewriting(self._cassette.path, self._cassette.before, self._accepted.before)
        else:
            yield Rewriting(self._cassette.path, self._cassette.before, self._cassette.text(*left))
        if self._had_accepted:
            after = None if same else self._accepted.text(self._cassette.file)
            yield Rewriting(self._accepted.path, self._accepted.before, after)
        for path, side in self._left.items():
            yield Rewriting(path, side.before, side.text())
