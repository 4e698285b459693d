"""What differs between two revisions, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from llm_strategy.revisions.comparison import Comparison, Group, clean, size, told_verdicts

_TESTS = 3
"""Tests of a group that are named."""


def lines(comparison: Comparison) -> Iterator[str]:
    yield f"{clean(comparison.name)}: {comparison.heading}"
    if comparison.answers:
        yield f"answers: {comparison.answers}"
    for group in comparison.groups:
        yield ""
        yield from _group(group)


def _group(group: Group) -> Iterator[str]:
    tests = group.tests[:_TESTS]
    more = f" and {len(group.tests) - _TESTS} more" if len(group.tests) > _TESTS else ""
    yield f"{group.title}: {size(group)} ({', '.join(tests)}{more})"
    if group.prompt:
        if len(group.calls) > 1:
            yield f"  the prompt, by the example of {group.calls[0].name} ({group.calls[0].place}):"
        yield from (f"    {line}" for line in group.prompt)
    for call in group.told:
        verdict = f": {call.change.verdict}" if call.change.verdict else ""
        yield f"  {clean(call.owner)}: {call.name} ({call.place}){verdict}"
        yield from (f"    {line}" for line in call.lines())
    if group.verdicts:
        yield f"  answers: {told_verdicts(group.verdicts)}"
