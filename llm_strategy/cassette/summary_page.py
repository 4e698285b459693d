"""The account of a session as a page of Markdown, for a continuous integration that shows one beside its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from llm_strategy.known_secrets import known
from llm_strategy.markdown import code, fenced, folded, table

if TYPE_CHECKING:
    from llm_strategy.cassette.account import Account
    from llm_strategy.cassette.changed import Changed
    from llm_strategy.cassette.missed import Group
    from llm_strategy.cassette.tokens import Count

_LONGEST = 15_000
"""Characters of one diff, or one changed answer: a page has room for many causes."""


DIFFERENT = ("value changed", "no longer parses")
"""What a program notices of an answer that was asked again."""


class Section(NamedTuple):
    """A part of the page that is shown as a whole or left out; `what` it is then counted as, if at all."""

    what: str
    text: str


def page(account: Account, *, mode: str, room: int, hint: str = "") -> str:
    """The page, in at most `room` bytes of UTF-8; what has no room is counted in its last sentence.

    `hint` says, in Markdown, where more is to be found. Nothing where not even the table of totals has room.
    """
    scrub = known().scrub_report
    shown = [scrub(f"## Model calls\n\n{_totals(account, mode)}\n")]
    # What is left out is told in one sentence, which takes no more than this.
    left = room - _size(shown[0]) - _size(hint) - 400
    if left < 0:
        return ""
    omitted: dict[str, int] = {}
    for section in _sections(account, mode):
        text = scrub(section.text)
        left -= _size(text) + 2
        if left < 0:
            # Nor is there room for what comes later, which matters less.
            left = -1
            omitted[section.what] = omitted.get(section.what, 0) + 1
        else:
            shown.append(text)
    omitted.pop("", None)
    if omitted:
        counted = " and ".join(_count(number, what) for what, number in omitted.items())
        shown.append(f"**Left out here, because the page would be too long: {counted}.**")
    return "\n".join([*shown, *([hint] if hint else []), ""])


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _totals(account: Account, mode: str) -> str:
    tokens = account.tokens
    rows = [["replayed", f"{account.replayed + account.copied:,}", *_spent(tokens.saved, "saved")]]
    if account.asked:
        rows.append(["asked" if mode == "live" else "recorded", f"{account.asked:,}", *_spent(tokens.asked, "spent")])
    others = {
        "would be asked" if mode == "dry" else "missed": account.missed,
        "not asked, because of the budget": account.tokens.not_asked,
        "stale": account.stale,
        "stale, removed": account.pruned,
    }
    rows += [[what, f"{count:,}", "", "", ""] for what, count in others.items() if count]
    return table(["", "calls", "input tokens", "output tokens", "price"], rows)


def _spent(count: Count, what: str) -> list[str]:
    if not count.calls:
        return ["", "", ""]
    return [f"{count.input_tokens:,}", f"{count.output_tokens:,}", code(f"{what} {count.cost}")]


def _sections(account: Account, mode: str) -> Iterator[Section]:
    """The parts of the page, the most important first."""
    groups = account.groups if mode != "dry" else []
    if groups:
        yield Section("", _missed(groups, account.command))
    for group in groups:
        yield Section("cause", _cause(group, account.diffs.get(group.cause, ""), alone=len(groups) == 1))
    yield from _answers(account.changed)
    if account.changing_values:
        told = "Recorded prompts hold what differs from run to run, so that no recording will answer them"
        lines = "\n".join(account.changing_values)
        yield Section("remark", f"### Changing values\n\n{told}. {account.cure}:\n\n{_cut(lines)}\n")
    if account.notes:
        yield Section("remark", f"{folded('Notes', _cut(chr(10).join(account.notes)))}\n")


def _missed(groups: Sequence[Group], command: str) -> str:
    tests = len({test for group in groups for test in group.tests})
    head = f"### {_count(tests, 'test')} asked what no recording answers: {_count(len(groups), 'cause')}\n"
    return f"{head}\nTo record all of it:\n\n{fenced(command, 'console')}\n" if command else head


def _cause(group: Group, diff: str, *, alone: bool) -> str:
    place = f" ({code(f'{group.file}:{group.line}')})" if group.file else ""
    head = f"**{_count(group.calls, 'call')} in {_count(len(group.tests), 'test')}**: {code(group.cause)}{place}"
    tests = folded(_count(len(group.tests), "test"), _cut("\n".join(group.tests)))
    parts = [head, tests]
    if diff:
        parts.append(folded("what changed", _cut(diff, "diff")))
    if group.command and not alone:
        parts += ["To record these alone:", fenced(group.command, "console")]
    return "\n\n".join(parts) + "\n"


def _answers(changed: Sequence[Changed]) -> Iterator[Section]:
    """What has become of answers that were asked again; those that the program gets otherwise one by one."""
    if not changed:
        return
    counts = Counter(answer.verdict for answer in changed)
    verdicts = ", ".join(f"{number:,} {verdict}" for verdict, number in counts.most_common())
    yield Section("", f"### {_count(len(changed), 'recorded answer')} asked again: {verdicts}\n")
    for answer in changed:
        if answer.verdict in DIFFERENT:
            causes = f", {' and '.join(map(code, answer.causes))}" if answer.causes else ""
            head = f"**{answer.verdict}**: {code(answer.function or 'a call')} in {code(answer.test)}{causes}"
            yield Section("changed answer", f"{head}\n\n{_cut(chr(10).join(answer.lines))}\n")


def _cut(text: str, language: str = "text") -> str:
    """The text between fences; of a very long one the beginning, and how many lines follow."""
    if len(text) <= _LONGEST:
        return fenced(text, language)
    kept = text[:_LONGEST].rpartition("\n")[0] or text[:_LONGEST]
    more = text.count("\n") - kept.count("\n")
    return f"{fenced(kept, language)}\n\nand {_count(more, 'more line')}" if more else fenced(f"{kept} ...", language)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
