"""Recorded conversations, drawn as a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from llm_strategy.chat_tree import ChatTree
from llm_strategy.cli.places import counted, printable
from llm_strategy.redaction import scrub, scrub_reply
from llm_strategy.transcript import message_text

_WIDTH = 120
_BEGINNING = 60


def drawn(tree: ChatTree) -> Iterator[str]:
    """One line per message: its role, how it begins, and the line that tells it from others in its place."""
    pending = _below(tree, "")[::-1]
    while pending:
        node, lead, text = pending.pop()
        yield text
        pending += _below(node, lead)[::-1]


def summary(tree: ChatTree) -> str:
    """How many conversations there are."""
    return counted(sum(not node.children for node in tree), "conversation")


def _below(node: ChatTree, lead: str) -> list[tuple[ChatTree, str, str]]:
    """The children of a node, what stands before all that is below each of them, and its own line."""
    children = node.children
    forks = len(children) > 1
    found = []
    for child, text in zip(children, _told(children), strict=True):
        last = child is children[-1]
        corner, below = (("└─ ", "   ") if last else ("├─ ", "│  ")) if forks else ("", "")
        found.append((child, lead + below, f"{lead}{corner}{text}"))
    return found


def _told(siblings: Sequence[ChatTree]) -> list[str]:
    texts = [_lines(node) for node in siblings]
    often = Counter(line for text in texts for line in set(text))
    return [_line(node, text, often) for node, text in zip(siblings, texts, strict=True)]


def _line(node: ChatTree, text: Sequence[str], often: Mapping[str, int]) -> str:
    assert node.message is not None
    first = text[0] if text else ""
    telling = min(text, key=lambda line: often[line], default="")
    if often.get(telling) != often.get(first):
        first = f"{first[:_BEGINNING].rstrip()} ... {telling}"
    return _cut(printable(f"{node.message.role}: {first}"), _WIDTH)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def _lines(node: ChatTree) -> list[str]:
    assert node.message is not None
    hide = scrub_reply if node.message.role == "assistant" else scrub
    return [line.strip() for line in hide(message_text(node.message)).split("\n") if line.strip()]
