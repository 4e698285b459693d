"""What has become of the prompts of a test since its transcript was accepted: why, then line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from llm_strategy import Request, Session
from pytest_llm_strategy.conversations import Conversation, read
from pytest_llm_strategy.markdown import codes, fences

Line = tuple[str, str, Sequence[tuple[int, int]]]
"""A line of a difference as `Session.diff` gives it: its mark, its text, and where its words differ."""
Compare = Callable[[Request, Request], Sequence[str]]
_MOST_PAIRED = 100_000
"""So many pairs of conversations are compared; of more, the first belongs to the first."""
_MOST_EXPLAINED = 200
"""For so many different changes the reason is sought."""
_RENAMED = 0.75
"""The share of their lines that two conversations have in common where one function is the other renamed."""
_MOST_CAUSES = 10
_MOST_LINES = 200


class Pair(NamedTuple):
    """A conversation as it was accepted and as it is now; None where it is new or gone."""

    old: Conversation | None
    new: Conversation | None


class Changes:
    """The difference between two transcripts. Of one that is `cut_short`, what is still to come is not missed."""

    def __init__(self, accepted: str, now: str, *, cut_short: bool = False) -> None:
        # Shortened later on, a credential would not be recognised.
        old, new = read(Session.scrub(accepted)), read(Session.scrub(now))
        self.pairs = list(_pairs(old, new))
        if cut_short:
            self.pairs = [Pair(_begun(pair), pair.new) for pair in self.pairs if pair.new is not None]

    @cached_property
    def _differences(self) -> list[tuple[Pair, tuple[Line, ...]]]:
        """What becomes of the lines of each conversation."""
        return [(pair, tuple(Session.diff(*(_lines(side) if side else [] for side in pair)))) for pair in self.pairs]

    def causes(self, compare: Compare) -> list[str]:
        """Short phrases, each with the number of calls that it concerns, the most frequent first."""
        alike: dict[tuple[str, ...], list[Pair]] = {}
        for pair, lines in self._differences:
            if pair.old and pair.new and pair.old.text != pair.new.text:
                # What differs in the same lines differs for the same reason; to find it takes milliseconds.
                changed = (mark + text for mark, text, _ in lines if mark in "-+?")
                alike.setdefault((_name(pair.new), *changed), []).append(pair)
        counted: Counter[str] = Counter()
        for (old, new), *others in list(alike.values())[:_MOST_EXPLAINED]:
            if old and new:
                times = sum(max(was.times, now.times) for was, now in [(old, new), *others] if was and now)
                counted.update(dict.fromkeys(compare(old.request(), new.request()), times))
        phrases = [f"{cause}{_number(times)}" for cause, times in counted.most_common()]
        if len(alike) > _MOST_EXPLAINED:
            phrases.append(f"{len(alike) - _MOST_EXPLAINED:,} more changes")
        phrases += self._came_and_went()
        more = [f"{len(phrases) - _MOST_CAUSES} more"] if len(phrases) > _MOST_CAUSES + 1 else []
        return phrases[: _MOST_CAUSES + (not more)] + more

    def _came_and_went(self) -> Iterator[str]:
        for what, found in (
            ("added", _counted((new, new.times - (old.times if old else 0)) for old, new in self.pairs if new)),
            ("removed", _counted((old, old.times - (new.times if new else 0)) for old, new in self.pairs if old)),
        ):
            for name, count in found.items():
                yield f"{count} call{'s' * (count > 1)} of {name} {'were' if count > 1 else 'was'} {what}"

    def lines(self) -> list[Line]:
        """The difference by line, each conversation beside what it was; what differs alike in several stands once."""
        found: dict[tuple[Line, ...], list[int]] = {}
        # What has changed comes first: of what came or went, all there is to say is said already.
        for pair, changed in sorted(self._differences, key=lambda difference: None in difference[0]):
            conversation = pair.new or pair.old
            found.setdefault(changed, []).append(conversation.calls if conversation else 0)
        equal = sum(found.pop((), ()))
        shown: list[Line] = []
        for lines, calls in found.items():
            shown += [*lines, *_left_out(sum(calls[1:]), "... the same in {} more call{}")]
        shown += _left_out(equal, "... {} equal call{}")
        return shown[:_MOST_LINES] + _left_out(len(shown) - _MOST_LINES, "... {} more line{}")


def _left_out(count: int, what: str) -> list[Line]:
    return [(".", what.format(f"{count:,}", "s" * (count > 1)), ())] if count > 0 else []


def _number(times: int) -> str:
    return f" ({times:,} calls)" if times > 1 else ""


def _counted(found: Iterator[tuple[Conversation, int]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for conversation, times in found:
        if times > 0:
            counted[_name(conversation)] += times * len(conversation.pieces)
    return counted


def _name(conversation: Conversation) -> str:
    names = codes(conversation.heading.partition("\n")[0])
    return conversation.function or (names[0] if names else "any model")


def _begun(pair: Pair) -> Conversation | None:
    """What a conversation was, as far as it has come now."""
    if pair.old is None or pair.new is None:
        return pair.old
    return replace(pair.old.upto(len(pair.new.pieces)), times=pair.new.times)


def _lines(conversation: Conversation) -> list[tuple[str, str]]:
    """The lines of a section, each with the title of what it belongs to, and a blank one."""
    lines = [*conversation.text.split("\n"), ""]
    if conversation.times > 1:
        lines[0] += f" ({conversation.times} times)"
    name = title = _name(conversation)
    titled: list[tuple[str, str]] = []
    for line, inside in zip(lines, fences(lines), strict=True):
        if not inside and line.startswith("### "):
            title = f"{name}, {line.removeprefix('### ').replace('`', '')}"
        titled.append((title, line))
    return titled


# Which conversation is which


def _pairs(old: Sequence[Conversation], new: Sequence[Conversation]) -> Iterator[Pair]:
    """Every conversation of both sides once, in the order of the old ones, a new one behind the one before it."""
    old, new = _apart(old, new), _apart(new, old)
    partners = _partners(old, new)
    taken = set(partners.values())
    fresh = [at for at in range(len(new)) if at not in taken]
    for at, conversation in enumerate(old):
        to = partners.get(at)
        yield Pair(conversation, None if to is None else new[to])
        while to is not None and fresh and fresh[0] == to + 1:
            to = fresh.pop(0)
            yield Pair(None, new[to])
    yield from (Pair(None, new[at]) for at in fresh)


def _apart(side: Sequence[Conversation], other: Sequence[Conversation]) -> list[Conversation]:
    """Where a conversation was had more often than on the other side, those that are too many stand for themselves."""
    times = {each.text: each.times for each in other}
    found: list[Conversation] = []
    for each in side:
        common = min(times.get(each.text, each.times), each.times)
        found.append(replace(each, times=common))
        if each.times > common:
            found.append(replace(each, times=each.times - common))
    return found


def _partners(old: Sequence[Conversation], new: Sequence[Conversation]) -> dict[int, int]:
    """Indices of old conversations with those of the new ones.

    They are equal, or begin alike, or are of one function and most alike, or are renamed.
    """
    partners: dict[int, int] = {}
    for pieces in (None, 1):
        places: dict[str, list[int]] = {}
        for to in _left(new, partners.values()):
            places.setdefault(new[to].upto(pieces).text, []).append(to)
        begun = ((at, old[at].upto(pieces).text) for at in _left(old, partners))
        partners |= {at: places[text].pop(0) for at, text in begun if places.get(text)}
    for function in dict.fromkeys(conversation.function for conversation in new):
        left = _left(old, partners, function), _left(new, partners.values(), function)
        partners |= _alike(old, new, *left, at_least=0)
    left = _left(old, partners), _left(new, partners.values())
    return partners | _alike(old, new, *left, at_least=_RENAMED)


_ANY = object()


def _left(side: Sequence[Conversation], taken: Iterable[int], function: object = _ANY) -> list[int]:
    """The indices of conversations that have no partner yet."""
    used = set(taken)
    return [at for at, each in enumerate(side) if at not in used and function in (_ANY, each.function)]


def _alike(
    old: Sequence[Conversation], new: Sequence[Conversation], left: list[int], others: list[int], *, at_least: float
) -> dict[int, int]:
    """Those whose first requests are most alike, each once; among equals those that stand at the same place."""
    if len(left) * len(others) > _MOST_PAIRED:
        return {} if at_least else dict(zip(left, others, strict=False))
    before, after = (
        [set(side[at].upto(1).text.split("\n")) for at in indices] for side, indices in ((old, left), (new, others))
    )
    ranks = [
        (-likeness, abs(at - to), at, to)
        for at, lines in enumerate(before)
        for to, more in enumerate(after)
        if (likeness := len(lines & more) / len(lines | more)) >= at_least
    ]
    found: dict[int, int] = {}
    taken: set[int] = set()
    for *_, at, to in sorted(ranks):
        if left[at] not in found and to not in taken:
            found[left[at]] = others[to]
            taken.add(to)
    return found
