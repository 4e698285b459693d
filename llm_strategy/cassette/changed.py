"""What asking a model afresh has made of the recorded answers of a scope."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_strategy.cassette.changes import Change, change
from llm_strategy.cassette.entry import Entry
from llm_strategy.cassette.miss import shown
from llm_strategy.cassette.pairing import pairs
from llm_strategy.cassette.run import asked_in
from llm_strategy.cassette.store import open_file
from llm_strategy.cassette.verdicts import Verdict
from llm_strategy.difference.replies import ReplyDifference
from llm_strategy.errors import CassetteError, PromptError
from llm_strategy.prompt import Prompt
from llm_strategy.redaction import conceal
from llm_strategy.schema import Output

if TYPE_CHECKING:
    from llm_strategy.cassette.scope import CassetteScope
    from llm_strategy.signature import Signature


class Changed(NamedTuple):
    """One answer that was asked afresh, beside the recorded one.

    `causes` say what has changed in the prompt, if anything; `lines` how the answer differs, old -> new, for people.
    """

    test: str
    cassette: str
    function: str | None
    verdict: Verdict
    causes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, said: Sequence[Any]) -> Changed:
        test, cassette, function, verdict, causes, lines = said
        return cls(test, cassette, function, verdict, tuple(causes), tuple(lines))


def changed_by(scope: CassetteScope) -> Iterator[Changed]:
    """Each call of a scope that was asked afresh and had a recording before; at the scope's end.

    In mode `new` that is a recording which the scope did not ask for. In a cassette that others use too it may be
    theirs: there a call is the same only where nothing was asked of it in other words.
    """
    calls = scope.usage.calls
    asked = {place: scope.file.find(*calls[place]) for place in scope.usage.fresh if place in calls}
    fresh = {entry: scope.usage.fresh[place] for place, entry in asked.items() if entry is not None}
    old = list(_before(scope, fresh))
    if not old:
        return
    for pair in pairs(old, list(fresh)):
        if pair.old is None or pair.new is None:
            continue
        with suppress(CassetteError):
            found = change(pair, _output(fresh[pair.new]))
            if scope.rules.mode == "all" or not (scope.rules.shared and found.has_other_input):
                yield _changed(scope, found)


def _before(scope: CassetteScope, fresh: Collection[Entry]) -> Iterator[Entry]:
    """The recordings that may be those of the same calls: nobody of this run has asked for them."""
    if scope.rules.mode != "all":
        asked = asked_in(scope)
        others = (entry for entry in scope.file.entries if entry not in fresh)
        yield from (entry for entry in others if entry.occurrence > asked.get(entry.key, 0))
        return
    own = {entry.key for entry in fresh}
    taken = {entry.key for entry in scope.file.entries} - own
    adopted = scope.rules.shared and scope.facts.knows("adopted", str(scope.path))
    with suppress(CassetteError, OSError):
        for entry in open_file(scope.path).entries:
            if entry.key in taken or (adopted and scope.facts.knows("refreshed", str(scope.path), entry.key)):
                continue
            yield entry


def _output(signature: Signature | None) -> Output | None:
    """The form of a function's reply; None where nothing can be said of it any more."""
    if signature is None:
        return None
    with suppress(PromptError, TypeError):
        return Prompt(signature).output
    return None


def _changed(scope: CassetteScope, found: Change) -> Changed:
    assert found.new is not None
    assert found.verdict is not None
    # How many tokens it took is no part of what is said.
    fields = [place for place in found.reply.fields if not place.path.startswith("usage.")]
    said = ReplyDifference(fields, found.reply.diff).lines() if found.verdict != "identical" else []
    lines = tuple(map(conceal, said))
    path = shown(scope.path)
    owner = scope.rules.owner or path
    return Changed(owner, path, found.new.function, found.verdict, tuple(found.causes), lines)
