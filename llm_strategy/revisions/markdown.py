"""What differs between two revisions, for a pull request: Markdown as GitHub reads it, no longer than is allowed.

Whatever comes from a prompt, an answer or a name stands in code, in which GitHub reads neither Markdown nor HTML, names
nobody and makes no links: between `<code>` tags, escaped, or in a fence that is longer than any in it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape

from llm_strategy.markdown import fenced
from llm_strategy.revisions.comparison import Comparison, Group, Located, clean, number, size, told_verdicts

LIMIT = 65_536
"""Bytes; GitHub takes as many characters as a comment."""
LEAST = 1_000
_END = 400
"""Bytes that are kept for what was left out."""
_TESTS = 10
"""Tests of a group that are named."""
_NAME = 120
"""Characters of a name that are shown."""
_CLOSING = "</details>\n\n"


def page(comparison: Comparison, limit: int = LIMIT) -> str:
    paper = _Paper(limit - _END)
    paper.add(f"### Prompts and answers: {_code(comparison.name)}\n\n")
    paper.add(f"{comparison.heading.capitalize()}{_answers(comparison.answers)}\n\n")
    for group in comparison.groups:
        _add_group(paper, group)
    return paper.text + _left_out(paper, comparison)


class _Paper:
    """Takes in text up to a number of bytes; counts the calls, with their causes, that found no room."""

    def __init__(self, limit: int) -> None:
        self.text = ""
        self.calls = 0
        self.causes = 0
        self._left = limit

    def add(self, text: str, *, keep: int = 0) -> bool:
        """Take in a text, if `keep` bytes are left behind it."""
        length = len(text.encode("utf-8", "backslashreplace"))
        if length + keep > self._left:
            return False
        self.text += text
        self._left -= length
        return True


def _add_group(paper: _Paper, group: Group) -> None:
    keep = len(_CLOSING)
    heading = f"<b>{_code(group.title)}</b>: {size(group)}{_answers(told_verdicts(group.verdicts))}"
    head = f"<details>\n<summary>{heading}</summary>\n\n"
    tests = ", ".join(map(_code, group.tests[:_TESTS]))
    more = f" and {len(group.tests) - _TESTS:,} more" if len(group.tests) > _TESTS else ""
    named = f"<p>In {tests}{more}</p>\n\n"
    prompt = _block(group.prompt, "diff")
    if not (paper.add(head + named + prompt, keep=keep) or paper.add(head, keep=keep)):
        paper.causes += 1
        paper.calls += len(group.calls)
        return
    for call in group.told:
        paper.calls += not paper.add(_call(call), keep=keep)
    paper.add(_CLOSING)


def _call(call: Located) -> str:
    verdict = f": <b>{call.change.verdict}</b>" if call.change.verdict else ""
    lines = call.lines()
    shown = _block(lines, "diff" if call.change.verdict is None or call.change.reply.diff else "text")
    return f"<p>{_code(call.owner)}, {_code(call.name)} ({_code(call.place)}){verdict}</p>\n\n{shown}"


def _answers(told: str) -> str:
    return f". Answers: {told}" if told else ""


def _code(text: str) -> str:
    """A text on one line, as it is."""
    shown = clean(text)
    return f"<code>{escape(shown if len(shown) <= _NAME else shown[: _NAME - 3] + '...')}</code>"


def _block(lines: Sequence[str], language: str) -> str:
    return fenced("\n".join(lines), language) + "\n\n" if lines else ""


def _left_out(paper: _Paper, comparison: Comparison) -> str:
    if not paper.calls:
        return ""
    causes = f", among them all of {number(paper.causes, 'cause')}" if paper.causes else ""
    name = clean(comparison.name)
    command = f": {_code(f'llm-strategy diff {shlex.quote(name)}')}" if len(name) < _NAME // 2 else ""
    return f"<p>Left out, for want of room: {number(paper.calls, 'call')}{causes}. To see all{command}</p>\n"
